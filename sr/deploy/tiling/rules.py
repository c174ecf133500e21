"""Operations that look around: which part of its inputs each needs for a part of its result, and how it makes that.

Each rule knows the whole sizes, so that padding is made at the borders of the picture and never at those of a tile, and
strides and enlargements keep the phase that they have in the whole.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sr.deploy.tiling.nodes import Node, Parts, Region, Rule, Span, cut
from sr.imaging.resize import imresize

Pair = tuple[int, int]


@dataclass
class Window(Rule):
    """Convolution and pooling: `call` takes the rows and columns of zeros to put around its input."""

    call: Callable[[Tensor, Pair], Tensor]
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair = (1, 1)
    outside: float = 0.0  # what the padding is of

    def _wanted(self, axis: int, span: Span) -> Span:
        first = span[0] * self.stride[axis] - self.padding[axis]
        last = (span[1] - 1) * self.stride[axis] - self.padding[axis] + self.dilation[axis] * (self.kernel[axis] - 1)
        return first, last + 1

    def span(self, axis: int, span: Span, n: int) -> Span:
        return inside(self._wanted(axis, span), n)

    def make(self, node: Node, region: Region, parts: Parts) -> Tensor:
        wanted = [self._wanted(axis, region[axis]) for axis in (0, 1)]
        have = [inside(span, n) for span, n in zip(wanted, node.inputs[0].size, strict=True)]
        before = [h[0] - w[0] for h, w in zip(have, wanted, strict=True)]
        after = [w[1] - h[1] for h, w in zip(have, wanted, strict=True)]
        x = self.one(parts)
        if self.outside or self.stride != (1, 1):
            frame = (before[1], after[1], before[0], after[0])
            return self.call(F.pad(x, frame, value=self.outside) if any(frame) else x, (0, 0))
        # Zeros on both sides, where one needs some, spare the copy that padding is; what is too much is cut off.
        rows, columns = (max(pair) for pair in zip(before, after, strict=True))
        first = (region[0][0] - rows + before[0], region[1][0] - columns + before[1])
        y = self.call(x, (rows, columns))
        made = ((first[0], first[0] + y.shape[-2]), (first[1], first[1] + y.shape[-1]))
        return cut(y, made, region)


def inside(span: Span, n: int) -> Span:
    """Cut to the picture, of which at least one place remains."""
    first = min(max(span[0], 0), n - 1)
    return first, max(min(span[1], n), first + 1)


@dataclass
class Enlarging(Rule):
    """What makes `factor` places of each: `call` of a part with `margin` more on each side, cut to what was asked.

    Place 0 of what `call` makes of a part that starts at place i lies at ``i * factor - offset`` of the whole.
    """

    call: Callable[[Tensor], Tensor]
    factor: Pair
    margin: Pair = (0, 0)
    offset: Pair = (0, 0)

    def span(self, axis: int, span: Span, n: int) -> Span:
        first, last = (place + self.offset[axis] for place in (span[0], span[1] - 1))
        factor, margin = self.factor[axis], self.margin[axis]
        return inside((first // factor - margin, last // factor + 1 + margin), n)

    def make(self, node: Node, region: Region, parts: Parts) -> Tensor:
        y = self.call(self.one(parts))
        spans = []
        for axis in (0, 1):
            start = self.span(axis, region[axis], node.inputs[0].size[axis])[0]
            first = start * self.factor[axis] - self.offset[axis]
            spans.append((first, first + y.shape[axis - 2]))
        return cut(y, (spans[0], spans[1]), region)


@dataclass
class Unshuffle(Rule):
    """Pixels of squares of side `factor` into channels."""

    factor: int

    def span(self, axis: int, span: Span, n: int) -> Span:
        return span[0] * self.factor, span[1] * self.factor

    def make(self, node: Node, region: Region, parts: Parts) -> Tensor:
        return F.pixel_unshuffle(self.one(parts), self.factor)


@dataclass
class Slice(Rule):
    """A rectangle, and what `call` does to the other dimensions."""

    first: Pair
    call: Callable[[Tensor], Tensor]

    def span(self, axis: int, span: Span, n: int) -> Span:
        return span[0] + self.first[axis], span[1] + self.first[axis]

    def make(self, node: Node, region: Region, parts: Parts) -> Tensor:
        return self.call(self.one(parts))


@dataclass
class Pad(Rule):
    """A frame of a value, of the border's own values, or mirrored at them; negative sizes are no frame's."""

    before: Pair
    mode: str
    value: float

    def span(self, axis: int, span: Span, n: int) -> Span:
        first, last = span[0] - self.before[axis], span[1] - self.before[axis]
        if self.mode == "reflect":  # place -k is place k, and n - 1 + k is n - 1 - k
            mirrored = [first, last, *([1 - first] if first < 0 else []), *([2 * n - 1 - last] if last > n else [])]
            first, last = min(mirrored), max(mirrored)
        return inside((first, last), n)

    def make(self, node: Node, region: Region, parts: Parts) -> Tensor:
        frame: list[int] = []
        crop: list[Span] = []
        for axis in (1, 0):
            first, last = (place - self.before[axis] for place in region[axis])
            have = self.span(axis, region[axis], node.inputs[0].size[axis])
            frame += [max(0, have[0] - first), max(0, last - have[1])]
            crop.insert(0, (min(first, have[0]), max(last, have[1])))
        wanted = tuple((span[0] - b, span[1] - b) for span, b in zip(region, self.before, strict=True))
        x = F.pad(self.one(parts), frame, self.mode, self.value if self.mode == "constant" else None)
        return cut(x, (crop[0], crop[1]), (wanted[0], wanted[1]))


@dataclass
class Joined(Rule):
    """Parts beside or below each other; `axis` is 0 for rows."""

    axis: int

    def _pieces(self, node: Node, region: Region) -> list[Region | None]:
        found: list[Region | None] = []
        start = 0
        for source in node.inputs:
            n = source.size[self.axis]
            first, last = max(region[self.axis][0] - start, 0), min(region[self.axis][1] - start, n)
            own = [region[0], region[1]]
            own[self.axis] = (first, last)
            found.append((own[0], own[1]) if first < last else None)
            start += n
        return found

    def needs(self, node: Node, region: Region) -> list[Region | None]:
        return self._pieces(node, region)

    def make(self, node: Node, region: Region, parts: Parts) -> Tensor:
        return torch.cat([part for part in parts if part is not None], dim=self.axis - 2)


@dataclass
class Flip(Rule):
    """The picture mirrored on one axis."""

    axis: int

    def span(self, axis: int, span: Span, n: int) -> Span:
        return (n - span[1], n - span[0]) if axis == self.axis else span

    def make(self, node: Node, region: Region, parts: Parts) -> Tensor:
        return self.one(parts).flip(self.axis - 2)


class Transpose(Rule):
    """Rows and columns exchanged."""

    def needs(self, node: Node, region: Region) -> list[Region | None]:
        return [(region[1], region[0])]

    def make(self, node: Node, region: Region, parts: Parts) -> Tensor:
        return self.one(parts).transpose(-2, -1)


@dataclass
class Interpolate(Rule):
    """Bilinear or nearest, corners not aligned, in torch's own coordinates, which are of single precision."""

    step: tuple[float, float]  # of the input for a place of the output
    bilinear: bool

    def _places(self, axis: int, span: Span, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """The two places that each output lies between, and how much of the second it takes."""
        out = torch.arange(span[0], span[1], dtype=torch.float32)
        step = torch.tensor(self.step[axis], dtype=torch.float32)
        source = (step * (out + 0.5) - 0.5).clamp(min=0) if self.bilinear else step * out
        first = source.floor().long().clamp(max=n - 1)
        return first, (first + 1).clamp(max=n - 1), (source - first) if self.bilinear else torch.zeros_like(source)

    def span(self, axis: int, span: Span, n: int) -> Span:
        first, second, _ = self._places(axis, (span[0], span[0] + 1), n)
        last = self._places(axis, (span[1] - 1, span[1]), n)[1]
        return int(first[0]), max(int(second[0]), int(last[0])) + 1

    def make(self, node: Node, region: Region, parts: Parts) -> Tensor:
        x = self.one(parts)
        for axis in (0, 1):
            n = node.inputs[0].size[axis]
            start = self.span(axis, region[axis], n)[0]
            first, second, share = self._places(axis, region[axis], n)
            a = x.index_select(axis - 2, (first - start).to(x.device))
            if self.bilinear:
                share = share.to(x)[:, None] if axis == 0 else share.to(x)
                a = a * (1 - share) + x.index_select(axis - 2, (second - start).to(x.device)) * share
            x = a
        return x


def bicubic(factor: int) -> Enlarging:
    """`imresize` by a whole factor: its cubic reaches two pixels."""
    return Enlarging(lambda x: imresize(x, factor), (factor, factor), margin=(3, 3))
