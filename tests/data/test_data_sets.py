import hashlib
import logging
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sr.data.archives import Archive
from sr.data.bundled import HELD_OUT, Bundled
from sr.data.combined import Combined
from sr.data.div2k import Div2k
from sr.data.flickr2k import Flickr2k
from sr.data.folder import Folder
from sr.data.pairs import ImagePair, pair_by_name
from sr.data.split import split_by_name
from sr.data.video_sets import clips_in
from sr.degradation import Degradation, GaussianNoise, MatlabBicubic
from sr.errors import UserError

Write = Callable[..., Path]


@pytest.fixture
def div2k(tmp_path: Path, write: Write) -> Path:
    for number in (1, 2, 800):
        write(tmp_path / f"DIV2K/DIV2K_train_HR/{number:04}.png", number)
    for number in (801, 900):
        write(tmp_path / f"DIV2K/DIV2K_valid_HR/{number:04}.png", number)
    return tmp_path / "DIV2K"


def names(pairs: list[ImagePair]) -> list[str]:
    return [p.name for p in pairs]


# ---- DIV2K ------------------------------------------------------------------------------------------------


def test_div2k_makes_lr_where_there_is_none(div2k: Path, settings: dict[str, Any]) -> None:
    for root in (div2k, div2k.parent):
        data = Div2k(root=root, **settings)
        data.check("fit")
        assert names(data.train_pairs()) == ["0001", "0002", "0800"] and data.symmetric
        assert names(data.val_pairs()) == names(data.test_pairs()) == ["0801", "0900"]
        assert all(p.lr is None for p in data.train_pairs())


def test_div2k_reads_official_lr_unless_another_degradation_is_asked_for(
    div2k: Path, settings: dict[str, Any], write: Write
) -> None:
    for number in (1, 2, 800):
        write(div2k / f"DIV2K_train_LR_bicubic/X2/{number:04}x2.png", number, 20, 24)
    lr = [p.lr for p in Div2k(root=div2k, **settings).train_pairs()]
    assert [p and p.name for p in lr] == ["0001x2.png", "0002x2.png", "0800x2.png"]
    noisy = Degradation(2, [MatlabBicubic(2), GaussianNoise(10)])
    assert all(p.lr is None for p in Div2k(root=div2k, degradation=noisy, **settings).train_pairs())


def test_div2k_with_all_900_in_one_folder(tmp_path: Path, settings: dict[str, Any], write: Write) -> None:
    for number in (1, 2, 801, 802):
        write(tmp_path / f"DIV2K_train_HR/{number:04}.png", number)
        write(tmp_path / f"DIV2K_train_LR_bicubic/X2/{number:04}x2.png", number, 20, 24)
    data = Div2k(root=tmp_path, **settings)
    assert names(data.train_pairs()) == ["0001", "0002"] and names(data.val_pairs()) == ["0801", "0802"]
    assert all(p.lr is not None for p in data.train_pairs() + data.val_pairs())


def test_div2k_takes_photos_of_other_names(tmp_path: Path, settings: dict[str, Any], write: Write) -> None:
    for i, name in enumerate(("100075.jpg", "dog.png")):
        write(tmp_path / "DIV2K_train_HR" / name, i, 64, 64)
    write(tmp_path / "DIV2K_valid_HR/2018.png", 9, 64, 64)
    data = Div2k(root=tmp_path, **settings)
    data.check("fit")
    assert names(data.train_pairs()) == ["100075", "dog"] and names(data.val_pairs()) == ["2018"]


