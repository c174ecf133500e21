"""Blurs."""

import math

import torch
from torch import Tensor

from sr.degradation.filters import Filter
from sr.degradation.randomness import Randomness
from sr.degradation.step import Range, Step, as_float, fixed_or_range
from sr.errors import UserError
from sr.imaging.sharpen import RADIUS, unsharp


class GaussianBlur(Filter):
    """Isotropic Gaussian blur, kernel cut at 3 sigma; edges mirrored as MATLAB's resize mirrors them.

    Args:
        sigma: standard deviation in pixels, or [low, high].
    """

    def __init__(self, sigma: Range = 1.6) -> None:
        self.sigma = fixed_or_range(sigma, "sigma")
        if self.sigma[0] <= 0:
            raise UserError(f"GaussianBlur: sigma={sigma} must be above 0 pixels")
        self.reach = math.ceil(3 * self.sigma[1])
        self.first, self.taps = -self.reach, 2 * self.reach + 1

    @property
    def deterministic(self) -> bool:
        return self.sigma[0] == self.sigma[1]

    def kernel(self, draws: Randomness) -> Tensor:
        sigma = draws.uniform(self.sigma)[:, None]
        place = torch.arange(self.first, self.reach + 1, device=sigma.device)
        weights = torch.exp(place**2 / (-2 * sigma**2)) * (place.abs() < 3 * sigma + 1)
        return weights / weights.sum(1, keepdim=True)


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

    def __call__(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        from kornia.filters import motion_blur

        low, high = self.angle
        angle = low if self.deterministic else low + (high - low) * float(torch.rand((), generator=generator))
        return motion_blur(as_float(x)[None], self.size, angle, 0.0, border_type="replicate")[0]


class UnsharpMask(Step):
    """Sharpening before all else, as Real-ESRGAN's HR has it (`sr.imaging.sharpen`)."""

    reach = 2 * RADIUS  # the soft mask is a blur of a blur

    def __call__(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        return unsharp(as_float(x)[None])[0]
