"""upscale.py as users type it: a folder with everything that people keep in one."""

import json
import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from conftest import photo
from folder_of_everything import ODD, PROFILE, fill, spoil
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image
from print_profile import CYAN
from scipy.ndimage import binary_dilation

import sr
from sr.compose.spelling import spelled_out
from sr.compose.words import quoted
from sr.imaging.color import to_array
from sr.models.basicvsr import BasicVSR
from sr.runs import checkpoint


def enlarged(network: Path, pixels: np.ndarray) -> np.ndarray:
    """What the network makes of 8-bit RGB, computed here."""
    lr = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        return to_array(checkpoint.load(network).merged()(lr))


def close(a: np.ndarray, b: np.ndarray, most: int = 1) -> bool:
    """But for ties in rounding."""
    return a.shape == b.shape and int(np.abs(a.astype(int) - b.astype(int)).max()) <= most


def test_a_folder_of_everything(command, network, tmp_path):
    """Everything good is done rightly, everything bad is named, nothing is lost."""
    known = fill(tmp_path / "in")
    spoil(tmp_path / "in")
    before = {p: p.read_bytes() for p in (tmp_path / "in").rglob("*") if p.is_file()}
    outcome = command("upscale.py", "input=in", f"model={network}", "output=out")
    assert outcome.code == 1 and "Traceback" not in outcome.err, outcome
    assert "error: 6 of 19 are not enlarged:" in outcome.err
    for name, why in {"cut.jpg": "damaged", "text.png": "not an image", "empty.png": "not an image",
                      "moving.webp": "2 pictures", "long.jpg": "jpg ends at 65,500",
                      "long.webp": "webp ends at 16,383"}.items():  # fmt: skip
        assert any(name in line and why in line for line in outcome.err.splitlines()), (name, outcome.err)
    for told in ("long_x2.jpg would be 80000x4", "long_x2.webp would be 18000x4"):
        assert outcome.out.index(told) < outcome.out.index("1/14")  # before the work
    assert before == {p: p.read_bytes() for p in before}
    out = tmp_path / "out"
    assert {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file() and p.name[0] != "."} == {
        "a_x2.png", "a_x2.jpg", "one_x2.png", "grey16_x2.tif", "alpha_x2.png", "palette_x2.png", "colours_x2.png",
        "print_x2.jpg", "inks_x2.jpg", "turned_x2.jpg", "wide_x2.png", "rgb16_x2.png", f"sub/{ODD[:-4]}_x2.png",
    }  # fmt: skip

    right = enlarged(network, known["rgb"])
    with Image.open(out / "a_x2.png") as image:
        assert close(np.asarray(image), right) and image.info["icc_profile"] == PROFILE
    assert close(np.asarray(Image.open(out / f"sub/{ODD[:-4]}_x2.png")), right)
    assert close(np.asarray(Image.open(out / "one_x2.png")), enlarged(network, known["rgb"][:1, :1]))
    with Image.open(tmp_path / "in/a.jpg") as lr:
        assert close(np.asarray(Image.open(out / "a_x2.jpg")), enlarged(network, np.asarray(lr)), 40)

    grey = tifffile.imread(out / "grey16_x2.tif")
    assert grey.dtype == np.uint16 and grey.shape == (60, 80) and len(np.unique(grey)) > 1000
    lr = torch.from_numpy(known["grey16"].astype(np.float32) / 65535)[None, None].expand(-1, 3, -1, -1)
    with torch.inference_mode():
        wanted = checkpoint.load(network)(lr).mean(1).clamp(0, 1)[0].numpy() * 65535
    assert np.abs(grey - wanted).max() < 1

    deep = cv2.imread(str(out / "rgb16_x2.png"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert deep.dtype == np.uint16 and np.abs(deep / 257 - right).max() <= 0.51 and (deep % 257 != 0).any()

    with Image.open(out / "alpha_x2.png") as image:
        planes = np.asarray(image)
    assert (planes[:, :36, 3] == 255).all() and (planes[:, 44:, 3] == 0).all()
    flat = enlarged(network, np.full((30, 40, 3), (200, 40, 90), np.uint8))
    seen = planes[..., 3] >= 8
    assert np.abs(planes[..., :3].astype(int) - flat)[seen].max() <= 1  # no green: nothing bleeds

    right = enlarged(network, known["colours"])
    with Image.open(out / "colours_x2.png") as image:
        assert image.mode == "RGB" and close(np.asarray(image), right)
    with Image.open(out / "palette_x2.png") as image:
        assert image.mode == "RGBA"
        planes, opaque = np.asarray(image), torch.from_numpy(np.uint8(255) * ~known["clear"])[None]
    assert close(planes[..., 3], sr.imresize(opaque, 2)[0].numpy())
    far = ~binary_dilation(known["clear"], np.ones((7, 7))).repeat(2, 0).repeat(2, 1)  # more than the network looks
    assert far.sum() > 1000 and close(planes[far][:, :3], right[far])
    for name, colour in (("print", CYAN), ("inks", (0, 255, 255))):  # by the file's own profile, where it has one
        with Image.open(out / f"{name}_x2.jpg") as image:
            flat = enlarged(network, np.full((30, 40, 3), colour, np.uint8))[30, 40]
            assert image.mode == "RGB" and np.abs(np.asarray(image)[30, 40].astype(int) - flat).max() <= 6
            assert "icc_profile" not in image.info
    with Image.open(out / "turned_x2.jpg") as image, Image.open(tmp_path / "in/turned.jpg") as lr:
        upright = np.rot90(np.asarray(lr), 3)
        assert close(np.asarray(image), enlarged(network, np.ascontiguousarray(upright)), 30)
        exif = image.getexif()
        assert 0x0112 not in exif and exif[0x010F] == "a camera"
        assert {*exif.get_ifd(0x8769)} == {0x9003}
    with Image.open(out / "wide_x2.png") as image:
        assert image.size == (40_000, 20) and close(np.asarray(image), enlarged(network, known["wide"]))


@pytest.mark.slow
@pytest.mark.parametrize("name", [ODD, "'quoted'.png"])
def test_a_file_of_any_name(command, tmp_path, name):
    Image.fromarray(photo(8, 8)).save(tmp_path / name)
    outcome = command("upscale.py", f"input={name}", "model=bicubic", "scale=2", f"output={name}.d")
    assert outcome.code == 0 and (tmp_path / f"{name}.d" / f"{name[:-4]}_x2.png").is_file(), outcome


@pytest.mark.parametrize("name", [ODD, "0001.png", "a b.png", "'quoted'.png", "a,b.png", "[1].png", "100%.png", "~a"])
def test_a_word_with_any_signs_means_the_file_of_this_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).touch()
    for typed in [name] if name[0] == "~" else [name, quoted(name)]:
        (word,) = spelled_out("upscale", [f"input={typed}"])
        parsed = OverridesParser.create().parse_override(word).value()
        assert OmegaConf.create({"input": parsed}).input == name


@pytest.mark.slow
def test_lists_patterns_and_names_that_meet(command, photos, tmp_path):
    first, _ = photos(tmp_path / "p/x", 2, 8, 8)
    shutil.copy(first, tmp_path / "p/0001.png")
    Image.open(first).save(tmp_path / "p/x/0001.bmp")
    outcome = command("upscale.py", "input=[p/0001.png, p/x]", "model=bicubic", "scale=2", "suffix=null", "format=webp")
    assert outcome.code == 0, outcome
    made = {str(p.relative_to(tmp_path / "outputs/upscaled")) for p in (tmp_path / "outputs/upscaled").rglob("*.webp")}
    assert made == {"0001.webp", "x/0001_png.webp", "x/0001_bmp.webp", "x/0002.webp"}
    outcome = command("upscale.py", "input=p/**/*2.png", "model=bicubic", "scale=2", "output=o")
    assert outcome.code == 0 and [p.name for p in (tmp_path / "o").rglob("*.png")] == ["0002_x2.png"], outcome
    assert (tmp_path / "o/x/0002_x2.png").is_file()


@pytest.mark.slow
def test_what_is_done_is_left_alone_and_what_is_there_is_not_overwritten(command, network, photos, tmp_path):
    source, _ = photos(tmp_path / "in", 2, 8, 8)
    target = tmp_path / "out/0001_x2.png"
    target.parent.mkdir()
    target.write_text("mine")
    typed = ["upscale.py", "input=in", f"model={network}", "output=out"]
    outcome = command(*typed)
    assert outcome.code == 1 and "0001_x2.png is there already, and not of this command" in outcome.err
    assert target.read_text() == "mine" and (tmp_path / "out/0002_x2.png").is_file()
    again = command(*typed, "overwrite=true")
    assert again.code == 0 and Image.open(target).size == (16, 16), again
    assert "1 of 2 are there already" in again.out and "1/1" in again.out
    other = command("upscale.py", "input=in", "model=bicubic", "scale=2", "output=out")
    assert other.code == 1 and "made by another network or with other settings" in other.err
    Image.fromarray(photo(8, 8, 9)).save(source)
    changed = command(*typed)
    assert changed.code == 1 and "made of another file, or of this one before it was changed" in changed.err
    same = command("upscale.py", "input=in", "model=bicubic", "scale=2", "output=in", "suffix=null")
    assert same.code == 1 and "would lie upon a file that is enlarged" in same.err
    assert command(*typed[:2], "model=bicubic", "scale=2", "output=in").code == 0
    assert Image.open(source).size == (8, 8)


@pytest.mark.slow
def test_a_record_that_somebody_linked_elsewhere_is_refused(command, photos, tmp_path):
    (picture,) = photos(tmp_path / "in", 1, 16, 16)
    (tmp_path / "out").mkdir()
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "out/.upscaled.jsonl").symlink_to(tmp_path / "mine")
    done = command("upscale.py", f"input={picture}", "model=bicubic", "scale=2", f"output={tmp_path / 'out'}")
    assert done.code == 1 and ".upscaled.jsonl is a link" in done.err, done
    assert (tmp_path / "mine").read_text() == "precious"


