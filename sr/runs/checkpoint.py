"""Self-describing checkpoints: a file alone is enough to rebuild the model. Nothing in a file is executed."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from sr.compose.words import path_typed
from sr.errors import UserError, reason, some, told_once
from sr.layers import torch_file
from sr.models.base import Reads, SuperResolver
from sr.runs import safetensors
from sr.runs.code import tell_other_code
from sr.runs.config import LAST, last, upgraded
from sr.runs.construct import construct
from sr.runs.record import recorded

log = logging.getLogger(__name__)

EXPORTED = "model.safetensors"  # in a folder of `sr export formats=hub`
FORMAT = 2  # 1: configs named what has moved since, the networks of a loss stood in the model's state


def describe(model: dict[str, Any], name: str, config: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint tells about itself, in plain values.

    Args:
        model: the composed `model` node (`_target_` and hyper-parameters).
        name: the model's name as it was typed.
        config: the whole composed config, budget applied.
    """
    return {"format": FORMAT, "name": name, "model": model, "config": config}


def locate(path: str | Path) -> Path:
    """A checkpoint file from a path that may also be a run folder, whose last one is meant, or a folder of runs.

    It may be a folder of `sr export formats=hub`, too. Of several runs in a folder the newest one is meant.

    Raises:
        UserError: there is none.
    """
    found = Path(path)
    try:
        if found.is_file():
            return found
        for own in (last(found), found / EXPORTED):
            if own.is_file():
                return own
        runs = sorted(found.glob(f"**/checkpoints/{LAST}"), key=lambda p: p.stat().st_mtime)
    except (OSError, ValueError) as error:  # a name that no file can have
        raise UserError(f"checkpoint {path} cannot be looked for: {reason(error)}") from error
    if not runs and recorded(found):
        raise UserError(f"checkpoint {path}: a run without {last(found)}, so there are no weights")
    if not runs:
        what = f"there is no such file{_beside(found)}"
        if found.is_dir():
            inside = sorted(p.name for p in found.iterdir())
            what = f"no run is in this folder, {f'only {some(inside)}' if inside else 'which is empty'}"
        raise UserError(
            f"checkpoint {path}: {what}. Give a .ckpt file, a run folder "
            "(outputs/<model>_x<scale>/<time>) or a folder of runs, whose newest one is taken"
        )
    if len(runs) > 1:
        newest = f"note: checkpoint {path}: of its {len(runs)} runs the newest, {runs[-1].parents[1]}"
        told_once(log, logging.WARNING, newest)  # once, though a command looks for it more often; in Python, too
    return runs[-1]


def run_of(file: Path) -> Path | None:
    """The folder of the run that a checkpoint lies in; None where it lies elsewhere."""
    place = file.resolve().parent
    return place.parent if place.name == "checkpoints" else None


def ended_with(file: Path) -> Path | None:
    """The folder of the run that ended with a checkpoint, whose figures its results.csv has; None of any other one."""
    return run_of(file) if file.name == LAST else None


def _beside(path: Path) -> str:
    around = sorted(p.name for p in path.parent.glob("*.ckpt")) if path.parent.is_dir() else []
    return f" ({path.parent} holds {', '.join(around)})" if around else ""


def read(path: str | Path, known_intact: bool = False) -> dict[str, Any]:
    """The contents of one of our checkpoints, loaded as tensors and plain values only.

    Args:
        path: of a checkpoint file, or a folder as `locate` takes it.
        known_intact: its checksum is known from elsewhere; else a file that has none is told in the log.

    Raises:
        UserError: no such file, not a checkpoint, a damaged one, one that holds code, or another project's.
    """
    file = locate(path)
    content = _exported(file, known_intact) if safetensors.is_one(file) else torch_file.load(file, known_intact)
    if not isinstance(content, dict) or "sr" not in content or "state_dict" not in content:
        raise UserError(
            f"checkpoint {file} was not written by this project: it does not say which architecture it is of. "
            f"Only checkpoints of training runs can be given here; an author's file is measured with "
            f"{path_typed('weights', file)}"
        )
    _refuse_other_kinds(content, file)
    metadata = content["sr"]
    if metadata.get("format", 1) > FORMAT:
        raise UserError(f"checkpoint {file} is of format {metadata['format']}, which a newer version wrote")
    metadata["config"] = upgraded(metadata["config"])
    return upgrade_state(content)


