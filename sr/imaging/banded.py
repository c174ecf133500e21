"""Filters along one side of a picture as small matrix products: what resizing, blurring and SSIM spend their time in.

Each output is a weighted sum of a few neighbouring inputs. Outputs beside each other read nearly the same inputs, so
a block of them is one small dense product, which a processor does several times faster than the sum tap by tap. It is
done tile by tile, so that the numbers stay in the processor's cache.

NumPy's product is used, not torch's: autocast and `torch.set_float32_matmul_precision` would compute torch's in fewer
bits, and rounding to 8 bit relies on these sums to the last one (see `sr.imaging.resize`).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from torch import Tensor

BLOCK = 16  # outputs of one product
TILE = 2**15  # numbers at once: for larger products OpenBLAS wakes its threads, which wait longer than they work
CACHED = 2**18  # bytes turned into floats at once
TOGETHER = 8  # times what one block reads: blocks of one kind at once

Edge = Callable[[np.ndarray, int], np.ndarray]  # (numbers of inputs, how many there are) -> numbers inside


class Band(NamedTuple):
    """Blocks of neighbouring outputs, one after the other, that have the same weights.

    Attributes:
        first: number of the first output.
        start: number of the first input that it reads; may lie outside the picture.
        weights: (outputs of a block, inputs).
        turned: the same, (inputs, outputs), laid out anew: products with it are a third faster.
        blocks: how many.
        step: by how many inputs each begins after the one before.
    """

    first: int
    start: int
    weights: np.ndarray
    turned: np.ndarray
    blocks: int = 1
    step: int = 0

    def groups(self, inputs: int) -> Iterator["Band"]:
        """A few blocks at once, as long as they read inside of so many inputs; the others one by one."""
        step, wide = max(1, self.step), self.weights.shape[1]
        begin = min(self.blocks, max(0, -(self.start // step)))
        end = max(begin, min(self.blocks, (inputs - wide - self.start) // step + 1))
        most = 1 + (TOGETHER - 1) * wide // step
        sizes = [1] * begin + [min(most, end - n) for n in range(begin, end, most)] + [1] * (self.blocks - end)
        number = 0
        for size in sizes:
            first, start = self.first + number * len(self.weights), self.start + number * self.step
            yield Band(first, start, self.weights, self.turned, size, self.step)
            number += size

    @property
    def reach(self) -> int:
        """From the first input to behind the last one."""
        return (self.blocks - 1) * self.step + self.weights.shape[1]


def plain(x: Tensor) -> np.ndarray | None:
    """The memory of a plain tensor of the processor; None where torch must see what is done to it."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return None
    try:
        return (x if torch.is_grad_enabled() else x.detach()).numpy()
    except (RuntimeError, TypeError):  # on a device, part of a gradient, or a wrapped or fake tensor
        return None


