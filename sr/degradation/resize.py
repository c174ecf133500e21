"""Shrinking."""

import functools

import torch
from torch import Tensor

from sr.degradation.base import Degradation
from sr.degradation.filters import Filter
from sr.degradation.randomness import Randomness
from sr.imaging.resize import imresize, kernel


class MatlabBicubic(Filter):
    """MATLAB's `imresize(hr, 1 / scale, 'bicubic')`: a = -0.5, antialiased, rounded after each pass on uint8.

    Args:
        scale: by how much the sides get smaller.
        edge: "mirror" as in MATLAB today, "replicate" as in the older public LR.
        quantize_intermediate: round to 8 bits between the two passes, as MATLAB does on uint8.
    """

    def __init__(self, scale: int, edge: str = "mirror", quantize_intermediate: bool = True) -> None:
        self.scale, self.edge, self.quantize_intermediate = scale, edge, quantize_intermediate
        self.shrink = scale
        self.reach = 2 * scale  # half the width of the antialiased cubic
        self.first, weights = kernel(scale)
        self.taps = len(weights)

    def kernel(self, draws: Randomness) -> Tensor:
        return _weights(self.scale, draws.words.device).expand(draws.words.shape[1], -1)

    def batch(self, x: Tensor, draws: Randomness) -> Tensor:
        return imresize(x, 1 / self.scale, edge=self.edge, quantize_intermediate=self.quantize_intermediate)


@functools.cache
def _weights(scale: int, device: torch.device) -> Tensor:
    """MATLAB's kernel, sent to a device once."""
    return torch.tensor(kernel(scale)[1], device=device)


def matlab_bicubic(scale: int) -> Degradation:
    """What "bicubic LR" means in the papers: MATLAB's resize of the uint8 HR image."""
    return Degradation(scale, [MatlabBicubic(scale)])
