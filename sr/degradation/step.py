"""What a step of a degradation is, and what its authors need."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sr.degradation.fingerprint import fingerprint
from sr.degradation.randomness import STREAM, Randomness
from sr.errors import UserError

Range = float | Sequence[float]  # a fixed value, or [low, high] to draw from uniformly for each image


class Step:
    """One operation on an image (3, H, W): uint8, or float32 in [0, 1] after a step that computes in floats.

    A subclass gives `batch`, or, for one image at a time, `__call__`.

    Attributes:
        shrink: factor by which the sides get smaller.
        reach: how far, in pixels of the input, a pixel of the output looks.
        grid: side of the operation's blocks in pixels of the input, as JPEG has them: of a block that is reached all
            counts; 1 if there are none.
    """

    shrink: int = 1
    reach: int = 0
    grid: int = 1
    floats: bool = False  # whether bytes are turned to floats before anything is done to them

    @property
    def deterministic(self) -> bool:
        """Whether it gives the same result each time."""
        return True

    @property
    def symmetric(self) -> bool:
        """Whether it commutes, at least statistically, with flips and quarter turns."""
        return True

    @property
    def key(self) -> str:
        """Names the operation: its settings, bytes of arrays, contents of files and the code of its class.

        Raises:
            UserError: it holds something that cannot be described.
        """
        stream = "" if self.deterministic else f"-{STREAM}"
        return f"{type(self).__name__}-{fingerprint(self, (Step,))}{stream}"

    def __call__(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """One image (3, H, W); draws from the generator, which may be None if `deterministic`."""
        return self.batch(x[None], Randomness([seed_of(generator)]))[0]

    def batch(self, x: Tensor, draws: Randomness) -> Tensor:
        """Images (B, 3, H, W) of one size; each depends on its own draws alone."""
        return torch.stack([self(image, draws.generator(i)) for i, image in enumerate(x)])

    def line(self, n: int, draws: Randomness) -> np.ndarray:
        """What the step does to a line of n floats, (outputs, n) float32, if it does so to rows and columns alike.

        It is asked for one image; such steps in a row become one filter, on a processor.
        """
        raise NotImplementedError

    @property
    def is_line(self) -> bool:
        """Whether `line` tells all that the step does; a subclass of one's own may do something else."""
        own = type(self)
        line, batch = (next(c for c in own.__mro__ if name in vars(c)) for name in ("line", "batch"))
        return line is not Step and line is batch and own.__call__ is Step.__call__


def seed_of(generator: torch.Generator | None) -> int:
    """The next seed of a generator; 0 of none."""
    return 0 if generator is None else int(torch.randint(2**62, (), generator=generator))


def as_float(x: Tensor) -> Tensor:
    """uint8 -> float32 in [0, 1]; floats unchanged."""
    return x.float() / 255 if x.dtype == torch.uint8 else x


def fixed_or_range(value: Any, name: str) -> tuple[float, float]:
    """`value` or `[low, high]` as (low, high)."""
    low, high = (value, value) if isinstance(value, (int, float)) else tuple(value)
    if not low <= high:
        raise UserError(f"{name}={list(value)}: give [low, high] with low <= high, or one number")
    return float(low), float(high)


def each(values: Sequence[float], like: Tensor) -> Tensor:
    """One number per image, (B, 1, 1, 1) float32, to be multiplied with images on their device."""
    return torch.tensor(values, dtype=torch.float32).to(like.device).view(-1, 1, 1, 1)
