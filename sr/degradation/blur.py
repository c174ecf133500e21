"""Blurs."""

import functools
import math

import numpy as np
import torch
from torch import Tensor

from sr.degradation.randomness import Randomness
from sr.degradation.step import Range, Step, as_float, each, fixed_or_range
from sr.errors import UserError


class GaussianBlur(Step):
    """Isotropic Gaussian blur, kernel cut at 3 sigma, mirrored edges.

    Args:
        sigma: standard deviation in pixels, or [low, high].
    """

    floats = True

    def __init__(self, sigma: Range = 1.6) -> None:
        self.sigma = fixed_or_range(sigma, "sigma")
        if self.sigma[0] <= 0:
            raise UserError(f"GaussianBlur: sigma={sigma} must be above 0 pixels")
        self.reach = math.ceil(3 * self.sigma[1])

    @property
    def deterministic(self) -> bool:
        return self.sigma[0] == self.sigma[1]

    def line(self, n: int, draws: Randomness) -> np.ndarray:
        kernel = _kernel(draws.uniform(self.sigma)[0]).astype(np.float32)
        reach = len(kernel) // 2
        wide = np.zeros((n, n + 2 * reach), np.float32)  # with what lies outside
        diagonal = (wide.strides[0] + wide.itemsize, wide.itemsize)
        np.lib.stride_tricks.as_strided(wide, (n, len(kernel)), diagonal)[:] = kernel
        matrix = wide[:, reach:-reach]
        if n > reach:
            matrix[:, 1 : reach + 1] += wide[:, reach - 1 :: -1]
            matrix[:, n - reach - 1 : n - 1] += wide[:, : n + reach - 1 : -1]
        else:  # mirrored more than once
            places = _mirrored(np.arange(-reach, n + reach), n)
            matrix = np.stack([wide[:, places == place].sum(1) for place in range(n)], 1)
        return matrix

    def batch(self, x: Tensor, draws: Randomness) -> Tensor:
        sigmas = draws.uniform(self.sigma)
        x, reach = as_float(x), max(math.ceil(3 * s) for s in sigmas)
        kernels = np.stack([np.pad(k := _kernel(s), reach - len(k) // 2) for s in sigmas])
        for dim in (2, 3):
            index = _mirrored(np.arange(-reach, x.shape[dim] + reach), x.shape[dim])
            padded = x.index_select(dim, torch.from_numpy(index).to(x.device))
            taps = (padded.narrow(dim, k, x.shape[dim]) * each(kernels[:, k].tolist(), x) for k in range(2 * reach + 1))
            x = functools.reduce(Tensor.add_, taps)
        return x


def _kernel(sigma: float) -> np.ndarray:
    place = np.arange(-math.ceil(3 * sigma), math.ceil(3 * sigma) + 1)
    weights = np.exp(-(place**2) / (2 * sigma**2))
    return weights / weights.sum()


def _mirrored(index: np.ndarray, n: int) -> np.ndarray:
    """Reflect an index at the middle of the edge pixel."""
    index = np.abs(index) % max(1, 2 * n - 2)
    return np.minimum(index, 2 * n - 2 - index)


class MotionBlur(Step):
    """Blur along a line, edges replicated, by kornia.

    Args:
        size: length of the line in pixels, odd.
        angle: its direction in degrees, or [low, high].
    """

    def __init__(self, size: int = 9, angle: Range = (0, 360)) -> None:
        if size < 3 or size % 2 == 0:
            raise UserError(f"MotionBlur: size={size} must be an odd number of pixels, 3 or more")
        self.size = size
        self.angle = fixed_or_range(angle, "angle")
        self.reach = size // 2

    @property
    def deterministic(self) -> bool:
        return self.angle[0] == self.angle[1]

    @property
    def symmetric(self) -> bool:
        return self.angle[1] - self.angle[0] >= 180  # a line has no head: half a turn covers all directions

    def batch(self, x: Tensor, draws: Randomness) -> Tensor:
        from kornia.filters import motion_blur

        angles = draws.uniform(self.angle)
        blurred = [
            motion_blur(as_float(image)[None], self.size, angle, 0.0, border_type="replicate")
            for image, angle in zip(x, angles, strict=True)
        ]
        return torch.cat(blurred)