@pytest.mark.parametrize(
    ("track", "scale", "train", "valid"),
    [
        ("unknown", 2, "LR_unknown/X2/{}x2.png", "LR_unknown/X2/{}x2.png"),
        ("unknown", 3, "LR_unknown/X3/{}x3.png", "LR_unknown/X3/{}x3.png"),
        ("x8", 8, "LR_x8/{}x8.png", "LR_x8/{}x8.png"),
        ("mild", 4, "LR_mild/{}x4m.png", "LR_mild/{}x4m.png"),
        ("difficult", 4, "LR_difficult/{}x4d.png", "LR_difficult/{}x4d.png"),
        ("wild", 4, "LR_wild/{}x4w1.png", "LR_wild/{}x4w.png"),
    ],
)
def test_div2k_tracks(
    div2k: Path, settings: dict[str, Any], write: Write, track: str, scale: int, train: str, valid: str
) -> None:
    settings.update(scale=scale, patch_size=5)
    with pytest.raises(UserError, match=f"DIV2K_train_LR_{track}(.|\n)*data.download=true"):
        Div2k(root=div2k, track=track, **settings).check("fit")
    for part, numbers, form in (("train", (1, 2, 800), train), ("valid", (801, 900), valid)):
        for number in numbers:
            write(div2k / f"DIV2K_{part}_{form.format(f'{number:04}')}", number, 40 // scale, 48 // scale)
    data = Div2k(root=div2k, track=track, **settings)
    data.check("fit")
    assert data.pairs("train").names[0].startswith("0001") and len(data.pairs("val")) == 2
    assert data.symmetric == (track == "x8")
    lr, hr, _ = data.pairs("train").whole(0)
    assert hr.shape == (40 // scale * scale, 48 // scale * scale, 3) and lr.shape == (40 // scale, 48 // scale, 3)


def test_div2k_wild_has_four_lr_for_one_hr(div2k: Path, settings: dict[str, Any], write: Write) -> None:
    settings.update(scale=4, patch_size=5)
    for number in (1, 2, 800):
        for k in (1, 2, 3, 4):
            write(div2k / f"DIV2K_train_LR_wild/{number:04}x4w{k}.png", 10 * number + k, 10, 12)
    for number in (801, 900):
        write(div2k / f"DIV2K_valid_LR_wild/{number:04}x4w.png", number, 10, 12)
    data = Div2k(root=div2k, track="wild", **settings)
    data.check("fit")
    assert len(data.pairs("train")) == 12 and len(data.images("train")["DIV2K wild train"]) == 3


def test_div2k_mistakes(div2k: Path, settings: dict[str, Any], tmp_path: Path, write: Write) -> None:
    with pytest.raises(UserError, match="there are: bicubic, unknown"):
        Div2k(root=div2k, track="bicubi", **settings)
    with pytest.raises(UserError, match="type scale=4"):
        Div2k(root=div2k, track="mild", **settings)
    noisy = Degradation(2, [MatlabBicubic(2), GaussianNoise(10)])
    with pytest.raises(UserError, match="brings its own LR"):
        Div2k(root=div2k, track="unknown", degradation=noisy, **settings)
    with pytest.raises(UserError) as error:
        Div2k(root=tmp_path / "nowhere", **settings).check("fit")
    for part in ("training images not found", "no such folder", "DIV2K_train_HR.zip", "download=true", "data.root="):
        assert part in str(error.value)
    (tmp_path / "empty/DIV2K_train_HR").mkdir(parents=True)
    (tmp_path / "empty/DIV2K_train_HR.zip").write_bytes(b"")
    with pytest.raises(UserError, match=r"the folder is empty(.|\n)*not unpacked"):
        Div2k(root=tmp_path / "empty", **settings).check("fit")
    write(div2k / "DIV2K_train_LR_bicubic/X2/0001x2.png", 1, 20, 24)
    with pytest.raises(UserError, match=r"2 HR without LR(.|\n)*0002\.png"):
        Div2k(root=div2k, **settings).check("fit")


def test_div2k_downloads_what_is_missing_and_no_more(div2k: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    def files(**given: Any) -> list[str]:
        return [a.file for a in Div2k(**{"root": tmp_path / "new", **settings, **given}).archives()[0]]

    assert files() == ["DIV2K_train_HR.zip", "DIV2K_valid_HR.zip"]
    assert files(root=div2k) == []
    unknown = ["DIV2K_train_LR_unknown_X3.zip", "DIV2K_valid_LR_unknown_X3.zip"]
    assert files(root=div2k, track="unknown", scale=3) == unknown
    assert files(root=div2k, track="x8", scale=8) == ["DIV2K_train_LR_x8.zip", "DIV2K_valid_LR_x8.zip"]
    assert files(track="wild", scale=4)[1] == "DIV2K_train_LR_wild.zip"


# ---- Flickr2K and unions ----------------------------------------------------------------------------------


def test_flickr2k_and_df2k(div2k: Path, settings: dict[str, Any], tmp_path: Path, write: Write) -> None:
    for number in range(1, 6):
        write(tmp_path / f"Flickr2K/Flickr2K_HR/{number:06}.png", 1000 + number)
        write(tmp_path / f"Flickr2K/Flickr2K_LR_bicubic/X2/{number:06}x2.png", 1000 + number, 20, 24)
    root = tmp_path / "Flickr2K"
    alone = Flickr2k(root=root, val_share=0.2, **settings)
    alone.check("fit")
    assert (len(alone.pairs("train")), len(alone.pairs("val"))) == (4, 1)
    sets = {"div2k": Div2k(root=div2k, **settings), "flickr2k": Flickr2k(root=root, val_share=0, **settings)}
    both = Combined(sets=sets, **settings)
    both.check("fit")
    assert both.name == "DIV2K + Flickr2K"
    assert len(both.pairs("train")) == 8 and both.pairs("val").names == ["0801", "0900"]
    seen = {name for _, batch in zip(range(8), both.train_dataloader(), strict=False) for name in batch.name}
    assert seen == {"0001", "0002", "0800", *(f"00000{i}" for i in range(1, 6))}
    both_names = both.pairs("train").names
    assert both.pairs("train").whole(5)[0].shape == (20, 24, 3) and both_names[5] == "000003"
    with pytest.raises(UserError, match=r"Flickr2K\.tar"):
        Flickr2k(root=tmp_path / "nowhere", **settings).check("fit")


def test_an_archive_that_was_placed_is_checked_and_unpacked(
    settings: dict[str, Any], tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        write(tmp_path / f"packed/Flickr2K/Flickr2K_HR/{number:06}.png", number)
    root = tmp_path / "Flickr2K"
    root.mkdir()
    with tarfile.open(root / "Flickr2K.tar", "w") as file:
        file.add(tmp_path / "packed/Flickr2K", "Flickr2K")
    md5 = hashlib.md5((root / "Flickr2K.tar").read_bytes()).hexdigest()
    monkeypatch.setattr("sr.data.flickr2k.FLICKR2K", Archive("http://127.0.0.1:9/Flickr2K.tar", md5, "md5"))
    with pytest.raises(UserError, match="not unpacked"):
        Flickr2k(root=root, **settings).check("fit")
    data = Flickr2k(root=root, download=True, **settings)
    data.check("fit")
    assert len(data.pairs("train")) == 2 and data.root == root / "Flickr2K"
    assert not [p for p in root.iterdir() if p.name.startswith(".unpacking")]


def test_combined_mistakes_and_leaks(div2k: Path, settings: dict[str, Any], tmp_path: Path, write: Write) -> None:
    sets = {"div2k": Div2k(root=div2k, **settings)}
    with pytest.raises(UserError, match="empty"):
        Combined(sets={}, **settings)
    with pytest.raises(UserError, match="not among the sets: div2k"):
        Combined(sets=sets, validate_on="x", **settings)
    with pytest.raises(UserError, match="has scale 2, but scale=3"):
        Combined(sets=sets, **{**settings, "scale": 3})
    write(tmp_path / "mine/a.png", 801)
    write(tmp_path / "mine/b.png", 5)
    mine = Folder(train=tmp_path / "mine", val=tmp_path / "mine", **settings)
    with pytest.raises(UserError, match=r"a\.png(.|\n)*0801\.png"):
        Combined(sets={**sets, "mine": mine}, **settings).check("fit")


# ---- folders ----------------------------------------------------------------------------------------------


def test_what_a_set_holds_out_that_is_not_validated_on_is_told(
    settings: dict[str, Any], tmp_path: Path, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """A tenth of it was not trained on, and nothing else was done with it."""
    for seed in range(12):
        write(tmp_path / f"{'ab'[seed // 6]}/{seed}.png", seed)
    told = "data.sets.a holds 0.1 of its images out, and nobody validates on them: to train on all of them type "
    for share, times in ((0.1, 1), (0, 0)):
        sets = {n: Folder(train=tmp_path / n, val_share=share if n == "a" else 0.1, **settings) for n in "ab"}
        Combined(sets=sets, validate_on="b", **settings)
        assert caplog.text.count(told + "data.sets.a.val_share=0") == times
        caplog.clear()


def test_folder_holds_out_the_same_share_each_time_and_says_so(
    folder: Callable[..., Folder], caplog: pytest.LogCaptureFixture, photos: Path, write: Write
) -> None:
    with caplog.at_level(logging.INFO):
        held_out = names(folder(val_share=0.3).val_pairs())
        assert len(held_out) == 2 and len(folder(val_share=0.3).train_pairs()) == 5
    assert "2 of 7 images are held out" in caplog.text
    assert not set(held_out) & set(names(folder(val_share=0.3).train_pairs()))
    assert len(folder(val_share=0.3).test_pairs()) == 7
    write(photos / "p7.png", 7)
    assert len(set(held_out) & set(names(folder(val_share=0.3).val_pairs()))) >= 1
    with pytest.raises(UserError, match="one image"):
        split_by_name([ImagePair("a", Path("a.png"))], 0.1)


def test_crops_of_one_photo_are_held_out_together() -> None:
    """Those that BasicSR cuts overlap: the held-out ones were figures on pixels that are trained on."""

    def held(share: float, *files: str) -> list[str]:
        return [str(p.hr) for p in split_by_name([ImagePair(f, Path(f)) for f in files], share)[1]]

    crops = [f"{n:04d}_s{k:03d}.png" for n in range(1, 11) for k in range(1, 6)]
    found = held(0.1, *crops)
    assert len(found) == 5 and len({name.partition("_")[0] for name in found}) == 1
    assert len(held(0.13, *crops)) == 10 and len(held(0.5, *crops[:10])) == 5
    assert len(held(0.9, *crops[:10])) == 5, "one photo at least is trained on"
    assert len(held(0.2, *crops[:5])) == 1, "all are of one photo: as they come"
    assert len(held(0.15, *(f"{folder}/{n:04d}.png" for folder in "ab" for n in range(10)))) == 3


def test_lr_in_a_folder_within_is_told_with_what_to_type(
    folder: Callable[..., Folder], tmp_path: Path, write: Write
) -> None:
    write(tmp_path / "HR/0.png", 0)
    write(tmp_path / "LR/a/0.png", 0, 20, 24)
    with pytest.raises(UserError, match=r"wanted is data\.train_lr=.*LR/a"):
        folder(root=None, train=tmp_path / "HR", train_lr=tmp_path / "LR", val=tmp_path / "HR").check("fit")


def test_held_out_images_that_are_all_copies_are_told_with_what_to_type(folder: Callable[..., Folder]) -> None:
    (held_out,), (first, *_) = folder().val_pairs(), folder().train_pairs()
    first.hr.write_bytes(held_out.hr.read_bytes())
    with pytest.raises(UserError, match=rf"nothing is held out but copies.*{held_out.name}.*data\.val_share=0\.29"):
        folder().check("fit")
    folder(val_share=0.29).check("fit")


def test_copies_inside_a_folder_do_not_leak(folder: Callable[..., Folder], photos: Path) -> None:
    held_out = folder(val_share=0.3).val_pairs()
    (photos / "copy.png").write_bytes(held_out[0].hr.read_bytes())
    data = folder(val_share=0.3)
    data.check("fit")
    both = {held_out[0].name, "copy"}
    assert not (both <= {*data.pairs("train").names, *data.pairs("val").names} and both & set(data.pairs("val").names))


def test_folders_with_lr_of_their_own(folder: Callable[..., Folder], tmp_path: Path, write: Write) -> None:
    for i in range(3):
        write(tmp_path / f"a/HR/{i}.png", i)
        write(tmp_path / f"a/LR/{i}x2.png", i, 20, 24)
        write(tmp_path / f"b/HR/{i}.png", 50 + i)
        write(tmp_path / f"b/LR/{i}.png", 50 + i, 20, 24)
    both = [tmp_path / "a/HR", tmp_path / "b/HR"]
    data = folder(root=None, train=both, train_lr=[tmp_path / "a/LR", tmp_path / "b/LR"], test=tmp_path / "a/HR")
    data.check("fit")
    assert len(data.pairs("train")) + len(data.pairs("val")) == 6 and data.name == "HR + HR"
    assert len({*data.pairs("train").names, *data.pairs("val").names}) == 6  # no name stands for two images
    with pytest.raises(UserError, match="1 folders for 2 HR folders"):
        folder(root=None, train=both, train_lr=tmp_path / "a/LR").check("fit")
    with pytest.raises(UserError, match=r"LR, null\]: each place of a list holds a folder"):
        folder(root=None, train=both, train_lr=[tmp_path / "a/LR", None])
    write(tmp_path / "a/LR/1x2.png", 1, 20, 25)
    with pytest.raises(UserError, match=r"1x2\.png is 25x20"):
        folder(root=None, train=both, train_lr=[tmp_path / "a/LR", tmp_path / "b/LR"]).check("fit")


def test_folder_mistakes(folder: Callable[..., Folder], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"type data\.root="):
        folder(root=None).check("fit")
    with pytest.raises(UserError, match=r"data\.val_share=0 holds no image.*type data\.val_share=0\.1"):
        folder(val_share=0).check("fit")
    with pytest.raises(UserError, match="no such folder"):
        folder(root=tmp_path / "nowhere").check("fit")
    (tmp_path / "text").mkdir()
    (tmp_path / "text/readme.md").write_text("x")
    with pytest.raises(UserError, match=r"no image .* in it, only readme\.md"):
        folder(root=tmp_path / "text").check("test")


def test_links_that_lead_out_of_a_folder_are_told(
    folder: Callable[..., Folder], tmp_path: Path, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """In a set of somebody else's they put pictures of the user's into panels and pages."""
    write(tmp_path / "own/private.png", 7)
    write(tmp_path / "set/a.png", 1)
    (tmp_path / "set/b.png").symlink_to("a.png")
    folder(root=None, test=tmp_path / "set").check("test")
    assert "lead out" not in caplog.text
    (tmp_path / "set/c.png").symlink_to(tmp_path / "own/private.png")
    folder(root=None, test=tmp_path / "set").check("test")
    assert f"1 in {tmp_path}/set are links that lead out of it: c.png to {tmp_path}/own/private.png" in caplog.text
    write(tmp_path / "own/small.png", 7, 20, 24)
    write(tmp_path / "HR/a.png", 7)
    (tmp_path / "LR").mkdir()
    (tmp_path / "LR/ax2.png").symlink_to(tmp_path / "own/small.png")
    pair_by_name([tmp_path / "HR/a.png"], [tmp_path / "LR/ax2.png"], 2)
    assert f"1 in {tmp_path}/LR are links that lead out of it: ax2.png to {tmp_path}/own/small.png" in caplog.text
    for frames in ("clips/one", "clips/two"):
        write(tmp_path / frames / "1.png", 7)
    (tmp_path / "clips/two/2.png").symlink_to(tmp_path / "own/private.png")
    clips_in(tmp_path / "clips", None, 2)
    assert f"1 in {tmp_path}/clips are links that lead out of it: 2.png to {tmp_path}/own/private.png" in caplog.text


# ---- bundled ----------------------------------------------------------------------------------------------


def test_bundled_photos_are_in_the_wheel(settings: dict[str, Any]) -> None:
    data = Bundled(**{**settings, "patch_size": 48})
    data.check("fit")
    data.check("test")
    train, held_out = data.pairs("train").paths, data.pairs("val").paths
    assert len(train) >= 3 and {p.name for p in held_out} == set(HELD_OUT)
    sides = [any("motorcycle" in p.name for p in part) for part in (train, held_out)]
    assert sides.count(True) == 1  # the stereo pair shows one scene
    assert not any(grey for _, _, grey in map(data.pairs("test").whole, range(len(held_out))))


def test_folders_of_one_name_are_two_sets(settings: dict[str, Any], tmp_path: Path, write: Write) -> None:
    """The first one's images were held against no validation images, and are kept in no record."""
    for name, first in (("a", 10), ("b", 20)):
        for number in range(2):
            write(tmp_path / name / f"HR/{number}.png", first + number)
            write(tmp_path / name / f"val/{number}.png", first + 5 + number)
    own = {n: Folder(train=tmp_path / n / "HR", val=tmp_path / n / "val", **settings) for n in "ab"}
    both = Combined(sets=own, **settings)
    both.check("fit")
    assert sum(map(len, both.images("train").values())) == len(both.pairs("train").digests()) == 4
    write(tmp_path / "a/HR/0.png", 25)  # which b is validated on
    leaky = {n: Folder(train=tmp_path / n / "HR", val=tmp_path / n / "val", **settings) for n in "ba"}
    with pytest.raises(UserError, match="also in the data to measure on"):
        Combined(sets=leaky, **settings).check("fit")
