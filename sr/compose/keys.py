"""Every key of a training config by its path, declared: those of the schema, and those within config groups."""

import re
from collections.abc import Mapping
from dataclasses import fields
from fnmatch import fnmatchcase
from typing import Any

from sr.compose import schema
from sr.compose.key import Key

HARMLESS = Key(result=False)
LR = Key(makes_lr=True, sets=True)

# Within config groups, whose contents no schema types; the first pattern that fits is meant.
WITHIN: dict[str, Key] = {
    "trainer.enable_progress_bar": Key(result=False, named=False),
    **dict.fromkeys((f"trainer.{name}" for name in (
        "accelerator", "devices", "num_nodes", "strategy", "log_every_n_steps", "default_root_dir",
    )), HARMLESS),
    "trainer.*": Key(),
    "callbacks.panels*": HARMLESS,
    "budget.factor": HARMLESS,
    **dict.fromkeys((f"data.*{name}" for name in (
        "num_workers", "data_dir", "cache_dir", "download", "check_leaks", "check_pairs",
    )), Key(result=False, sets=True)),
    **dict.fromkeys(("data.lr", "data.*.lr", "data.*val_lr", "data.*test_lr", "data.*track", "data.*degradation*"), LR),
}  # fmt: skip
# Step counts in schedules, callbacks and losses by their last word: torch's names and ours.
COUNTED = Key(unit="optimizer steps", budget="steps")
COUNTS = {
    "steps", "total_steps", "step_size", "step_size_up", "step_size_down", "milestones", "T_max", "T_0",
    "total_iters", "warm_up_steps", "period", "periods", "every_steps", "at_step", "update_starting_at_step",
    "update_every_n_steps",
}  # fmt: skip
# Config groups that stand in no schema.
GROUPS = {
    "ablation": Key(grows=True, one_line=True),
    "recipe": Key(),
    "experiment": Key(),
    "hydra": Key(result=False, named=False),
}


def declared(path: str) -> Key:
    """What is known about a key, or about the config group that it chooses from.

    Args:
        path: dotted, as typed: `model.channels`, `loss@losses.adversarial`, `stages.final.steps`.

    Returns:
        The plain `Key()` for what nobody declared: a run keeps it, no stage changes it, no budget scales it.
    """
    path = re.sub(r"^stages\.[^.]+\.", "", path)
    for pattern, known in WITHIN.items():
        if fnmatchcase(path, pattern):
            return known
    first, *rest = re.split(r"[./@]", path)
    if rest and rest[-1] in COUNTS and first not in ("data", "degradation", "budget"):
        return COUNTED
    known = root().get(first, Key())
    return known.of_contents if rest else known


def root() -> dict[str, Key]:
    """The keys at the root, and the config groups."""
    return {f.name: f.metadata.get("key", Key()) for f in fields(schema.TrainSchema)} | GROUPS


def stage_keys() -> list[str]:
    """Those that a stage may change."""
    return [name for name, known in root().items() if known.stage]


def recorded_choices(choices: Mapping[str, Any]) -> dict[str, str | None]:
    """Of the options that Hydra says were chosen from config groups those on which the result depends."""
    return {
        group: option
        for group, option in choices.items()
        if group.isidentifier() and (option is None or isinstance(option, str)) and declared(group).result
    }
