"""What a step of a degradation is, and what its authors need."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sr.degradation.fingerprint import fingerprint
from sr.degradation.parts import Part
from sr.degradation.randomness import STREAM, Randomness, words_of
from sr.errors import UserError

Range = float | Sequence[float]  # a fixed value, or [low, high] to draw from uniformly for each image


class Step:
    """One operation on an image (3, H, W): uint8, or float32 in [0, 1] after a step that computes in floats.

    A subclass gives `__call__`, for one image at a time, or `batch`.

    Attributes:
        shrink: factor by which the sides get smaller.
        reach: how far, in pixels of the input, a pixel of the output looks.
        grid: side of the operation's blocks in pixels of the input, as JPEG has them: of a block that is reached all
            counts; 1 if there are none.
        edge: what the step takes for pixels beyond the picture's border, "mirror" (the edge pixel repeated) or
            "replicate"; "" for something else, or where it does not look. A `batch` with a reach is asked for one
            image at a time without it.
    """

    shrink: int = 1
    reach: int = 0
    grid: int = 1
    edge: str = ""

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
        whole = torch.tensor(x.shape[-2:])[:, None]
        at = Part(torch.zeros_like(whole), (x.shape[-2], x.shape[-1]), whole)
        drawn = torch.from_numpy(words_of([seed_of(generator)], 1)).to(x.device)
        return self.batch(x[None], Randomness(drawn, at.to(x.device)))[0]

    def batch(self, x: Tensor, draws: Randomness) -> Tensor:
        """Images, or parts of them (see `draws.at`), (B, 3, H, W); each depends on its own draws alone."""
        return torch.stack([self(image, draws.generator(i)) for i, image in enumerate(x)])

    @property
    def alone(self) -> bool:
        """Whether it must be asked for one image at a time, whose border is where the part that it sees ends."""
        own = type(self)
        return own.__call__ is not Step.__call__ or own.batch is Step.batch or (self.reach > 0 and not self.edge)


def bundled(part: object) -> bool:
    """Whether a step or a chain is none of the user's own."""
    return type(part).__module__.startswith("sr.")


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


def each(values: Tensor) -> Tensor:
    """One number per image, (B,), as (B, 1, 1, 1), to be multiplied with images."""
    return values.view(-1, 1, 1, 1)
