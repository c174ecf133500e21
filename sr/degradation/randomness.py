"""What random steps draw from: numbers that are a function of (seed, step, pixel) and of nothing else.

A picture's numbers in a step (a width, a strength) are words of Philox (`sr.philox`). Noise, a number for each pixel
and channel, is drawn by a hash of 32-bit products that two of those words key: Philox's ten rounds of 64-bit products
take two to four times as long.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sr.degradation.parts import Part
from sr.philox import philox, words

STREAM = 2  # raise it when the same seed draws other numbers: LR that was made of others is then made again


def words_of(seeds: Sequence[int] | np.ndarray, steps: int) -> np.ndarray:
    """(steps, images, 4) int64: four random words for each step and image."""
    low, high = words(np.asarray(seeds, np.int64))
    drawn = philox((low, high, np.arange(steps)[:, None], 0), (STREAM, 0))
    return np.stack(np.broadcast_arrays(*drawn), -1)


@dataclass(frozen=True)
class Randomness:
    """The random numbers of a step for the images of a batch.

    Attributes:
        words: (steps, B, 4) int64, of the step and of those after it (see `words_of`).
        at: which part of each image is computed, in pixels of the step's input.
    """

    words: Tensor
    at: Part

    def after(self, steps: int) -> "Randomness":
        """Of a later step."""
        return Randomness(self.words[steps:], self.at)

    def uniform(self, bounds: tuple[float, float]) -> Tensor:
        """A value from the bounds for each image, (B,) float32."""
        low, high = bounds
        return (self.words[0, :, 0] >> 8).float().mul_((high - low) * 2.0**-24).add_(low)

    def generator(self, image: int) -> torch.Generator:
        """Torch's own source, for one image: on the processor, and not the same for a part of the picture."""
        _, high, low, _ = self.words[0, image].tolist()
        return torch.Generator().manual_seed(high << 32 | low)

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers for images (B, 3, H, W), float32, on their device.

        One of 65,536 equally likely numbers of at most 4.3, which is the same on all devices and does not depend on
        how much of the picture is computed or on what else is in the batch.
        """
        (_, _, h, w), along = like.shape, functools.partial(torch.arange, dtype=torch.int32, device=like.device)
        start = torch.as_tensor(self.at.start).to(like.device, torch.int32)
        keys = self.words[0, :, 2:].to(like.device, torch.int32)  # the lower 32 bits
        row = _scrambled((along(3 * h) + 3 * start[0][:, None]) ^ keys[:, :1])  # one for each channel
        column = _scrambled((along(w) + start[1][:, None]) ^ keys[:, 1:])
        bits = row.view(-1, h, 3, 1).transpose(1, 2) ^ column.view(-1, 1, 1, w)
        bits *= 0x7FEB352D
        shifted = bits >> 15
        shifted &= 0x1FFFF
        bits ^= shifted
        bits *= 0x846CA68B - 2**32
        bits >>= 16  # what is multiplied last has its best bits above
        bits += 2**15
        return _normals(like.device).index_select(0, bits.flatten()).view(bits.shape)


def _scrambled(x: Tensor) -> Tensor:
    """32 bits to 32 bits, in place; int32 whose products wrap (C. Wellons, "Prospecting for hash functions", 2018)."""
    x ^= (x >> 16) & 0xFFFF
    x *= 0x7FEB352D
    x ^= (x >> 15) & 0x1FFFF
    x *= 0x846CA68B - 2**32
    x ^= (x >> 16) & 0xFFFF
    return x


@functools.cache
def _normals(device: torch.device) -> Tensor:
    """(65536,) float32: the middles of as many equal shares of the normal distribution."""
    return torch.special.ndtri((torch.arange(2**16, dtype=torch.float64) + 0.5) / 2**16).float().to(device)
