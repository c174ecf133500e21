"""Colour conversion against MATLAB's documented values and scikit-image, and the 8-bit rounding."""

import warnings

import numpy as np
import pytest
import skimage.color
import torch

from sr.errors import UserError
from sr.imaging.color import rgb_to_y, rgb_to_ycbcr, to_uint8, ycbcr_to_rgb


def test_black_white_and_primaries():
    colours = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    ycbcr = rgb_to_ycbcr(colours.reshape(5, 3, 1, 1))[..., 0, 0] * 255
    expected = [
        [16, 128, 128],
        [235, 128, 128],
        [81.481, 90.203, 240],
        [144.553, 53.797, 34.214],
        [40.966, 240, 109.786],
    ]
    torch.testing.assert_close(ycbcr, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-9)


def test_equals_scikit_image():
    rgb = np.random.default_rng(0).random((5, 7, 3))
    ours = rgb_to_ycbcr(torch.from_numpy(rgb).movedim(-1, 0)).movedim(0, -1).numpy() * 255
    np.testing.assert_allclose(ours, skimage.color.rgb2ycbcr(rgb), atol=1e-9)


def test_inverse_is_exact_and_unclamped():
    rgb = torch.rand(2, 4, 3, 5, 6, dtype=torch.float64) * 3 - 1
    torch.testing.assert_close(ycbcr_to_rgb(rgb_to_ycbcr(rgb)), rgb, rtol=0, atol=1e-13)


def test_y_is_the_first_channel_and_differentiable():
    rgb = torch.rand(2, 3, 5, 6, requires_grad=True)
    y = rgb_to_y(rgb)
    assert y.shape == (2, 1, 5, 6)
    torch.testing.assert_close(y, rgb_to_ycbcr(rgb)[:, :1])
    y.sum().backward()
    assert rgb.grad is not None and rgb.grad[0, 1, 0, 0].item() == pytest.approx(128.553 / 255)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    rgb = torch.rand(3, 8, 8).to(dtype)
    assert rgb_to_ycbcr(rgb).dtype == dtype
    torch.testing.assert_close(rgb_to_y(rgb), rgb_to_y(rgb.double()).to(dtype))


def test_export():
    class Y(torch.nn.Module):
        def forward(self, x):
            return ycbcr_to_rgb(rgb_to_ycbcr(x))

    shapes = ({2: torch.export.Dim("h"), 3: torch.export.Dim("w")},)
    program = torch.export.export(Y(), (torch.rand(1, 3, 8, 9),), dynamic_shapes=shapes)
    x = torch.rand(1, 3, 5, 4)
    torch.testing.assert_close(program.module()(x), x)


def test_to_uint8_clips_and_rounds_half_up():
    x = torch.tensor([-0.5, 0.5 / 255, 1.49 / 255, 1.5 / 255, 1.0, 7.0, float("inf")], dtype=torch.float64)
    assert to_uint8(x).tolist() == [0, 1, 1, 2, 255, 255, 255]
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(levels.float() / 255), levels)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_to_uint8_is_the_same_by_strips_and_as_a_whole(dtype: torch.dtype) -> None:
    """Larger than a strip, part of a picture, pixels beside each other; what torch must follow is done as a whole."""
    x = torch.rand(2, 3, 90, 800, dtype=dtype) * 1.2 - 0.1
    for part in (x, x[..., 4:-4, 4:-4], x.to(memory_format=torch.channels_last), x[0, 0]):
        whole = to_uint8(part.clone().requires_grad_())
        assert torch.equal(to_uint8(part), whole) and torch.equal(whole, (part.clamp(0, 1) * 255 + 0.5).byte())


def test_to_uint8_refuses_nan():
    with pytest.raises(UserError, match="1 NaN"):
        to_uint8(torch.tensor([0.5, float("nan")]))
    with warnings.catch_warnings(), pytest.raises(UserError, match="1 NaN"):
        warnings.simplefilter("error")
        to_uint8(torch.tensor([[0.5, float("nan")]]))
