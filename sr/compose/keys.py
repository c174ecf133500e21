"""Every key of a training config by its path, declared: those of the schema, and those within config groups."""

import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sr.compose import schema
from sr.compose.key import Key
from sr.compose.known import dotted
from sr.compose.suggestions import no_such_key
from sr.compose.words import Word, listed
from sr.errors import UserError

log = logging.getLogger(__name__)
HARMLESS = Key(result=False)
LR = Key(makes_lr=True, sets=True)
PLACE = Key(resume=True, sets=True)  # of images, LR among them; that they are the same ones is looked at

# Within config groups, whose contents no schema types; the first pattern that fits is meant.
WITHIN: dict[str, Key] = {
    "trainer.gradient_clip_val": Key(least=0),
    "trainer.log_every_n_steps": Key(result=False, least=0),
    "trainer.enable_progress_bar": Key(result=False, named=False),
    **dict.fromkeys((f"trainer.{name}" for name in (
        "accelerator", "devices", "num_nodes", "strategy", "graph",
    )), HARMLESS),
    "trainer.*": Key(),
    "figure.size": Key(least=1),
    "callbacks.panels.images": Key(result=False, least=0),
    "callbacks.panels.size": Key(result=False, least=1),
    "callbacks.panels*": HARMLESS,
    "budget.factor": Key(result=False, resume=False, least=0),
    "budget.seconds": Key(least=0),
    **dict.fromkeys((f"budget.{name}" for name in (
        "steps", "max_batch", "max_patch", "short.max_batch", "short.max_patch", "validations", "test_images",
        "test_middle",
    )), Key(least=1)),
    **dict.fromkeys(("optimizer.lr", "*.optimizer.lr", "*.lr_factor"), Key(least=0)),
    **dict.fromkeys((f"data.*{name}" for name in (
        "data_dir", "cache_dir", "download", "check_pairs",
    )), Key(result=False, sets=True)),
    **dict.fromkeys((f"data.*{name}" for name in (
        "num_workers", "device", "check_leaks",
    )), Key(result=False, sets=True, training=True)),
    **dict.fromkeys((f"data.{at}{name}" for at in ("", "*.") for name in (
        "patch_size", "batch_size", "seed", "dihedral", "augment", "frames", "intervals", "reverse", "val_images",
        "val_frames",
    )), Key(sets=True, training=True)),
    **dict.fromkeys((f"data.{at}{name}" for at in ("", "*.") for name in (
        "root", "train", "val", "test", "train_lr",
    )), PLACE),
    **dict.fromkeys(("data.*val_lr", "data.*test_lr"), replace(LR, resume=True)),
    **dict.fromkeys(("data.lr", "data.*.lr", "data.*track", "data.*degradation*", "data.*mirror"), LR),
}  # fmt: skip
# Step counts in schedules, callbacks and losses by their last word: torch's names and ours.
COUNTED = Key(unit="optimizer steps", budget="steps")
COUNTS = {
    **dict.fromkeys((
        "steps", "total_steps", "step_size", "step_size_up", "step_size_down", "T_max", "T_0", "total_iters",
        "period", "periods", "every_steps", "update_every_n_steps",
    ), replace(COUNTED, least=1)),
    **dict.fromkeys(("milestones", "warm_up_steps", "at_step", "update_starting_at_step"), replace(COUNTED, least=0)),
}  # fmt: skip
# Config groups that stand in no schema; and those whose options are settings.
GROUPS = {
    "ablation": Key(grows=True, one_line=True),
    "recipe": Key(),
    "experiment": Key(),
    "hydra": Key(result=False, named=False),
}
CHOSEN = (
    "model", "data", "degradation", "loss", "optimizer", "scheduler", "trainer", "callbacks", "logger",
)  # fmt: skip


def declared(path: str, of: type | None = None) -> Key:
    """What is known about a key, or about the config group that it chooses from.

    Args:
        path: dotted, as typed: `model.channels`, `loss@losses.adversarial`, `stages.final.steps`.
        of: the schema of another command than training.

    Returns:
        The plain `Key()` for what nobody declared: a run keeps it, no stage changes it, no budget scales it.
    """
    return _declared(path, of or schema.TrainSchema)


@cache
def _declared(path: str, of: type) -> Key:
    path = re.sub(r"^stages\.[^.]+\.", "", path)
    for pattern, known in WITHIN.items():
        if fnmatchcase(path, pattern):
            return known
    first, *rest = re.split(r"[./@]", path)
    if rest and rest[-1] in COUNTS and first not in ("model", "data", "degradation", "budget", "figure"):
        return COUNTS[rest[-1]]
    known = root(of).get(first, Key())
    return known.of_contents if rest else known


