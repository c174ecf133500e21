"""Convolutions that work around a mean colour, and what they fold into."""

import pytest
import torch
from torch.nn import functional as F

from sr.layers.convolution import framed
from sr.layers.residual import ResBlock
from sr.layers.shift import ShiftedConv, UnshiftedConv

MEAN = (0.4, 0.5, 0.1)


def test_a_frame_has_its_color():
    x = torch.rand(2, 3, 4, 5)
    color = torch.tensor([1.0, 2.0, 3.0])
    y = framed(x, color)
    assert y.shape == (2, 3, 6, 7) and torch.equal(y[..., 1:-1, 1:-1], x)
    y[..., 1:-1, 1:-1] = color[:, None, None]
    assert torch.equal(y, color[:, None, None].expand(2, 3, 6, 7))


@pytest.mark.parametrize("size", [(6, 5), (1, 1), (1, 7)])
def test_the_shift_folds_into_the_first_convolution_borders_included(size):
    conv = ShiftedConv(MEAN, 255, 4).double()
    x = torch.rand(2, 3, *size, dtype=torch.float64)
    mean = torch.tensor(MEAN).double()[:, None, None]
    expected = F.conv2d((x - mean) * 255, conv.weight, conv.bias, padding=1)
    torch.testing.assert_close(conv(x), expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(conv.merge()(x), expected, rtol=0, atol=1e-10)


def test_the_shift_folds_into_the_last_convolution():
    conv = UnshiftedConv(4, MEAN, 255).double()
    x = torch.rand(2, 4, 6, 5, dtype=torch.float64)
    torch.testing.assert_close(conv.merge()(x), conv(x), rtol=0, atol=1e-12)


def test_residual_scaling_folds_into_the_second_convolution():
    block = ResBlock(4, res_scale=0.1).double()
    x = torch.rand(1, 4, 5, 6, dtype=torch.float64)
    merged = block.merge()
    assert merged.res_scale == 1 and block.res_scale == 0.1
    torch.testing.assert_close(merged(x), block(x), rtol=0, atol=1e-12)