@pytest.mark.slow
def test_side_by_side_a_smaller_factor_and_figures_where_hr_is_known(command, network, tmp_path):
    (tmp_path / "LR").mkdir()
    (tmp_path / "HR").mkdir()
    for seed in (1, 2):
        hr = photo(60, 80, seed)
        Image.fromarray(hr).save(tmp_path / f"HR/000{seed}.png")
        lr = sr.imresize(torch.from_numpy(hr).permute(2, 0, 1), 1 / 2).permute(1, 2, 0).numpy()
        Image.fromarray(lr).save(tmp_path / f"LR/000{seed}x2.png")
    typed = ["upscale.py", "input=LR", "model=bicubic", "scale=2", "side_by_side=true", "hr=HR", "suffix=null"]
    outcome = command(*typed, "protocols=[y]")
    assert outcome.code == 0, outcome
    result = np.asarray(Image.open(tmp_path / "outputs/upscaled/0001x2.png"))
    both = np.asarray(Image.open(tmp_path / "outputs/upscaled/side_by_side/0001x2.png"))
    assert both.shape == (60, 160, 3) and close(both[:, :80], result) and np.array_equal(both[:, 80:], result)
    assert "Y unrounded" in outcome.out and (outcome.folder / "results_per_image.csv").is_file()
    typed = ["model=bicubic", "scale=2", "benchmarks=[folder]", "data.test=HR", "protocols=[y]", "panels=0"]
    measured = command("evaluate.py", *typed, folder="measured")
    assert measured.code == 0, measured
    assert psnr(outcome.folder) == pytest.approx(psnr(measured.folder), abs=1e-6)
    Image.fromarray(photo(60, 84)).save(tmp_path / "HR/0001.png")
    other = command("upscale.py", "input=LR", "model=bicubic", "scale=2", "hr=HR", "output=other", folder="other")
    assert other.code == 1 and "it is no HR of 0001x2.png" in other.err, other
    third = command("upscale.py", "input=LR", f"model={network}", "outscale=1.5", "output=third", "self_ensemble=true")
    assert third.code == 0 and "x2, reduced to x1.5 by small" in third.out, third
    assert Image.open(tmp_path / "third/0001x2_x1.5.png").size == (60, 45)


