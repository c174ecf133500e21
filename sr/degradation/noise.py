"""Sensor noise."""

import torch
from torch import Tensor

from sr.degradation.base import Range, Step, as_float, draw, fixed_or_range
from sr.errors import UserError


class GaussianNoise(Step):
    """Additive white Gaussian noise, drawn for each pixel and channel.

    Args:
        sigma: standard deviation in 8-bit levels (0-255), or [low, high].
    """

    def __init__(self, sigma: Range = 30) -> None:
        self.sigma = fixed_or_range(sigma, "sigma")

    @property
    def deterministic(self) -> bool:
        return self.sigma == (0.0, 0.0)

    def __call__(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        x = as_float(x)
        sigma = draw(self.sigma, generator)
        return x + sigma / 255 * torch.randn(x.shape, generator=generator, dtype=x.dtype)


class PoissonNoise(Step):
    """Shot noise: each value becomes a count of photons.

    Args:
        peak: photons at white, or [low, high]; fewer are noisier.
    """

    def __init__(self, peak: Range = 255) -> None:
        self.peak = fixed_or_range(peak, "peak")
        if self.peak[0] <= 0:
            raise UserError(f"PoissonNoise: peak={peak} must be above 0 photons")

    @property
    def deterministic(self) -> bool:
        return False

    def __call__(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        peak = draw(self.peak, generator)
        return torch.poisson(as_float(x).clamp(0, 1) * peak, generator=generator) / peak
