"""A run as a list of stages: each is the composed config with some of its keys changed."""

import logging
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from sr.compose.keys import declared, stage_keys, typed_of
from sr.errors import UserError, nearest, told_once

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageConfig:
    """The settings of one part of a run.

    Attributes:
        number: from 1.
        of: how many there are.
        name: as in the recipe; "" in a run of one stage without a name.
        cfg: the config to build this stage from.
        begin: optimizer steps of the whole run before it.
        end: after it.
    """

    number: int
    of: int
    name: str
    cfg: DictConfig
    begin: int
    end: int

    @property
    def file(self) -> str:
        """What its checkpoint is called once it has ended, without the suffix."""
        return f"stage{self.number}_{self.name}"

    @property
    def tag(self) -> dict[str, Any]:
        """What a checkpoint says about the stage that it was written in, in plain values."""
        return {"number": self.number, "of": self.of, "name": self.name, "begin": self.begin, "end": self.end}


def scales(cfg: DictConfig) -> tuple[int, ...]:
    """The scales that a run, or a stage of it, trains: `scale` is a number or a list of them."""
    given = OmegaConf.to_container(cfg.scale) if OmegaConf.is_list(cfg.scale) else [cfg.scale]
    assert isinstance(given, list)
    if not given or any(isinstance(s, bool) or not isinstance(s, int) or s < 1 for s in given):
        raise UserError(f"scale={cfg.scale}: give a whole number (scale=4), or several of them (scale=[2,3,4])")
    return tuple(given)


