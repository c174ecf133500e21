"""JPEG compression: what a file loses, without the file."""

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sr.degradation.parts import Part, moved
from sr.degradation.randomness import Randomness
from sr.degradation.step import Range, Step, as_float, fixed_or_range
from sr.errors import UserError
from sr.imaging.banded import plain

# ITU-R T.81 (the JPEG standard), tables K.1 and K.2, row by row.
LUMA = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"
)
CHROMA = (
    "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99 "
    "99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99"
)
# JFIF 1.02 in 2^16ths, with chroma about zero: of bytes the sums are exact, so that every device rounds them alike. A
# level more or less would turn coefficients, and with them whole blocks.
TO_YCC = np.array([[19595, 38470, 7471], [-11059, -21709, 32768], [32768, -27439, -5329]], np.float32) / 2**16
TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)
# A few of a block's sums are multiples of 1/8 and may end in exactly .5; what float32 errs by must not decide them.
HALF = 0.5007
STANDARD = np.array([[int(step) for step in table.split()] for table in (LUMA, CHROMA)], np.float32)


class Jpeg(Step):
    """JPEG with the standard tables and 4:2:0 chroma, as libjpeg reads and writes it, to about a level.

    The image is rounded to 8 bit first, as what is compressed always is.

    Args:
        quality: 1 to 100, or [low, high].
    """

    grid = 16  # a 4:2:0 block covers 16 pixels of the image
    reach = 2  # chroma between two blocks is interpolated
    edge = "replicate"

    def __init__(self, quality: Range = (30, 95)) -> None:
        self.quality = fixed_or_range(quality, "quality")
        if not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise UserError(f"Jpeg: quality={quality} must lie between 1 and 100")

    @property
    def deterministic(self) -> bool:
        return self.quality[0] == self.quality[1]

    def batch(self, x: Tensor, draws: Randomness) -> Tensor:
        h, w = x.shape[-2:]
        levels = as_float(x).clamp(0, 1).mul_(255).add_(0.5).floor_()
        if h % 16 or w % 16:
            levels = F.pad(levels, (0, -w % 16, 0, -h % 16), mode="replicate")
        own = _constants(x.device)
        ycc = _mixed(levels, own.to_ycc).add_(own.zero).floor_()
        luma, chroma = _coded(ycc[:, :1], _halved(ycc[:, 1:]), draws.uniform(self.quality))
        whole = -(-draws.at.whole // 16) * 8  # of the picture's chroma, whose last blocks are followed by nothing
        at = Part(draws.at.start // 2, (chroma.shape[2], chroma.shape[3]), whole)
        ycc[:, :1] = luma
        ycc[:, 1:] = _doubled(moved(chroma, at, at, "replicate"))
        rgb = _mixed(ycc, own.to_rgb)[..., :h, :w]
        return rgb.add_(128.5).floor_().clamp_(0, 255).div_(255)


class Constants(NamedTuple):
    """What a device computes with, sent there once."""

    to_ycc: Tensor
    zero: Tensor  # what is added to Y, Cb and Cr before they are rounded down
    to_rgb: Tensor
    standard: Tensor
    cosines: Tensor


@functools.cache
def _constants(device: torch.device) -> Constants:
    zero = np.array([-127.5, 0.5, 0.5], np.float32).reshape(1, 3, 1, 1)
    return Constants(*(torch.from_numpy(x).to(device) for x in (TO_YCC, zero, TO_RGB, STANDARD, _cosines())))


def _mixed(x: Tensor, matrix: Tensor) -> Tensor:
    """Channels (B, 3, H, W) times a matrix."""
    if (array := plain(x)) is not None:
        return torch.from_numpy(matrix.numpy() @ array.reshape(len(x), 3, -1)).view(x.shape)
    return (matrix[..., None, None] * x[:, None]).sum(2)


def _halved(x: Tensor) -> Tensor:
    """Means of 2 x 2 whole numbers, as whole numbers, half up."""
    rows = x[..., ::2, :] + x[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]).mul_(0.25).add_(0.5).floor_()


def _doubled(x: Tensor) -> Tensor:
    """Planes twice as large, bilinear; of whole numbers all sums are exact, in whatever order."""
    if (array := plain(x)) is None or max(x.shape[2:]) > 64:
        return F.interpolate(x, scale_factor=2, mode="bilinear")
    rows, columns = (_weights(side) for side in x.shape[2:])  # of a crop this takes half as long
    return torch.from_numpy(rows @ array @ columns.T)


@functools.cache
def _weights(side: int) -> np.ndarray:
    """(2 side, side): what each of twice as many places takes from each place."""
    return F.interpolate(torch.eye(side)[None], scale_factor=2, mode="linear")[0].T.numpy()


def tables(quality: Tensor) -> Tensor:
    """The steps that libjpeg rounds coefficients to, (B, 2, 64) float32: those of luma, those of chroma."""
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    return (_constants(quality.device).standard * percent[:, None, None]).add_(50).div_(100).floor_().clamp_(1, 255)


def _coded(luma: Tensor, chroma: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
    """Planes (B, C, H, W) about zero after their blocks' cosine coefficients were rounded to the quality's steps."""
    steps = tables(quality)
    blocks = _product(torch.cat((_blocks(luma), _blocks(chroma)), 1), False)
    parts = blocks.tensor_split((luma[0].numel() // 64,), 1)
    for part, step in zip(parts, steps.split(1, 1), strict=True):
        part.div_(step).add_(HALF).floor_().mul_(step)
    blocks = _product(blocks, True).add_(HALF).floor_().clamp_(-128, 127)
    one, other = blocks.tensor_split((luma[0].numel() // 64,), 1)
    return _planes(one, luma), _planes(other, chroma)


def _blocks(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, blocks, 64)."""
    b, c, h, w = x.shape
    return x.view(b, c, h // 8, 8, w // 8, 8).transpose(3, 4).reshape(b, -1, 64)


def _planes(blocks: Tensor, like: Tensor) -> Tensor:
    """Undo `_blocks`."""
    b, c, h, w = like.shape
    return blocks.reshape(b, c, h // 8, w // 8, 8, 8).transpose(3, 4).reshape(like.shape)


def _product(blocks: Tensor, back: bool) -> Tensor:
    """Blocks (..., 64) to cosine coefficients (..., 64), or back."""
    if (array := plain(blocks)) is not None:
        return torch.from_numpy(array @ _both_sides(back))
    # As sums, where a device's product might be in TF32.
    lines = _constants(blocks.device).cosines
    lines = lines.T if back else lines
    x = blocks.unflatten(-1, (8, 8))
    x = (lines[:, :, None] * x[..., None, :, :]).sum(-2)
    return (x[..., None, :] * lines).sum(-1).flatten(-2)


@functools.cache
def _both_sides(back: bool) -> np.ndarray:
    square = np.kron(_cosines(), _cosines())  # (frequencies, places)
    return np.ascontiguousarray(square if back else square.T)


@functools.cache
def _cosines() -> np.ndarray:
    """(8, 8): frequency by place, orthonormal."""
    place = np.arange(8)
    rows = np.cos((2 * place + 1) * place[:, None] * math.pi / 16) / 2
    rows[0] /= math.sqrt(2)
    return rows.astype(np.float32)
