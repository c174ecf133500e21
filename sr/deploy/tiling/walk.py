"""A recorded network walked over a picture tile by tile."""

import logging
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from sr.deploy.tiling.maps import Map
from sr.deploy.tiling.nodes import Node, Reduce, Region, Span, Whole, cut
from sr.deploy.tiling.plan import Step, peak, way

log = logging.getLogger(__name__)
PIECE = 2**24  # bytes of the result that are given away at a time
SMALLEST = 16  # LR pixels: below that nothing is gained by smaller tiles


def ran_out(error: BaseException) -> bool:
    """Whether memory ran out, of the device or of the host."""
    words = ("not enough memory", "can't allocate memory", "out of memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def evenly(span: Span, side: int) -> list[Span]:
    """Cut into the fewest parts of at most `side`, as alike as can be."""
    first, last = span
    parts = -(-(last - first) // max(1, side))
    edges = [first + (last - first) * n // parts for n in range(parts + 1)]
    return list(pairwise(edges))


def pieces(x: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Its rows, a few at a time, and the number of the first: who takes them makes copies."""
    few = max(1, PIECE // x[..., :1, :].nbytes)
    yield from ((n, x[..., n : n + few, :]) for n in range(0, x.shape[-2], few))


class Walk:
    """The steps of a plan, on tiles that fit.

    Args:
        steps: of `planned`, the last one for the result.
        source: the picture's node.
        lr: the picture, on the host.
        device: where tiles are computed.
        room: bytes that the work on a tile may take.
        tile: side of the tiles in LR pixels; None: as large as there is room for.
        folder: for features of the whole; None: in memory.
        half: whether these are kept in half precision.
    """

    def __init__(
        self, steps: list[Step], source: Node, lr: Tensor, device: torch.device, room: int, tile: int | None,
        folder: Path | None, half: bool = False,
    ) -> None:  # fmt: skip
        self.steps, self.lr, self.device, self.room, self.tile, self.folder = steps, lr, device, room, tile, folder
        self.half = half
        self.maps = {source: Map(source)}
        self.maps[source].whole = lr
        self.values: dict[Node, Tensor] = {}  # sums and extremes, on the device
        self.limit = tile or max(lr.shape[-2:])

    def strips(self) -> Iterator[tuple[int, Tensor]]:
        """Rows of the result from the top, a few at a time: the number of the first, and (1, C, h, W) on the host."""
        *before, last = self.steps
        for step in before:
            self._keep(step)
        node = last.node
        side, per = self._side(last), node.size[0] / self.lr.shape[-2]
        kept = "features are kept in float16" if self.half else "the result is that of the whole picture to within 1e-5"
        log.info("in tiles of %d pixels; %s", side, kept)
        for rows in evenly((0, self.lr.shape[-2]), side):
            top, bottom = (round(row * per) for row in rows)
            strip = torch.empty((*node.shape[:-2], bottom - top, node.size[1]), dtype=node.dtype)
            for ((first, end), (left, right)), part in self._parts(node, ((top, bottom), (0, node.size[1])), side):
                strip[..., first - top : end - top, left:right] = part
            yield from ((top + n, few.clone()) for n, few in pieces(strip))
            del strip  # whose rows nobody else holds, while the next one is made

    def _keep(self, step: Step) -> None:
        """Make one map of the whole picture."""
        node, rule = step.node, step.node.rule
        if isinstance(rule, Reduce):
            total = None
            origin = node.inputs[0]
            for _, part in self._parts(origin, origin.all, self._side(Step(origin, step.reads))):
                one = rule.part(part)
                total = one if total is None else rule.joined(total, one)
            assert total is not None
            self.values[node] = rule.finish(total).to(self.device)
        else:
            made = self.maps[step.over] if step.over else Map(node, self.folder, self.half)
            if isinstance(rule, Whole):  # each part of which is made of all of its input
                made.write(node.all, self._part(node, node.all))
            else:
                for region, part in self._parts(node, node.all, self._side(step)):
                    made.write(region, part)
            self.maps[node] = made
        for old in step.last:
            self.maps.pop(old, None)
            self.values.pop(old, None)

    def _side(self, step: Step) -> int:
        """Of tiles that fit, in LR pixels."""
        side = self.limit
        while not self.tile and side > SMALLEST:
            region = tuple(
                (max(0, n // 2 - own // 2), min(n, n // 2 - own // 2 + own))
                for n, own in zip(step.node.size, self._own(step.node, side), strict=True)
            )
            if peak(step.node, (region[0], region[1]), step.reads) <= self.room:
                break
            side = max(SMALLEST, side * 4 // 5)
        return side

    def _own(self, node: Node, side: int) -> tuple[int, int]:
        """That side in a map's own pixels, of rows and columns."""
        rows, columns = (
            max(1, round(side * n / whole)) for n, whole in zip(node.size, self.lr.shape[-2:], strict=True)
        )
        return rows, columns

    def _parts(self, node: Node, whole: Region, side: int) -> Iterator[tuple[Region, Tensor]]:
        """Its parts on tiles; where memory runs out these are halved from there on."""
        todo: list[Region] = [whole]
        while todo:
            region = todo.pop()
            side = min(side, self.limit)
            rows, columns = (evenly(span, own) for span, own in zip(region, self._own(node, side), strict=True))
            if len(rows) * len(columns) > 1:
                todo += [(r, c) for r in reversed(rows) for c in reversed(columns)]
                continue
            try:
                part = self._part(node, region)
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error) or side <= SMALLEST:
                    raise
                part = None
            if part is None:  # outside of the handler, whose traceback holds on to the features
                self.limit = side // 2
                log.info("memory ran out: on with tiles of %d pixels", self.limit)
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                todo.append(region)
            else:
                yield region, part

    def _part(self, node: Node, region: Region) -> Tensor:
        """A part of a node's result, on the device."""
        there = [*self.maps, *self.values]
        parts, order, uses = way(node, region, there)
        made: dict[Node, Tensor] = dict(self.values)
        for one, part in parts.items():
            if one in self.maps:
                made[one] = self.maps[one].read(part, self.device)
        for one in order:
            wanted = one.rule.needs(one, parts[one])
            made[one] = one.rule.make(
                one,
                parts[one],
                [w and cut(made[i], parts[i], w) for i, w in zip(one.inputs, wanted, strict=True)],
            )
            for origin in one.inputs:
                uses[origin] -= 1
                if not uses[origin] and origin not in self.values:
                    made.pop(origin, None)
        return made[node]
