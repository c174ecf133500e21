"""How LR is made from HR: steps in order, seeded, with what a cache and a crop need to know about them."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sr.degradation.fingerprint import fingerprint
from sr.errors import UserError

Range = float | Sequence[float]  # a fixed value, or [low, high] to draw from uniformly for each image


class Step:
    """One operation on an image (3, H, W): uint8, or float32 in [0, 1] after a step that computes in floats.

    Attributes:
        shrink: factor by which the sides get smaller.
        reach: how far, in pixels of the input, a pixel of the output looks.
        grid: period of the operation in pixels of the input, for instance JPEG's blocks; 1 if there is none.
    """

    shrink: int = 1
    reach: int = 0
    grid: int = 1

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
        return f"{type(self).__name__}-{fingerprint(self, (Step,))}"

    def __call__(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        raise NotImplementedError


class Degradation:
    """A chain of steps that turns HR into LR.

    Args:
        scale: by how much LR is smaller; the steps' factors must multiply to it.
        steps: in the order in which they are applied.

    Raises:
        UserError: the steps do not shrink by `scale`.
    """

    def __init__(self, scale: int, steps: Sequence[Step]) -> None:
        self.scale = scale
        self.steps = list(steps)
        shrink = math.prod(s.shrink for s in self.steps)
        if shrink != scale:
            raise UserError(
                f"the degradation's steps {[type(s).__name__ for s in self.steps]} shrink by {shrink}, but scale is "
                f"{scale}: one of them must be _target_: sr.degradation.MatlabBicubic with scale: ${{scale}}"
            )

    @property
    def deterministic(self) -> bool:
        """Whether LR depends on HR alone; such LR is computed once and cached."""
        return all(s.deterministic for s in self.steps)

    @property
    def symmetric(self) -> bool:
        """Whether averaging over flips and quarter turns (x8 self-ensemble) is legitimate."""
        return all(s.symmetric for s in self.steps)

    @property
    def key(self) -> str:
        """Names all that LR depends on besides HR."""
        own = "" if type(self) is Degradation else f"{type(self).__name__}-{fingerprint(self, (Degradation, Step))}:"
        return own + "+".join(s.key for s in self.steps)

    @property
    def margin(self) -> int:
        """LR pixels around a crop that are needed for the crop to equal that of the whole image."""
        hr_pixels, factor = 0, 1
        for step in self.steps:
            hr_pixels += step.reach * factor
            factor *= step.shrink
        return math.ceil(hr_pixels / self.scale)

    @property
    def grid(self) -> int:
        """Period, in LR pixels, at which a crop must start for the steps' blocks to lie as in the whole image."""
        period, factor = self.scale, 1
        for step in self.steps:
            period = math.lcm(period, step.grid * factor)
            factor *= step.shrink
        return period // self.scale

    def __call__(self, hr: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Degrade one image.

        Args:
            hr: (3, H, W) uint8, H and W multiples of `scale`.
            generator: where random steps draw from; may be None if `deterministic`.

        Returns:
            (3, H / scale, W / scale) uint8, rounded half up once after the last float step.
        """
        x = hr
        for step in self.steps:
            x = step(x, generator)
        return x if x.dtype == torch.uint8 else (x * 255 + 0.5).floor_().clamp_(0, 255).to(torch.uint8)


def as_float(x: Tensor) -> Tensor:
    """uint8 -> float32 in [0, 1]; floats unchanged."""
    return x.float() / 255 if x.dtype == torch.uint8 else x


def fixed_or_range(value: Any, name: str) -> tuple[float, float]:
    """`value` or `[low, high]` as (low, high)."""
    low, high = (value, value) if isinstance(value, (int, float)) else tuple(value)
    if not low <= high:
        raise UserError(f"{name}={list(value)}: give [low, high] with low <= high, or one number")
    return float(low), float(high)


def draw(bounds: tuple[float, float], generator: torch.Generator | None) -> float:
    """A uniform value from the bounds; the generator is left alone when they are equal."""
    low, high = bounds
    if low == high:
        return low
    return low + (high - low) * torch.rand((), generator=generator, dtype=torch.float64).item()
