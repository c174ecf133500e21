"""Peak signal-to-noise ratio, one figure per image."""

import logging

import numpy as np
import torch
from torch import Tensor

from sr.errors import told_once
from sr.imaging.banded import plain, strips
from sr.metrics.metric import Metric
from sr.precision import refuse_arrays, with_doubles

log = logging.getLogger(__name__)


def psnr(a: Tensor, b: Tensor, data_range: float = 255.0) -> Tensor:
    """10 log10(range^2 / mean squared error) of each image, in decibels.

    The squared error is averaged over all pixels and channels of an image, never over images: a mean of
    the returned figures is what papers call PSNR of a set.

    Args:
        a: images (B, C, H, W), values in [0, data_range]; computed in float64.
        b: as `a`, of the same shape.
        data_range: the value of white.

    Returns:
        (B,) float64; inf where the two images are identical.

    Example:
        >>> import sr, torch
        >>> hr = torch.full((1, 3, 32, 32), 200.0)
        >>> sr.psnr(hr + 5, hr)
        tensor([34.1514], dtype=torch.float64)
    """
    refuse_arrays("psnr", a, b)
    if a.shape != b.shape or a.ndim != 4:
        raise ValueError(f"psnr compares images of one shape (B, C, H, W), got {tuple(a.shape)} and {tuple(b.shape)}")
    white = data_range * a.shape[1:].numel() ** 0.5
    if a.ndim == 4 and (x := plain(a)) is not None and (y := plain(b)) is not None:
        norms = torch.tensor([_squared(*pair) for pair in zip(x, y, strict=True)], dtype=torch.float64).sqrt()
    else:
        norms = torch.linalg.vector_norm((with_doubles(a).double() - with_doubles(b).double()).flatten(1), dim=1)
    found = 20 * torch.log10(white / norms)
    tell_small("psnr", a, b, data_range, found > 48)  # what images in [0, 1] have at least
    return found


def _squared(a: np.ndarray, b: np.ndarray) -> float:
    """The sum of squared differences of two images (C, H, W)."""
    kind = np.int16 if a.dtype == b.dtype == np.uint8 else np.float64  # of a difference, which it holds exactly
    total = 0.0
    for place in strips(a.shape):
        apart = np.subtract(a[place], b[place], dtype=kind).astype(np.float64, copy=False).ravel()
        total += float(apart @ apart)
    return total


def tell_small(name: str, a: Tensor, b: Tensor, data_range: float, suspected: Tensor) -> None:
    """Warn of floats that are no larger than 1 where white is 255; they are looked at only where that is suspected."""
    floats = a.is_cpu and a.is_floating_point() and b.is_floating_point() and data_range > 1
    if floats and bool(suspected.any()) and 0 < float(max(a.max(), b.max())) <= 1:
        told = f"warning: {name} of values up to 1, where white is {data_range:g}"
        told_once(log, logging.WARNING, f"{told}: for images in [0, 1] say data_range=1.0")


METRIC = Metric("psnr", psnr, unit="dB", digits=2, perfect=100.0)  # the field's stand-in for infinity
