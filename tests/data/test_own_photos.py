"""A user's own folders, typed as the pages show it: what is trained on, what is measured and what it is called."""

import csv
import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr.compose.image_sets import refuse_idle_degradation
from sr.compose.words import Words
from sr.data.folder import Folder
from sr.data.images import digest
from sr.data.joined import JoinedPairs
from sr.errors import UserError
from sr.runs.same_data import Contents, keep, trained_on

SMALL = ["model=ecbsr_m4c8", "scale=2", "patch_size=8", "budget=smoke", "callbacks=[]", "data=folder"]
Write = Callable[..., Path]


def measured(folder: Path) -> set[tuple[str, str]]:
    """Data set and image of each line of results_per_image.csv."""
    with (folder / "results_per_image.csv").open(newline="") as file:
        return {(row["dataset"], row["image"]) for row in csv.DictReader(file)}


@pytest.fixture
def many(tmp_path: Path, write: Write) -> Path:
    for i in range(12):
        write(tmp_path / f"my photos/p{i}.png", i)
    return tmp_path / "my photos"


def test_one_folder_is_trained_on_and_its_held_out_share_is_measured(command: Any, many: Path) -> None:
    (many / "copy.png").write_bytes((many / "p0.png").read_bytes())  # what a user has no hand in is no obstacle
    run = command("train.py", *SMALL, f"data.root={many}", "data.val_share=0.2", "data.val_images=1")
    assert run.code == 0, run
    alone = Folder(root=many, scale=2, val_share=0.2)
    held_out, twins = {p.name for p in alone.val_pairs()}, {"copy", "p0"}
    assert len(held_out) == 3 and len(alone.train_pairs()) == 10
    expected = held_out - (twins if len(held_out & twins) == 1 else set())
    assert measured(run.folder) == {("my photos held-out", name) for name in expected}
    typed = [f"checkpoint={run.folder}", "benchmarks=[folder]", f"data.root={many}", "panels=0"]
    whole = command("evaluate.py", *typed, folder="whole")
    seen = f"was trained on {13 - len(expected)} of the 13 images of"
    assert whole.code == 0 and f"{seen} my photos (" in whole.out + whole.err, whole
    assert len(measured(whole.folder)) == 13
    encoded = many.parent / "encoded"
    encoded.mkdir()
    for path in many.iterdir():
        Image.open(path).save(encoded / f"{path.stem}.jpg", quality=90)
    assert tells(command, run.folder, encoded) == f"ecbsr_m4c8 {seen} encoded"
    moved = many.rename(many.parent / "moved")
    for number, path in enumerate(sorted(moved.iterdir())):  # other names, other places, other files
        Image.open(path).save(moved / f"{number}.bmp")
        path.unlink()
    assert tells(command, run.folder, moved) == f"ecbsr_m4c8 {seen} moved"
    for path in moved.iterdir():
        if digest(np.asarray(Image.open(path).convert("RGB"))) in trained_on(run.folder):
            path.unlink()
    assert tells(command, run.folder, moved) == ""
    # A checkpoint that left its run tells no pixels, but the place.
    shutil.copy(run.folder / "checkpoints/last.ckpt", alone := many.parent / "alone.ckpt")
    assert tells(command, alone, moved.rename(many)).startswith("ecbsr_m4c8 was trained on images of ")


def tells(command: Any, checkpoint: Path, root: Path) -> str:
    """What evaluate says of images that were trained on."""
    typed = [f"checkpoint={checkpoint}", "benchmarks=[folder]", f"data.root={root}", "panels=0", "baseline=false"]
    done = command("evaluate.py", *typed, folder=f"measured_{root.name}_{checkpoint.stem}_{len(list(root.iterdir()))}")
    assert done.code == 0, done
    found = re.search(r"warning: (.* was trained on .*?)(?: \(|:)", done.out + done.err)
    return found[1] if found else ""


