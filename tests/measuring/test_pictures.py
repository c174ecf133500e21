"""evaluate.py pictures=: outputs that another program made, measured by the names of their HR images."""

import csv
import re

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as photos

from sr.imaging.color import to_array
from sr.imaging.files import read_image, write_image
from sr.imaging.resize import imresize
from sr.layers.pretrained import ALEXNET, VGG16
from sr.measuring.pictures import _by_stem


def results(folder):
    with (folder / "results.csv").open(newline="") as f:
        return list(csv.DictReader(f))


def test_pictures_that_were_made_elsewhere_are_measured(command, tmp_path):
    """Bicubic's own outputs in a folder have bicubic's figures, whatever stands behind their names."""
    data = tmp_path / "set"
    random = np.random.default_rng(0)
    for name, size in (("one.png", (49, 66)), ("two.png", (64, 64))):
        coarse = Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        write_image(data / name, np.asarray(coarse.resize(size[::-1], Image.Resampling.BICUBIC)))
    mine = tmp_path / "mine"
    for name, behind in (("one", "_x4_edsr"), ("two", "")):
        hr = torch.from_numpy(read_image(data / f"{name}.png").pixels).permute(2, 0, 1)
        hr = hr[:, : hr.shape[1] // 4 * 4, : hr.shape[2] // 4 * 4]
        write_image(mine / f"{name}{behind}.png", to_array(imresize(imresize(hr[None], 1 / 4).float() / 255, 4)))
    words = ["benchmarks=[folder]", f"data.test={data}", f"data.train={data}", "panels=0", "metrics=[psnr,lr_psnr]"]
    outcome = command("evaluate.py", f"pictures={mine}", "scale=4", "self_ensemble=true", *words)
    assert outcome.code == 0, outcome
    found = {(r["model"].removesuffix("+"), r["protocol"]): (r["psnr"], r["lr_psnr"]) for r in results(outcome.folder)}
    assert {protocol for _, protocol in found} == {"y", "rgb"}
    for protocol in ("y", "rgb"):
        assert found["mine", protocol] == found["bicubic", protocol] and float(found["mine", protocol][1]) > 30
    assert "self_ensemble says nothing of pictures=" in outcome.out
    other = mine / "one_X2_edsr.png"  # of another scale: left out
    write_image(other, np.zeros((48, 66, 3), np.uint8))
    assert command("evaluate.py", f"pictures={mine}", "scale=4", *words, folder="again").code == 0
    told = r"none for 1 images of .* x2 \(\S+one.png\). There are some whose names tell x4: type scale=4"
    other.unlink()
    wrong = command("evaluate.py", f"pictures={mine}", "scale=2", *words, folder="wrong")
    assert wrong.code == 1 and re.search(told, wrong.out + wrong.err), wrong
    write_image(mine / "two.png", np.zeros((64, 68, 3), np.uint8))
    (tmp_path / "empty").mkdir()
    for said, others in {
        "type the scale": [],
        "makes bicubic LR from HR itself": ["scale=4", "protocols=[y_classic]"],
        "has 68 x 64 pixels": ["scale=4"],
        "leave model= out": ["scale=4", "model=bicubic"],
        "there is none for 2 images": ["scale=4", f"pictures={tmp_path / 'empty'}"],
    }.items():
        named = [] if any("pictures=" in word for word in others) else [f"pictures={mine}"]
        outcome = command("evaluate.py", *named, *words, *others)
        assert outcome.code == 1 and said in outcome.out + outcome.err, outcome


@pytest.fixture
def bicubic(tmp_path):
    """(names, make, words): bicubic's outputs for a set of three photos, each changed by make(output, HR, number)."""
    names, data = ("a.png", "b.png", "c.png"), tmp_path / "set"
    for number, name in enumerate(names):
        write_image(data / name, photos.astronaut()[150 * number :][:131, 40 * number :][:, :203])

    def build(make):
        for number, name in enumerate(names):
            hr = torch.from_numpy(read_image(data / name).pixels)[:128, :200].permute(2, 0, 1)[None]
            output = to_array(imresize(imresize(hr, 1 / 4).float() / 255, 4))
            write_image(tmp_path / "mine" / name, np.ascontiguousarray(make(output, number)))
        return [f"pictures={tmp_path / 'mine'}", "scale=4", "benchmarks=[folder]", f"data.test={data}", "panels=0"]

    return names, build


def sharpened(output, number):
    """As of networks trained on features: detail that HR has not, and slightly other colours."""
    noise = np.random.default_rng(number).normal(0, 12, output.shape)
    return (1.03 * output + noise - 2).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("make", [lambda output, n: output, sharpened])
def test_right_pictures_are_measured_without_a_word(command, bicubic, make):
    outcome = command("evaluate.py", *bicubic[1](make))
    assert outcome.code == 0 and "warning" not in outcome.out + outcome.err, outcome


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda output, n: output[:, ::-1] if n == 1 else output, "1 pictures of .*mine/b.png is mirrored against"),
        (lambda output, n: output[::-1, ::-1] if n == 2 else output, "mine/c.png is turned by 180 degrees"),
        (lambda output, n: output * 0 + 128 if n == 0 else output, "mine/a.png is of one colour"),
    ],
)
def test_pictures_that_do_not_show_their_hr_are_refused(command, bicubic, make, words):
    """Their mean was told, and was believable."""
    typed = bicubic[1](make)
    outcome = command("evaluate.py", *typed)
    told = outcome.out + outcome.err
    assert outcome.code == 1 and re.search(words, told, re.DOTALL) and "data.check_pairs=false" in told, outcome
    assert not (outcome.folder / "results.csv").exists()
    assert command("evaluate.py", *typed, "data.check_pairs=false", folder="meant").code == 0


