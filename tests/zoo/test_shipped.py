"""The networks that travel with the package: taken where none is named, and as good as their card says."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import sr
from sr.data.bundled import Bundled
from sr.errors import UserError
from sr.zoo import locate
from sr.zoo.entries import SHIPPED, Origin, shipped
from sr.zoo.load import load

MARGINS = {2: 3.2, 3: 2.6, 4: 2.0}  # dB over bicubic on Set5 under y, at least
ROW = re.compile(r"^\| `(\w+)` \| x(\d) \| (.+) \|$", re.M)


@pytest.fixture
def photo() -> torch.Tensor:
    """(1, 3, 144, 144) uint8: the middle of the astronaut, who is in no training set of theirs."""
    path = next(p.hr for p in Bundled.val_pairs(Bundled.__new__(Bundled)) if p.name == "astronaut")
    picture = np.asarray(Image.open(path).convert("RGB"))[40:184, 150:294]
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_each_is_far_beyond_bicubic_in_all_colours_on_a_photo(photo, scale):
    lr = sr.imresize(photo, 1 / scale)
    ours, bicubic = sr.upscale(lr, scale), sr.imresize(lr, scale)
    assert ours.dtype == torch.uint8 and ours.shape == photo.shape
    for channel in range(3):
        one = slice(channel, channel + 1)
        gain = sr.psnr(ours[:, one], photo[:, one]) - sr.psnr(bicubic[:, one], photo[:, one])
        assert gain > 1, (scale, channel, gain)


def test_flat_colours_stay(photo):
    for scale in (2, 3, 4):
        for colour in ((0, 0, 0), (255, 255, 255), (128, 128, 128), (200, 30, 60), (20, 90, 240)):
            flat = np.full((24, 24, 3), colour, np.uint8)
            middle = sr.upscale(flat, scale)[8 * scale : -8 * scale, 8 * scale : -8 * scale].astype(int)
            assert np.abs(middle - colour).max() <= 2, (scale, colour, middle.mean((0, 1)))


def test_which_one_is_taken(caplog):
    caplog.set_level("INFO")
    image = np.zeros((8, 9, 3), np.uint8)
    for asked, shape in (({}, (32, 36)), ({"scale": 2}, (16, 18)), ({"outscale": 2}, (16, 18)),
                         ({"outscale": 2.5}, (20, 22)), ({"scale": 4, "outscale": 2.5}, (20, 22))):  # fmt: skip
        found = sr.upscale(image, **asked).shape[:2]
        assert found == shape or np.abs(np.subtract(found, shape)).max() <= 1, (asked, found)
    assert [sr.load(scale=s).name for s in (None, 2, 3)] == [shipped()[s].name for s in (4, 2, 3)]
    assert "no checksums" not in caplog.text  # the zoo knows theirs, and has looked
    with pytest.raises(UserError, match=r"scale=8: the networks that travel with the project enlarge by 2, 3, 4"):
        sr.load(scale=8)
    with pytest.raises(UserError, match="outscale=5: from 1 to 4"):
        sr.upscale(image, outscale=5)


def test_a_damaged_or_missing_file_is_told(tmp_path):
    entry = replace(shipped()[2], origin=Origin("", "", folder=tmp_path))
    for content in (None, b"torn"):
        if content:
            (tmp_path / entry.path).write_bytes(content)
        with pytest.raises(UserError, match="missing or damaged: install the project again"):
            locate.find(entry, tmp_path)


def test_they_are_small_and_their_card_stands_beside_them():
    files = {p.name for p in SHIPPED.iterdir()}
    assert files == {"README.md", *(entry.path for entry in shipped().values())} and set(shipped()) == {2, 3, 4}
    assert sum((SHIPPED / entry.path).stat().st_size for entry in shipped().values()) < 1.5e6
    card = (SHIPPED / "README.md").read_text()
    assert "research use" in card and {row[0] for row in ROW.findall(card)} == {e.name for e in shipped().values()}
    assert all(f"{entry.psnr:.2f}" in card for entry in shipped().values())


@pytest.mark.slow
def test_training_begins_from_one_and_the_command_takes_one(command, photos, tmp_path):
    typed = ["model=plain", "model.num_blocks=10", "model.channels=32", "scale=2", "budget=smoke", "benchmarks=[]"]
    done = command("train.py", *typed, f"init_from={shipped()[2].name}", "data=bundled", "trainer=cpu")
    assert done.code == 0 and f"weights from {shipped()[2].name}" in done.out, done
    photos(tmp_path / "p", 1, 20, 24)
    done = command("upscale.py", "input=p", "outscale=1.5", folder="less")
    assert done.code == 0 and f"x2, reduced to x1.5 by {shipped()[2].name}" in done.out, done


@pytest.mark.shared
def test_on_set5_each_has_the_figures_of_its_card_and_its_margin(command, shared):
    names = [entry.name for entry in shipped().values()]
    done = command("evaluate.py", f"weights=[{','.join(names)}]", "benchmarks=[set5]", f"data_dir={shared / 'data'}",
                   "protocols=[y,rgb]", "panels=0")  # fmt: skip
    assert done.code == 0, done
    found = {}
    for file in sorted(done.folder.rglob("results.csv")):
        with file.open(newline="") as f:
            found |= {(r["model"], int(r["scale"]), r["protocol"]): r for r in csv.DictReader(f)}
    card = {
        name: (int(scale), rest.split(" | ")) for name, scale, rest in ROW.findall((SHIPPED / "README.md").read_text())
    }
    for scale, entry in shipped().items():
        ours, rgb, bicubic = (
            found[name, scale, protocol]
            for name, protocol in ((entry.name, "y"), (entry.name, "rgb"), ("bicubic", "y"))
        )
        told, cells = card[entry.name]
        assert told == scale and cells[:2] == [f"{float(r['psnr']):.2f} / {float(r['ssim']):.4f}" for r in (ours, rgb)]
        assert float(ours["psnr"]) == pytest.approx(entry.psnr, abs=0.006)
        assert float(ours["psnr"]) - float(bicubic["psnr"]) > MARGINS[scale], (
            entry.name,
            ours["psnr"],
            bicubic["psnr"],
        )


def test_a_checkpoint_is_made_of_one(tmp_path):
    from sr.zoo.__main__ import main

    entry = shipped()[3]
    main(["save", entry.name, str(tmp_path / "one.ckpt")])
    saved, own = sr.load(tmp_path / "one.ckpt"), load(entry.name, tmp_path).model
    assert saved.scales == (3,) and all(torch.equal(v, own.state_dict()[k]) for k, v in saved.state_dict().items())
