"""An author's file, by name or by path, as one of our models."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from sr.errors import UserError
from sr.models.base import SuperResolver
from sr.zoo.entries import ZOO, ZooEntry, by_checksum, get_entry
from sr.zoo.families import build, recognise
from sr.zoo.files import SUFFIXES, read_tensors
from sr.zoo.locate import checksum, find
from sr.zoo.matlab_maps import MATLAB_FAMILIES
from sr.zoo.torch_maps import TORCH_FAMILIES

FAMILIES = (*TORCH_FAMILIES, *MATLAB_FAMILIES)


@dataclass(frozen=True)
class Loaded:
    """A model with an author's weights.

    Attributes:
        name: the zoo's, or the file's without its suffix.
        model: in eval mode; its metadata makes it savable as a checkpoint.
        entry: of the zoo; None for a file that it does not list.
    """

    name: str
    model: SuperResolver
    path: Path
    entry: ZooEntry | None


def load(spec: str, folder: str | Path, scale: int | None = None, download: bool = True) -> Loaded:
    """The model that `weights=<spec>` means.

    Args:
        spec: a name of the zoo, or the path of a file under any name.
        folder: where the zoo's files are looked for.
        scale: what was typed; needed for a file that serves every scale and that the zoo does not list.
        download: whether a file that is not there may be fetched.

    Raises:
        UserError: no such name or file, another checksum, keys that do not fit, or another scale than typed.
    """
    path = Path(spec).expanduser()
    is_path = path.exists() or path.suffix.lower() in SUFFIXES or len(path.parts) > 1
    entry: ZooEntry | None
    if spec in ZOO or not is_path:
        entry = get_entry(spec)
        if scale is not None and scale != entry.scale:
            raise UserError(f"scale={scale}: weights={spec} is of scale {entry.scale}; leave scale= out")
        path = find(entry, Path(folder).expanduser(), download)
    else:
        if not path.is_file():
            raise UserError(f"weights={spec}: there is no such file. List the zoo's names: sr zoo list")
        entry = by_checksum(checksum(path), scale)
    tensors = read_tensors(path)
    family, node = recognise(tensors, FAMILIES, path)
    node = {"_target_": node.pop("_target_"), "scale": node.pop("scale", None) or _scale(path, entry, scale), **node}
    if scale is not None and node["scale"] != scale:
        raise UserError(f"scale={scale}: {path} is of scale {node['scale']}; leave scale= out")
    model = build(family, node, tensors, path)
    name = entry.name if entry else path.stem
    model.metadata = {"format": 1, "name": entry.model if entry else name, "model": node, "config": {}}
    return Loaded(name, model, path, entry)


def save(loaded: Loaded, path: Path) -> None:
    """Write the model as a checkpoint of this project: for evaluate's checkpoint= and train's init_from=.

    Raises:
        UserError: the file is there already; nothing is overwritten.
    """
    if path.exists():
        raise UserError(f"{path} is there already; remove it or give another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"state_dict": loaded.model.state_dict(), "sr": {**loaded.model.metadata, "batches_seen": 0}}
    partial = path.with_name(path.name + ".part")
    torch.save(content, partial)
    os.replace(partial, path)


def _scale(path: Path, entry: ZooEntry | None, typed: int | None) -> int:
    """The scale of a network on enlarged images, whose tensors do not tell it."""
    if entry is not None:
        return entry.scale
    if typed is not None:
        return typed
    if named := re.findall(r"(?:^|[^A-Za-z0-9])[xX](\d)(?!\d)", path.stem):
        return int(named[-1])
    raise UserError(
        f"weights={path}: a network of this kind fits every scale, and its name tells none: type scale=2, ..."
    )