def test_hr_that_cannot_be_compared_is_refused_before_anything_is_enlarged(command, tmp_path):
    for name, turn in (("LR", 6), ("HR", 1)):
        (tmp_path / name).mkdir()
        picture = Image.fromarray(photo(24, 32) if name == "LR" else photo(48, 64))
        exif = picture.getexif()
        exif[0x0112] = turn
        picture.save(tmp_path / name / "a.png", exif=exif)
    typed = ["upscale.py", "input=LR", "model=bicubic", "scale=2", "hr=HR"]
    turned = command(*typed)
    assert turned.code == 1 and "has 64 x 48 pixels (width x height), where 48 x 64 are wanted" in turned.err, turned
    Image.fromarray(photo(24, 32)).save(tmp_path / "LR/a.png")
    Image.fromarray(np.dstack([photo(48, 64), np.full((48, 64), 200, np.uint8)])).save(tmp_path / "HR/a.png")
    clear = command(*typed, folder="clear")
    assert clear.code == 1 and "transparent" in clear.err, clear
    assert not (tmp_path / "outputs/upscaled").exists()


def test_lr_of_another_scale_beside_that_of_hr_is_refused_before_the_work(command, tmp_path):
    """It ended in a traceback once all was enlarged."""
    for name, (height, width) in {"LR/ax2.png": (24, 32), "LR/ax4.png": (12, 16), "HR/a.png": (48, 64)}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(photo(48, 64)).resize((width, height)).save(tmp_path / name)
    outcome = command("upscale.py", "input=LR", "model=bicubic", "scale=2", "hr=HR")
    assert outcome.code == 1 and "hr=HR: of 1 files of input= HR is not there at x2: LR/ax4.png" in outcome.err, outcome
    assert not (tmp_path / "outputs/upscaled").exists()


