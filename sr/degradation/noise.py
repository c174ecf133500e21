"""Sensor noise."""

import torch
from torch import Tensor

from sr.degradation.randomness import Randomness
from sr.degradation.step import Range, Step, as_float, each, fixed_or_range
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

    def batch(self, x: Tensor, draws: Randomness) -> Tensor:
        return torch.addcmul(as_float(x), draws.normal(x), each(draws.uniform(self.sigma) / 255))


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
        low, high = self.peak
        peak = low + (high - low) * float(torch.rand((), generator=generator))
        photons = as_float(x).clamp(0, 1) * peak
        return torch.poisson(photons.cpu(), generator=generator).to(x.device) / peak
