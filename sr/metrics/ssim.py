"""Structural similarity in the three forms that super-resolution papers print.

All use an 11-tap Gaussian window with sigma 1.5, K1 = 0.01 and K2 = 0.03. They differ in what happens at the
border and between colour channels, which moves the figure far more than a better network does.

Source: Z. Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE TIP
2004, eq. 13.
"""

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sr.imaging.banded import plain, smoothed, steady
from sr.metrics.metric import Metric
from sr.metrics.psnr import tell_small
from sr.precision import refuse_arrays, with_doubles

WINDOW = 11
SIGMA = 1.5
_RADIUS = WINDOW // 2
_RAW = [math.exp(-((k - _RADIUS) ** 2) / (2 * SIGMA**2)) for k in range(WINDOW)]
_WEIGHTS = [w / sum(_RAW) for w in _RAW]
_BAND = steady(np.array(_WEIGHTS), np.float32)
TILE = 64, 512  # values of the map, down and across, that are worked on at once


def _blur(x: Tensor, dim: int) -> Tensor:
    """The Gaussian along one dimension, where the whole window fits: that dimension loses ten entries."""
    length = x.shape[dim] - WINDOW + 1
    total = x.narrow(dim, 0, length) * _WEIGHTS[0]
    for k in range(1, WINDOW):
        total = total.add(x.narrow(dim, k, length), alpha=_WEIGHTS[k])
    return total


def _similarity(a: Tensor, b: Tensor, dims: tuple[int, ...], data_range: float) -> Tensor:
    """Mean of the SSIM map of each image (N, ..., H, W), with the window running over `dims`: (N,) in float64.

    With s = a + b and d = a - b, eq. 13 is (1 - D^2 / (C1 + (S^2 + D^2) / 2)) (1 - v_d / (C2 + (v_s + v_d) / 2)), S and
    D being the local means, v the local variances: where a and b are alike, what float32 loses is multiplied by the
    little that tells them apart.
    """
    if (x := plain(a)) is not None and (y := plain(b)) is not None:
        return torch.tensor([_on_host(*pair, dims, data_range) for pair in zip(x, y, strict=True)], dtype=torch.float64)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    a, b = a.float(), b.float()
    s, d = a + b - data_range, a - b
    moments = torch.stack((s, d, s * s, d * d))
    for dim in dims:
        moments = _blur(moments, dim)
    mean_s, mean_d, square_s, square_d = moments
    variance_s, variance_d = square_s - mean_s * mean_s, square_d - mean_d * mean_d
    mean_s, mean_d = (mean_s + data_range).square(), mean_d.square()
    light = 1 - mean_d / ((mean_s + mean_d) / 2 + c1)
    structure = 1 - variance_d / ((variance_s + variance_d) / 2 + c2)
    return with_doubles((light * structure).flatten(1).mean(1, dtype=torch.float32)).double()


def _on_host(a: np.ndarray, b: np.ndarray, dims: tuple[int, ...], data_range: float) -> float:
    """`_similarity` of one image, in place and in tiles that stay in the processor's cache."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    (rows, columns), total, entries = (side - WINDOW + 1 for side in a.shape[-2:]), 0.0, 0
    for top, left in itertools.product(range(0, rows, TILE[0]), range(0, columns, TILE[1])):
        inner = slice(top, top + TILE[0] + WINDOW - 1), slice(left, left + TILE[1] + WINDOW - 1)
        x, y = (v[(..., *inner)].astype(np.float32, copy=False) for v in (a, b))
        moments = np.empty((4, *x.shape), np.float32)
        np.add(x, y, out=moments[0])
        np.subtract(x, y, out=moments[1])
        moments[0] -= data_range
        np.square(moments[:2], out=moments[2:])
        for dim in dims:
            moments = smoothed(moments, dim, _BAND)
        squares = np.square(moments[:2])
        moments[2:] -= squares
        (s, _, v_s, v_d), (lost, s_d) = moments, squares  # S, v_s, v_d, and D^2
        s += data_range
        np.square(s, out=s)
        s += s_d
        s += 2 * c1
        v_s += v_d
        v_s += 2 * c2
        np.divide(v_d, v_s, out=lost)
        s_d /= s
        light, structure = squares.reshape(2, -1)  # the mean of (1 - 2 light) (1 - 2 structure)
        total += light.size - 2 * float(squares.sum()) + 4 * float(light @ structure)
        entries += light.size
    return total / entries


def _planes(a: Tensor, b: Tensor, data_range: float) -> Tensor:
    """Each channel of each image alone, then the mean over the channels."""
    return _similarity(a.flatten(0, 1), b.flatten(0, 1), (-2, -1), data_range).reshape(a.shape[:2]).mean(1)


def _check(a: Tensor, b: Tensor) -> None:
    refuse_arrays("ssim", a, b)
    if a.shape != b.shape or a.ndim != 4:
        raise ValueError(f"ssim compares images of one shape (B, C, H, W), got {tuple(a.shape)} and {tuple(b.shape)}")


def ssim(a: Tensor, b: Tensor, data_range: float = 255.0) -> Tensor:
    """SSIM where the whole window fits in the picture, each channel alone, then the mean.

    This is the authors' ``ssim_index.m``, and what nearly all papers print.

    Args:
        a: images (B, C, H, W) with H and W of at least 11, values in [0, data_range].
        b: as `a`, of the same shape.
        data_range: the value of white.

    Returns:
        (B,) float64, at most 1.

    Example:
        >>> import sr, torch
        >>> hr = torch.full((1, 3, 32, 32), 200.0)
        >>> sr.ssim(hr + 5, hr)
        tensor([0.9997], dtype=torch.float64)
    """
    _check(a, b)
    if min(a.shape[-2:]) < WINDOW:
        raise ValueError(f"ssim needs at least {WINDOW} x {WINDOW} pixels, got {tuple(a.shape[-2:])}")
    found = _planes(a, b, data_range)
    tell_small("ssim", a, b, data_range, found > 0.9)
    return found


def ssim_replicate(a: Tensor, b: Tensor, data_range: float = 255.0) -> Tensor:
    """SSIM over the whole picture with its edge pixels carried on: MATLAB's own ``ssim`` on a 2-D array.

    Arguments and result are those of `ssim`; there is no smallest size.
    """
    _check(a, b)
    a, b = (F.pad(with_doubles(x).double(), [_RADIUS] * 4, mode="replicate") for x in (a, b))
    return _planes(a, b, data_range)


def ssim_volumetric(a: Tensor, b: Tensor, data_range: float = 255.0) -> Tensor:
    """SSIM with a window of 11 x 11 x 11: MATLAB's ``ssim`` given an H x W x 3 array, as EDSR did on DIV2K.

    MATLAB takes the colour image for a volume, so the window runs over the channels too, with edge values
    carried on in all three directions. Much higher than the per-channel form.

    Arguments and result are those of `ssim`; there is no smallest size.
    """
    _check(a, b)
    a, b = (F.pad(with_doubles(x).double().unsqueeze(1), [_RADIUS] * 6, mode="replicate").squeeze(1) for x in (a, b))
    return _similarity(a, b, (-3, -2, -1), data_range)


METRIC = Metric("ssim", ssim, smallest=WINDOW)
