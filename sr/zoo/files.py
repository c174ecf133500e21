"""Reads a file of weights as named tensors, whatever wrote it. Nothing in the file is executed."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sr.bounded import refuse_odd
from sr.compose.words import path_typed
from sr.errors import UserError, some, told_once
from sr.layers import torch_file
from sr.runs import safetensors
from sr.zoo import matlab_file

log = logging.getLogger(__name__)
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
        return matlab_file.read(path)
    state = _unwrapped(content)
    sets = [name for name in WRAPPERS if isinstance(content, Mapping) and isinstance(content.get(name), Mapping)]
    sets = [name for name in sets if state and not known_intact and _unwrapped(content[name])]
    if len(sets) > 1:
        told_once(
            log, logging.WARNING, f"note: {path} holds several sets of weights: {sets[0]} is taken of {some(sets)}"
        )
    if not state:
        kind = f"a {type(content).__name__}{f' of {some(content)}' if isinstance(content, Mapping) else ''}"
        raise UserError(f"{path} holds no tensors by name: {kind} is not a state dict")
    return state


def raw_tensors(path: Path) -> Mapping[str, Any]:
    """What a PyTorch file holds, with all that a trainer put around its tensors; nothing of a MATLAB file."""
    content = _contents(path, known_intact=True)
    return content if isinstance(content, Mapping) else {}


def exported(path: Path) -> bool:
    """Whether a file tells, with a checksum that holds, that `sr export` wrote it for values in [0, 1].

    Raises:
        UserError: the checksum does not hold.
    """
    told = safetensors.read(path, known_intact=True)[1] if safetensors.is_one(path) else {}
    return {safetensors.CHECKSUM, "architecture"} <= told.keys() and told.get("range") == "0-1"


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
