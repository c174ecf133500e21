"""Colour of decoded frames: luma and two differences, by the matrix and in the range that a file tells."""

from pathlib import Path
from typing import Any

import numpy as np

from sr.errors import UserError

BT709, BT601, BT2020 = 1, 5, 9  # as a bitstream's tag counts; what else is told is of BT.601's kind
MATRICES = {BT709: (0.2126, 0.0722), BT601: (0.299, 0.114), BT2020: (0.2627, 0.0593)}  # R and B in Y
ALIKE = {4: BT601, 5: BT601, 6: BT601}
RGB, UNSPECIFIED, FULL = 0, 2, 2  # of matrix, of matrix, of range
HD = 720  # rows from which a matrix that is not told is BT.709


def matrix_of(source: Path, told: int, rows: int) -> int:
    """One of MATRICES, by a file's tag or, where there is none, by the height of its frames.

    Raises:
        UserError: another matrix.
    """
    matrix = (BT709 if rows >= HD else BT601) if told == UNSPECIFIED else ALIKE.get(told, told)
    if matrix not in MATRICES:
        raise UserError(f"{source} has colours by matrix {told}, which is not read: convert it to BT.709")
    return matrix


def is_full(frame: Any) -> bool:
    """Whether luma goes from 0 to 255, or else from 16 to 235; of grey that tells nothing it does, as in FFmpeg."""
    untold_grey = int(frame.color_range) == 0 and len(frame.format.components) == 1
    return frame.color_range == FULL or frame.format.name.startswith("yuvj") or untold_grey


def bits_of(form: Any) -> int:
    """Of a channel, by PyAV's format of frames."""
    return max(c.bits for c in form.components)


def rgb_of(source: Path, frame: Any) -> np.ndarray:
    """(H, W, 3) float32 RGB, unrounded, of which 255 is white whatever the frame's depth; values may leave 0 to 255.

    Colour of half the resolution is enlarged by the library; the sum of Y and colour is exact. Where no matrix is told
    it is BT.601's, from 720 rows upward BT.709's; where no range is, it is 16 to 235, of grey frames 0 to 255.

    Args:
        source: the file.
        frame: of PyAV, without transparency.

    Raises:
        UserError: another matrix.
    """
    form, bits = frame.format, bits_of(frame.format)
    if form.is_rgb or form.has_palette:
        if bits <= 8:
            return frame.to_ndarray(format="rgb24").astype(np.float32)
        g, b, r = _planes(frame.reformat(format=f"gbrp{bits}le"))
        return np.stack([r, g, b], -1) * np.float32(255 / (2**bits - 1))
    if bits < 8:  # black and white
        frame, bits = frame.reformat(format="gray"), 8
    full = is_full(frame)
    if len(form.components) == 1:
        return np.repeat(_luma(frame.to_ndarray().astype(np.float32), bits, full)[..., None], 3, 2)
    matrix = matrix_of(source, int(frame.colorspace), frame.height)
    y, b, r = _planes_444(frame, bits)
    y, b, r = _luma(y, bits, full), _difference(b, bits, full), _difference(r, bits, full)
    of_r, of_b = MATRICES[matrix]
    red, blue = y + 2 * (1 - of_r) * r, y + 2 * (1 - of_b) * b
    return np.stack([red, (y - of_r * red - of_b * blue) / (1 - of_r - of_b), blue], -1)


def _planes_444(frame: Any, bits: int) -> np.ndarray:
    """(3, H, W) float32: luma and two differences, each in full resolution."""
    if bits <= 8:
        form = "yuvj444p" if frame.format.name.startswith("yuvj") else "yuv444p"
        return frame.to_ndarray(format=form, interpolation="BICUBIC").astype(np.float32)
    return _planes(frame.reformat(format=f"yuv444p{bits}le", interpolation="BICUBIC"))


def _planes(frame: Any) -> np.ndarray:
    """(3, H, W) float32 of planes of one size and more than 8 bits."""
    rows = [np.frombuffer(plane, "<u2").reshape(plane.height, -1)[:, : plane.width] for plane in frame.planes]
    return np.stack(rows).astype(np.float32)


def _luma(y: np.ndarray, bits: int, full: bool) -> np.ndarray:
    return y * np.float32(255 / (2**bits - 1)) if full else (y / 2 ** (bits - 8) - 16) * (255 / 219)


def _difference(c: np.ndarray, bits: int, full: bool) -> np.ndarray:
    if full:
        return (c - 2 ** (bits - 1)) * np.float32(255 / (2**bits - 1))
    return (c / 2 ** (bits - 8) - 128) * (255 / 224)