def strips(shape: tuple[int, ...]) -> Iterator[tuple[int | slice, ...]]:
    """Places of pictures (..., H, W), some rows at a time, so that what is computed stays in the processor's cache."""
    height = max(1, TILE // max(1, shape[-1]))
    for lead in np.ndindex(shape[:-2]):
        for top in range(0, shape[-2], height):
            yield (*lead, slice(top, top + height))


def bands(starts: np.ndarray, weights: np.ndarray, dtype: Any) -> list[Band]:
    """Blocks of the filter whose output i is the sum over k of weights[i, k] * input[starts[i] + k].

    Args:
        starts: (outputs,) whole numbers that never fall.
        weights: (outputs, taps).
        dtype: the floating type that is computed in.
    """
    taps, found = np.arange(weights.shape[1]), list[Band]()
    for first in range(0, len(starts), BLOCK):
        own = starts[first : first + BLOCK] - starts[first]
        matrix = np.zeros((len(own), int(own[-1]) + len(taps)), dtype)
        matrix[np.arange(len(own))[:, None], own[:, None] + taps] = weights[first : first + BLOCK]
        last, start = found[-1] if found else None, int(starts[first])
        if last is not None and np.array_equal(last.weights, matrix):
            step = start - last.start if last.blocks == 1 else last.step
            if start == last.start + last.blocks * step:
                found[-1] = last._replace(blocks=last.blocks + 1, step=step)
                continue
        found.append(Band(first, start, matrix, np.ascontiguousarray(matrix.T)))
    return found


def steady(kernel: np.ndarray, dtype: Any) -> Band:
    """Any whole block of the filter whose output i is the sum over k of kernel[k] * input[i + k]; for `smoothed`."""
    matrix = np.zeros((BLOCK, BLOCK + len(kernel) - 1), dtype)
    as_strided(matrix, (BLOCK, len(kernel)), (matrix.strides[0] + matrix.itemsize, matrix.itemsize))[:] = kernel
    return Band(0, 0, matrix, np.ascontiguousarray(matrix.T))


def filtered(x: np.ndarray, axis: int, blocks: Sequence[Band], dtype: Any, edge: Edge | None = None) -> np.ndarray:
    """Arrays filtered along one axis.

    Args:
        x: uint8 or floating. Of uint8 128 is subtracted while it is computed with, so that sums need fewer bits; the
            weights of an output must then add up to 1.
        axis: which one.
        blocks: all outputs, see `bands`.
        dtype: of the result: a floating type, or uint8, rounded half up and clipped.
        edge: which inputs stand for those outside; None where no output reads any.
    """
    axis %= x.ndim
    if axis == x.ndim - 2 > 0 and x.strides[-3] == x.itemsize < x.strides[-1]:
        # Pixels lie R G B R G B, as files have them, or with a fourth byte, as the cache has them: their columns are
        # filtered as they lie, that byte with them. It is there where words of four bytes begin with R.
        pixels, channels = np.moveaxis(x, -3, -1), x.shape[-3]
        if x.itemsize == 1 and channels == 3 and x.strides[-1] == 4 and x.ctypes.data % 4 == 0:
            pixels = as_strided(pixels, (*pixels.shape[:-1], 4), writeable=False)
        y = np.moveaxis(filtered(pixels, axis - 1, blocks, dtype, edge), -1, -3)
        return y[..., :channels, :, :]
    outputs = blocks[-1].first + blocks[-1].blocks * len(blocks[-1].weights)
    y = np.empty((*x.shape[:axis], outputs, *x.shape[axis + 1 :]), dtype)
    if axis == x.ndim - 1:
        _along_rows(x.reshape(-1, x.shape[-1]), y.reshape(-1, outputs), blocks, edge)
    else:
        inner, groups = int(np.prod(x.shape[axis + 1 :])), [g for band in blocks for g in band.groups(x.shape[axis])]
        for plane, out in zip(x.reshape(-1, x.shape[axis], inner), y.reshape(-1, outputs, inner), strict=True):
            _along_columns(plane, out, groups, edge)
    return y


def smoothed(x: np.ndarray, axis: int, band: Band) -> np.ndarray:
    """Floats filtered along one axis by one kernel, where the whole of it fits: the axis gets that much shorter.

    What all blocks but the last do is one call: Python takes longer to begin a small product than a processor for it.

    Args:
        x: contiguous, of the band's type.
        axis: which one.
        band: see `steady`.
    """
    axis %= x.ndim
    kind, e, more, n = x.dtype, x.itemsize, band.weights.shape[1] - BLOCK, x.shape[axis]
    m, outer, inner = n - more, math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    y, line = np.empty((*x.shape[:axis], m, *x.shape[axis + 1 :]), kind), inner * e
    for first, blocks, rows in ((0, m // BLOCK, BLOCK), (m // BLOCK * BLOCK, 1, m % BLOCK)):
        inputs = rows + more
        most = TILE // inputs
        if not blocks * rows:
            continue
        if inner == 1:
            for top in range(0, outer, most):
                tall = min(most, outer - top)
                windows = np.ndarray((blocks, tall, inputs), kind, x, (top * n + first) * e, (BLOCK * e, n * e, e))
                places = np.ndarray((blocks, tall, rows), kind, y, (top * m + first) * e, (BLOCK * e, m * e, e))
                np.matmul(windows, band.turned[:inputs, :rows], out=places)
        else:
            for left in range(0, inner, most):
                wide, start, down = min(most, inner - left), (first * inner + left) * e, (BLOCK * line, line, e)
                windows = np.ndarray((outer, blocks, inputs, wide), kind, x, start, (n * line, *down))
                places = np.ndarray((outer, blocks, rows, wide), kind, y, start, (m * line, *down))
                np.matmul(band.weights[:rows, :inputs], windows, out=places)
    return y


def _along_columns(x: np.ndarray, y: np.ndarray, groups: Sequence[Band], edge: Edge | None) -> None:
    """(n, M) -> (outputs, M)."""
    n, dtype, source = len(x), groups[0].weights.dtype, x.dtype
    if x.size <= CACHED:
        x = _floats(x, dtype)  # else each group turns what it reads, again
    for group in groups:
        outputs, inputs = group.weights.shape
        rows = x[max(0, group.start) : group.start + group.reach]
        if len(rows) < group.reach:
            assert edge is not None
            rows = x[edge(np.arange(group.start, group.start + group.reach), n)]
        width = max(64, TILE // inputs)
        for left in range(0, x.shape[1], width):
            tile = rows[:, left : left + width]
            tile = tile if tile.dtype == dtype else _floats(tile, dtype)
            into = y[group.first : group.first + group.blocks * outputs, left : left + width]
            windows = _blocks(tile, 0, group.blocks, inputs, group.step)
            if source == y.dtype == dtype:
                np.matmul(group.weights, windows, out=_blocks(into, 0, group.blocks, outputs, outputs))
            else:
                _store((group.weights @ windows).reshape(into.shape), into, source)


def _blocks(x: np.ndarray, axis: int, count: int, length: int, step: int) -> np.ndarray:
    """(count, ...): a view of parts of (M, N), of a length along an axis, each a step after the one before."""
    if count == 1:
        return x[:length] if axis == 0 else x[:, :length]
    shape = (count, length, x.shape[1]) if axis == 0 else (count, x.shape[0], length)
    return as_strided(x, shape, (step * x.strides[axis], *x.strides))


def _along_rows(x: np.ndarray, y: np.ndarray, blocks: Sequence[Band], edge: Edge | None) -> None:
    """(M, n) -> (M, outputs)."""
    n, dtype = x.shape[1], blocks[0].weights.dtype
    height = max(16, TILE // max(band.weights.shape[1] for band in blocks))
    if x.dtype != dtype:
        height = max(16, min(height, CACHED // n))
    low = min(0, blocks[0].start)
    high = max(n, blocks[-1].start + blocks[-1].reach)
    for top in range(0, len(x), height):
        part = x[top : top + height]
        tile = np.empty((len(part), high - low), dtype) if low < 0 or high > n else _floats(part, dtype)
        if low < 0 or high > n:
            assert edge is not None
            inner = tile[:, -low : n - low]
            np.copyto(inner, part)
            if part.dtype == np.uint8:
                inner -= dtype.type(128)
            tile[:, :-low] = inner[:, edge(np.arange(low, 0), n)]
            tile[:, n - low :] = inner[:, edge(np.arange(n, high), n)]
        into = y[top : top + height]
        result = into if x.dtype == y.dtype == dtype else np.empty((len(tile), y.shape[1]), dtype)
        for band in blocks:
            outputs, inputs = band.weights.shape
            read = _blocks(tile[:, band.start - low :], 1, band.blocks, inputs, band.step)
            np.matmul(read, band.turned, out=_blocks(result[:, band.first :], 1, band.blocks, outputs, outputs))
        if result is not into:
            _store(result, into, x.dtype)


def _floats(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    y = x.astype(dtype, copy=False)
    if x.dtype == np.uint8:
        y -= dtype.type(128)  # in place: subtracting while the type changes takes twice as long
    return y


def _store(values: np.ndarray, y: np.ndarray, source: np.dtype) -> None:
    """Undo what `_floats` did, round if the result is uint8, and write into y."""
    if source == np.uint8:
        values += values.dtype.type(128.5 if y.dtype == np.uint8 else 128)
    elif y.dtype == np.uint8:
        values += values.dtype.type(0.5)
    if y.dtype == np.uint8:
        np.clip(values, 0, 255, out=values)  # 255.5 and more would wrap
    np.copyto(y, values, casting="unsafe")
