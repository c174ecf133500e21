"""How LR is made from HR: steps in order, seeded, with what a cache and a crop need to know about them."""

import math
from collections.abc import Sequence
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from sr.degradation.fingerprint import fingerprint
from sr.degradation.randomness import Randomness
from sr.degradation.step import Step, seed_of
from sr.errors import UserError
from sr.imaging.banded import Band, filtered, of_matrix, product

Spans = Sequence[tuple[int, int]]  # of one side: see `Degradation.spans`
AT_MOST = 1024  # pixels a side of what steps in a row are made one filter for: its matrix grows with the square


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

    def spans(self, start: int, stop: int, length: int) -> list[tuple[int, int]]:
        """What of one side is needed for some of LR to equal that of the whole image.

        Args:
            start: of the LR pixels that are wanted.
            stop: of them, exclusive.
            length: of the whole side, LR pixels.

        Returns:
            (start, stop) of each step's input, in its own pixels, and last of LR.
        """
        found = [(start, stop)]
        for step in reversed(self.steps):
            length *= step.shrink
            block = math.lcm(step.grid, step.shrink)
            low, high = found[-1][0] * step.shrink - step.reach, found[-1][1] * step.shrink + step.reach
            found.append((max(0, low // block * block), min(length, -(-high // block) * block)))
        return found[::-1]

    def __call__(self, hr: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Degrade one image.

        Args:
            hr: (3, H, W) uint8, H and W multiples of `scale`.
            generator: where random steps draw their seed from; may be None if `deterministic`.

        Returns:
            (3, H / scale, W / scale) uint8, rounded half up once after the last float step.
        """
        h, w = (side // self.scale for side in hr.shape[-2:])
        return self.batch(hr[None], [seed_of(generator)], [self.spans(0, h, h)], [self.spans(0, w, w)])[0]

    def batch(self, hr: Tensor, seeds: Sequence[int], rows: Sequence[Spans], columns: Sequence[Spans]) -> Tensor:
        """Degrade parts of images in one go, on any device.

        Args:
            hr: (B, 3, H, W) uint8: of each whole image the first of its `rows` and `columns`.
            seeds: one per image.
            rows: of each image, see `spans`; all cut alike.
            columns: of each image, see `spans`; all cut alike.

        Returns:
            (B, 3, h, w) uint8: the last of `rows` and `columns`.
        """
        x = hr
        for number in range(len(self.steps)):
            x = self._step(number, x, seeds, rows, columns)
        return _bytes(x)

    def parts(
        self, hr: Sequence[Tensor], seeds: Sequence[int], rows: Sequence[Spans], columns: Sequence[Spans]
    ) -> list[Tensor]:
        """As `batch`, of parts (3, H, W) of any size, on a processor.

        Each is computed by itself, so that its company does not change its last bit, but step by step for all: so a
        step's code and tables stay in the processor's cache.
        """
        each = list(zip(seeds, rows, columns, strict=True))
        if type(self).__call__ is not Degradation.__call__:  # of the user's own
            made = [self(x, torch.Generator().manual_seed(seed)) for x, (seed, _, _) in zip(hr, each, strict=True)]
            return [
                _inner(x, self.scale, (r[0], r[-1]), (c[0], c[-1])) for x, (_, r, c) in zip(made, each, strict=True)
            ]
        x, number = [part[None] for part in hr], 0
        while number < len(self.steps):
            end = self._lines(number)
            x = [self._advanced(number, end, one, *own) for one, own in zip(x, each, strict=True)]
            number = max(end, number + 1)
        return [_bytes(part)[0] for part in x]

    def _lines(self, number: int) -> int:
        """The end of the steps from this one on that are one filter; the first must be one that works in floats."""
        end = number
        while end < len(self.steps) and (self.steps[end].floats or end > number) and self.steps[end].is_line:
            end += 1
        return end

    def _advanced(self, number: int, end: int, x: Tensor, seed: int, rows: Spans, columns: Spans) -> Tensor:
        if end > number and max(x.shape[-2:]) <= AT_MOST:
            return self._filtered(number, end, x, seed, rows, columns)
        for k in range(number, max(end, number + 1)):
            x = self._step(k, x, [seed], [rows], [columns])
        return x

    def _filtered(self, number: int, end: int, x: Tensor, seed: int, rows: Spans, columns: Spans) -> Tensor:
        """The steps up to `end` on one image (1, 3, H, W), as one filter along each side."""
        found: dict[tuple[tuple[int, int, int], ...], list[Band]] = {}  # often the same for both sides
        sides = []
        for spans in (rows[number : end + 1], columns[number : end + 1]):
            cuts = tuple(
                (high - low, start - low // step.shrink, stop - low // step.shrink)
                for step, (low, high), (start, stop) in zip(self.steps[number:end], spans[:-1], spans[1:], strict=True)
            )
            if cuts not in found:
                lines = [
                    self.steps[k].line(n, Randomness([seed], k))[start:stop]
                    for k, (n, start, stop) in enumerate(cuts, number)
                ]
                found[cuts] = of_matrix(reduce(lambda whole, line: product(line, whole), lines))
            sides.append(found[cuts])
        y = filtered(filtered(x[0].numpy(), 1, sides[0], np.float32), 2, sides[1], np.float32)
        return torch.from_numpy(y / np.float32(255) if x.dtype == torch.uint8 else y)[None]

    def _step(
        self, number: int, x: Tensor, seeds: Sequence[int], rows: Sequence[Spans], columns: Sequence[Spans]
    ) -> Tensor:
        """One step, and of its output what the next one needs."""
        step = self.steps[number]
        corner = [(r[number][0], c[number][0]) for r, c in zip(rows, columns, strict=True)]
        draws = Randomness(seeds, number, corner)
        own = type(step).__call__ is not Step.__call__  # for one image at a time
        x = Step.batch(step, x, draws) if own else step.batch(x, draws)
        return _inner(x, step.shrink, rows[0][number:], columns[0][number:])


def _inner(x: Tensor, shrink: int, rows: Spans, columns: Spans) -> Tensor:
    """Of what was made from the first spans, the second."""
    for dim, ((low, _), (start, stop), *_rest) in ((-2, rows), (-1, columns)):
        x = x.narrow(dim, start - low // shrink, stop - start)
    return x


def _bytes(x: Tensor) -> Tensor:
    return x if x.dtype == torch.uint8 else (x * 255 + 0.5).floor_().clamp_(0, 255).to(torch.uint8)
