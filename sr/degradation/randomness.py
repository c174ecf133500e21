"""What random steps draw from: numbers that are a function of (seed, step, pixel) and of nothing else.

Gaussian noise at a pixel does not depend on how much of the picture is computed, on what else is in the batch or on
the device (but for the last bits of its logarithm and cosine), so that a crop has the noise of the whole image. What
draws from torch's own source (`Randomness.generator`) is a function of (seed, step) and of the part that is computed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

WORD = 2**64 - 1
STREAM = 2  # raise it when the same seed draws other numbers: LR that was made of others is then made again


def _mixed(x: int) -> int:
    """64 bits to 64 bits (the finaliser of SplitMix64: Steele, Lea, Flood, OOPSLA 2014)."""
    x = (x + 0x9E3779B97F4A7C15) & WORD
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & WORD
    return x ^ x >> 31


Bits = TypeVar("Bits", np.ndarray, Tensor)


def _scrambled(x: Bits) -> Bits:
    """32 bits to 32 bits, in place; int32 whose products wrap (C. Wellons, "Prospecting for hash functions", 2018)."""
    x ^= (x >> 16) & 0xFFFF
    x *= 0x7FEB352D
    x ^= (x >> 15) & 0x1FFFF
    x *= 0x846CA68B - 2**32
    x ^= (x >> 16) & 0xFFFF
    return x


@dataclass(frozen=True)
class Randomness:
    """The random numbers of one step for the images of a batch.

    Attributes:
        seeds: one per image.
        step: the number of the step in its chain.
        corner: (row, column) of each image's first pixel in the whole picture, in pixels of the step's input.
    """

    seeds: Sequence[int]
    step: int = 0
    corner: Sequence[tuple[int, int]] | None = None

    def uniform(self, bounds: tuple[float, float]) -> list[float]:
        """A value from the bounds for each image."""
        low, high = bounds
        return [low + (high - low) * (self._key(seed, 0) >> 11) * 2.0**-53 for seed in self.seeds]

    def generator(self, image: int) -> torch.Generator:
        """Torch's own source, for one image: on the processor, and not the same for a part of the picture."""
        return torch.Generator().manual_seed(self._key(self.seeds[image], 1))

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers for images (B, 3, H, W), float32, on their device.

        By the polar form of Box and Muller (1958), two numbers from one word: 20 bits of radius (up to 5.4 standard
        deviations), 12 of angle.
        """
        (_, _, h, w), corners = like.shape, self.corner or [(0, 0)] * len(like)
        keys = np.array([self._key(seed, 2) for seed in self.seeds], np.uint64).view(np.int32).reshape(-1, 2, 1, 1, 1)
        corner = np.array(corners, np.int32).reshape(-1, 2, 1, 1, 1)
        row = np.arange(2 * h, dtype=np.int32).reshape(1, h, 2).transpose(2, 0, 1).reshape(1, 2, h, 1)
        row = _scrambled((row + 2 * corner[:, 0]) ^ keys[:, 0])
        column = _scrambled((np.arange(w, dtype=np.int32) + corner[:, 1]) ^ keys[:, 1])
        if like.device.type == "cpu":
            bits = torch.from_numpy(_scrambled(row ^ column))
        else:
            bits = _scrambled(torch.from_numpy(row).to(like.device) ^ torch.from_numpy(column).to(like.device))
        radius = ((bits >> 12) & 0xFFFFF).float().add_(0.5).mul_(2.0**-20).log_().mul_(-2).sqrt_()
        angle = (bits & 0xFFF).float().add_(0.5).mul_(2 * math.pi / 4096)
        return torch.cat((radius * angle.cos(), radius[:, :1] * angle[:, :1].sin()), 1)

    def _key(self, seed: int, purpose: int) -> int:
        return _mixed(_mixed(seed & WORD) ^ _mixed(4 * self.step + purpose))
