"""An author's file, by name or by path, as one of our models."""

import logging
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sr.compose.words import path_typed
from sr.errors import UserError, nearest, reason
from sr.layers import torch_file
from sr.layers.identity import checksum
from sr.models.base import SuperResolver
from sr.runs import checkpoint, safetensors
from sr.whole import replacing
from sr.zoo.baseline_maps import BASELINE_FAMILIES
from sr.zoo.entries import ZOO, ZooEntry, get_entry, is_listed
from sr.zoo.families import Family, Tensors, UnknownError, build, recognise
from sr.zoo.files import SUFFIXES, exported, read_tensors
from sr.zoo.locate import entry_of, find
from sr.zoo.matlab_maps import MATLAB_FAMILIES
from sr.zoo.onnx_file import SUFFIX
from sr.zoo.plain_maps import PLAIN_FAMILIES
from sr.zoo.residual_maps import RESIDUAL_FAMILIES
from sr.zoo.span_maps import SPAN_FAMILIES
from sr.zoo.spandrel_file import HINT, library
from sr.zoo.strangers import STRANGERS, by_onnx, by_spandrel
from sr.zoo.torch_maps import TORCH_FAMILIES
from sr.zoo.trial import HOPELESS, RANGES, UNPROVED, Trial, try_out
from sr.zoo.video_maps import VIDEO_FAMILIES, flow_network

KINDS = "a run folder, a checkpoint, an author's file, or a name of `sr zoo list`"
log = logging.getLogger(__name__)
FAMILIES = (
    *TORCH_FAMILIES, *SPAN_FAMILIES, *BASELINE_FAMILIES, *RESIDUAL_FAMILIES, *PLAIN_FAMILIES, *VIDEO_FAMILIES,
    *MATLAB_FAMILIES,
)  # fmt: skip


@dataclass(frozen=True)
class Loaded:
    """A model with an author's weights.

    Attributes:
        name: the zoo's, or the file's, without its suffix where that is no other row's name.
        model: in eval mode; its metadata makes it savable as a checkpoint.
        entry: of the zoo; None for a file that it does not list.
    """

    name: str
    model: SuperResolver
    path: Path
    entry: ZooEntry | None


