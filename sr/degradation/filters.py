"""Steps that are one filter along rows and columns: what blurring and shrinking are, alone and one after the other."""

import sys
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import as_strided
from torch import Tensor

from sr.degradation.parts import Part, moved
from sr.degradation.randomness import Randomness
from sr.degradation.step import Step
from sr.imaging.banded import plain

ROWS = 8  # outputs of one product


class Filter(Step):
    """Output i of a line is the sum over k of kernel[k] * input[i * shrink + first + k], of rows as of columns.

    Attributes:
        first: the first input that output 0 reads; negative.
        taps: how many it reads.
    """

    edge = "mirror"
    first: int
    taps: int

    def kernel(self, draws: Randomness) -> Tensor:
        """(B, taps) float32, on the device of the draws, each with a sum of 1."""
        raise NotImplementedError

    @property
    def valid(self) -> bool:
        """Whether it computes in floats whatever it gets."""
        return type(self).batch is Filter.batch

    def batch(self, x: Tensor, draws: Randomness) -> Tensor:
        to = draws.at.shrunk(self.shrink)
        return self.filtered(moved(x, draws.at, self.read(to), self.edge), draws)

    def read(self, to: Part) -> Part:
        """What an output depends on."""
        rows, columns = ((side - 1) * self.shrink + self.taps for side in to.size)
        return Part(to.start * self.shrink + self.first, (rows, columns), to.whole * self.shrink)

    def filtered(self, x: Tensor, draws: Randomness) -> Tensor:
        """(B, 3, H, W) uint8 or float -> float32 in [0, 1], without what lies beyond."""
        kernels = self.kernel(draws)
        if (array := plain(x)) is not None:
            return torch.from_numpy(_products(array, _words(x), kernels.numpy(), self.shrink))
        y = x.float() / 255 if x.dtype == torch.uint8 else x
        for dim in (2, 3):
            # As a sum: a device's product might be in TF32.
            size = (y.shape[dim] - self.taps) // self.shrink + 1
            total = torch.zeros((), device=x.device)
            for k in range(self.taps):
                part = y.narrow(dim, k, (size - 1) * self.shrink + 1)
                part = part[..., :: self.shrink] if dim == 3 else part[..., :: self.shrink, :]
                total = torch.addcmul(total, part, kernels[:, k].view(-1, 1, 1, 1))
            y = total
        return y


class Chain(Filter):
    """Filters in a row that see the same beyond the border: one filter."""

    def __init__(self, steps: Sequence[Filter]) -> None:
        self.steps, self.edge = steps, steps[0].edge
        self.shrink, self.first, self.taps = steps[0].shrink, steps[0].first, steps[0].taps
        for step in steps[1:]:
            self.first, self.taps = self.first + self.shrink * step.first, self.taps + self.shrink * (step.taps - 1)
            self.shrink *= step.shrink

    def kernel(self, draws: Randomness) -> Tensor:
        kernel, shrink = self.steps[0].kernel(draws), self.steps[0].shrink
        for number, step in enumerate(self.steps[1:], 1):
            kernel = _convolved(kernel, step.kernel(draws.after(number)), shrink)
            shrink *= step.shrink
        return kernel


def joined(steps: Sequence[Step]) -> list[tuple[int, Step]]:
    """The steps and their numbers; of filters in a row, the first of which computes in floats, one."""
    found: list[tuple[int, Step]] = []
    row: list[Filter] = []
    for number, step in enumerate(steps):
        if not isinstance(step, Filter) or not _told_by_kernel(step):
            row = []
        elif row and step.edge == row[0].edge:
            row.append(step)
            found[-1] = (number + 1 - len(row), Chain(row))
            continue
        else:
            row = [step] if step.valid else []
        found.append((number, step))
    return found


def _told_by_kernel(step: Filter) -> bool:
    """Whether `kernel` tells all that the step does to floats; a subclass of one's own may do something else."""
    own = type(step)
    kernel, batch = (next(n for n, c in enumerate(own.__mro__) if name in vars(c)) for name in ("kernel", "batch"))
    return kernel <= batch and own.__call__ is Step.__call__


