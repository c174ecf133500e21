"""A recorded network: operations, the parts of pictures that they are made of, and those at one place or at all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Span = tuple[int, int]
Region = tuple[Span, Span]
Parts = Sequence[Tensor | None]  # of the inputs; None where nothing of one is needed


class Node:
    """One operation of a recorded network on a picture.

    Args:
        shape: of its whole result.
        dtype: of its result.
        inputs: the operations whose results it takes.
        rule: see `Rule`.
        cost: multiplications for each value of its result.
        device: where it is made; None: where its inputs are.
    """

    count = 0

    def __init__(
        self,
        shape: Sequence[int],
        dtype: torch.dtype,
        inputs: Sequence["Node"],
        rule: "Rule",
        cost: int = 1,
        device: torch.device | None = None,
    ) -> None:
        self.shape, self.dtype, self.inputs, self.rule, self.cost = tuple(shape), dtype, list(inputs), rule, cost
        self.device: torch.device = device or inputs[0].device
        self.finished = isinstance(rule, Reduce)
        if isinstance(rule, Whole) and not all(i.small for i in inputs):
            for one in (self, *inputs):
                one.finished = True
        self.early = False  # made as soon as its inputs are, so that they can go
        self.rank: int = max((i.rank + i.finished for i in inputs), default=0)
        Node.count += 1
        self.number = Node.count  # inputs have lower ones

    finished: bool  # what follows looks at the whole of its result, which must be finished before

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return (self.shape[-2], self.shape[-1]) if len(self.shape) > 1 else (1, 1)

    @property
    def all(self) -> Region:
        return (0, self.size[0]), (0, self.size[1])

    @property
    def small(self) -> bool:
        """A value a channel, or about that."""
        return len(self.shape) < 3 or self.size[0] * self.size[1] <= 4

    @property
    def channels(self) -> int:
        """Values at each place."""
        return torch.Size(self.shape[:-2] if len(self.shape) > 1 else self.shape).numel()

    def bytes(self, region: Region) -> int:
        """What a part of it takes in memory."""
        (top, bottom), (left, right) = region
        return self.channels * (bottom - top) * (right - left) * self.dtype.itemsize


def cut(part: Tensor, have: Region, want: Region) -> Tensor:
    """A smaller part of a part."""
    if have == want or part.ndim < 2:
        return part
    rows, columns = (slice(w[0] - h[0], w[1] - h[0]) for h, w in zip(have, want, strict=True))
    return part[..., rows, columns]


class Rule:
    """See the module; a rule for which both axes are alike has only `span` to define."""

    inside: int = 0  # bytes that the work takes for each place of its input, beside that and the result

    def needs(self, node: Node, region: Region) -> list[Region | None]:
        """The part of each input that a part of the result needs."""
        sizes = node.inputs[0].size
        rows, columns = (self.span(axis, region[axis], sizes[axis]) for axis in (0, 1))
        return [(rows, columns)]

    def span(self, axis: int, span: Span, n: int) -> Span:
        """On one axis of an input with n places."""
        raise NotImplementedError

    def make(self, node: Node, region: Region, parts: Parts) -> Tensor:
        """The part of the result, from those parts."""
        raise NotImplementedError

    def one(self, parts: Parts) -> Tensor:
        assert parts[0] is not None
        return parts[0]


@dataclass
class Constant(Rule):
    """A tensor of the network that has a value for each place."""

    value: Tensor

    def needs(self, node: Node, region: Region) -> list[Region | None]:
        return []

    def make(self, node: Node, region: Region, parts: Parts) -> Tensor:
        return cut(self.value, node.all, region)


@dataclass
class Pointwise(Rule):
    """Each place by itself; an input of one row or column serves all."""

    call: Callable[..., Tensor]
    pieces: Sequence[Node] = ()  # of which it is the concatenation over channels

    def needs(self, node: Node, region: Region) -> list[Region | None]:
        found: list[Region | None] = []
        for source in node.inputs:
            rows, columns = ((0, 1) if n == 1 else span for span, n in zip(region, source.size, strict=True))
            found.append((rows, columns))
        return found

    def make(self, node: Node, region: Region, parts: Parts) -> Tensor:
        return self.call(*parts)


@dataclass
class Whole(Rule):
    """An operation that is not known to be local."""

    call: Callable[..., Tensor]
    name: str

    def needs(self, node: Node, region: Region) -> list[Region | None]:
        return [source.all for source in node.inputs]

    def make(self, node: Node, region: Region, parts: Parts) -> Tensor:
        return cut(self.call(*parts), node.all, region)


@dataclass
class Reduce(Rule):
    """A sum or an extreme over all places, and `finish` of it; made tile by tile, see `sr.deploy.tiling.walk`."""

    part: Callable[[Tensor], Tensor]
    joined: Callable[[Tensor, Tensor], Tensor]
    finish: Callable[[Tensor], Tensor]

    def needs(self, node: Node, region: Region) -> list[Region | None]:
        return [node.inputs[0].all]

    def make(self, node: Node, region: Region, parts: Parts) -> Tensor:
        return self.finish(self.part(self.one(parts)))
