"""The configuration of a run as its folder tells it."""

import pickle
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sr.compose.keys import recorded_choices
from sr.compose.words import Words


def read_config(folder: Path) -> dict[str, Any]:
    """Of the last checkpoint, as it stood after the budget; else as composed, resolved as far as this process can."""
    last = folder / "checkpoints" / "last.ckpt"
    if last.is_file():
        import torch  # which a run without a checkpoint does not need

        with suppress(pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError):
            # Mapped, not read: of a large model's file only the few pages that hold the config.
            return upgraded(torch.load(last, map_location="cpu", weights_only=True, mmap=True)["sr"]["config"])
    composed = OmegaConf.load(folder / ".hydra" / "config.yaml")
    assert isinstance(composed, DictConfig)
    config: dict[str, Any] = _resolved(composed)
    if config.get("choices") == {}:  # which train.py fills in only after Hydra has kept the config
        config["choices"] = recorded_choices(hydras_choices(folder))
    return upgraded(config)


def typed_words(folder: Path) -> Words:
    """What was typed for a run, as Hydra kept it."""
    saved = folder / ".hydra" / "overrides.yaml"
    found = OmegaConf.to_container(OmegaConf.load(saved), resolve=False) if saved.is_file() else []
    return Words(str(word) for word in found) if isinstance(found, list) else Words()


def plain(node: Any) -> Any:
    """The values of a config without interpolations; what is no config as it is."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested config as dotted keys; lists stay whole."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def hydras_choices(folder: Path) -> dict[str, Any]:
    """The option chosen from every config group, as Hydra keeps them; empty where it kept none."""
    saved = folder / ".hydra" / "hydra.yaml"
    found = OmegaConf.select(OmegaConf.load(saved), "hydra.runtime.choices") if saved.is_file() else None
    return {str(group): found[group] for group in found} if isinstance(found, DictConfig) else {}


def before_budget(folder: Path, config: dict[str, Any]) -> bool:
    """Whether the counts in a config are still the recipe's, which its budget would have changed."""
    budget = config.get("budget") or {}
    changes = any(budget.get(key) for key in ("seconds", "steps", "max_batch", "smallest_patch"))
    return changes and budget.get("factor") is None and not (folder / "checkpoints" / "last.ckpt").is_file()


def _resolved(node: Any) -> Any:
    """Plain values; an interpolation that cannot be resolved here stays as it is written."""
    if isinstance(node, DictConfig):
        return {str(key): _value(node, key) for key in node}
    return [_value(node, i) for i in range(len(node))]


def _value(node: DictConfig | ListConfig, key: Any) -> Any:
    try:
        value = node[key]
    except OmegaConfBaseException:
        value = OmegaConf.to_container(node, resolve=False)[key]  # type: ignore[index]
    return _resolved(value) if isinstance(value, DictConfig | ListConfig) else value


MOVED = {  # where classes and functions stood that a stored config may name
    "sr.callbacks.wandb_logger": "sr.loggers.wandb_logger",
    "sr.callbacks.mlflow_logger": "sr.loggers.mlflow_logger",
    "sr.callbacks.tensorboard_logger": "sr.loggers.tensorboard_logger",
    "sr.schedules": "sr.training.schedules",
}

RENAMED = {"test_protocols": "protocols"}  # keys


def upgraded(node: Any) -> Any:
    """A stored config, or a part of it, in plain values: what was moved is named by where it stands now."""
    if isinstance(node, list):
        return [upgraded(value) for value in node]
    if not isinstance(node, dict):
        return node
    if node.get("_target_") == "sr.metrics.protocol.get_protocol":
        return node.get("name")  # a protocol was built where it is named now
    return {
        RENAMED.get(key, key): moved(value) if key == "_target_" else upgraded(value) for key, value in node.items()
    }


def moved(target: Any) -> Any:
    """`sr.schedules.Cyclical` -> `sr.training.schedules.Cyclical`."""
    for then, now in MOVED.items():
        if target == then or str(target).startswith(f"{then}."):
            return now + str(target)[len(then) :]
    return target
