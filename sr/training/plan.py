"""A training run resolved once: every stage with its config, model, data and what it trains with, all of it frozen."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from omegaconf import DictConfig, OmegaConf

from sr.compose.checks import check_targets, without_leftovers
from sr.compose.image_sets import refuse_idle_degradation
from sr.compose.keys import recorded_choices, refuse_out_of_range
from sr.compose.words import Job, Words
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
from sr.models.base import SuperResolver, Training
from sr.runs import checkpoint
from sr.runs.code import code_of, codes_of
from sr.runs.config import flat, plain
from sr.training import budget, build, short
from sr.training.speed import lightnings, speed
from sr.training.stage_configs import (
    StageConfig,
    at_scale,
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
