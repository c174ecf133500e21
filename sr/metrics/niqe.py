"""NIQE, which sees no HR: how far a picture's statistics are from those of natural pictures.

Mittal, Soundararajan, Bovik, Making a "completely blind" image quality analyzer, IEEE Signal Processing Letters 2013,
with the model of natural pictures that its authors released for MATLAB (niqe_model.csv). Other tools' NIQE differ in
the channel, the border and the rounding; this one sees Y of BT.601 rounded to 8 bit, as MATLAB's rgb2ycbcr gives it, of
the picture that the protocol has shaved.
"""

import functools
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sr.imaging.resize import imresize
from sr.metrics.metric import Metric
from sr.metrics.protocol import luma8

BLOCK = 96  # pixels a side, at full size; what does not fill a block at the right and below is left out
SHIFTS = (0, 1), (1, 0), (1, 1), (-1, 1)  # rows and columns to the neighbour, around the block's edge
MODEL = Path(__file__).with_name("niqe_model.csv")
_WINDOW = torch.tensor([math.exp(-((k - 3) ** 2) / (2 * (7 / 6) ** 2)) for k in range(7)], dtype=torch.float64)
_SHAPES = np.arange(200, 10_001) / 1000  # of the generalised Gaussians that are tried


@functools.cache
def _model() -> tuple[np.ndarray, np.ndarray]:
    """Mean (36,) and covariance (36, 36) of the features of natural pictures."""
    rows = np.loadtxt(MODEL, delimiter=",")
    return rows[0], rows[1:]


@functools.cache
def _ratios() -> np.ndarray:
    """Squared mean magnitude over mean square of a generalised Gaussian, for every shape."""
    return np.array([math.exp(2 * math.lgamma(2 / a) - math.lgamma(1 / a) - math.lgamma(3 / a)) for a in _SHAPES])


def niqe(sr: Tensor, hr: Tensor | None = None) -> Tensor:
    """Distance to natural pictures, about 2 to 20; smaller is better.

    Args:
        sr: (B, 3, H, W) RGB, uint8.
        hr: not looked at.

    Returns:
        (B,) float64; NaN where the picture holds fewer than two blocks of 96 x 96 pixels that are not flat.
    """
    return torch.tensor([_of_one(y) for y in luma8(sr, False)[:, 0]], dtype=torch.float64)


def _of_one(y: Tensor) -> float:
    rows, columns = (side // BLOCK for side in y.shape)
    if rows * columns < 2:
        return math.nan
    y = y[: rows * BLOCK, : columns * BLOCK].cpu()
    half = imresize(y[None] / 255, 1 / 2)[0] * 255
    features = np.concatenate([_features(y, BLOCK), _features(half, BLOCK // 2)], 1)
    natural, spread = _model()
    if len(seen := features[np.isfinite(features).all(1)]) < 2:
        return math.nan
    apart = natural - np.nanmean(features, 0)
    return float(np.sqrt(apart @ np.linalg.pinv((spread + np.cov(seen, rowvar=False)) / 2) @ apart))


def _features(y: Tensor, side: int) -> np.ndarray:
    """The 18 numbers of each block: (blocks, 18)."""
    near = _smoothed(y)
    normal = ((y - near) / ((_smoothed(y * y) - near * near).abs().sqrt() + 1)).numpy()  # equation 1
    blocks = normal.reshape(len(normal) // side, side, -1, side).swapaxes(1, 2).reshape(-1, side, side)
    alpha, left, right = _fitted(blocks)
    found = [alpha, (left + right) / 2]
    for shift in SHIFTS:
        alpha, left, right = _fitted(blocks * np.roll(blocks, shift, (1, 2)))
        ratio = np.exp([math.lgamma(2 / a) - math.lgamma(1 / a) for a in alpha])
        found += [alpha, (right - left) * ratio, left, right]  # equation 8
    return np.stack(found, 1)


def _smoothed(y: Tensor) -> Tensor:
    """(H, W) under a Gaussian of 7 x 7 and deviation 7/6, edges repeated."""
    window = _WINDOW / _WINDOW.sum()
    y = F.pad(y[None, None], (3, 3, 3, 3), mode="replicate")
    return F.conv2d(F.conv2d(y, window.view(1, 1, 7, 1)), window.view(1, 1, 1, 7))[0, 0]


def _fitted(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An asymmetric generalised Gaussian for each block (N, side, side): shape, and the scales of both sides, (N,).

    Lasmar, Stitou, Berthoumieu, ICIP 2009, by the moments.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        square = blocks**2
        left, right = (np.sqrt((square * at).sum((1, 2)) / at.sum((1, 2))) for at in (blocks < 0, blocks > 0))
        ratio, mean = left / right, np.abs(blocks).mean((1, 2)) ** 2 / square.mean((1, 2))
        wanted = mean * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    alpha = _SHAPES[((_ratios() - wanted[:, None]) ** 2).argmin(1)]
    scale = np.exp([(math.lgamma(1 / a) - math.lgamma(3 / a)) / 2 for a in alpha])
    return alpha, left * scale, right * scale


NOTE = "NIQE: Y rounded to 8 bit, shaved, blocks of 96 x 96, the authors' model; it sees no HR; smaller is better."
METRIC = Metric("niqe", niqe, digits=3, better=-1, rgb=True, smallest=BLOCK, note=NOTE)
