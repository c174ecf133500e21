"""Reads a file of weights as named tensors, whatever wrote it. Nothing in the file is executed."""

import os
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sr.bounded import refuse_odd
from sr.compose.words import path_typed
from sr.errors import UserError, some
from sr.layers import torch_file
from sr.layers.torch_file import CHUNK
from sr.runs import safetensors

# What trainers put a state dict into; the first of them that is there wins, averages of the weights before the weights.
WRAPPERS = (
    "params_ema", "ema", "model_ema", "ema_state_dict", "state_dict_ema", "params", "state_dict", "model_state_dict",
    "model_state", "net_g", "netG", "net_G", "generator", "G", "model", "net", "network", "weights",
)  # fmt: skip
# What DataParallel, torch.compile and trainers put before keys; of several networks in a state the generator is meant.
GENERATORS = ("generator.", "net_g.", "netG.", "net_G.", "G.")
PREFIXES = ("module.", "_orig_mod.", *GENERATORS, "model.", "net.", "network.")
COUNTERS = ("total_ops", "total_params")  # that thop leaves in a state
SUFFIXES = (
    ".pth",
    ".pt",
    ".ckpt",
    ".bin",
    ".safetensors",
    ".mat",
    ".onnx",
    ".tar",
)  # of files worth a look in a folder
LARGEST = 400 << 20  # bytes; no author's file is larger, so larger ones need not be read
MATLAB_HEADER = 128  # bytes; the last two tell the order of bytes
COMPRESSED = 15  # MATLAB's miCOMPRESSED


def read_tensors(path: Path, known_intact: bool = False) -> dict[str, Tensor]:
    """Tensors by name: of a PyTorch file the state dict without wrappers, of a MATLAB file its arrays.

    The contents decide, not the file's name. MATLAB cells and structs become dotted names (`weights_conv.0`,
    `model.bias.3`); records with the fields `name` and `value` (MatConvNet's parameters) get the name they give.

    Args:
        path: of the file.
        known_intact: its checksum is one of the zoo's.

    Raises:
        UserError: for a missing, damaged or foreign file, and for one that holds code.
    """
    content = _contents(path, known_intact)
    if content is None:
        return _matlab(path)
    state = _unwrapped(content)
    if not state:
        kind = f"a {type(content).__name__}{f' of {some(content)}' if isinstance(content, Mapping) else ''}"
        raise UserError(f"{path} holds no tensors by name: {kind} is not a state dict")
    return state


def raw_tensors(path: Path) -> Mapping[str, Any]:
    """What a PyTorch file holds, with all that a trainer put around its tensors; nothing of a MATLAB file."""
    content = _contents(path, known_intact=True)
    return content if isinstance(content, Mapping) else {}


def _contents(path: Path, known_intact: bool) -> Any:
    """See `read_tensors`; None for a MATLAB file."""
    try:
        refuse_odd(path)
        with path.open("rb") as file:
            start = file.read(128)
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"weights file {path} cannot be read: {error.strerror}") from error
    if start.startswith(b"MATLAB 7.3"):
        raise UserError(f"{path} is a MATLAB 7.3 file. Save it once more in MATLAB with save(..., '-v7')")
    if start.startswith(b"MATLAB 5.0"):
        return None
    if safetensors.looks_like(start, size):
        content, told = safetensors.read(path, known_intact)
    else:
        content, told = torch_file.load(path, known_intact), {}
    if "sr" in told or (isinstance(content, Mapping) and "sr" in content):
        again = path_typed("checkpoint", path)
        raise UserError(f"{path} is a checkpoint of this project, not an author's file: type {again}")
    return content


def _unwrapped(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    for name in WRAPPERS:
        if isinstance(content.get(name), Mapping) and (state := _unwrapped(content[name])):
            return state
    state = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
    state = {k: v for k, v in state.items() if k.rpartition(".")[2] not in COUNTERS}
    while state:
        shared = [p for p in PREFIXES if all(k.startswith(p) for k in state)]
        if not (prefix := next(iter([*shared, *(g for g in GENERATORS if any(k.startswith(g) for k in state))]), "")):
            break
        state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    return state


def _matlab(path: Path) -> dict[str, Tensor]:
    import scipy.io  # nothing else needs it

    if _unpacked(path) > LARGEST:
        raise UserError(f"{path} is refused: it would take more memory than any author's file, {LARGEST >> 20} MiB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = scipy.io.loadmat(str(path))
    except Exception as error:  # scipy raises many kinds for a damaged file
        raise UserError(f"{path} cannot be read as a MATLAB file ({error}). Is it complete?") from error
    pairs = [p for k, v in content.items() if not k.startswith("__") for p in _arrays(k, v)]
    state = {k: torch.from_numpy(np.ascontiguousarray(v, dtype=np.float32)) for k, v in pairs}
    if not state:
        raise UserError(f"{path} holds no arrays of numbers")
    return state


def _unpacked(path: Path) -> int:
    """Bytes of a MATLAB 5.0 file's elements once they are decompressed, of which not more than `LARGEST` are counted.

    scipy decompresses without a limit, and zlib makes a thousand bytes of one.
    """
    found = MATLAB_HEADER
    with path.open("rb") as file:
        order: Literal["big", "little"] = "big" if file.read(MATLAB_HEADER)[-2:] == b"MI" else "little"
        while len(tag := file.read(8)) == 8 and found <= LARGEST:
            kind, size = (int.from_bytes(tag[at : at + 4], order) for at in (0, 4))
            if kind != COMPRESSED:
                found += size
                file.seek(size, os.SEEK_CUR)
                continue
            end, packed = file.tell() + size, zlib.decompressobj()
            with suppress(zlib.error):  # damaged, as scipy will say
                while found <= LARGEST and not packed.eof:
                    if not (chunk := packed.unconsumed_tail or file.read(min(CHUNK, end - file.tell()))):
                        break
                    found += len(packed.decompress(chunk, CHUNK))
            file.seek(end)
    return found


def _arrays(name: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
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