def patches(cfg: DictConfig, typed: Collection[str]) -> dict[int, int]:
    """Side of a training crop for each scale, LR pixels: `hr_patch_size` over the scale unless patch_size is typed."""
    if cfg.hr_patch_size is None or "patch_size" in typed:
        return dict.fromkeys(scales(cfg), int(cfg.patch_size))
    return {s: max(1, int(cfg.hr_patch_size) // s) for s in scales(cfg)}


def at_scale(cfg: DictConfig, scale: int, typed: Collection[str]) -> DictConfig:
    """The config with one scale of several, from which that scale's data set and degradation are built."""
    one = cfg.copy()
    one.patch_size = patches(cfg, typed)[scale]
    one.scale = scale
    return one


def refuse_malformed(stages: Mapping[Any, Any]) -> None:
    """Raises a UserError where a stage is not a name and what changes in it."""
    for name, node in stages.items():
        if node is None:
            raise UserError(f"stages.{name}=null: to take a stage out type ~stages.{name}; one as the rest is {{}}")
        if not OmegaConf.is_dict(node):
            raise UserError(f"stages.{name}={node}: a stage is what changes in it, such as {{steps: 1000}}")
        if not re.fullmatch(r"[\w.-]+", str(name)):
            raise UserError(f"stages.{name}: files are named after a stage; use letters, figures, _ and -")


def refuse_unused_losses(cfg: DictConfig, typed: Collection[str]) -> None:
    """Look for losses that were typed, as +losses.own.terms=... or +loss@losses.own=l1, and that nothing chooses.

    Args:
        cfg: of the run, as composed, with its interpolations.
        typed: names of groups and dotted keys.

    Raises:
        UserError: there is one.
    """
    for path in typed:
        if not (match := re.fullmatch(r"(?:\w+@)?losses\.(\w+).*", path)):
            continue
        name, others = match[1], OmegaConf.to_container(cfg, resolve=False)
        assert isinstance(others, dict)
        others["losses"].pop(name, None)
        for stage in others["stages"].values() if "loss" in typed else ():  # what is typed wins over what they choose
            (stage or {}).pop("loss", None)
        if re.search(rf"\$\{{[^}}]*\blosses\.{re.escape(name)}\b", str(others)):
            continue
        stages = [*cfg.stages]
        chosen = shlex.join([f"stages.{stages[-1] if stages else 'NAME'}.loss=${{losses.{name}}}"])
        known = f"It has {', '.join(stages)}: type" if stages else "It has no stages: type the loss as loss=..., or add"
        raise UserError(f"losses.{name}: no stage of this run takes this loss. {known} {chosen}, or leave it out")


def never_validated(stage: StageConfig) -> UserError:
    """What to say where a stage is to begin from the best weights of one that has none."""
    return UserError(
        f"stages.{stage.name}.init_from=best: stage {stage.number - 1} is never validated. Type a smaller "
        "val_every_steps, or init_from=last for this stage"
    )


def refuse_without_best(stages: Sequence[StageConfig], every: int) -> None:
    """Raises a UserError for a stage that begins from the best of one that ends before its first validation.

    Args:
        stages: of a run.
        every: optimizer steps between two validations.
    """
    for former, stage in pairwise(stages):
        short = former.end - former.begin < every and former.begin // every == former.end // every
        if stage.cfg.init_from == "best" and short:
            raise never_validated(stage)


def stage_configs(cfg: DictConfig, typed: Collection[str]) -> list[StageConfig]:
    """The stages of a run, in order; one for a recipe without stages.

    Args:
        cfg: of the run, as composed.
        typed: the keys that the user typed at the root; they hold in every stage.

    Raises:
        UserError: a stage changes a key that it may not, or says something that does not exist.
    """
    # A stage that is there for another scale alone is none where the run has that scale: EDSR's x2 first.
    nodes: Mapping[Any, Any] = {name: node or {} for name, node in cfg.stages.items()}
    nodes = {name: node for name, node in nodes.items() if [*node] != ["scale"] or node.scale != cfg.scale} or {"": {}}
    begin, found = 0, []
    for number, (name, node) in enumerate(nodes.items(), 1):
        own = _overlaid(cfg, str(name), node, typed, first=number == 1)
        if own.steps < 1:
            raise UserError(f"steps={own.steps}{f' in stage {name}' if name else ''}: train for 1 step or more")
        found.append(StageConfig(number, len(nodes), str(name), own, begin, begin + own.steps))
        begin += own.steps
    return found


def _overlaid(cfg: DictConfig, name: str, node: Any, typed: Collection[str], first: bool) -> DictConfig:
    own = cfg.copy()
    with open_dict(own):
        own.stages = {}
        if not first:
            own.init_from = "last"
        for key in node:
            if not declared(key).stage:
                raise UserError(f"stages.{name}.{key}: a stage has no such key.{nearest(str(key), stage_keys())}")
            if key in typed and not declared(key).whole_run and not typed_of(name, key, typed):
                if key in ("loss", "optimizer", "scheduler"):
                    told_once(log, logging.INFO, f"note: stage {name} has no {key} of its own, as {key}= was typed")
                continue
            # Copied with its interpolations, so that ${steps} in it means this stage's.
            value = node[key]
            value = OmegaConf.to_container(value, resolve=False) if OmegaConf.is_config(value) else value
            if isinstance(value, dict) and "_target_" not in value and OmegaConf.is_dict(own[key]):
                own[key] = OmegaConf.merge(own[key], value)
            else:
                own[key] = value
        for path in typed:
            top = path.partition(".")[0]
            known = top in node and OmegaConf.select(own, path) is not None
            if "." in path and known and not typed_of(name, path, typed):
                OmegaConf.update(own, path, OmegaConf.select(cfg, path))
    for key in ("loss", "optimizer", "scheduler"):
        if key in node and not OmegaConf.is_dict(own[key]):
            raise UserError(
                f"stages.{name}.{key}={own[key]}: a stage changes settings ({key}: {{name: value}}) or takes a whole "
                f"{key} that was chosen beside it: +{key}@losses.own={own[key]} and stages.{name}.{key}=${{losses.own}}"
            )
    where = f"stages.{name}." if name else ""
    if own.optimizer_state not in ("fresh", "kept"):
        raise UserError(f"{where}optimizer_state={own.optimizer_state}: there are 'fresh' and 'kept'")
    if first and own.init_from in ("last", "best"):
        raise UserError(f"{where}init_from={own.init_from}: there is no stage before it; give a checkpoint")
    return own