def test_what_the_weights_saw_before_the_run_is_told(command: Any, tmp_path: Path, write: Write) -> None:
    """They come from a run that was trained on what this one is measured on."""
    for i in range(4):
        write(tmp_path / f"{'first' if i < 2 else 'second'}/{i}.png", i)
    typed = [*SMALL, "data.val_images=1"]
    words = [f"data.train={tmp_path}/first", f"data.val={tmp_path}/second"]
    first = command("train.py", *typed, *words, folder="a")
    assert first.code == 0 and "was trained on" not in first.out + first.err, first
    words = [f"data.train={tmp_path}/second", f"data.val={tmp_path}/first", f"init_from={first.folder}"]
    second = command("train.py", *typed, *words, folder="b")
    told = "warning: ecbsr_m4c8 was trained on 2 of the 2 images of first"
    assert second.code == 0 and told in second.out + second.err, second
    assert trained_on(first.folder) < trained_on(second.folder) and len(trained_on(second.folder)) == 4
    now: Contents = {"train": {"third": "digest"}, "val": {}}
    keep(second.folder, now, [second.folder])  # gone on with, with other images
    assert len(trained_on(second.folder)) == 5


def test_to_measure_a_folder_is_to_measure_all_of_it(folder: Callable[..., Folder]) -> None:
    data = folder()
    data.check("test")
    assert len(data.pairs("test")) == 7 and data.test_name == "photos"


