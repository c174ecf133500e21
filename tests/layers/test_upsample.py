"""Upsamplers: sizes, stages, and the nearest-neighbour skip."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sr.errors import UserError
from sr.layers.upsample import PixelShuffleTail, StagedUpsampler, repeat_pixels


@pytest.mark.parametrize(("scale", "convolutions"), [(2, [16]), (3, [36]), (4, [16, 16]), (8, [16] * 3)])
def test_staged_upsampler(scale, convolutions):
    up = StagedUpsampler(4, scale)
    assert [m.out_channels for m in up.modules() if isinstance(m, nn.Conv2d)] == convolutions
    assert up(torch.rand(2, 4, 3, 5)).shape == (2, 4, 3 * scale, 5 * scale)


@pytest.mark.parametrize("scale", [0, 1, 5, 6])
def test_staged_upsampler_refuses_other_scales(scale):
    with pytest.raises(UserError, match="power of 2"):
        StagedUpsampler(4, scale)


def test_tail_is_one_convolution():
    tail = PixelShuffleTail(8, 3, 3)
    assert sum(p.numel() for p in tail.parameters()) == 8 * 27 * 9 + 27
    assert tail(torch.rand(1, 8, 4, 5)).shape == (1, 3, 12, 15)


@pytest.mark.parametrize("scale", [2, 3])
def test_repeated_pixels_are_the_nearest_neighbour_image(scale):
    x = torch.rand(2, 3, 4, 5)
    nearest = F.interpolate(x, scale_factor=scale, mode="nearest")
    assert torch.equal(F.pixel_shuffle(repeat_pixels(x, scale), scale), nearest)
