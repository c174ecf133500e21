"""What a run says before its first step: the network, its recipe, its stages, and what a reader should know besides."""

import logging
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from sr.compose.conf import CONF
from sr.compose.rules import scale_name
from sr.compose.words import Words
from sr.data.clips import ClipModule
from sr.measuring.entries import published_name
from sr.metrics.protocols import get_protocol
from sr.runs.config import flat, plain
from sr.runs.yaml_file import read
from sr.scores.published import goals
from sr.training.plan import Plan
from sr.training.stage_configs import StageConfig, patches, scales

log = logging.getLogger(__name__)


def told_of_callbacks(cfg: DictConfig, words: Words, steps: int) -> Iterator[str]:
    """What to know of a run's callbacks: which no typed list replaces, and which come too late."""
    names = words.names("callbacks")
    typed = {*(names or ()), *(key.split(".")[1] for key in words.keys if key.startswith("callbacks."))}
    there = [str(name) for name, node in cfg.callbacks.items() if node is not None]
    stays = [name for name in there if name not in typed]
    # An option of one's own may have callbacks of other names.
    known = all(n in cfg.callbacks or (CONF / "callbacks" / f"{n}.yaml").is_file() for n in names or ())
    if names is not None and known and stays:
        out = " ".join(f"callbacks.{name}=null" for name in stays)
        yield f"beside the callbacks that were typed the recipe's stay: {', '.join(stays)}. Without: {out}"
    for name in there:
        if str(cfg.callbacks[name].get("_target_")).endswith(".EarlyStopping"):
            yield f"callbacks.{name}: a run that it ends early is not finished, and is measured by sr evaluate alone"
        for key in ("at_step", "update_starting_at_step"):
            if isinstance(at := cfg.callbacks[name].get(key), int) and at >= steps:
                yield f"callbacks.{name}.{key}={at} is never reached: the run ends at step {steps:,}"


def told_of_schedules(stages: Sequence[StageConfig]) -> Iterator[str]:
    """What of the stages' schedules comes after their last step, of all that counts from their first one."""
    for stage in stages:
        steps, of = stage.end - stage.begin, f"stage {stage.name}" if stage.of > 1 else "the run"
        for key, value in flat({"scheduler": plain(stage.cfg.scheduler)}).items():
            counts = [n for n in (value if isinstance(value, list) else [value]) if isinstance(n, int)]
            if key.rpartition(".")[2] in ("milestones", "warm_up_steps") and counts and min(counts) >= steps:
                yield f"{key}={value} is never reached: {of} has {steps:,} steps"


def _option(words: Words, group: str, name: str) -> dict[str, Any]:
    """The file of an option, of one's own or of ours, as it is written; empty where there is none."""
    for place in (*map(Path, words.config_dirs), CONF):
        if (file := place / group / f"{name}.yaml").is_file():
            found = read(file)
            return found if isinstance(found, dict) else {}
    return {}


def told_of_range(cfg: DictConfig, words: Words) -> Iterator[str]:
    """What to know of a loss that goes before a recipe's: in which range it compares, where its file has another."""
    chosen, ranged = "loss" in words, "loss.value_range" in words
    for name in words.names("experiment") or ():
        file = _option(words, "experiment", name)
        chosen |= any(isinstance(of, dict) and "override /loss" in of for of in file.get("defaults") or ())
        ranged |= "value_range" in (file.get("loss") or {})
    says, most = _option(words, "loss", cfg.choices.loss).get("value_range"), cfg.loss.get("value_range")
    if chosen and not ranged and isinstance(says, int | float) and isinstance(most, int | float) and says != most:
        yield (
            f"loss={cfg.choices.loss} compares images in 0-{most:g}, as recipe={cfg.choices.recipe} says; its "
            f"own file says 0-{says:g}, which its weights and eps are for: loss.value_range={says:g}"
        )


def introduction(plan: Plan, folder: Path) -> str:
    """The network, the recipe and the steps of each stage; what a reader should know besides is logged."""
    cfg, model, typed = plan.cfg, plan.model, plan.words.keys
    parameters, learning, merged = (
        sum(p.numel() for p in found)
        for found in (model.parameters(), model.learnable().values(), model.merged().parameters())
    )
    form = f"{parameters:,} parameters" + (f" ({merged:,} merged)" if merged != parameters else "")
    form += f", {learning:,} of them learn" if learning != parameters else ""
    if cfg.choices.recipe == "base" and "recipe" not in typed:
        log.warning(f"note: there is no recipe for {plan.name} yet; this is the base recipe (conf/recipe/base.yaml)")
    told = told_of_range(cfg, plan.words), told_of_callbacks(cfg, plan.words, plan.stages[-1].end)
    for note in (*chain(*told), *told_of_schedules(plan.stages)):
        log.warning(f"note: {note}")
    if model.clips and not isinstance(plan.stages[-1].data, ClipModule):
        log.warning(f"note: {plan.name} is for clips; each image of {plan.stages[-1].data.name} is one of one frame")
    last = plan.stages[-1]
    if (every := last.cfg.val_every_steps) > last.end:
        log.warning(
            f"note: this run is never validated, and has no curve and no best.ckpt: it ends at step {last.end:,}, and "
            f"val_every_steps is {every:,}"
        )
    if untrained := sorted(set(model.scales) - set(scales(plan.stages[-1].cfg))):
        among = ", ".join(map(str, untrained))
        log.warning(f"note: {plan.name} also serves scale {among}, which this run does not train")
    text = f"{plan.name} x{scale_name(cfg.scale)}: {form}; recipe {cfg.choices.recipe}, budget {cfg.budget.name}: "
    for stage in plan.stages:
        label = f"\n  stage {stage.number} {stage.name}: " if len(plan.stages) > 1 else ""
        patch = " or ".join(f"{p}x{p}" for p in dict.fromkeys(patches(stage.cfg, typed).values()))
        text += f"{label}{stage.end - stage.begin:,} steps of {stage.cfg.batch_size} LR patches of {patch}"
    text += f" from {plan.stages[-1].data.describe()}\nrun folder: {folder}"
    paper = published_name(plain(plan.stages[-1].cfg.model), plan.name)
    chosen = [get_protocol(protocol).name for protocol in cfg.protocols] if cfg.protocols else None
    reach = goals(paper, scales(plan.stages[-1].cfg), chosen)
    return f"{text}\n{reach}" if reach else text
