"""How far networks look, told in their files, and what is made of that: local ONNX files are walked in tiles."""

import networks as nets
import numpy as np
import pytest
import torch
from PIL import Image

import sr
from sr.deploy.tiles import enlarge
from sr.deploy.tiling.reach import as_told, reach
from sr.errors import UserError
from sr.forms import formats
from sr.forms.deployed import Exported
from sr.measuring.receptive_field import receptive_field
from sr.models.ecbsr import ECBSR

IMAGES = [name for name in nets.architectures() if name != "bicubic" and not nets.clips(name)]


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in ("rlfn", "vdsr", "ecbsr") else pytest.mark.slow)
                                  for n in IMAGES])  # fmt: skip
def test_a_network_looks_as_far_as_its_gradients_reach(name):
    """Two ways that share nothing: the operations' own windows, and gradients in float64."""
    torch.manual_seed(0)
    scale = nets.scales(name)[-1]
    model = nets.build(name, scale, small=True).eval().merged()
    told, field = reach(model, scale), receptive_field(model, scale)
    if field is None or told["receptive_radius"] == "whole":
        assert told == {"receptive_radius": "whole"}
    else:
        assert field <= 2 * int(told["receptive_radius"]) + 1 <= field + 4  # one pixel's field, and a whole square's


def test_one_on_clips_looks_anywhere():
    assert reach(nets.build("edvr_m", 4, small=True), 4) == {"receptive_radius": "whole"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    model = ECBSR(scale=2, colors=3, num_blocks=1, channels=8).eval()
    file = tmp_path_factory.mktemp("files") / "small_x2.onnx"
    with torch.no_grad():
        formats.to_onnx(file, Exported(model, "small", 2, reach=reach(model.merged(), 2)), 18)
    return file


def changed(file, **facts):
    """The file with other words about itself, and without the checksum that would not let them pass."""
    import onnx

    model = onnx.load(file)
    told = {p.key: p.value for p in model.metadata_props} | {f"sr.{key}": value for key, value in facts.items()}
    told.pop("sr.checksum")
    onnx.helper.set_model_props(model, told)
    onnx.save(model, file.with_name("changed.onnx"))
    return file.with_name("changed.onnx")


def test_a_file_that_tells_how_far_it_looks_is_walked(command, exported, tmp_path):
    model = sr.load(exported).model
    assert model.receptive_radius == 3  # three convolutions
    lr = torch.rand(1, 3, 45, 61)
    for ensemble in (False, True):
        whole = enlarge(model, lr, self_ensemble=ensemble)
        torch.testing.assert_close(enlarge(model, lr, tile=17, self_ensemble=ensemble), whole, rtol=0, atol=1e-5)
    pixels = np.random.default_rng(0).integers(0, 256, (45, 61, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    found = []
    for words, told in ((["tile=20"], "exact tiles"), ([], "whole")):
        out = tmp_path / f"out{len(words)}"
        done = command("upscale.py", f"input={tmp_path / 'p.png'}", f"model={exported}", f"output={out}", *words,
                       folder=f"run{len(words)}")  # fmt: skip
        assert done.code == 0 and told in done.out, done
        found.append(np.asarray(Image.open(out / "p_x2.png")).astype(int))
    assert np.abs(found[0] - found[1]).max() <= 1


def test_a_picture_that_does_not_fit_is_walked_by_what_the_file_takes(exported):
    """Room that the pixels alone would fit in."""
    model, lr, tiled = sr.load(exported).model, torch.rand(1, 3, 300, 200), []
    assert 100 < model.bytes_per_pixel < 1000
    enlarge(model, lr, memory=300 * 200 * 100, walked=tiled.append)
    enlarge(model, lr, memory=300 * 200 * 2000, walked=tiled.append)
    assert tiled == [True, False]


def test_what_a_file_tells_of_its_reach_is_tried(exported, caplog):
    short = sr.load(changed(exported, receptive_radius="2")).model
    lr = torch.rand(1, 3, 40, 50)
    torch.testing.assert_close(enlarge(short, lr, tile=16), short(lr), rtol=0, atol=1e-6)
    assert "looks farther than the receptive radius that it tells" in caplog.text and not as_told(short)
    assert as_told(sr.load(changed(exported, receptive_radius="5")).model)
    with pytest.raises(UserError, match="receptive_radius=-3: that is no number"):
        sr.load(changed(exported, receptive_radius="-3"))