@pytest.mark.parametrize(("words", "told"), [(["format=jpg"], True), (["format=webp"], False),
                                             (["format=webp", "quality=60"], True), ([], False)])  # fmt: skip
def test_figures_of_what_jpeg_left_are_told(command, tmp_path, words, told):
    """LR of JPEG files has such results: on Set5 they are 0.3 dB from the network's."""
    for name, (height, width) in {"LR": (24, 32), "HR": (48, 64)}.items():
        (tmp_path / name).mkdir()
        Image.fromarray(photo(48, 64)).resize((width, height)).save(tmp_path / name / "a.png")
    outcome = command("upscale.py", "input=LR", "model=bicubic", "scale=2", "hr=HR", "protocols=[y]", *words)
    ending = words[0].partition("=")[2] if words else ""
    assert outcome.code == 0
    assert (f"and {ending} loses some of it: format=png tells the network's own" in outcome.out + outcome.err) == told


def test_sub_folders_of_hr_pair_as_they_lie(command, tmp_path):
    """As in training: two of one name were to be renamed."""
    for seed, place in enumerate("ab"):
        for name, (height, width) in {"LR": (24, 32), "HR": (48, 64)}.items():
            (tmp_path / name / place).mkdir(parents=True)
            Image.fromarray(photo(48, 64, seed)).resize((width, height)).save(tmp_path / name / place / "x.png")
    outcome = command("upscale.py", "input=LR", "model=bicubic", "scale=2", "hr=HR", "protocols=[y]")
    rows = (outcome.folder / "results_per_image.csv").read_text().splitlines()
    assert outcome.code == 0 and len(rows) == 3 and rows[1].split(",")[5] != rows[2].split(",")[5], outcome
    assert [row.split(",")[2] for row in rows[1:]] == ["a_x.png", "b_x.png"]


def test_a_folder_of_hr_that_is_called_as_a_papers_set_is_the_users_own_and_its_lr_is_told(command, tmp_path):
    for folder, size in (("Set5", (64, 48)), ("LR", (32, 24))):
        (tmp_path / folder).mkdir()
        Image.fromarray(photo(48, 64)).resize(size, Image.Resampling.BICUBIC).save(tmp_path / folder / "a.png")
    outcome = command("upscale.py", "input=LR", "model=bicubic", "scale=2", "hr=Set5", "protocols=[y]")
    assert outcome.code == 0 and "own Set5  x2" in outcome.out, outcome
    assert "LR of own Set5: read from" in outcome.out and "not plain bicubic as the papers'" in outcome.out
    assert "\nbicubic,own Set5,2,y," in (outcome.folder / "results.csv").read_text()
    (tmp_path / "LR/a.png").unlink()
    made = sr.imresize(torch.from_numpy(photo(48, 64)).movedim(-1, 0), 1 / 2).movedim(0, -1).numpy()
    Image.fromarray(made).save(tmp_path / "LR/b.png")
    (tmp_path / "Set5/a.png").rename(tmp_path / "Set5/b.png")
    outcome = command("upscale.py", "input=LR", "model=bicubic", "scale=2", "hr=Set5", "protocols=[y]", folder="plain")
    assert outcome.code == 0 and "not plain bicubic" not in outcome.out, outcome  # by its pixels