def load(
    spec: str,
    folder: str | Path,
    scale: int | None = None,
    download: bool = True,
    range_: str | None = None,
    order: str | None = None,
    strict: bool = True,
) -> Loaded:
    """The model that `weights=<spec>` means.

    What the zoo does not list is recognised by keys and shapes, which networks of other arithmetic share: it is run on
    a photo (`sr.zoo.trial`), refused where it fails in every range of values, and called unproved below bicubic and
    where other arithmetic with the same weights does better, unless that is a setting of our network. A file of `sr
    export` is read as it tells.

    Args:
        spec: a name of the zoo, or the path of a file under any name.
        folder: where the zoo's files are looked for.
        scale: what was typed; needed for a file that serves every scale and that the zoo does not list.
        download: whether a file that is not there may be fetched.
        range_: of the values that the network takes, as typed: see `sr.zoo.trial`.
        order: of its channels, likewise.
        strict: refuse another scale than typed; else `scale` is only for files that fit every scale.

    Raises:
        UserError: no such name or file, another checksum, keys that do not fit, another scale than typed, or a network
            that does not enlarge.
    """
    path = Path(spec).expanduser()
    is_path = path.exists() or path.suffix.lower() in SUFFIXES or len(path.parts) > 1
    entry: ZooEntry | None
    if spec in ZOO or not is_path:
        entry = get_entry(spec)
        if strict and scale is not None and scale != entry.scale:
            raise UserError(f"scale={scale}: weights={spec} is of scale {entry.scale}; leave scale= out")
        path = find(entry, Path(folder).expanduser(), download)
        if entry.origin.folder is not None:
            return Loaded(entry.name, checkpoint.load(path, known_intact=True), path, entry)
        if not entry.sha256:
            log.info(f"note: no checksum of {entry.name} is known: {path} is taken for it by its name")
            taken = load(str(path.absolute()), folder, entry.scale, False, range_, order, strict)
            return replace(taken, name=entry.name + UNPROVED * taken.name.endswith(UNPROVED))
    else:
        if not path.is_file():
            if path.is_dir():
                raise UserError(f"{spec} is a folder; weights= are files. Type {path_typed('checkpoint', path)}")
            raise UserError(f"{spec}: there is no such file. List the zoo's names: sr zoo list")
        if path.suffix.lower() == SUFFIX:
            return Loaded(*by_onnx(path, _name(path), scale if strict else None, range_, order), path, None)
        entry = entry_of(path, scale)
    tensors = read_tensors(path) if entry is None else _tensors_of(entry, path)
    if flow_network(tensors):
        raise UserError(
            f"{path} is SPyNet alone, the flow network of BasicVSR, which enlarges nothing: type "
            f"model=basicvsr {path_typed('init_from', path)} to train with it"
        )
    try:
        family, node, model = _recognised(tensors, path, entry, scale, strict)
    except UserError as error:
        if entry is not None:
            raise
        found = by_spandrel(path, _name(path), tensors, scale if strict else None, range_, order)
        if found is not None:
            return Loaded(*found, path, None)
        hint = f". {HINT}" if isinstance(error, UnknownError) and library() is None else ""
        raise UserError(f"{error}{hint}") from error
    name = entry.name if entry else _name(path)
    if entry is None and exported(path):
        log.info(f"note: {path} tells that sr export wrote it: what it reads is known")
        range_, order = range_ or "own", order or "rgb"
    if entry is None or len(entry.sha256) < 64 or range_ or order:
        model, node, trial = _tried(model, node, family, tensors, path, range_, order, entry)
        name += "" if trial.proved else UNPROVED
    # Only the paper's own file stands beside the paper's figures.
    paper = entry.published if entry and model.reads is None else ""
    model.metadata = {"format": 1, "name": entry.model if entry else name, "model": node, "config": {}}
    model.metadata |= {"published": paper, "reads": asdict(model.reads) if model.reads else {}}
    return Loaded(name, model, path, entry)


def _tensors_of(entry: ZooEntry, path: Path) -> Tensors:
    """Of an entry's file, by a copy of one's own: where it lies somebody could change it after it was looked at."""
    with tempfile.TemporaryDirectory() as folder:
        own = Path(shutil.copyfile(path, Path(folder) / path.name))
        if not entry.has(checksum(own)):
            raise UserError(f"weights={entry.name}: {path} was changed while it was read. Type the command again")
        return read_tensors(own, known_intact=len(entry.sha256) == 64)


def _recognised(
    tensors: Tensors, path: Path, entry: ZooEntry | None, scale: int | None, strict: bool
) -> tuple[Family, dict[str, Any], SuperResolver]:
    """The network of ours whose weights a file holds, with its family and its node."""
    family, node = recognise(tensors, FAMILIES, path)
    node = {"_target_": node.pop("_target_"), "scale": node.pop("scale", None) or _scale(path, entry, scale), **node}
    served = node["scale"] if isinstance(node["scale"], list) else [node["scale"]]
    if strict and scale is not None and scale not in served:
        raise UserError(f"scale={scale}: {path} is of scale {', '.join(map(str, served))}; leave scale= out")
    return family, node, build(family, node, tensors, path)


def _name(path: Path) -> str:
    """What a file is told by.

    Raises:
        UserError: its figures could be taken for others'.
    """
    for name in (path.stem, path.name):
        if checkpoint.names_a_network(name) and not is_listed(name):
            return name
    raise UserError(f"{path}: a network of this name would be taken for another row of a table. Rename the file")


