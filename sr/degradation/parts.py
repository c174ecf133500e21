"""Where parts of pictures lie, and how to get from one part to another.

A training crop of LR depends on a part of HR. Of a batch all parts have one size, so that they are computed together;
near the border of a picture they look beyond it, and what lies there is what each step takes it for.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sr.imaging.banded import plain
from sr.imaging.resize import OF_ARRAYS as EDGES
from sr.memory import sent


class Place(NamedTuple):
    """Where in one picture a part of it lies: rows, columns.

    Attributes:
        start: of its first pixel; may lie outside.
        low: its first row and column that are inside of the picture.
        high: behind the last ones.
        whole: of the picture.
    """

    start: list[int]
    low: list[int]
    high: list[int]
    whole: list[int]


class Part(NamedTuple):
    """A part of each picture of a batch.

    Attributes:
        start: (2, B) whole numbers, array or tensor: row and column of the first pixel; may lie outside.
        size: rows and columns, the same for all.
        whole: (2, B): rows and columns of the whole pictures.
    """

    start: Any
    size: tuple[int, int]
    whole: Any

    def of(self, batch: slice) -> "Part":
        """The part of some of the pictures."""
        return Part(self.start[:, batch], self.size, self.whole[:, batch])

    def to(self, device: torch.device) -> "Part":
        """With tensors there."""
        start, whole = (sent(torch.as_tensor(v), device) for v in (self.start, self.whole))
        return Part(start, self.size, whole)

    def on_host(self) -> "Part":
        """With arrays."""
        return Part(np.asarray(self.start), self.size, np.asarray(self.whole))

    def on_pictures(self) -> list[Place]:
        """Of each picture; of arrays."""
        low, high = np.maximum(0, -self.start), np.minimum(np.array(self.size)[:, None], self.whole - self.start)
        found = (v.T.tolist() for v in (self.start, low, high, self.whole))
        return [Place(*place) for place in zip(*found, strict=True)]

    def shrunk(self, by: int) -> "Part":
        """The part of pictures that are smaller by a whole number."""
        return self if by == 1 else Part(self.start // by, (self.size[0] // by, self.size[1] // by), self.whole // by)

    def places(self, edge: str) -> tuple[Any, Any]:
        """Numbers of the rows (B, h) and columns (B, w) in the whole picture, of those outside what stands for them."""
        found = []
        for start, size, whole in zip(self.start, self.size, self.whole, strict=True):
            along = torch.arange(size, device=start.device) if isinstance(start, Tensor) else np.arange(size)
            found.append(EDGES[edge](start[:, None] + along, whole[:, None]))
        return found[0], found[1]


def moved(x: Tensor, at: Part, to: Part, edge: str) -> Tensor:
    """The pixels of another part.

    Args:
        x: (B, C, H, W): the pixels of the part `at`; may be written to.
        at: where they lie.
        to: what is wanted; what is inside the picture must be inside `at`, too.
        edge: what stands for pixels outside the picture, "mirror" or "replicate".

    Returns:
        (B, C, h, w), a view of `x` where it can be one.
    """
    if (array := plain(x)) is not None:
        return torch.from_numpy(_copied(array, at.on_host(), to.on_host(), edge))
    for dim, index in enumerate(to.places(edge)):
        index = (index - at.start[dim][:, None]).clip(0, at.size[dim] - 1)
        shape = [*x.shape[:2], *(to.size[0], x.shape[3])] if dim == 0 else [*x.shape[:2], *to.size]
        x = x.gather(2 + dim, index[:, None, :, None].expand(shape) if dim == 0 else index[:, None, None].expand(shape))
    return x


def _copied(x: np.ndarray, at: Part, to: Part, edge: str) -> np.ndarray:
    shift, (h, w) = to.start - at.start, to.size
    beyond = (to.start < 0) | (to.start + np.array(to.size)[:, None] > to.whole)
    if not beyond.any() and (shift == shift[:, :1]).all():
        top, left = shift[:, 0].tolist()
        return x[..., top : top + h, left : left + w]
    places = to.on_pictures()
    if x.shape[2:] == to.size and not shift.any():
        for number in np.flatnonzero(beyond.any(0)).tolist():
            _fill(x[number], places[number], edge)
        return x
    y = np.empty((*x.shape[:2], h, w), x.dtype)
    for number, (place, corner) in enumerate(zip(places, at.start.T.tolist(), strict=True)):
        cut_out(x[number], place, edge, y[number], corner)
    return y


def cut_out(picture: np.ndarray, place: Place, edge: str, into: np.ndarray, at: Sequence[int] = (0, 0)) -> None:
    """Copy a part of one picture.

    Args:
        picture: (..., H, W).
        place: where it lies.
        edge: what stands for pixels outside the picture, "mirror" or "replicate".
        into: (..., h, w).
        at: row and column of the first of the picture's pixels, where it is a part itself.
    """
    (top, left), (bottom, right) = place.low, place.high
    down, across = (first - corner for first, corner in zip(place.start, at, strict=True))
    into[..., top:bottom, left:right] = picture[..., top + down : bottom + down, left + across : right + across]
    _fill(into, place, edge)


def _fill(into: np.ndarray, place: Place, edge: str) -> None:
    """Fill what lies outside of the picture; columns first, so that corners follow."""
    low, high, size = place.low, place.high, into.shape[-2:]
    columns = into[..., low[0] : high[0], :].swapaxes(-1, -2)
    for axis, lines in ((1, columns), (0, into)):
        for first, end, border in ((0, low[axis], low[axis]), (high[axis], size[axis], high[axis])):
            if first >= end:
                continue
            mirror = slice(2 * border - end, 2 * border - first)
            if edge == "replicate":
                last = border if first == 0 else border - 1
                lines[..., first:end, :] = lines[..., last : last + 1, :]
            elif edge == "mirror" and low[axis] <= mirror.start and mirror.stop <= high[axis]:
                lines[..., first:end, :] = lines[..., mirror, :][..., ::-1, :]
            else:  # a picture that is reflected again and again
                start = place.start[axis]
                inside = EDGES[edge](np.arange(first, end) + start, place.whole[axis]) - start
                lines[..., first:end, :] = lines[..., inside.clip(0, size[axis] - 1), :]
