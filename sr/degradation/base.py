"""How LR is made from HR: steps in order, seeded, with what a cache and a crop need to know about them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sr.degradation.filters import Filter, joined
from sr.degradation.fingerprint import fingerprint
from sr.degradation.parts import Part, moved
from sr.degradation.randomness import Randomness, words_of
from sr.degradation.step import Step, bundled, seed_of
from sr.errors import UserError
from sr.imaging.banded import plain
from sr.memory import sent

BEYOND = 4.0  # what noise or ringing never reaches
FARTHEST = 1024  # pixels around one that a step may look: a Gaussian of sigma 300, and a kernel of 4 million weights
TOGETHER = 2**18  # pixels of the last step's input that a processor takes at once: more do not stay in its cache


@dataclass(frozen=True)
class Parts:
    """What each step of a chain sees of the pictures of a batch, and what it draws from.

    Attributes:
        read: the input of each step, in its own pixels; where the step says what is beyond the border, it may lie
            there.
        given: what there is of that input: for the first step of HR; and last LR, which is wanted.
        within: where in each step's output what is wanted of it begins: row and column, or None where they differ.
        words: (steps, B, 4) int64, see `words_of`.
        together: whether they are of one size, and those at the border lie beyond it.
    """

    read: list[Part]
    given: list[Part]
    within: list[tuple[int, int] | None]
    words: Tensor
    together: bool

    def of(self, batch: slice) -> "Parts":
        """Of some of the pictures."""
        read, given = ([p.of(batch) for p in parts] for parts in (self.read, self.given))
        return replace(self, read=read, given=given, words=self.words[:, batch])

    def to(self, device: torch.device) -> "Parts":
        """With tensors there."""
        read, given = ([p.to(device) for p in parts] for parts in (self.read, self.given))
        return replace(self, read=read, given=given, words=sent(self.words, device))


class Degradation:
    """A chain of steps that turns HR into LR.

    Args:
        scale: by how much LR is smaller; the steps' factors must multiply to it.
        steps: in the order in which they are applied.

    Raises:
        UserError: the steps do not shrink by `scale`, or look so far that their kernels would fill the memory.
    """

    def __init__(self, scale: int, steps: Sequence[Step]) -> None:
        self.scale = scale
        self.steps = list(steps)
        for step in self.steps:
            if step.reach > FARTHEST:
                raise UserError(
                    f"{type(step).__name__} looks {step.reach:,} pixels around each, {FARTHEST:,} at most: wanted is a "
                    "smaller sigma, size or margin"
                )
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
    def _own(self) -> bool:
        return type(self).__call__ is not Degradation.__call__

    @property
    def alone(self) -> str:
        """What takes one image at a time, a step or the whole chain of one's own; empty if nothing does."""
        return type(self).__name__ if self._own else next((type(s).__name__ for s in self.steps if s.alone), "")

    @property
    def edge(self) -> str:
        """What stands for pixels of HR beyond the border where `parts` wants them."""
        return self.steps[0].edge or "replicate"

    def parts(self, start: Any, size: tuple[int, int], whole: Any, seeds: Any, together: bool) -> Parts:
        """What some of LR depends on, so that it equals that of the whole images.

        Args:
            start: (2, B): row and column of the first LR pixel that is wanted.
            size: rows and columns that are wanted.
            whole: (2, B): rows and columns of all LR.
            seeds: one for each image.
            together: for a batch: parts of one size, which may lie beyond the border. Else for one image, and none
                does; where something is `alone` it must be so.
        """
        read, within = list[Part](), list[tuple[int, int] | None]()
        given = [Part(np.asarray(start, np.int64), size, np.asarray(whole, np.int64))]
        for _, step in reversed(joined(self.steps)):
            sides = np.array(given[-1].size)[:, None]
            corner, sides = _reached(step, given[-1].start, sides, most=not together)
            own = Part(corner, tuple(sides.max(1).tolist()), given[-1].whole * step.shrink)
            inside = own if together else _inside(own)
            read.append(own if isinstance(step, Filter) and step.valid else inside)
            shift = given[-1].start - read[-1].start // step.shrink
            within.append(tuple(shift[:, 0].tolist()) if (shift == shift[:, :1]).all() else None)
            given.append(inside)
        if self._own:
            start = given[-1].start // self.scale * self.scale
            given[-1] = Part(start, tuple((given[-1].whole - start)[:, 0].tolist()), given[-1].whole)
        words = torch.from_numpy(words_of(seeds, len(self.steps)))
        return Parts(read[::-1], given[::-1], within[::-1], words, together)

    def groups(self, start: Any, size: tuple[int, int]) -> list[list[int]]:
        """Numbers of the crops of a batch: first those that the fewest blocks hold, then the others.

        Args:
            start: see `parts`.
            size: see `parts`.
        """
        at, sides = np.asarray(start, np.int64), np.array(size)[:, None]
        for _, step in reversed(joined(self.steps)):
            at, sides = _reached(step, at, sides)
        pixels = np.broadcast_to(sides, at.shape).prod(0)
        few = pixels == pixels.min()
        return [found for some in (few, ~few) if (found := np.flatnonzero(some).tolist())]

    def __call__(self, hr: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Degrade one image.

        Args:
            hr: (3, H, W) uint8, H and W multiples of `scale`.
            generator: where random steps draw their seed from; may be None if `deterministic`.

        Returns:
            (3, H / scale, W / scale) uint8, rounded half up once after the last float step.
        """
        h, w = (side // self.scale for side in hr.shape[-2:])
        parts = self.parts([[0], [0]], (h, w), [[h], [w]], [seed_of(generator)], together=False)
        return self._degraded(hr[None], parts.to(hr.device))[0]

    def batch(self, hr: Tensor, parts: Parts) -> Tensor:
        """Degrade parts of images.

        Args:
            hr: (B, 3, H, W) uint8: of each image the first part that is given, on any device.
            parts: see `parts`; tensors there.

        Returns:
            (B, 3, h, w) uint8.
        """
        if self._own:
            (image,), first = hr, parts.given[0]
            lr = self(image, Randomness(parts.words, first).generator(0))[None]
            return moved(lr, first.shrunk(self.scale), parts.given[-1], "replicate")
        if plain(hr) is None:
            return self._degraded(hr, parts)
        count = max(1, TOGETHER // math.prod(parts.read[-1].size))
        some = [slice(first, first + count) for first in range(0, len(hr), count)]
        threads = torch.get_num_threads()
        try:
            torch.set_num_threads(1)  # of so little work most of the time of several would go into waiting
            return torch.cat([self._degraded(hr[own], parts.of(own)) for own in some])
        finally:
            torch.set_num_threads(threads)

    def _degraded(self, x: Tensor, parts: Parts) -> Tensor:
        chain = zip(joined(self.steps), parts.read, pairwise(parts.given), parts.within, strict=True)
        for (number, step), read, (given, wanted), within in chain:
            if step.edge and (number or not parts.together):
                x = moved(x, given, read, step.edge)
            draws = Randomness(parts.words[number:], read)
            if isinstance(step, Filter) and step.valid:
                x = step.filtered(x, draws)
                continue
            own = type(step).__call__ is not Step.__call__  # for one image at a time
            x = Step.batch(step, x, draws) if own else step.batch(x, draws)
            if not bundled(step):
                _refuse_levels(x, step)
            if within is None:
                x = moved(x, read.shrunk(step.shrink), wanted, "replicate")
            else:
                x = x.narrow(2, within[0], wanted.size[0]).narrow(3, within[1], wanted.size[1])
        return x if x.dtype == torch.uint8 else (x * 255 + 0.5).floor_().clamp_(0, 255).to(torch.uint8)


def _refuse_levels(x: Tensor, step: Step) -> None:
    """Floats are in [0, 1], or a little beyond; of a step of one's own they may be levels, which would all be white."""
    if x.is_floating_point() and x.numel() and not (largest := float(x.abs().max())) < BEYOND:
        raise UserError(
            f"the degradation's step {type(step).__name__} returns floats up to {largest:g}: floats are in [0, 1]. "
            "Divide them by 255, or return uint8"
        )


def _reached(step: Step, start: np.ndarray, sides: np.ndarray, most: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Where what a step looks at begins, (2, B), and how many rows and columns that is, (2, B) or (2, 1).

    Of whole blocks there may be one more where they begin elsewhere; with `most` it is counted always.
    """
    if isinstance(step, Filter) and step.valid:
        return start * step.shrink + step.first, (sides - 1) * step.shrink + step.taps
    block, first = math.lcm(step.grid, step.shrink), start * step.shrink - step.reach
    before = max((n * step.shrink - step.reach) % block for n in range(block)) if most else first % block
    return first // block * block, -(-(before + sides * step.shrink + 2 * step.reach) // block) * block


def _inside(part: Part) -> Part:
    """What of one image's part is inside of it."""
    start = part.start.clip(min=0)
    rows, columns = (np.minimum(part.start + np.array(part.size)[:, None], part.whole) - start)[:, 0].tolist()
    return Part(start, (rows, columns), part.whole)