def _convolved(kernel: Tensor, after: Tensor, shrink: int) -> Tensor:
    """The kernel (B, n) of a filter that shrinks, and then another (B, m), as one."""
    (_, n), m = kernel.shape, after.shape[1]
    width = n + m * shrink
    rows = F.pad(after[:, :, None] * kernel[:, None], (0, width - n)).flatten(1)
    # Read with lines shorter by `shrink`, each row begins that much later than the one before.
    return rows.as_strided((len(rows), m, n + (m - 1) * shrink), (m * width, width - shrink, 1)).sum(1)


def _words(x: Tensor) -> np.ndarray | None:
    """(B, H, W) int32 of pixels (B, 3, H, W) that lie as `sr.data.images.packed` lays them; None of others."""
    if x.dtype != torch.uint8 or x.shape[1] != 3 or x.stride(1) != 1 or sys.byteorder != "little":
        return None
    try:
        return x.as_strided((len(x), 4, *x.shape[2:]), x.stride()).permute(0, 2, 3, 1).view(torch.int32)[..., 0].numpy()
    except RuntimeError:
        return None


def _products(x: np.ndarray, words: np.ndarray | None, kernels: np.ndarray, shrink: int) -> np.ndarray:
    """(B, C, H, W) -> (B, C, h, w) float32, as products of blocks of neighbouring lines with small matrices.

    Each image is computed by itself, so that its company does not change its last bit.
    """
    (count, channels, height, width), taps = x.shape, kernels.shape[1]
    h, w = ((side - taps) // shrink + 1 for side in (height, width))
    band = np.zeros((count, ROWS, (ROWS - 1) * shrink + taps), np.float32)
    one, down, right = band.strides
    diagonals = as_strided(band, (count, ROWS, taps), (one, down + shrink * right, right))
    diagonals[:] = kernels[:, None]
    turned = np.ascontiguousarray(band.transpose(0, 2, 1)) / np.float32(255 if x.dtype == np.uint8 else 1)
    own, plane = np.empty((2, height, width), np.float32)
    between = np.empty((channels, h, width), np.float32)
    y = np.empty((count, channels, h, w), np.float32)
    line, item = plane.strides
    for number in range(count):
        for channel in range(channels):  # one at a time: they stay in the processor's cache
            weights = band[number]
            if words is None:
                np.copyto(plane, x[number, channel])
            else:  # twice as fast as picking single bytes; what is a power of two too much takes no bits
                np.bitwise_and(words[number], 255 << 8 * channel, out=own.view(np.int32))
                np.copyto(plane, own.view(np.int32))
                weights = weights * np.float32(2.0 ** (-8 * channel))
            for first, blocks, rows in _blocks(h):
                block = weights[:rows, : (rows - 1) * shrink + taps]
                shape, strides = (blocks, block.shape[1], width), (rows * shrink * line, line, item)
                read = np.ndarray(shape, np.float32, plane, first * shrink * line, strides)
                shape, strides = (blocks, rows, width), (rows * line, line, item)
                into = np.ndarray(shape, np.float32, between, (channel * h + first) * line, strides)
                np.matmul(block, read, out=into)
        to, lines = y[number], channels * h
        for first, blocks, columns in _blocks(w):
            weights = turned[number, : (columns - 1) * shrink + taps, :columns]
            shape, strides = (blocks, lines, len(weights)), (columns * shrink * item, line, item)
            read = np.ndarray(shape, np.float32, between, first * shrink * item, strides)
            shape, strides = (blocks, lines, columns), (columns * item, w * item, item)
            np.matmul(read, weights, out=np.ndarray(shape, np.float32, to, first * item, strides))
    return y


def _blocks(length: int) -> list[tuple[int, int, int]]:
    """(first, blocks, outputs of a block): all of a side."""
    whole = length // ROWS
    found = [(0, whole, ROWS), (whole * ROWS, 1, length % ROWS)]
    return [block for block in found if block[1] and block[2]]
