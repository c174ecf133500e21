"""The configuration of a run as its folder tells it."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from sr.compose.keys import recorded_choices
from sr.compose.words import Words
from sr.errors import UserError, told_once
from sr.runs.record import recorded
from sr.runs.yaml_file import quickly, read, resolved

log = logging.getLogger(__name__)
LAST = "last.ckpt"
RECORD = "composed.yaml"  # which only the run itself writes, see sr.runs.composed


def last(folder: Path) -> Path:
    """Where a run's last checkpoint is, from which it goes on."""
    return folder / "checkpoints" / LAST


def read_config(folder: Path) -> dict[str, Any]:
    """Of the last checkpoint, as it stood after the budget; else as composed, resolved as far as the file itself goes.

    Raises:
        UserError: the record is damaged, or more than a run writes.
    """
    file = last(folder)
    if file.is_file():
        from sr.layers import torch_file  # and identity: torch, which a run without a checkpoint does not need
        from sr.layers.identity import identity

        with suppress(UserError, LookupError, TypeError):  # damaged, or not ours: then the record tells
            # Mapped, not read: of a large model's file only the few pages that hold the config.
            content = torch_file.load(file, known_intact=True, mapped=True)
            told = content["sr"]
            # Of the two that it tells of, the network that its weights are loaded into counts.
            config = _checked(upgraded(told["config"] | {"model": told["model"]}), file)
            _tell_others(folder, content.get("global_step"), identity({}, told["config"]))
            return config
    file = folder / ".hydra" / "config.yaml"
    config = resolved(_checked(read(file), file))
    if config.get("choices") == {}:  # which train.py fills in only after Hydra has kept the config
        config["choices"] = recorded_choices(hydras_choices(folder))
    return _checked(upgraded(config), file)


def _tell_others(folder: Path, step: Any, settings: str) -> None:
    """Warn where a finished run's last checkpoint is not the one that it ended with: another one was put there."""
    told = recorded(folder)
    if told.get("status") == "finished" and step is not None and told.get("steps") not in (None, step):
        told_once(
            log,
            logging.WARNING,
            f"warning: {last(folder)} was written at step {step}, and the run ended at step "
            f"{told['steps']}: its curve and its figures are of other weights, and maybe of another config",
        )
    elif told.get("status") == "finished" and told.get("settings") not in (None, settings):
        told_once(
            log,
            logging.WARNING,
            f"warning: {last(folder)} holds another config than the run ended with: it is another run's, and the curve "
            "and the figures there are not of it",
        )


def _checked(config: Any, file: Path) -> dict[str, Any]:
    """A config whose parts are of the kinds that readers of runs rely on."""
    kinds = {"choices": dict, "budget": dict, "stages": dict, "model": dict, "seed": int}
    if not isinstance(config, dict) or any(not isinstance(config.get(k) or kind(), kind) for k, kind in kinds.items()):
        raise UserError(f"{file} is not the config of a run")
    return config


def typed_words(folder: Path) -> Words:
    """What was typed for a run, as its own record has it; of format 1 as Hydra kept it."""
    record, saved = folder / RECORD, folder / ".hydra" / "overrides.yaml"
    content = quickly(record) if record.is_file() else None
    found = content.get("words") if isinstance(content, dict) else read(saved) if saved.is_file() else []
    dirs = content.get("config_dirs") if isinstance(content, dict) else None
    return Words(map(str, found), dirs if isinstance(dirs, list) else ()) if isinstance(found, list) else Words()


def plain(node: Any) -> Any:
    """The values of a config without interpolations; what is no config as it is."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested config as dotted keys; of a list of nodes each has its number, other lists stay whole."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, list) and value and all(isinstance(node, Mapping) for node in value):
            value = dict(enumerate(value))
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def hydras_choices(folder: Path) -> dict[str, Any]:
    """The option chosen from every config group, as Hydra keeps them; empty where it kept none."""
    saved = folder / ".hydra" / "hydra.yaml"
    found: Any = read(saved) if saved.is_file() else None
    for key in ("hydra", "runtime", "choices"):
        found = found.get(key) if isinstance(found, dict) else None
    return {str(group): option for group, option in found.items()} if isinstance(found, dict) else {}


def before_budget(folder: Path, config: dict[str, Any]) -> bool:
    """Whether the counts in a config are still the recipe's, which its budget would have changed."""
    budget = config.get("budget") or {}
    changes = any(budget.get(key) for key in ("seconds", "steps", "max_batch", "smallest_patch"))
    return changes and budget.get("factor") is None and not last(folder).is_file()


MOVED = {  # where classes and functions stood that a stored config may name
    "sr.callbacks.wandb_logger": "sr.loggers.wandb_logger",
    "sr.callbacks.mlflow_logger": "sr.loggers.mlflow_logger",
    "sr.callbacks.tensorboard_logger": "sr.loggers.tensorboard_logger",
    "sr.schedules": "sr.training.schedules",
}

RENAMED = {"test_protocols": "protocols"}  # keys
OF_TRAINER = ("channels_last", "compile")  # keys that stood at the root


def upgraded(node: Any) -> Any:
    """A stored config, or a part of it, in plain values: what was moved is named by where it stands now."""
    if isinstance(node, list):
        return [upgraded(value) for value in node]
    if not isinstance(node, dict):
        return node
    if node.get("_target_") == "sr.metrics.protocol.get_protocol":
        return node.get("name")  # a protocol was built where it is named now
    if isinstance(trainer := node.get("trainer"), dict):
        former = {key: node[key] for key in OF_TRAINER if key in node}
        node = {key: value for key, value in node.items() if key not in former} | {"trainer": former | trainer}
    return {
        RENAMED.get(key, key): moved(value) if key == "_target_" else upgraded(value) for key, value in node.items()
    }


def moved(target: Any) -> Any:
    """`sr.schedules.Cyclical` -> `sr.training.schedules.Cyclical`."""
    for then, now in MOVED.items():
        if target == then or str(target).startswith(f"{then}."):
            return now + str(target)[len(then) :]
    return target
