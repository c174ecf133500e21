"""Configs that an earlier version stored, as this one would have composed them."""

from typing import Any

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
