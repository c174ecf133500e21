"""Reads MATLAB 5.0 files as named tensors; those that take far more memory than their arrays are refused unread.

scipy decompresses without a limit, and makes room for the elements that an array claims before it looks for them. The
format: https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf
"""

import os
import warnings
import zlib
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import torch
from torch import Tensor

from sr.errors import UserError, reason
from sr.layers.torch_file import CHUNK, DEEPEST, MOST_VALUES

LARGEST = 400 << 20  # bytes; no author's file is larger, so larger ones need not be read
HEADER = 128  # bytes; the last two tell the order of bytes
ORDERS: dict[bytes, Literal["big", "little"]] = {b"IM": "little", b"MI": "big"}
MATRIX, COMPRESSED = 14, 15  # kinds of elements
CELL, STRUCT, OBJECT, CHAR, FUNCTION, OPAQUE = 1, 2, 3, 4, 16, 17  # classes of arrays


def read(path: Path) -> dict[str, Tensor]:
    """The arrays of a file in float32. Cells and structs become dotted names: `weights_conv.0`.

    Raises:
        UserError: it is damaged, holds no arrays of numbers, or grows.
    """
    import scipy.io  # nothing else needs it

    _refuse_growth(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = scipy.io.loadmat(str(path))
    except Exception as error:  # scipy raises many kinds for a damaged file
        raise UserError(f"{path} cannot be read as a MATLAB file ({reason(error)}). Is it complete?") from error
    pairs = [p for k, v in content.items() if not k.startswith("__") for p in _arrays(k, v)]
    state = {k: torch.from_numpy(np.ascontiguousarray(v, dtype=np.float32)) for k, v in pairs}
    if not state:
        raise UserError(f"{path} holds no arrays of numbers")
    return state


def _arrays(name: str, value: object) -> Iterator[tuple[str, np.ndarray]]:
    """Every array of numbers in a MATLAB value, with its dotted name; empty ones hold nothing."""
    if not isinstance(value, np.ndarray) or value.size == 0:
        return
    fields = set(value.dtype.names or ())
    if {"name", "value"} <= fields:
        for record in value.flat:
            yield from _arrays(str(np.ravel(record["name"])[0]), record["value"])
    elif "params" in fields:  # a MatConvNet graph: beside its parameters it describes layers and training
        yield from _arrays(name, value.flat[0]["params"])
    elif fields:
        for field in sorted(fields):
            yield from _arrays(f"{name}.{field}", value.flat[0][field])
    elif value.dtype == object:
        for i, item in enumerate(value.flat):
            yield from _arrays(f"{name}.{i}", item)
    elif np.issubdtype(value.dtype, np.number):
        yield name, value


def _refuse_growth(path: Path) -> None:
    left, looked = LARGEST, _Looked()
    try:
        with path.open("rb") as file:
            if (mark := file.read(HEADER)[-2:]) not in ORDERS:
                raise ValueError(f"no order of bytes is called {mark!r}")
            looked.order = ORDERS[mark]
            while len(tag := file.read(8)) == 8:
                kind, size = looked.number(tag[:4]), looked.number(tag[4:])
                end = file.tell() + size
                if kind == COMPRESSED:
                    content = _decompressed(file, size, left)
                    kind, content = looked.number(content[:4]), content[8:]
                else:
                    content = memoryview(file.read(min(size, left + 1)))
                if (left := left - len(content)) < 0:
                    raise UserError(f"it would take more memory than any author's file, {LARGEST >> 20} MiB")
                if kind == MATRIX:
                    looked.array(content)
                file.seek(end, os.SEEK_SET)
    except UserError as error:
        raise UserError(f"{path} is refused: {error}") from error
    except (zlib.error, ValueError, IndexError) as error:
        raise UserError(f"{path} cannot be read as a MATLAB file ({reason(error)}). Is it complete?") from error


def _decompressed(file: BinaryIO, size: int, most: int) -> memoryview:
    """The next `size` bytes of a file, decompressed; not many more than `most`."""
    end, packed, found = file.tell() + size, zlib.decompressobj(), bytearray()
    while len(found) <= most + 8 and not packed.eof:
        if not (chunk := packed.unconsumed_tail or file.read(min(CHUNK, end - file.tell()))):
            break
        found += packed.decompress(chunk, CHUNK)
    return memoryview(found)


class _Looked:
    """A file's arrays within arrays, of which none may claim to hold more than is there."""

    def __init__(self) -> None:
        self.order: Literal["big", "little"] = "little"
        self.left = MOST_VALUES

    def number(self, four: bytes | memoryview) -> int:
        return int.from_bytes(four, self.order)

    def array(self, content: memoryview, depth: int = 0) -> None:
        self.left -= 1
        if self.left < 0 or depth > DEEPEST:
            raise UserError("it holds arrays within arrays without end")
        parts = self._elements(content)
        if (flags := next(parts, None)) is None:  # an empty one
            return
        kind = self.number(flags[1][:4]) & 0xFF
        if kind not in (CELL, STRUCT, OBJECT, CHAR, FUNCTION, OPAQUE):
            return  # numbers, which scipy reads before it shapes them
        dims = b"" if kind == OPAQUE else next(parts, (0, b""))[1]
        claimed = prod(self.number(dims[at : at + 4]) for at in range(0, len(dims), 4))
        inner = list[memoryview]()
        others = list[memoryview]()
        for part, body in parts:
            (inner if part == MATRIX else others).append(body)
        if kind in (STRUCT, OBJECT):
            length, names = others[-2:]
            claimed *= (len(names) // max(self.number(length[:4]), 1)) or claimed > 1
        room = len(content) if kind == CHAR else len(inner)
        if kind in (CELL, STRUCT, OBJECT, CHAR) and claimed > room:
            raise ValueError(f"an array of {claimed:,} elements, which are not there")
        for body in inner:
            self.array(body, depth + 1)

    def _elements(self, content: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Kind and content of the elements that stand one after another."""
        at = 0
        while at + 8 <= len(content):
            kind, size = self.number(content[at : at + 4]), self.number(content[at + 4 : at + 8])
            if kind >> 16:  # a short one: its size stands before its kind, its content in the place of the size
                yield kind & 0xFFFF, content[at + 4 : at + 4 + (kind >> 16)]
                at += 8
                continue
            yield kind, content[at + 8 : at + 8 + size]
            at += 8 + size + -size % 8