def _exported(file: Path, known_intact: bool) -> dict[str, Any]:
    """What `sr export` wrote, in the form of a checkpoint."""
    state, told = safetensors.read(file, known_intact)
    try:
        metadata = json.loads(told.get("sr", "null"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} does not tell what it is of: {reason(error)}") from error
    return {"state_dict": state} | ({} if metadata is None else {"sr": metadata})


# What readers rely on, in a checkpoint and in what it tells about itself; what is not there is not looked at.
KINDS = {"sr": dict, "state_dict": dict, "loss_state_dict": dict, "current_model_state": dict, "global_step": int}
KINDS |= {"random": dict, "callbacks": dict, "loops": dict, "optimizer_states": list, "lr_schedulers": list}
TOLD = {"format": int, "name": str, "model": dict, "config": dict, "stage": dict, "reads": dict}
TOLD |= {"batches_seen": int, "stream": int, "code": str, "codes": dict, "methods": dict}
STAGE = {"number": int, "of": int, "name": str, "begin": int, "end": int}
BESIDE = ("bicubic", "HR", "LR")  # in tables and among pictures
NEEDED = ("name", "model", "config")


def _refuse_other_kinds(content: dict[str, Any], file: Path) -> None:
    metadata = content["sr"] if isinstance(content["sr"], dict) else {}
    wrong = [key for key, kind in KINDS.items() if not isinstance(content.get(key, kind()), kind)] or [
        key for key, kind in TOLD.items() if not isinstance(metadata.get(key, None if key in NEEDED else kind()), kind)
    ]
    stage = metadata.get("stage") or {}
    if not wrong and any(not isinstance(stage[key], kind) for key, kind in STAGE.items() if stage and key in stage):
        wrong = ["stage"]
    if not wrong and stage and not 0 < stage.get("number", 1) <= stage.get("of", stage.get("number", 1)):
        wrong = ["stage"]
    overlays = {} if wrong else metadata["config"].get("stages") or {}
    if not isinstance(overlays, dict) or not all(own is None or isinstance(own, dict) for own in overlays.values()):
        wrong = ["stages"]
    states = [content.get(key, {}) for key in KINDS if key.endswith(("state_dict", "state"))]
    if not wrong and not all(isinstance(k, str) and isinstance(v, Tensor) for s in states for k, v in s.items()):
        wrong = ["state_dict"]
    reads = metadata.get("reads") or {}
    if reads and {k: type(v) for k, v in reads.items()} != {"gain": float, "shift": float, "bgr": bool}:
        wrong = ["reads"]
    if not wrong and not names_a_network(metadata["name"]):
        wrong = ["name"]
    if wrong:
        raise UserError(
            f"checkpoint {file} does not describe its model as this version of the project does: {wrong[0]} is not "
            "what a training run writes"
        )


def names_a_network(name: str) -> bool:
    """Whether a row of figures may be called so: not as what stands beside networks, nor as an ensemble."""
    return name.isprintable() and name == name.strip() and name not in BESIDE and not name.endswith("+")


def upgrade_state(content: dict[str, Any]) -> dict[str, Any]:
    """Bring content to the present format: the first one held the networks of a loss in the model's state."""
    if "loss_state_dict" not in content:
        for key in ("state_dict", "current_model_state"):  # the second: what trains, where the first is an average
            if key in content:
                state: dict[str, torch.Tensor] = {}
                loss: dict[str, torch.Tensor] = {}
                for name, value in content[key].items():
                    (loss if name.startswith("loss.") else state)[name.removeprefix("loss.")] = value
                content |= {key: state, "loss_state_dict": loss}
    return content


class CheckpointFiles(TorchCheckpointIO):
    """Lets Lightning read a checkpoint as everything else does (`read`).

    Args:
        content: of the one that a run goes on from: what was looked at, whatever its file holds by now.
    """

    def __init__(self, content: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.content = content

    def load_checkpoint(self, path: str | Path, *_: Any, **__: Any) -> dict[str, Any]:
        return read(path) if self.content is None else dict(self.content)


def build(content: dict[str, Any], source: str | Path) -> SuperResolver:
    """The model that a checkpoint describes, with its weights, in eval mode."""
    model = construct(content["sr"]["model"], source, content["state_dict"])
    load_weights(model, content["state_dict"], source)
    tell_other_code(model, content["sr"], source)
    if reads := content["sr"].get("reads"):
        model.reads = Reads(**reads)
    model.metadata = {k: v for k, v in content["sr"].items() if k != "batches_seen"}
    return model.eval()


def load(path: str | Path, known_intact: bool = False) -> SuperResolver:
    """The model in a checkpoint file or run folder; see `read`."""
    return build(read(path, known_intact), path)


def load_weights(model: SuperResolver, state: dict[str, torch.Tensor], source: str | Path) -> None:
    """Load a state into a model of the same architecture and size.

    Raises:
        UserError: with the keys that differ.
    """
    _same_network(model, state, source)
    model.load_state_dict(state)


def _same_network(model: SuperResolver, theirs: dict[str, torch.Tensor], source: str | Path) -> None:
    """Refuse a state that is not of the model's architecture and size."""
    ours = model.state_dict()
    missing = sorted(ours.keys() - theirs.keys())
    unknown = sorted(theirs.keys() - ours.keys())
    resized = [
        f"{k} is {tuple(theirs[k].shape)}, wanted {tuple(ours[k].shape)}"
        for k in sorted(ours.keys() & theirs.keys())
        if ours[k].shape != theirs[k].shape
    ]
    if unknown and theirs.keys() == model.merged().state_dict().keys():
        raise UserError(
            f"{source} holds the merged form of {type(model).__name__}, in which the branches that are trained are "
            "summed up: it is measured, exported and used as it is, and no training goes on from it"
        )
    if missing or unknown or resized:
        lists = {"Missing": missing, "Unknown": unknown, "Other shape": resized}
        differing = "".join(f"\n  {label}: {some(names)}" for label, names in lists.items() if names)
        raise UserError(
            f"{source} does not fit {type(model).__name__} x{'/'.join(map(str, model.scales))}; it is of another "
            f"architecture, size or scale.{differing}"
        )
    torch_file.refuse_unusable(theirs, ours, source)


def fitting(
    model: SuperResolver, content: dict[str, Any], node: dict[str, Any], source: str | Path
) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint that a run may start from; of another form of the same network those that fit.

    Lim et al. (EDSR, section 4.1) start x3 and x4 from x2 in this way, Wang et al. EDVR from the one without TSA:
    layers of the same name and shape are taken, the others stay as they are initialised. `SuperResolver.forms` says
    what forms differ in. A part of the network (`content["sr"]["part"]`) is taken as such.

    Args:
        model: that is to start from it.
        content: of the checkpoint.
        node: the settings of `model`, as composed.
        source: the checkpoint, for messages.

    Raises:
        UserError: it is of another architecture or size.
    """
    theirs, state = content["sr"]["model"], content["state_dict"]
    if content["sr"].get("reads"):
        raise UserError(
            f"{source} is read in another range or order of channels than {type(model).__name__}'s, as was typed or "
            "as it did best on a photo: so it can be measured, but not trained on. If it was trained in "
            f"{type(model).__name__}'s own, type zoo.range=own"
        )
    differing = {k for k in {*theirs, *node} if theirs.get(k) != node.get(k)}
    if _targets(theirs) == _targets(node):  # else it is told that the class is another
        tell_other_code(model, content["sr"], source)
    if not content["sr"].get("part") and (not differing or differing - {*model.forms}):
        _same_network(model, state, source)
        return state
    ours = model.state_dict()
    fits = {k: state[k] for k, v in ours.items() if k in state and state[k].shape == v.shape}
    if not fits:
        raise UserError(
            f"{source} is a part of another network than {type(model).__name__}: it holds {some(list(state))}"
        )
    torch_file.refuse_unusable(fits, ours, source)
    return fits


def _targets(value: Any) -> list[Any]:
    """The classes that a node names."""
    if not isinstance(value, dict):
        return []
    return [value.get("_target_"), *(target for inner in value.values() for target in _targets(inner))]


def warm_start(model: SuperResolver, content: dict[str, Any], node: dict[str, Any], source: str | Path) -> str:
    """Load another run's weights as far as they fit (see `fitting`).

    Returns:
        What was taken and what was left fresh, for the log.
    """
    fits, ours = fitting(model, content, node, source), model.state_dict()
    model.load_state_dict(fits, strict=False)
    theirs, told = content["sr"]["model"], f"weights from {source}"
    if fresh := [k for k in ours if k not in fits]:
        taken = f"{len(fits)} of {len(ours)} tensors; begun afresh: {some(fresh, 12)}"
        told += (f" (scale {theirs['scale']})" if theirs else "") + f": {taken}"
    # Shapes do not tell settings such as res_scale, with which the same weights are another network.
    if other := [k for k in theirs if k in node and k != "scale" and theirs[k] != node[k]]:
        told += f". Not as they were trained: {', '.join(f'{k} was {theirs[k]}, is {node[k]}' for k in other)}"
    return told
