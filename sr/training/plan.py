"""A training run resolved once: every stage with its config, model, data and what it trains with, all of it frozen."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from omegaconf import DictConfig, OmegaConf

from sr.compose.checks import check_targets, without_leftovers
from sr.compose.conf import CONF
from sr.compose.image_sets import refuse_idle_degradation
from sr.compose.keys import recorded_choices, refuse_out_of_range
from sr.compose.rules import scale_name
from sr.compose.words import Job, Words
from sr.data.clips import ClipModule
from sr.data.draws import STREAM
from sr.data.leaks import refuse_leaks
from sr.data.loaders import Loaders
from sr.data.module import SRDataModule
from sr.data.multiscale import MultiScale
from sr.errors import UserError
from sr.measuring.entries import published_name
from sr.measuring.papers import refuse_own_lr
from sr.measuring.rehearsal import refuse_small, rehearse
from sr.measuring.scoring import Entry
from sr.metrics.metric import located
from sr.metrics.protocols import get_protocol
from sr.models.base import SuperResolver, Training
from sr.runs import checkpoint
from sr.runs.code import code_of, codes_of
from sr.runs.config import flat, plain
from sr.runs.yaml_file import read
from sr.scores.published import goals
from sr.training import budget, build, short
from sr.training.speed import lightnings, speed
from sr.training.stage_configs import (
    StageConfig,
    at_scale,
    patches,
    refuse_malformed,
    refuse_unused_losses,
    refuse_without_best,
    scales,
    stage_configs,
)
from sr.training.timing import budget_factor
from sr.training.trainer import refuse_told_elsewhere


@dataclass(frozen=True)
class Stage(StageConfig):
    """One part of a run with all that it needs.

    Attributes:
        model: the same object as the former stage's while the architecture and its scale stay the same.
        data: what it trains and validates on.
        setup: what the model trains with.
        metadata: what its checkpoints say about themselves.
    """

    model: SuperResolver
    data: Loaders
    setup: Training
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """A run, checked and built; nothing of it changes any more.

    Attributes:
        name: the model's name as typed.
        composed: the config as it was composed, with interpolations, and with its budget's factor.
        cfg: the config that the budget was applied to.
        words: that were typed.
        stages: in order.
        test_sets: what is measured at the end, by scale.
    """

    name: str
    composed: DictConfig
    cfg: DictConfig
    words: Words
    stages: tuple[Stage, ...]
    test_sets: Mapping[int, Sequence[SRDataModule]]

    @property
    def model(self) -> SuperResolver:
        """As the run ends with it."""
        return self.stages[-1].model

    @property
    def data(self) -> list[Loaders]:
        """Each data set once."""
        return list(dict.fromkeys(stage.data for stage in self.stages))

    @property
    def partial_updates(self) -> bool:
        """Whether a step may leave parameters without a gradient."""
        # Beside several scales, clips of one frame: they have no flow.
        return any(len(stage.model.scales) > 1 or stage.model.clips for stage in self.stages) or any(
            s.frozen or s.trained is not None or getattr(s.loss, "adversary", None) is not None
            for s in (stage.setup for stage in self.stages)
        )


WARM_START = ("first", "second", "third")  # the stages of conf/callbacks/warm_start.yaml


def checked(cfg: DictConfig, job: Job) -> DictConfig:
    """The composed config with the names that were chosen, without what does not apply, every target looked at."""
    cfg = cfg.copy()
    cfg.choices = cfg.choices or recorded_choices(job.choices)
    cfg.metrics = located(cfg.metrics)
    cfg = without_leftovers(cfg, job.words.keys)
    refuse_out_of_range(cfg)
    refuse_malformed(cfg.stages)
    refuse_unused_losses(cfg, job.words.keys)
    _refuse_stages_twice(cfg, job.words)
    refuse_told_elsewhere(cfg.trainer)
    _refuse_passwords(cfg)
    clips = build.architecture(cfg).clips
    for scale in scales(cfg):
        one = at_scale(cfg, scale, job.words.keys)
        for key in ("batch_size", "patch_size"):  # also read where no data set is: by plans, budgets and figures
            if (own := one.data.get(key)) not in (None, one[key]):
                raise UserError(f"data.{key}={own}: {key} is a key of the run, not of its data: {key}={own}")
        of_scale = {key: plain(one[key]) for key in ("data", "degradation")}
        check_targets(plain(cfg) | of_scale | {"trainer": lightnings(cfg.trainer)})
    if speed(cfg.trainer).compile and clips:
        raise UserError(
            f"trainer.compile={cfg.trainer.compile}: {cfg.choices.model} takes clips, and a compiler would unroll all "
            "of their frames. Leave it out: trainer.compile=false"
        )
    return cfg


def _refuse_stages_twice(cfg: DictConfig, words: Words) -> None:
    """Raises a UserError where callbacks=warm_start would put its three stages before those of the recipe."""
    typed = [key.split(".")[1] for key in words.keys if key.startswith("stages.")]
    own = [name for name in cfg.stages if name not in (*WARM_START, *typed)]
    if "warm_start" in (words.names("callbacks") or ()) and own and "stages" not in words:
        raise UserError(
            f"callbacks=warm_start is for a recipe without stages, and recipe={cfg.choices.recipe} has its own: "
            f"{', '.join(own)}. Leave warm_start out"
        )


def _refuse_passwords(cfg: DictConfig) -> None:
    """Raises a UserError where an address holds one: what is composed is kept in files that are given to others."""
    for key, value in flat(plain(cfg)).items():
        if re.search(r"://[^/\s@]+@", str(value)):
            raise UserError(
                f"{key} holds a password, or a user's name, which would stand in the run's folder and in its "
                "checkpoints. For MLflow type logger=mlflow alone, and: export MLFLOW_TRACKING_URI=... "
                "MLFLOW_TRACKING_USERNAME=... MLFLOW_TRACKING_PASSWORD=..."
            )


def planned(composed: DictConfig, job: Job, stranger: Path | None = None, anew: bool = True) -> Plan:
    """Everything that a run is made of, built from its checked config; all that can be wrong is told here.

    Args:
        composed: checked.
        job: what was typed.
        stranger: see `build.models`.
        anew: the run begins now.

    Raises:
        UserError: a file, an image, a name or a number is not what the run needs.
    """
    words, typed = job.words, job.words.keys
    composed = short.decided(composed.copy(), typed)
    cfg = budget.shrunk(composed, build.architecture(composed), typed)
    configs = stage_configs(cfg, typed)
    for own in configs:
        trained_with = {key: plain(own.cfg[key]) for key in ("loss", "optimizer", "scheduler")}
        check_targets({"stages": {own.name: trained_with}} if own.name else trained_with)

    L.seed_everything(cfg.seed, workers=True, verbose=False)
    torch.set_float32_matmul_precision("high")
    models = build.models(configs, stranger)
    models[0].learnable()
    data = build.data_sets(configs, typed)
    modules = list(dict.fromkeys(data))
    for module in modules:
        module.check("fit")
    test_sets = build.test_sets(cfg, configs, data)
    for module in modules:
        refuse_leaks(module, [held_out for of_scale in test_sets.values() for held_out in of_scale])
    if anew:
        measured = [m.pairs("val") for m in modules] + [d.pairs("test") for each in test_sets.values() for d in each]
        refuse_idle_degradation(words, measured, [module.pairs("train") for module in modules])

    if cfg.budget.seconds is not None and cfg.budget.factor is None:
        cfg = budget.rescaled(cfg, budget_factor(cfg, configs, models, data, job), typed)
        configs = stage_configs(cfg, typed)
    refuse_without_best(configs, cfg.val_every_steps)
    composed.budget.factor = cfg.budget.factor
    setups = build.setups(cfg, configs, models, stranger)
    if anew:
        build.refuse_kept(configs, models, setups)
    name, config = str(cfg.choices.model), plain(cfg)
    entry = Entry(name, models[-1], published_name(plain(configs[-1].cfg.model), name))
    middle = cfg.budget.get("test_middle")  # which budgets of older runs do not have
    rehearse([entry], test_sets, cfg.protocols, setups[-1].metrics, middle)
    for module, setup in zip(data, setups, strict=True):
        for one in module.modules.values() if isinstance(module, MultiScale) else [module]:
            assert isinstance(one, SRDataModule)
            refuse_small(one, "val", setup.protocol, setup.metrics)
            if anew:
                refuse_own_lr(setup.protocol, one)
    stages, codes = [], codes_of(config)
    for own, model, module, setup in zip(configs, models, data, setups, strict=True):
        metadata = {**checkpoint.describe(plain(own.cfg.model), name, config), "stream": STREAM, **code_of(model)}
        metadata["codes"] = codes
        if own.of > 1:
            metadata["stage"] = own.tag
        stages.append(Stage(**vars(own), model=model, data=module, setup=setup, metadata=metadata))
    for each in (composed, cfg, *(stage.cfg for stage in stages)):
        OmegaConf.set_readonly(each, True)
    return Plan(name, composed, cfg, words, tuple(stages), test_sets)


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
        for key in ("at_step", "update_starting_at_step"):
            if isinstance(at := cfg.callbacks[name].get(key), int) and at >= steps:
                yield f"callbacks.{name}.{key}={at} is never reached: the run ends at step {steps:,}"


def told_of_schedules(stages: Sequence[StageConfig]) -> Iterator[str]:
    """What of the stages' schedules comes after their last step, of all that counts from their first one."""
    for stage in stages:
        steps, of = stage.end - stage.begin, f"stage {stage.name}" if stage.of > 1 else "the run"
        for key, value in flat({"scheduler": plain(stage.cfg.scheduler)}).items():
            first = min(value, default=0) if isinstance(value, list) else value
            if key.rpartition(".")[2] in ("milestones", "warm_up_steps") and first >= steps:
                yield f"{key}={value} is never reached: {of} has {steps:,} steps"