def test_hr_of_another_picture_is_refused_and_one_that_fits_badly_is_told(command, tmp_path):
    """By the rules that hold for pairs in training: such figures were printed without a word."""
    for name in ("LR", "mirrored", "swapped"):
        (tmp_path / name).mkdir()
    for seed in (1, 2):
        hr = photo(96, 128, seed)
        lr = sr.imresize(torch.from_numpy(hr).permute(2, 0, 1), 1 / 2).permute(1, 2, 0).numpy()
        Image.fromarray(lr).save(tmp_path / f"LR/{seed}x2.png")
        Image.fromarray(hr[:, ::-1]).save(tmp_path / f"mirrored/{seed}.png")
        Image.fromarray(np.ascontiguousarray(hr[..., ::-1])).save(tmp_path / f"swapped/{seed}.png")
    typed = ["upscale.py", "input=LR", "model=bicubic", "scale=2", "protocols=[y]"]
    wrong = command(*typed, "hr=mirrored")
    assert wrong.code == 1 and "LR files of mirrored do not show what their HR shows" in wrong.err, wrong
    assert "2x2.png is mirrored against" in wrong.err and "leave hr= out" in wrong.err, wrong
    assert not (tmp_path / "outputs/upscaled").exists()
    odd = command(*typed, "hr=swapped", folder="odd")
    assert odd.code == 0 and "has its channels swapped" in odd.out + odd.err, odd
    assert "2 of 2 LR files do not fit their HR" in odd.out[odd.out.index("Protocols:") :], odd


def psnr(folder: Path) -> float:
    head, row, *_ = [line.split(",") for line in (folder / "results.csv").read_text().splitlines()]
    return float(row[head.index("psnr")])


@pytest.mark.slow
def test_a_challenge_entry(command, photos, tmp_path):
    photos(tmp_path / "LR", 2, 8, 8)
    typed = ["upscale.py", "input=LR", "model=bicubic", "scale=4", "submission=true", "output=entry"]
    outcome = command(*typed)
    assert outcome.code == 0, outcome
    assert {p.name for p in (tmp_path / "entry").glob("[!.]*")} == {"0001.png", "0002.png", "readme.txt"}
    lines = (tmp_path / "entry/readme.txt").read_text().splitlines()
    made = [json.loads(line) for line in (tmp_path / "entry/.upscaled.jsonl").read_text().splitlines()]
    mean = sum(entry["seconds"] for entry in made) / 2
    assert mean > 0 and lines[0] == f"runtime per image [s] : {mean:.4f}"
    assert lines[1] == "CPU[1] / GPU[0] : 1" and lines[3].endswith("bicubic x4")
    (tmp_path / "entry/readme.txt").write_text("mine")
    outcome = command(*typed)
    assert outcome.code == 0 and "readme.txt is there already and left as it is" in outcome.out, outcome
    assert lines[0] in outcome.out and (tmp_path / "entry/readme.txt").read_text() == "mine"
    assert command(*typed, "overwrite=true").code == 0
    assert (tmp_path / "entry/readme.txt").read_text().splitlines() == lines


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        (["model=bicubic"], "which pictures or films? Type input=PATH"),
        (["input=p", "scale=8"], "scale=8: the networks that travel with the project enlarge by 2, 3, 4"),
        (["input=p/0001.pgn", "model=bicubic"], "no such file or folder. Did you mean 0001.png?"),
        (["input=p", "model=rlfn_x5"], "Did you mean rlfn_x4"),
        (["input=p", "model=bicubic", "format=gif"], "there are png, jpg"),
        (["input=p", "model=bicubic", "format=png", "quality=90"], "loses nothing"),
        (["input=p", "model=bicubic", "quality=90"], "quality=90: png loses nothing"),
        (["input=p", "model=bicubic", "outscale=5"], "outscale=5: from 1 to 4"),
        (["input=p", "model=bicubic", "hr=nowhere"], "hr=nowhere: a folder of HR images is wanted"),
        (["input=p", "model=bicubic", "scale=2", "hr=empty"], "hr=empty: no image or film in it"),
        (["input=p", "model=bicubic", "submission=true", "format=jpg"], "a challenge takes PNG"),
        (["p/0001.png"], "what is typed is key=value. Did you mean input=p/0001.png?"),
        (["-i", "p"], "there is no flag -i: type input=p"),
        (["input=p", "-s", "4"], "there is no flag -s: type outscale=4"),
        (["input=p", "model=bicubic", "tiles=128"], "tiles: there is no such key. Did you mean tile?"),
    ],
)
def test_what_makes_no_sense_is_told_before_the_work(command, photos, tmp_path, typed, hint):
    photos(tmp_path / "p", 1, 8, 8)
    (tmp_path / "empty").mkdir()
    outcome = command("upscale.py", *typed)
    assert outcome.code == 1 and hint in outcome.err and "Traceback" not in outcome.err, outcome
    assert not (tmp_path / "outputs/upscaled").exists()


