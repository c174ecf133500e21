"""The blur kernels of real-world degradations: Gaussians of several shapes, and sinc, which rings.

Wang et al., Real-ESRGAN (ICCV workshops 2021, https://arxiv.org/abs/2107.10833), sections 3.1 and 3.3.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

SIZES = range(7, 22, 2)  # pixels a side, each as often
KINDS = ("iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso")


class Kernel(NamedTuple):
    """What a kernel is made of.

    Attributes:
        kind: one of KINDS, or "sinc".
        size: pixels a side, odd.
        sigma: deviation along both axes in pixels; of a sinc 0.
        angle: by which the axes are turned, in radians.
        beta: shape: 1 is the Gaussian.
        cutoff: of a sinc, in radians a pixel.
    """

    kind: str
    size: int
    sigma: tuple[float, float] = (0.0, 0.0)
    angle: float = 0.0
    beta: float = 1.0
    cutoff: float = 0.0

    def weights(self) -> Tensor:
        """(size, size) float32 with a sum of 1."""
        at = torch.arange(self.size, dtype=torch.float64) - self.size // 2
        y, x = torch.meshgrid(at, at, indexing="ij")
        if self.kind == "sinc":
            r = torch.hypot(x, y)
            weights = self.cutoff * torch.special.bessel_j1(self.cutoff * r) / (2 * math.pi * r)
            weights[self.size // 2, self.size // 2] = self.cutoff**2 / (4 * math.pi)
        else:
            cos, sin = math.cos(self.angle), math.sin(self.angle)
            along, across = (cos * x + sin * y) / self.sigma[0], (cos * y - sin * x) / self.sigma[1]
            form = (along.square() + across.square()) ** self.beta
            weights = 1 / (1 + form) if self.kind.startswith("plateau") else torch.exp(-form / 2)
        return (weights / weights.sum()).float()
