"""Reads safetensors: a length, a table in JSON, and bytes (https://github.com/huggingface/safetensors)."""

import json
import logging
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from sr.bounded import WEIGHTS, refuse_odd
from sr.errors import UserError
from sr.layers.identity import identity

log = logging.getLogger(__name__)
CHECKSUM = "checksum"  # what a file tells of all its tensors and of all else that it tells
LARGEST_TABLE = 100_000_000  # bytes; the format's own limit
MOST_TABLE = 1 << 22  # bytes that are read: 40,000 tensors
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def looks_like(start: bytes, size: int) -> bool:
    """Whether the first bytes of a file of that size are this format's."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= min(size - 8, LARGEST_TABLE)


def is_one(path: Path) -> bool:
    """Whether a file is of this format, by what is in it.

    Raises:
        UserError: it is a named pipe or the like.
    """
    refuse_odd(path)
    with path.open("rb") as file:
        return looks_like(file.read(9), path.stat().st_size)


def checksum(tensors: Mapping[str, Tensor], told: Mapping[str, str]) -> str:
    """What `CHECKSUM` must be: the format itself has none."""
    return identity(dict(sorted(tensors.items())), {k: v for k, v in told.items() if k != CHECKSUM})


def read(path: Path, known_intact: bool = False) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file by name, and what it tells about itself.

    Args:
        path: of the file.
        known_intact: its checksum is known from elsewhere; else a file that has none is told in the log.

    Raises:
        UserError: its table does not describe its bytes, or something in it was changed.
    """
    tensors, told = _parsed(path)
    if CHECKSUM not in told:
        if not known_intact:
            log.info(f"note: {path} holds no checksums; whether it is as it was written is not known")
    elif told[CHECKSUM] != checksum(tensors, told):
        raise UserError(f"{path} is damaged: its checksum is of other values. Take another copy of it")
    return tensors, told


def _parsed(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    refuse_odd(path, WEIGHTS)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > MOST_TABLE:
                raise ValueError(f"its table has {length:,} bytes, {MOST_TABLE:,} at most")
            table = json.loads(file.read(length))
            told = table.pop("__metadata__", None) or {}
            if not all(isinstance(v, str) for v in told.values()):
                raise ValueError("what it tells about itself is not text")
            left = path.stat().st_size - 8 - length - sum(_bytes(entry) for entry in table.values())
            if left:  # before anything of that size is read
                why = "are not all there, or share bytes" if left < 0 else "are not all that it holds"
                raise ValueError(f"its tensors {why}")
            return {str(name): _tensor(entry, file, 8 + length) for name, entry in table.items()}, dict(told)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, RuntimeError, OverflowError) as error:
        raise UserError(f"{path} cannot be read as safetensors ({error}). Is it complete?") from error


def _bytes(entry: dict[str, Any]) -> int:
    dtype, shape, (begin, end) = DTYPES[entry["dtype"]], [int(n) for n in entry["shape"]], entry["data_offsets"]
    size = prod(shape) * dtype.itemsize
    if not 0 <= begin <= end or min(shape, default=0) < 0 or size != end - begin:
        raise ValueError(f"a tensor of {shape} does not lie in bytes {begin} to {end}")
    return size


def _tensor(entry: dict[str, Any], file: BinaryIO, begin: int) -> Tensor:
    dtype, shape, (first, end) = DTYPES[entry["dtype"]], [int(n) for n in entry["shape"]], entry["data_offsets"]
    if first == end:
        return torch.empty(shape, dtype=dtype)
    file.seek(begin + first)
    if file.readinto(content := bytearray(end - first)) != end - first:  # type: ignore[attr-defined]
        raise ValueError(f"bytes {first} to {end} are not there")
    return torch.frombuffer(content, dtype=dtype).reshape(shape)