def test_lr_of_files_is_measured_too_or_told(
    folder: Callable[..., Folder], tmp_path: Path, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    for i in range(4):
        Image.open(write(tmp_path / f"HR/{i}.png", i)).resize((24, 20)).save(_made(tmp_path / f"LR/{i}x2.png"))
    data = folder(root=tmp_path / "HR", train_lr=tmp_path / "LR", val_share=0.5)
    data.check("fit")
    data.check("test")
    assert all(p.lr is not None for p in data.test_pairs()) and "data.test_lr" not in caplog.text
    write(tmp_path / "new/n.png", 9)
    with caplog.at_level(logging.WARNING):
        other = folder(root=None, train=tmp_path / "HR", train_lr=tmp_path / "LR", test=tmp_path / "new")
        other.check("fit")
        other.check("test")
    assert caplog.text.count("data.test_lr=") == 1


def _made(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    return path


def test_two_images_of_one_name_are_told_apart_or_refused(
    folder: Callable[..., Folder], tmp_path: Path, write: Write
) -> None:
    for name in ("a/x.png", "a/b/x.png", "a/b_x.png"):
        write(tmp_path / name, len(name))
    names = [p.name for p in folder(root=[tmp_path / "a/b"]).test_pairs()]
    assert names == ["x"]
    with pytest.raises(UserError, match=r"would both be called b_x"):
        folder(root=[tmp_path / "a", tmp_path / "a/b"]).test_pairs()
    with pytest.raises(UserError, match="name each folder once"):
        folder(root=[tmp_path / "a", tmp_path / "a"]).test_pairs()


def test_rows_carry_the_name_of_what_is_measured_and_a_damaged_benchmark_is_told(
    command: Any, many: Path, tmp_path: Path, write: Write
) -> None:
    broken = write(tmp_path / "data/benchmarks/Set5/HR/baby.png", 77, 300, 300)
    broken.write_bytes(broken.read_bytes()[:100_000])
    for i in range(2):
        write(tmp_path / f"others/q{i}.png", 100 + i)
    typed = [*SMALL, f"data.train={many}", f"data_dir={tmp_path}/data", f"data.val={tmp_path}/others", "data.name=mine"]
    run = command("train.py", *typed, folder="told")
    assert run.code == 0 and "Set5 is there but cannot be used" in run.out + run.err and "baby.png" in run.out + run.err
    assert measured(run.folder) == {("others", "q0"), ("others", "q1")}
    run = command("train.py", *typed, "benchmarks=[set5]", "data.check_leaks=false", folder="asked")
    assert run.code == 1 and "baby.png" in run.err and "Traceback" not in run.err
    assert not (run.folder / "metrics.csv").exists(), "it had begun"


def test_all_bad_files_are_named_at_once(folder: Callable[..., Folder], photos: Path) -> None:
    for name in ("p1", "p2"):
        (photos / f"{name}.png").write_bytes((photos / f"{name}.png").read_bytes()[:2000])
    for cache in (photos.parent / "other", photos.parent / "cache"):
        with pytest.raises(UserError) as error:
            folder(root=None, train=photos, val_share=0, val=photos, cache_dir=cache).check("test")
        assert "p1.png" in str(error.value) and "p2.png" in str(error.value)
    with pytest.raises(UserError, match=r"2 of 7 images(.|\n)*p1\.png(.|\n)*p2\.png"):
        folder(root=None, train=photos, val=photos).check("fit")
    clear = Image.new("RGBA", (48, 40), (1, 2, 3, 128))
    clear.save(photos / "p0.png")  # only its pixels tell
    Image.new("I;16", (48, 40)).save(photos / "p4.png")
    with pytest.raises(UserError) as error:
        folder().check("fit")
    assert all(str(error.value).count(f"p{i}.png") == 1 for i in (0, 1, 2, 4)) and "4 of 7" in str(error.value)
    for name in ("p0", "p1", "p2", "p4"):
        Image.new("I;16", (48, 40)).save(photos / f"{name}.png")
    with pytest.raises(UserError, match=r"4 of 7 images(.|\n)*python -P -m sr\.imaging\.convert"):
        folder(root=None, train=photos, val=photos).check("fit")


def test_sub_folders_pair_as_they_lie(folder: Callable[..., Folder], tmp_path: Path, write: Write) -> None:
    for place in ("a", "b/c"):
        hr = Image.open(write(tmp_path / f"HR/{place}/x.png", len(place)))
        (tmp_path / f"LR/X2/{place}").mkdir(parents=True)
        hr.resize((24, 20), Image.Resampling.BICUBIC).save(tmp_path / f"LR/X2/{place}/x.png")
    pairs = folder(root=None, test=tmp_path / "HR", test_lr=tmp_path / "LR").test_pairs()
    assert [(p.name, p.lr and p.lr.parent.name) for p in pairs] == [("a_x", "a"), ("b_c_x", "c")]
    for deep in ("HR/a_originals/x.png", "HR/.trash/t.png", "HR/1/2/3/4/t.png"):  # not meant, hidden, too deep
        write(tmp_path / deep, 8)
    assert len(folder(root=None, test=tmp_path / "HR", test_lr=tmp_path / "LR").test_pairs()) == 2
    write(tmp_path / "LR/X2/d/y.png", 3, 20, 24)
    with pytest.raises(UserError, match=r"HR has none of: .*d/y\.png"):
        folder(root=None, test=tmp_path / "HR", test_lr=tmp_path / "LR").test_pairs()


def test_many_folders_have_a_name_that_files_can_have(
    folder: Callable[..., Folder], tmp_path: Path, write: Write
) -> None:
    """Shards as LSDIR's: the cache and panels are called by them, and systems take 255 bytes."""
    shards = [write(tmp_path / f"shard {n:04d}/{n}.png", n).parent for n in range(30)]
    data = folder(root=None, train=shards)
    data.check("fit")
    assert data.test_name == "shard 0000 + shard 0001 and 28 more folders held-out"
    assert folder(root=None, train=shards[:3]).name == "shard 0000 + shard 0001 + shard 0002"


def test_images_too_far_down_are_told(
    folder: Callable[..., Folder], tmp_path: Path, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a tree with images on several levels a part was trained on and measured, without a word."""
    write(tmp_path / "HR/a/x.png", 1)
    (tmp_path / "HR/1/2/3/none").mkdir(parents=True)
    folder(root=tmp_path / "HR").test_pairs()
    assert not caplog.text
    write(tmp_path / "HR/1/2/3/4/5/t.png", 8)
    (tmp_path / "HR/1/2/3/4/5/again").symlink_to(tmp_path / "HR")
    assert len(folder(root=tmp_path / "HR").test_pairs()) == 1
    assert f"not read are the images below {tmp_path}/HR/1/2/3/4: " in caplog.text
    with pytest.raises(UserError, match="not found"):
        folder(root=tmp_path / "HR/1").test_pairs()


def test_files_of_another_name_than_typed_are_left_out_or_told(
    folder: Callable[..., Folder], tmp_path: Path, write: Write
) -> None:
    write(tmp_path / "Set/LR/a_small.png", 1, 20, 24)
    with pytest.raises(UserError, match=r"data.hr_name=\*_big: no image of .*Set is named so"):
        folder(root=tmp_path / "Set", hr_name="*_big").test_pairs()
    write(tmp_path / "Set/HR/a_big.png", 1)
    assert [p.name for p in folder(root=tmp_path / "Set", hr_name="*_big").test_pairs()] == ["a"]


def test_what_is_left_out_of_a_folder_is_counted(
    folder: Callable[..., Folder], photos: Path, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.heic", "b.heic", "notes.txt", ".hidden"):
        (photos / name).write_text("x")
    write(photos / "old/p.png", 1)
    with caplog.at_level(logging.INFO):
        data = folder()
        data.check("fit")
        data.check("test")
    assert caplog.text.count("7 images; left out: 3 files (2 .heic, 1 .txt) and 1 sub-folders") == 1


def test_lr_among_hr_is_told(
    folder: Callable[..., Folder], tmp_path: Path, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    for i in range(2):
        hr = Image.open(write(tmp_path / f"RealSR/Canon_{i}_HR.png", i))
        hr.resize((24, 20), Image.Resampling.BICUBIC).save(tmp_path / f"RealSR/Canon_{i}_LR2.png")
    place = tmp_path / "RealSR"
    assert len(folder(root=place).test_pairs()) == 4 and "2 files are taken for HR" in caplog.text
    caplog.clear()
    pairs = folder(root=None, test=place, test_lr=place).test_pairs()
    assert [p.name for p in pairs] == ["Canon_0", "Canon_1"] and not caplog.text


@pytest.mark.parametrize(
    "low", ["LR_bicubic/X2", "DIV2K_train_LR_bicubic/X2", "LR", "lq", "LRbicx4", "x2", "BIx4", "img_LR"]
)
def test_folders_of_lr_beside_those_of_hr_are_told(
    folder: Callable[..., Folder], tmp_path: Path, write: Write, caplog: pytest.LogCaptureFixture, low: str
) -> None:
    write(tmp_path / "Set/HR/a.png", 1)
    write(tmp_path / "Set" / low / "a.png", 1, 20, 24)
    write(tmp_path / "Set" / low / "b.png", 2, 20, 24)
    folder(root=tmp_path / "Set").test_pairs()
    assert "2 images of" in caplog.text and f"names are those of LR: {low}" in caplog.text
    assert str(tmp_path / "Set/HR") in caplog.text
    caplog.clear()
    folder(root=tmp_path / "Set/HR").test_pairs()
    folder(root=tmp_path / "Set" / low).test_pairs()
    write(tmp_path / "own/alright/a.png", 1)
    write(tmp_path / "own/blurry/a.png", 2)
    folder(root=tmp_path / "own").test_pairs()
    assert not caplog.text


def test_names_that_are_not_utf8_are_taken(command: Any, many: Path) -> None:
    os.rename(many / "p0.png", os.fsencode(many) + b"/caf\xe9.png")
    run = command("evaluate.py", "model=bicubic", "scale=2", "benchmarks=[folder]", f"data.root={many}")
    assert run.code == 0, run
    assert ("my photos", "caf\ufffd") in measured(run.folder)
    data = Folder(root=many, scale=2, patch_size=8, cache_dir=many.parent / "cache")
    data.check("fit")
    assert len(data.pairs("train")) == 11


@pytest.mark.shared
@pytest.mark.parametrize("case", ["allscales", "rcan", "tmpl", "upper", "subdir"])
def test_the_layouts_of_others_pair(shared: Path, tmp_path: Path, case: str) -> None:
    place = shared / "cases/pairs" / case
    data = Folder(train=place / "HR", train_lr=place / "LR", val_share=0, scale=4, cache_dir=tmp_path)
    assert len(data.pairs("train")) == 2


def test_a_degradation_that_makes_no_lr_is_refused(
    folder: Callable[..., Folder], photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was typed, stood in the config and in tables, and no picture was degraded by it."""
    (tmp_path / "lr").mkdir()
    for path in photos.iterdir():
        image = Image.open(path).convert("RGB")
        image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC).save(tmp_path / "lr" / path.name)
    read = folder(root=None, train=photos, train_lr=tmp_path / "lr", test=photos, test_lr=tmp_path / "lr")
    train, test, made = read.pairs("train"), read.pairs("test"), folder().pairs("test")
    typed = Words(["scale=2", "degradation.steps.0.sigma=2"])
    with pytest.raises(UserError, match=r"^degradation\.steps\.0\.sigma=2: all LR is read from files"):
        refuse_idle_degradation(typed, [test], [JoinedPairs([train])])
    refuse_idle_degradation(Words(["scale=2"]), [test], [train])
    refuse_idle_degradation(typed, [test], [JoinedPairs([train, made])])
    refuse_idle_degradation(typed, [test, made])
    assert "of what is measured alone" not in caplog.text
    refuse_idle_degradation(typed, [test, made], [train])
    assert "makes LR of what is measured alone" in caplog.text
