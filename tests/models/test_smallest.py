"""Networks that tell no smallest side and fail below one: it is found, and small pictures are told."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import sr
from sr.deploy.enlarger import Enlarger
from sr.deploy.tiles import enlarge
from sr.deploy.tiling.reach import reach
from sr.errors import UserError
from sr.forms import formats
from sr.forms.deployed import Exported
from sr.measuring.receptive_field import receptive_field
from sr.models.base import SuperResolver
from sr.models.espcn import ESPCN
from sr.models.smallest import smallest_side


class Mirroring(SuperResolver):
    """A convolution that sees its picture mirrored at the borders."""

    def __init__(self, frame: int = 4) -> None:
        super().__init__(2)
        self.conv, self.frame = nn.Conv2d(3, 12, 2 * frame + 1), frame

    def network(self, x, scale):
        return F.pixel_shuffle(self.conv(F.pad(x, [self.frame] * 4, mode="reflect")), 2)


@pytest.mark.parametrize("frame", [0, 1, 2, 4, 11])
def test_the_smallest_side_is_found(frame):
    assert smallest_side(Mirroring(frame).eval(), 2) == (frame + 1 if frame else 1)
    assert smallest_side(ESPCN(3).eval(), 3) == 1


def test_a_network_that_fails_at_every_size_says_with_what():
    with pytest.raises(UserError, match=r"Mirroring makes no picture of LR of 1 to 128 pixels a side: .*[Pp]adding"):
        smallest_side(Mirroring(130).eval(), 2)


def test_its_receptive_field_is_measured():
    assert receptive_field(Mirroring().eval(), 2) == 9


@pytest.mark.parametrize("form", ["onnx", "pt2"])
def test_its_files_take_what_it_takes(tmp_path, form):
    if form == "onnx":
        pytest.importorskip("onnxruntime")
    model = Mirroring().eval()
    what = Exported(model, "mirroring", 2, reach=reach(model, 2))
    assert what.facts["smallest_side"] == "5" and what.facts["receptive_radius"] == "4"
    file = tmp_path / f"mirroring.{form}"
    with torch.no_grad():
        formats.FORMATS[form].write(file, what, 18)
        wanted = [what.deployed()(x) for x in what.compared()]
        assert formats.apart(formats.FORMATS[form].reader(file, what), what.compared(), wanted) < 1e-5
    if form == "onnx":
        assert sr.load(file)(np.zeros((3, 4, 3), np.uint8)).shape == (6, 8, 3)  # padded, as the file tells its side


def test_smaller_pictures_are_told_with_what_mends_it(tmp_path):
    with pytest.raises(UserError, match=r"takes LR of 5 pixels a side and more, and this is 4x9\. Write min_size = 5"):
        enlarge(Mirroring().eval(), torch.rand(1, 3, 9, 4))
    Image.new("RGB", (3, 3)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="min_size = 5"):
        sr.upscale(tmp_path / "a.png", model=Enlarger(Mirroring().eval()))