def _tried(
    model: SuperResolver, node: dict[str, Any], family: Family, tensors: Tensors, path: Path, range_: str | None,
    order: str | None, entry: ZooEntry | None,
) -> tuple[SuperResolver, dict[str, Any], Trial]:  # fmt: skip
    try:
        trial = try_out(model, family.white, range_, order)
        for key, value in [(k, v) for k, values in family.untold.items() for v in values if v != node.get(k)]:
            if trial.proved:
                break
            other = build(family, node | {key: value}, tensors, path)
            if (found := try_out(other, family.white, range_, order)).proved:
                model, node, trial = other, node | {key: value}, found
                log.info(f"note: {path} does better with {key}={value}, which no such file tells: so it is taken")
    except RuntimeError as error:
        raise UserError(f"{path} looks like {family.name}, but does not run as such: {reason(error)}") from error
    known = "is unknown to the zoo, recognised"
    if entry is not None and len(entry.sha256) == 64:
        known = f"is {entry.name}, recognised"
    elif entry is not None:
        digits = f"the first {len(entry.sha256)} digits of its checksum, which another file can be made to have"
        known = f"is taken for {entry.name} by {digits}, and recognised"
    log.info(
        f"note: {path} {known} by keys and shapes as {family.name} "
        f"x{', x'.join(map(str, model.scales))}; {trial}. Its figures are those of our {family.name} with its weights"
    )
    if range_ is None and trial.psnr < trial.bicubic - HOPELESS:
        raise UserError(
            f"{path} is refused: it has the keys and shapes of {family.name}, but is another network or needs other "
            f"images: in no range of values and order of channels it comes near to bicubic; the best is {trial}. If "
            f"you know its range, type zoo.range=0-1 ({', '.join(RANGES)}) and zoo.order=rgb or bgr"
        )
    return model, node, trial


def beginning(source: str, zoo: Any, scale: int | None, key: str = "init_from") -> dict[str, Any]:
    """The contents of a checkpoint that training begins from: `init_from=` names a run, a file or an entry of the zoo.

    Args:
        source: as typed.
        zoo: its settings, sr.compose.schema.Zoo.
        scale: of the run, for authors' files that fit every scale.
        key: under which it was typed.

    Raises:
        UserError: see `checkpoint.read` and `load`.
    """
    if (content := ours(source, key)) is not None:
        return content
    if source not in ZOO and (flow := flow_network(read_tensors(Path(source).expanduser()))):
        return {"state_dict": flow, "sr": {"model": {}, "part": True}}
    model = load(source, zoo.dir, scale, zoo.download, zoo.range, zoo.order, strict=False).model
    return {"state_dict": model.state_dict(), "sr": dict(model.metadata)}


def file_of(source: str) -> Path | None:
    """The checkpoint, or author's file, that is begun from; None of a name of the zoo, whatever lies here under it."""
    path = Path(source).expanduser()
    return checkpoint.locate(path) if source not in ZOO and path.exists() else None


def ours(source: str, key: str) -> dict[str, Any] | None:
    """The contents of the run or checkpoint that is named; None for a name of the zoo and an author's file.

    Args:
        source: as typed.
        key: under which it was typed.

    Raises:
        UserError: nothing is named so; or see `checkpoint.read`.
    """
    path = Path(source).expanduser()
    if source in ZOO or (path.is_file() and not is_ours(path)):
        return None
    if not path.exists() and len(path.parts) == 1 and not path.suffix:
        hint = nearest(source, ZOO)
        raise UserError(f"{key}={source}: neither a run, nor a file, nor a name of the zoo.{hint} Type {KINDS}")
    return checkpoint.read(path)


def is_ours(path: Path) -> bool:
    """Whether a file is a checkpoint of this project: by what is in it, whatever its name."""
    try:
        if safetensors.is_one(path):
            return "sr" in safetensors.read(path, known_intact=True)[1]
        content = torch_file.load(path, known_intact=True)
    except OSError:
        return False
    except UserError:
        return path.suffix == ".ckpt"
    return isinstance(content, dict) and "sr" in content


def save(loaded: Loaded, path: Path) -> None:
    """Write the model as a checkpoint of this project: for evaluate's checkpoint= and train's init_from=.

    Raises:
        UserError: the file is there already; nothing is overwritten.
    """
    if isinstance(loaded.model, STRANGERS):
        raise UserError(f"{loaded.path} does not hold the weights of a network of ours: it is used as it is")
    if path.exists():
        raise UserError(f"{path} is there already; remove it or give another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"state_dict": loaded.model.state_dict(), "sr": {**loaded.model.metadata, "batches_seen": 0}}
    with replacing(path) as part:
        torch.save(content, part)


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
