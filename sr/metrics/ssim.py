"""Structural similarity in the three forms that super-resolution papers print.

All use an 11-tap Gaussian window with sigma 1.5, K1 = 0.01 and K2 = 0.03. They differ in what happens at the
border and between colour channels, which moves the figure far more than a better network does.

Source: Z. Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE TIP
2004, eq. 13.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sr.metrics.metric import Metric

WINDOW = 11
SIGMA = 1.5
_RADIUS = WINDOW // 2
_RAW = [math.exp(-((k - _RADIUS) ** 2) / (2 * SIGMA**2)) for k in range(WINDOW)]
_WEIGHTS = [w / sum(_RAW) for w in _RAW]
_STRIP = 2**16  # pixels worked on at once


def _blur(x: Tensor, dim: int) -> Tensor:
    """The Gaussian along one dimension, where the whole window fits: that dimension loses ten entries."""
    length = x.shape[dim] - WINDOW + 1
    total = x.narrow(dim, 0, length) * _WEIGHTS[0]
    for k in range(1, WINDOW):
        total.add_(x.narrow(dim, k, length), alpha=_WEIGHTS[k])
    return total


def _similarity(a: Tensor, b: Tensor, dims: tuple[int, ...], data_range: float) -> Tensor:
    """Mean of the SSIM map of each image (B, ..., H, W), with the window running over `dims`."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    rows = a.shape[-2] - WINDOW + 1
    # In strips that stay in the processor's cache: eight times faster than whole pictures, and little memory.
    strip = max(16, _STRIP // a[..., 0, :].numel())
    total = torch.zeros(len(a), dtype=torch.float64, device=a.device)
    for top in range(0, rows, strip):
        height = min(strip, rows - top)
        x, y = (t.narrow(-2, top, height + WINDOW - 1).double() for t in (a, b))
        moments = torch.stack((x, y, x * x, y * y, x * y))
        for dim in dims:
            moments = _blur(moments, dim)
        mean_x, mean_y, square_x, square_y, product = moments
        cross = mean_x * mean_y
        mean_x, mean_y = mean_x.square(), mean_y.square()
        upper = (2 * cross + c1) * (2 * (product - cross) + c2)
        lower = (mean_x + mean_y + c1) * (square_x - mean_x + square_y - mean_y + c2)
        total += (upper / lower).flatten(1).mean(1) * height
    return total / rows


def _planes(a: Tensor, b: Tensor, data_range: float) -> Tensor:
    """Each channel of each image alone, then the mean over the channels."""
    pairs = zip(a.flatten(0, 1).split(1), b.flatten(0, 1).split(1), strict=True)
    values = [_similarity(x, y, (-2, -1), data_range) for x, y in pairs]
    return torch.cat(values).reshape(a.shape[:2]).mean(1)


def _check(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape or a.ndim != 4:
        raise ValueError(f"ssim compares images of one shape (B, C, H, W), got {tuple(a.shape)} and {tuple(b.shape)}")


def ssim(a: Tensor, b: Tensor, data_range: float = 255.0) -> Tensor:
    """SSIM where the whole window fits in the picture, each channel alone, then the mean.

    This is the authors' ``ssim_index.m``, and what nearly all papers print.

    Args:
        a: images (B, C, H, W) with H and W of at least 11, values in [0, data_range]; computed in float64.
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
    return _planes(a, b, data_range)


def ssim_replicate(a: Tensor, b: Tensor, data_range: float = 255.0) -> Tensor:
    """SSIM over the whole picture with its edge pixels carried on: MATLAB's own ``ssim`` on a 2-D array.

    Arguments and result are those of `ssim`; there is no smallest size.
    """
    _check(a, b)
    a, b = (F.pad(x.double(), [_RADIUS] * 4, mode="replicate") for x in (a, b))
    return _planes(a, b, data_range)


def ssim_volumetric(a: Tensor, b: Tensor, data_range: float = 255.0) -> Tensor:
    """SSIM with a window of 11 x 11 x 11: MATLAB's ``ssim`` given an H x W x 3 array, as EDSR did on DIV2K.

    MATLAB takes the colour image for a volume, so the window runs over the channels too, with edge values
    carried on in all three directions. Much higher than the per-channel form.

    Arguments and result are those of `ssim`; there is no smallest size.
    """
    _check(a, b)
    a, b = (F.pad(x.double().unsqueeze(1), [_RADIUS] * 6, mode="replicate").squeeze(1) for x in (a, b))
    return _similarity(a, b, (-3, -2, -1), data_range)


METRIC = Metric("ssim", ssim, smallest=WINDOW)
