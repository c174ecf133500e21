"""Reads a file of weights as named tensors, whatever wrote it. Nothing in the file is executed."""

import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
from torch import Tensor

from sr.errors import UserError, reason, some

WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model")  # the first of them that is there wins
PREFIXES = ("module.", "_orig_mod.", "netG.", "model.")  # that DataParallel, torch.compile and trainers put before keys
SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".mat")  # of files worth a look in a folder


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name: of a PyTorch file the state dict without wrappers, of a MATLAB file its arrays.

    The contents decide, not the file's name. MATLAB cells and structs become dotted names (`weights_conv.0`,
    `model.bias.3`); records with the fields `name` and `value` (MatConvNet's parameters) get the name they give.

    Raises:
        UserError: for a missing, damaged or foreign file, and for one that holds code.
    """
    try:
        with path.open("rb") as file:
            start = file.read(128)
    except OSError as error:
        raise UserError(f"weights file {path} cannot be read: {error.strerror}") from error
    if start.startswith(b"MATLAB 7.3"):
        raise UserError(f"{path} is a MATLAB 7.3 file. Save it once more in MATLAB with save(..., '-v7')")
    return _matlab(path) if start.startswith(b"MATLAB 5.0") else _torch(path)


def _torch(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not zipfile.is_zipfile(path) and not _pickled(path):
            raise UserError(f"{path} is neither a PyTorch nor a MATLAB file") from error
        raise UserError(
            f"{path} is refused: it holds more than tensors and plain values, and loading it would run code from the "
            f"file ({reason(error)}). Ask its author for torch.save(model.state_dict(), ...)"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError) as error:
        raise UserError(f"{path} cannot be read as weights ({reason(error)}). Is it complete?") from error
    if isinstance(content, Mapping) and "sr" in content:
        raise UserError(f"{path} is a checkpoint of this project, not an author's file: type checkpoint={path}")
    state = _unwrapped(content)
    if not state:
        kind = f"a {type(content).__name__}{f' of {some(content)}' if isinstance(content, Mapping) else ''}"
        raise UserError(f"{path} holds no tensors by name: {kind} is not a state dict")
    return state


def _pickled(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == b"\x80"  # the PROTO opcode that starts every pickle since protocol 2


def _unwrapped(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    for name in WRAPPERS:
        if isinstance(content.get(name), Mapping):
            return _unwrapped(content[name])
    state = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
    while shared := [p for p in PREFIXES if state and all(k.startswith(p) for k in state)]:
        state = {k.removeprefix(shared[0]): v for k, v in state.items()}
    return state


def _matlab(path: Path) -> dict[str, Tensor]:
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
