"""Self-describing checkpoints: a file alone is enough to rebuild the model. Nothing in a file is executed."""

import pickle
from pathlib import Path
from typing import Any

import torch
from hydra.errors import HydraException
from hydra.utils import get_object
from lightning.pytorch.plugins.io import TorchCheckpointIO

from sr.errors import UserError, reason, some
from sr.models.base import SuperResolver
from sr.runs.config import upgraded

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
    """A checkpoint file from a path that may also be a run folder (its last checkpoint is meant)."""
    found = Path(path)
    if found.is_dir():
        found = found / "checkpoints" / "last.ckpt"
    if not found.is_file():
        raise UserError(
            f"checkpoint {path}: there is no such file{_beside(Path(path))}. Give a .ckpt file or a run folder "
            "(outputs/<model>_x<scale>/<time>)"
        )
    return found


def _beside(path: Path) -> str:
    around = sorted(p.name for p in path.parent.glob("*.ckpt")) if path.parent.is_dir() else []
    return f" ({path.parent} holds {', '.join(around)})" if around else ""


def read(path: str | Path) -> dict[str, Any]:
    """The contents of one of our checkpoints, loaded as tensors and plain values only.

    Raises:
        UserError: no such file, not a checkpoint, one that holds code, or another project's.
    """
    file = locate(path)
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"checkpoint {file} is refused: it holds more than tensors and plain values, and loading it would run "
            f"code from the file ({reason(error)}). Ask its author for a state dict saved with "
            "torch.save(model.state_dict(), ...)"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise UserError(f"checkpoint {file} cannot be read: {reason(error)}. Is it complete?") from error
    if not isinstance(content, dict) or "sr" not in content or "state_dict" not in content:
        raise UserError(
            f"checkpoint {file} was not written by this project: it does not say which architecture it is of. "
            "Only checkpoints of training runs can be given here"
        )
    metadata = content["sr"]
    if not (
        isinstance(metadata, dict)
        and isinstance(metadata.get("model"), dict)
        and isinstance(metadata.get("config"), dict)
    ):
        raise UserError(f"checkpoint {file} does not describe its model as this version of the project does")
    if int(metadata.get("format", 1)) > FORMAT:
        raise UserError(f"checkpoint {file} is of format {metadata['format']}, which a newer version wrote")
    metadata["config"] = upgraded(metadata["config"])
    return upgrade_state(content)


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
    """Lets Lightning read a checkpoint as everything else does (`read`)."""

    def load_checkpoint(self, path: str | Path, *_: Any, **__: Any) -> dict[str, Any]:
        return read(path)


def build(content: dict[str, Any], source: str | Path) -> SuperResolver:
    """The model that a checkpoint describes, with its weights, in eval mode."""
    model = construct(content["sr"]["model"], source)
    load_weights(model, content["state_dict"], source)
    model.metadata = {k: v for k, v in content["sr"].items() if k != "batches_seen"}
    return model.eval()


def load(path: str | Path) -> SuperResolver:
    """The model in a checkpoint file or run folder."""
    return build(read(path), path)


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
    if missing or unknown or resized:
        lists = {"Missing": missing, "Unknown": unknown, "Other shape": resized}
        differing = "".join(f"\n  {label}: {some(names)}" for label, names in lists.items() if names)
        raise UserError(
            f"{source} does not fit {type(model).__name__} x{'/'.join(map(str, model.scales))}; it is of another "
            f"architecture, size or scale.{differing}"
        )


def fitting(
    model: SuperResolver, content: dict[str, Any], node: dict[str, Any], source: str | Path
) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint that a run may start from; of the same network at another scale those that fit.

    Lim et al. (EDSR, section 4.1) start x3 and x4 from x2 in this way: layers of the same name and shape are taken,
    those that depend on the scale stay as they are initialised.

    Args:
        model: that is to start from it.
        content: of the checkpoint.
        node: the settings of `model`, as composed.
        source: the checkpoint, for messages.

    Raises:
        UserError: it is of another architecture or size.
    """
    theirs, state = content["sr"]["model"], content["state_dict"]
    if {**theirs, "scale": None} != {**node, "scale": None} or theirs.get("scale") == node.get("scale"):
        _same_network(model, state, source)
        return state
    ours = model.state_dict()
    return {k: state[k] for k, v in ours.items() if k in state and state[k].shape == v.shape}


def warm_start(model: SuperResolver, content: dict[str, Any], node: dict[str, Any], source: str | Path) -> str:
    """Load another run's weights as far as they fit (see `fitting`).

    Returns:
        What was taken and what was left fresh, for the log.
    """
    fits, ours = fitting(model, content, node, source), model.state_dict()
    model.load_state_dict(fits, strict=False)
    if not (fresh := [k for k in ours if k not in fits]):
        return f"weights from {source}"
    scale = content["sr"]["model"].get("scale")
    return (
        f"weights from {source} (scale {scale}): {len(fits)} of {len(ours)} tensors; begun afresh: {', '.join(fresh)}"
    )


def construct(node: dict[str, Any], source: str | Path) -> SuperResolver:
    """Build the architecture that a checkpoint names; only a SuperResolver is ever called."""
    target = str(node.get("_target_"))
    try:
        architecture = get_object(target)
    except (HydraException, ValueError, ImportError) as error:
        raise UserError(f"checkpoint {source} is of {target}, which is not installed here") from error
    if not (isinstance(architecture, type) and issubclass(architecture, SuperResolver)):
        raise UserError(f"checkpoint {source} is refused: {target} is not a super-resolution model")
    settings = {k: v for k, v in node.items() if k != "_target_"}
    # Called directly: Hydra's instantiate would build, so call, whatever a nested value names.
    if not all(_plain_value(v) for v in settings.values()) or any(k.startswith("_") for k in settings):
        raise UserError(f"checkpoint {source} is refused: its settings are not plain numbers, words and lists")
    try:
        return architecture(**settings)
    except TypeError as error:
        raise UserError(f"checkpoint {source} does not fit {target} as installed here: {error}") from error


def _plain_value(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_plain_value(v) for v in value)
    return value is None or isinstance(value, bool | int | float | str)