def told_of_range(cfg: DictConfig, words: Words) -> Iterator[str]:
    """What to know of a loss that was typed beside a recipe: in which range it compares, where its file has another."""
    if "loss" not in words or "loss.value_range" in words:
        return
    for place in (*map(Path, words.config_dirs), CONF):
        if (file := place / "loss" / f"{cfg.choices.loss}.yaml").is_file():
            own, most = read(file), cfg.loss.get("value_range")
            says = own.get("value_range") if isinstance(own, dict) else None
            if None not in (says, most) and says != most:
                yield (
                    f"loss={cfg.choices.loss} compares images in 0-{most:g}, as recipe={cfg.choices.recipe} says: its "
                    f"weights and eps were written for 0-{says:g}. For that type loss.value_range={says:g}"
                )
            return


def introduction(plan: Plan, folder: Path) -> str:
    """The network, the recipe and the steps of each stage; what a reader should know besides is logged."""
    cfg, model, typed = plan.cfg, plan.model, plan.words.keys
    parameters = sum(p.numel() for p in model.learnable().values())
    merged = sum(p.numel() for p in model.merged().parameters())
    form = f"{parameters:,} parameters" + (f" ({merged:,} merged)" if merged != parameters else "")
    if cfg.choices.recipe == "base":
        log.warning(f"note: there is no recipe for {plan.name} yet; this is the base recipe (conf/recipe/base.yaml)")
    for told in (*told_of_callbacks(cfg, plan.words, plan.stages[-1].end), *told_of_schedules(plan.stages)):
        log.warning(f"note: {told}")
    for told in told_of_range(cfg, plan.words):
        log.warning(f"note: {told}")
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
