"""Attention within windows as rules: a part of its result needs the whole windows that it lies in, and no more."""

from dataclasses import dataclass

from torch import Tensor

from sr.deploy.tiling.nodes import Node, Parts, Pointwise, Region, Rule, Span, cut
from sr.deploy.tiling.picture import Picture, kind, local
from sr.deploy.tiling.rules import inside
from sr.layers.windows import PlaceNorm, WindowLayer


@dataclass
class Windows(Rule):
    """Each window by itself; those of a shifted layer reach over the picture's borders."""

    layer: WindowLayer

    def _wanted(self, span: Span) -> Span:
        """The whole windows that a part lies in."""
        side, shift = self.layer.window, self.layer.shift
        first, last = (span[0] + shift) // side, -(-(span[1] + shift) // side)
        return first * side - shift, last * side - shift

    def span(self, axis: int, span: Span, n: int) -> Span:
        return inside(self._wanted(span), n)

    def make(self, node: Node, region: Region, parts: Parts) -> Tensor:
        have = [self.span(axis, region[axis], node.size[axis]) for axis in (0, 1)]
        (top, bottom), (left, right) = (
            (own[0] - wanted[0], wanted[1] - own[1])
            for own, wanted in zip(have, map(self._wanted, region), strict=True)
        )
        made = self.layer.of_part(self.one(parts), (left, right, top, bottom))
        return cut(made, (have[0], have[1]), region)


@kind
def _window_layer(layer: WindowLayer, x: Picture) -> Picture:
    return local(x, x.shape, Windows(layer), 16 * x.shape[-3])


@kind
def _place_norm(norm: PlaceNorm, x: Picture) -> Picture:
    return local(x, x.shape, Pointwise(norm), 2)
