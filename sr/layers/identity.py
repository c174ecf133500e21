"""Which file it is, whatever its name, and which weights, whatever file they lie in."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def checksum(file: Path) -> str:
    """Of what is in a file: its SHA-256."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def identity(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> str:
    """Other weights or settings give another one."""
    found = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for name, value in state.items():
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()
