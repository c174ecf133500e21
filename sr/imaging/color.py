"""Colour conversion of ITU-R BT.601 in studio range, with the coefficients of MATLAB's ``rgb2ycbcr``.

The papers measure on this Y: 16 for black and 235 for white on the 8-bit scale. The full-range luma of JPEG
is another quantity and moves PSNR by more than a decibel.
"""

import math

import numpy as np
import torch
from torch import Tensor

from sr.errors import UserError
from sr.imaging.banded import plain, strips
from sr.precision import widened

# Rows Y, Cb, Cr on the 8-bit scale for R, G, B in [0, 1].
_FORWARD = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
_OFFSET = np.array([16.0, 128.0, 128.0]) / 255
_INVERSE = np.linalg.inv(_FORWARD)

Rows = list[list[float]]
_TO_YCBCR: tuple[Rows, list[float]] = (_FORWARD.tolist(), _OFFSET.tolist())
_TO_RGB: tuple[Rows, list[float]] = (_INVERSE.tolist(), (-_INVERSE @ _OFFSET).tolist())


def _affine(x: Tensor, rows: Rows, offsets: list[float]) -> Tensor:
    """Channels (dimension -3) times a constant matrix plus an offset; half precision in float32."""
    a, b, c = widened(x).unbind(-3)
    out = [(r[0] * a).add_(r[1] * b).add_(r[2] * c).add_(offset) for r, offset in zip(rows, offsets, strict=True)]
    return torch.stack(out, -3).to(x.dtype)


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """RGB (..., 3, H, W) in [0, 1] to unrounded YCbCr: Y in [16, 235] / 255, Cb and Cr in [16, 240] / 255."""
    return _affine(rgb, *_TO_YCBCR)


def ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:
    """The exact linear inverse of `rgb_to_ycbcr`, (..., 3, H, W), without clamping."""
    return _affine(ycbcr, *_TO_RGB)


def rgb_to_y(rgb: Tensor) -> Tensor:
    """The unrounded Y (..., 1, H, W) in [16, 235] / 255 of RGB (..., 3, H, W) in [0, 1]."""
    return _affine(rgb, _TO_YCBCR[0][:1], _TO_YCBCR[1][:1])


def to_uint8(x: Tensor) -> Tensor:
    """Floats in [0, 1] to uint8: clipped, then rounded half up; uint8 as it is. NaN is a UserError, never 0."""
    if x.dtype == torch.uint8:
        return x
    v = plain(x)
    if v is not None and v.dtype in (np.float32, np.float64) and v.ndim > 1 and v.strides[-1] == v.itemsize:
        y = np.empty(v.shape, np.uint8)
        for place in strips(v.shape):
            levels = np.clip(v[place], 0, 1)
            levels *= 255
            levels += 0.5
            if math.isnan(levels.sum()):
                raise _no_picture(x)
            np.copyto(y[place], levels, casting="unsafe")  # towards 0
        return torch.from_numpy(y)
    whole = widened(x).clamp(0, 1).mul_(255).add_(0.5)
    if whole.sum().isnan():
        raise _no_picture(x)
    return whole.to(torch.uint8)  # rounds towards 0


def _no_picture(x: Tensor) -> UserError:
    return UserError(
        f"an image of shape {tuple(x.shape)} holds {int(x.isnan().sum())} NaN values; if the model "
        "ran in half precision try trainer.precision=32-true, otherwise its weights have diverged"
    )


def to_array(image: Tensor) -> np.ndarray:
    """One image (1, C, H, W) in about [0, 1], on any device -> (H, W, C) uint8, as `to_uint8` rounds."""
    return to_uint8(image)[0].permute(1, 2, 0).cpu().numpy()