def root(of: type | None = None) -> dict[str, Key]:
    """The keys at the root of a command's config, by default of training's, and the config groups."""
    return _root(of or schema.TrainSchema)


@cache
def _root(of: type) -> dict[str, Key]:
    return {f.name: f.metadata.get("key", Key()) for f in fields(of)} | GROUPS


def refuse_out_of_range(cfg: DictConfig) -> None:
    """Look at every number of a composed config.

    Raises:
        UserError: one is not finite, or out of the range that is declared for its key.
    """
    of = OmegaConf.get_type(cfg)
    for path, value in _numbers(OmegaConf.to_container(cfg, resolve=True), ""):
        known = declared(path, of if is_dataclass(of) else None)
        if not math.isfinite(value):
            raise UserError(f"{path}={value}: give a finite number")
        if not known.least <= value <= known.most:
            most = f" and {known.most:,} at most" if known.most < math.inf else ""
            raise UserError(f"{path}={value}: must be {known.least:g} or more{most}")


def _numbers(node: Any, path: str) -> Iterator[tuple[str, float]]:
    """Every number with its key; those of a list have the list's."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _numbers(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for value in node:
            yield from _numbers(value, path)
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield path, node


def refuse_unread(cfg: DictConfig) -> None:
    """Look for keys that were added with a plus where the schema has none, as in +step=10.

    Raises:
        UserError: there is one, and no other value reads it, as ${step}; or a config of the user's own gives the name
            of an option as a value, as in `loss: l2`.
    """
    for group in (name for name in CHOSEN if isinstance(cfg.get(name), str)):
        raise UserError(
            f"{group}: {cfg[group]} in a config of yours: that stands where settings are wanted. An option is chosen "
            f"in its defaults list, in a recipe by - /{group}: {cfg[group]}, in an experiment by - override "
            f"/{group}: {cfg[group]}, or typed, {group}={cfg[group]}"
        )
    added = [path for path in _undeclared(cfg, "") if path != "hydra"]
    for path in added:
        if not re.search(rf"\$\{{[^}}]*\b{re.escape(path)}\b", OmegaConf.to_yaml(cfg)):
            valid = [*GROUPS, *dotted(OmegaConf.to_container(cfg, resolve=False))]
            raise UserError(no_such_key(path, path, [key for key in valid if key not in added]))


def refuse_idle(cfg: DictConfig, words: Iterable[Word], command: str) -> None:
    """Look for keys that were typed and say nothing beside what was chosen; those without a result are told.

    Raises:
        UserError: one that is meant to change a result, which comes out as without it.
    """
    of = schema.SCHEMAS[command]
    for word in words:
        known = declared(word.key, of)
        if known.training and command != "train":
            why = f"{command} trains nothing, and so this changes nothing there"
        elif known.passed_on and f"${{{word.key}}}" not in OmegaConf.to_yaml(cfg):
            why = "nothing that was chosen looks at it"
        elif known.beside and not any(_given(cfg, other) for other in known.beside):
            why = f"it counts only beside {' or '.join(o if '=' in o else f'{o}=' for o in known.beside)}"
        else:
            continue
        if known.result and not cfg.get("resume"):  # begun when nobody looked
            raise UserError(f"{word.text.lstrip('+')}: {why}. Leave it out")
        log.warning(f"note: {word.text.lstrip('+')}: {why}")


def _given(cfg: DictConfig, other: str) -> bool:
    name, equals, value = other.partition("=")
    return value in map(str.lower, listed(cfg[name])) if equals else bool(cfg[name])


def _undeclared(cfg: DictConfig, prefix: str) -> Iterator[str]:
    of = OmegaConf.get_type(cfg)
    if not is_dataclass(of):
        return
    names = [f.name for f in fields(of)]
    yield from (prefix + str(key) for key in cfg if key not in names)
    for name in names:
        if is_dataclass(OmegaConf.get_type(cfg, name)):
            yield from _undeclared(cfg[name], f"{prefix}{name}.")


def stage_keys() -> list[str]:
    """Those that a stage may change."""
    return [name for name, known in root().items() if known.stage]


def typed_of(stage: str, path: str, typed: Iterable[str]) -> bool:
    """Whether a key, what it stands in, or something in it was typed for one stage: that goes before what all have."""
    own = f"stages.{stage}.{path}."
    return any(key.startswith("stages") and (f"{key}.".startswith(own) or own.startswith(f"{key}.")) for key in typed)


def recorded_choices(choices: Mapping[str, Any]) -> dict[str, str | None]:
    """Of the options that Hydra says were chosen from config groups those on which the result depends."""
    return {
        group: option
        for group, option in choices.items()
        if group.isidentifier() and (option is None or isinstance(option, str)) and declared(group).result
    }
