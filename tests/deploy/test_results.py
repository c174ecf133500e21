"""What stands in the results and in their lines: factors between, bicubic beside, the time that is left."""

import re

import numpy as np
import pytest
import torch
from conftest import photo
from PIL import Image

import sr
from sr.deploy import exact
from sr.deploy.tiles import enlarge
from sr.deploy.upscale import _left
from sr.imaging.color import to_array
from sr.runs import checkpoint


def picture(file):
    lr = photo(20, 31)
    Image.fromarray(lr).save(file)
    return torch.from_numpy(lr).permute(2, 0, 1)[None]


def read(file):
    return np.asarray(Image.open(file)).astype(int)


def network_s(network, lr):
    with torch.inference_mode():
        return checkpoint.load(network).merged()(lr.float() / 255)


@pytest.mark.parametrize(
    ("tiles", "made"),
    [
        ([], "whole"),
        (["tile=16"], r"exact tiles \(to \de-0[67]\)"),
        (["tile=16", "half=true"], r"tiles \(\de[-+]0[067] from"),  # by luck with none
    ],
)
def test_a_smaller_factor_is_matlab_s_resize_of_the_whole_result(command, network, tmp_path, tiles, made):
    lr = picture(tmp_path / "a.png")
    words = [f"input={tmp_path / 'a.png'}", f"model={network}", "outscale=1.5", f"output={tmp_path / 'out'}"]
    done = command("upscale.py", *words, *tiles)
    assert done.code == 0 and re.search(f"-> 47x30, {made}", done.out), done
    wanted = to_array(sr.imresize(network_s(network, lr), 0.75))
    assert wanted.shape == (30, 47, 3) and np.abs(read(tmp_path / "out/a_x1.5.png") - wanted).max() <= 1


def test_tiles_that_are_not_the_whole_are_not_called_exact(network, monkeypatch):
    model, here = checkpoint.load(network), torch.device("cpu")
    assert re.fullmatch(r"exact tiles \(to \de-0[67]\)", exact.told(model, 2, here))
    monkeypatch.setattr(exact, "enlarge", lambda *given, **how: enlarge(*given, **how) + 3e-4)
    with torch.no_grad():
        next(model.parameters()).mul_(0.99)  # other weights are tried anew
    assert re.fullmatch(r"tiles \(3e-04 from the whole\)", exact.told(model, 2, here))


def test_bicubic_is_to_the_left_and_the_network_to_the_right(command, network, tmp_path):
    lr = picture(tmp_path / "a.png")
    words = [f"input={tmp_path / 'a.png'}", f"model={network}", "side_by_side=true", f"output={tmp_path / 'out'}"]
    assert command("upscale.py", *words).code == 0
    both, ours = read(tmp_path / "out/side_by_side/a_x2.png"), to_array(network_s(network, lr)).astype(int)
    bicubic = sr.imresize(lr[0], 2).permute(1, 2, 0).numpy().astype(int)
    assert both.shape == (40, 124, 3) and np.abs(bicubic - ours).max() > 20
    assert np.abs(both[:, :62] - bicubic).max() <= 1 and np.abs(both[:, 62:] - ours).max() <= 1


def test_the_time_left_is_told_until_the_last(command, network, photos, tmp_path):
    photos(tmp_path / "in", 3, 12, 12)
    done = command("upscale.py", f"input={tmp_path / 'in'}", f"model={network}", f"output={tmp_path / 'out'}")
    lines = re.findall(r"^[123]/3 .*", done.out, re.M)
    assert [bool(re.search(r"; about \d+ s left$", line)) for line in lines] == [True, True, False], done


def test_a_tiny_picture_tells_nothing_of_the_time_left():
    """A picture of 40x30 before thirty of 640x480 once said 3 minutes of what took 15 seconds."""
    assert _left(0.2, 1200 / (1200 + 30 * 640 * 480)) == "" and _left(7.0, 1.0) == ""
    assert _left(2.0, 0.25) == "; about 6 s left" and _left(60.0, 0.01) == "; about 1 h 39 min left"