@pytest.mark.slow
def test_alpha_where_the_format_has_none_is_named_and_an_opaque_one_is_no_matter(command, tmp_path):
    (tmp_path / "in").mkdir()
    for name, value in (("clear", 100), ("opaque", 255)):
        Image.fromarray(np.full((8, 8, 4), (9, 9, 9, value), np.uint8)).save(tmp_path / f"in/{name}.png")
    outcome = command("upscale.py", "input=in", "model=bicubic", "scale=2", "format=jpg", "output=out")
    assert outcome.code == 1 and "clear.png has an alpha channel, for which jpg has no place" in outcome.err, outcome
    assert [p.name for p in (tmp_path / "out").glob("[!.]*")] == ["opaque_x2.jpg"]
    assert not [p for p in os.listdir(tmp_path / "out") if ".part" in p]


def test_pictures_through_a_network_on_clips_are_told_to_be_alone(command, tmp_path):
    node = {"_target_": "sr.models.basicvsr.BasicVSR", "scale": 4, "num_blocks": 1, "channels": 8}
    model = BasicVSR(num_blocks=1, channels=8)
    torch.save(
        {"state_dict": model.state_dict(), "sr": checkpoint.describe(node, "small", {})}, tmp_path / "clips.ckpt"
    )
    Image.fromarray(photo(8, 8)).save(tmp_path / "p.png")
    outcome = command("upscale.py", "input=p.png", "model=clips.ckpt", "output=out")
    assert outcome.code == 0 and "each is enlarged alone" in outcome.out, outcome
    outcome = command("upscale.py", "input=p.png", "model=bicubic", "output=other")
    assert outcome.code == 0 and "alone" not in outcome.out, outcome


@pytest.mark.parametrize(
    ("settings", "how"),
    [
        ({"_target_": "sr.models.edvr.EDVR", "groups": 2}, "whole"),
        ({"_target_": "sr.models.edvr.EDVR", "groups": 2, "pcd": False, "tsa": False}, "exact tiles"),
        ({"_target_": "sr.models.basicvsr.BasicVSR"}, "exact tiles"),
    ],
)
def test_tiles_of_networks_on_clips(command, tmp_path, settings, how):
    """EDVR takes features from places that it computes: its pictures are made whole, and it is told."""
    torch.manual_seed(0)
    node = {"scale": 4, "num_blocks": 1, "channels": 4} | settings
    model = instantiate(node)
    content = {"state_dict": model.state_dict(), "sr": checkpoint.describe(node, "small", {})}
    torch.save(content, tmp_path / "clips.ckpt")
    pixels = photo(40, 50)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    outcome = command("upscale.py", "input=p.png", "model=clips.ckpt", "output=out", "tile=20")
    assert outcome.code == 0 and re.search(rf"40 -> 200x160, {how}", outcome.out), outcome
    assert ("cannot be followed: grid_sample takes" in outcome.out) == (how == "whole")
    assert close(np.asarray(Image.open(tmp_path / "out" / "p_x4.png")), enlarged(tmp_path / "clips.ckpt", pixels))