def test_exchanged_pictures_are_refused_before_anything_is_measured(command, bicubic, tmp_path):
    names, build = bicubic
    typed = build(lambda output, n: output)
    one, two = (tmp_path / "mine" / name for name in names[:2])
    pixels = read_image(one).pixels, read_image(two).pixels
    write_image(one, pixels[1])
    write_image(two, pixels[0])
    outcome = command("evaluate.py", *typed)
    assert outcome.code == 1 and "bicubic on" not in outcome.out + outcome.err, outcome
    assert re.search(r"2 pictures of \S+mine do not show .*mine/a.png shows \S+b.png, not \S+a.png", str(outcome), re.S)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda output, n: output[..., ::-1], "has its channels swapped: they are BGR"),
        (lambda output, n: output.mean(2, keepdims=True).astype(np.uint8).repeat(3, 2), "is grey, HR is coloured"),
        (lambda output, n: np.roll(output, (0, 2), (0, 1)), "fits a.png 2 HR pixels further left"),
    ],
)
def test_pictures_of_other_colours_or_moved_are_told(command, bicubic, make, words):
    outcome = command("evaluate.py", *bicubic[1](make))
    told = outcome.out + outcome.err
    assert outcome.code == 0 and "3 pictures of" in told and words in told, outcome


def test_a_picture_is_one_images_own(tmp_path):
    """The longest name that it begins with; none is taken for two, and of two neither, whatever they are called."""
    files = [tmp_path / name for name in ("a_x2.png", "a_b_x2.png", "a_b2.png", "c.png", "c_x2.png", "d1.png")]
    found = _by_stem(["a", "a_b", "c", "d"], files)
    assert {stem: [(scale, p.name) for scale, p in each] for stem, each in found.items()} == {
        "a": [(2, "a_x2.png"), (None, "a_b2.png")], "a_b": [(2, "a_b_x2.png")],
        "c": [(None, "c.png"), (2, "c_x2.png")], "d": [],
    }  # fmt: skip
    (given,) = [[scale for scale, _ in each] for each in _by_stem(["e"], [
        tmp_path / f"e{rest}.png" for rest in ("x3", "_4X_net", "-16x", "_64x48", "_x2x", "_ax2", "_x123")
    ]).values()]  # fmt: skip
    assert given == [3, 4, 16, None, 2, None, None]


@pytest.mark.shared
def test_lpips_of_its_authors_examples(command, tmp_path, monkeypatch, shared):
    """0.722 and 0.138 by the README of their repository; 0.7219 and 0.1376 with one more digit."""
    files = shared / "weights/lpips"
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    ALEXNET.place.parent.mkdir(parents=True)
    ALEXNET.place.symlink_to(files / "alexnet_features.pth")
    for folder, name in (("hr", "ex_ref"), ("p0", "ex_p0"), ("p1", "ex_p1")):
        write_image(tmp_path / folder / "ex.png", read_image(files / f"{name}.png").pixels)
    outcome = command(
        "evaluate.py", f"pictures=[{tmp_path}/p0,{tmp_path}/p1]", "scale=4", "benchmarks=[folder]", "panels=0",
        f"data.test={tmp_path}/hr", f"data.train={tmp_path}/hr", "metrics=[lpips]", "baseline=false",
        "protocols=[{channel: rgb, shave: 0}]",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    assert "by its shapes alone" not in outcome.out  # it holds torchvision's convolutions, and nothing else
    assert [round(float(row["lpips"]), 4) for row in results(outcome.folder)] == [0.7219, 0.1376]


@pytest.mark.slow
@pytest.mark.shared
def test_lpips_and_dists_of_the_pairs_that_others_hold_theirs_to(command, tmp_path, monkeypatch, shared):
    """Five pairs of TID2013 and what the authors' own code makes of them, as IQA-PyTorch tells.

    https://github.com/chaofengc/IQA-PyTorch, ResultsCalibra/results_official.csv; the pictures are there, and in the
    wheel of pyiqa 0.1.16.
    """
    pairs, vgg16 = shared / "iqa", VGG16.place
    if not (pairs.is_dir() and vgg16.is_file()):
        pytest.skip(f"needs dist_dir and ref_dir of IQA-PyTorch's ResultsCalibra in {pairs}, and {vgg16}")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    VGG16.place.parent.mkdir(parents=True)
    VGG16.place.symlink_to(vgg16)
    ALEXNET.place.symlink_to(shared / "weights/lpips/alexnet_features.pth")
    outcome = command(
        "evaluate.py", f"pictures={pairs}/dist_dir", "scale=4", "benchmarks=[folder]", "panels=0", "baseline=false",
        f"data.test={pairs}/ref_dir", f"data.train={pairs}/ref_dir", "metrics=[lpips,dists]",
        "protocols=[{channel: rgb, shave: 0}]",
    )  # fmt: skip
    assert outcome.code == 0 and "by its shapes alone" not in outcome.out, outcome
    with (outcome.folder / "results_per_image.csv").open(newline="") as f:
        found = {row["image"]: (float(row["lpips"]), float(row["dists"])) for row in csv.DictReader(f)}
    published = {
        "I03": (0.7237, 0.4742), "I04": (0.2572, 0.1424), "I06": (0.05079, 0.06825), "I08": (0.05205, 0.02867),
        "I19": (0.4253, 0.3123),
    }  # fmt: skip
    assert {name: tuple(float(f"{value:.4g}") for value in each) for name, each in found.items()} == published
