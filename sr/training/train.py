"""The training run: check everything, build it from the config, train its stages, and measure the result."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import lightning.pytorch as L
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from sr.callbacks.clock import Clock
from sr.compose.checks import check_targets, drop_leftovers
from sr.compose.keys import recorded_choices
from sr.compose.schema import scale_name
from sr.data.leaks import refuse_leaks
from sr.data.loaders import Loaders
from sr.measuring.entries import published_name
from sr.models.base import SuperResolver, Training
from sr.runs import checkpoint
from sr.runs.resume import claim, refuse_another_recipe
from sr.scores.published import goals
from sr.training import budget, build, final_scores
from sr.training.build import plain
from sr.training.fit import first_stage, run_stages
from sr.training.stages import Stage, at_scale, patches, plan, scales
from sr.training.timing import calibrate

log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> float | None:
    """Run a composed conf/train.yaml.

    Returns:
        Mean PSNR on the first measured set under the first protocol, or where nothing is measured the best of the
        validations (what a hyper-parameter search maximises).
    """
    run = HydraConfig.get()
    folder = Path(run.runtime.output_dir)
    if int(os.environ.get("LOCAL_RANK", 0)) > 0:
        logging.getLogger().setLevel(logging.WARNING)
    typed = list(run.overrides.task)
    resumed = checkpoint.read(folder) if cfg.resume else None
    cfg.choices = recorded_choices(run.runtime.choices)
    name = str(cfg.choices.model)

    architecture = build.architecture(cfg, name)
    keys = {a.split("=")[0].lstrip("+~") for a in typed}
    drop_leftovers(cfg, keys)
    for scale in scales(cfg):
        one = at_scale(cfg, scale, keys)
        check_targets(plain(cfg) | {key: plain(one[key]) for key in ("data", "degradation")})
    if (
        resumed is not None
        and cfg.budget.factor is None
        and (then := resumed["sr"]["config"]["budget"])["name"] == cfg.budget.name
    ):
        cfg.budget.factor = then["factor"]
    budget.shrink(cfg, architecture, keys)
    stages = plan(cfg, keys)

    L.seed_everything(cfg.seed, workers=True, verbose=False)
    torch.set_float32_matmul_precision("high")
    models = build.models(stages)
    models[0].learnable()
    data = build.data_sets(stages, keys)
    for module in dict.fromkeys(data):
        module.check("fit")
    sets = final_scores.test_sets(cfg, stages, data, typed)
    for module in dict.fromkeys(data):
        refuse_leaks(module, [held_out for of_scale in sets.values() for held_out in of_scale])

    calibrate(cfg, stages, models, data, keys)
    stages = plan(cfg, keys)
    setups = _setups(cfg, stages, models)
    if cfg.channels_last:
        for model in models:
            model.to(memory_format=torch.channels_last)
    config = plain(cfg)
    metadata = [checkpoint.describe(plain(stage.cfg.model), name, config) for stage in stages]
    if len(stages) > 1:
        metadata = [own | {"stage": stage.tag} for own, stage in zip(metadata, stages, strict=True)]
    begin = models[first_stage(stages, resumed)]
    if resumed is not None:
        checkpoint.load_weights(begin, resumed["state_dict"], folder)
    for stage, model in zip(stages, models, strict=True):  # of a late stage too, which would fail after hours
        source, node = stage.cfg.init_from, plain(stage.cfg.model)
        if source and source not in ("last", "best") and resumed is None:
            checkpoint.fitting(model, checkpoint.read(source), node, source)
    if cfg.compile:
        for model in dict.fromkeys(models):
            model.network = torch.compile(model.network)  # type: ignore[method-assign]

    if resumed is not None:
        refuse_another_recipe(config, resumed["sr"]["config"])
    partial = any(len(m.scales) > 1 for m in models) or any(
        s.frozen or s.trained is not None or getattr(s.loss, "adversary", None) is not None for s in setups
    )
    trainer = build.trainer(cfg, stages, folder, f"{name}_x{scale_name(cfg.scale)}", partial)
    clock = Clock()
    trainer.callbacks.append(clock)  # type: ignore[attr-defined]
    for module in data:
        module.trainer = trainer
        _ = module.micro_batch  # refuses a batch that the processes cannot share
    if resumed is None:
        claim(folder)  # after everything that can be wrong, so that a mended command may be typed again
    _introduce(name, stages, models, data, folder, cfg, keys)
    try:
        with clock.recording(folder, trainer) as facts:
            run_stages(trainer, stages, models, data, setups, metadata, folder, resumed)
            if trainer.global_rank != 0:
                return None
            measured = final_scores.measure(cfg, trainer, models[-1], name, stages, sets, folder)
            facts["objective"] = final_scores.validated(trainer, resumed) if measured is None else measured
            return facts["objective"]
    except BaseException:
        for logger in trainer.loggers:
            logger.finalize("failed")  # Lightning tells them only of what happens while it trains
        _finish_wandb(exit_code=1)
        raise
    finally:
        _finish_wandb()


def _finish_wandb(exit_code: int = 0) -> None:
    """Else the next run of a sweep would go on in this one's."""
    if wandb := sys.modules.get("wandb"):
        wandb.finish(exit_code=exit_code)


def _setups(cfg: DictConfig, stages: Sequence[Stage], models: Sequence[SuperResolver]) -> list[Training]:
    """What each stage trains with, all of it built now: a missing file of a late stage is told at once."""
    torch.manual_seed(cfg.seed)  # a discriminator starts the same whatever was timed before
    setups = [build.training(stage.cfg) for stage in stages]
    for setup, model in zip(setups, models, strict=True):
        setup.learning(model.learnable())
        setup.grouped(model.learnable())
    return setups


def _introduce(
    name: str,
    stages: Sequence[Stage],
    models: Sequence[SuperResolver],
    data: Sequence[Loaders],
    folder: Path,
    cfg: DictConfig,
    typed: Collection[str],
) -> None:
    model, last = models[-1], stages[-1].cfg
    parameters = sum(p.numel() for p in model.learnable().values())
    merged = sum(p.numel() for p in model.merged().parameters())
    form = f"{parameters:,} parameters" + (f" ({merged:,} merged)" if merged != parameters else "")
    if cfg.choices.recipe == "base":
        log.warning(f"note: there is no recipe for {name} yet; this is the base recipe (conf/recipe/base.yaml)")
    if untrained := sorted(set(model.scales) - set(scales(last))):
        log.warning(f"note: {name} also serves scale {', '.join(map(str, untrained))}, which this run does not train")
    told = f"{name} x{scale_name(cfg.scale)}: {form}; recipe {cfg.choices.recipe}, budget {cfg.budget.name}: "
    for stage in stages:
        label = f"\n  stage {stage.number} {stage.name}: " if len(stages) > 1 else ""
        patch = " or ".join(f"{p}x{p}" for p in dict.fromkeys(patches(stage.cfg, typed).values()))
        told += f"{label}{stage.end - stage.begin:,} steps of {stage.cfg.batch_size} LR patches of {patch}"
    log.info(f"{told} from {data[-1].describe()}\nrun folder: {folder}")
    paper = published_name(plain(last.model), name)
    if reach := goals(paper, scales(last), cfg.test_protocols or model.protocols):
        log.info(reach)
