"""The factor of a budget in seconds: found by timing steps, once for all rows of a sweep that are to be compared."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import hydra
import lightning.pytorch as L
from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from sr.compose.keys import declared
from sr.compose.words import key_of
from sr.data.loaders import Loaders
from sr.errors import UserError
from sr.models.base import SuperResolver
from sr.training import budget, build
from sr.training.build import plain
from sr.training.stages import Stage

log = logging.getLogger(__name__)
FACTOR = "SR_BUDGET_FACTOR"  # in the environment: for the processes that this one starts
SWEEP = "SR_SWEEP"  # in the environment of a row that runs as a command of its own: the sweep's folder


def calibrate(
    cfg: DictConfig,
    stages: Sequence[Stage],
    models: Sequence[SuperResolver],
    data: Sequence[Loaders],
    keys: Collection[str],
) -> None:
    """Scale a recipe to a budget in seconds; every process of a run, and comparable rows of a sweep, in the same way.

    Rows that differ only in the seed, and all rows of an ablation, take the factor of the first of them that is timed;
    it stands in the sweep's `budget.json`.

    Args:
        keys: that were typed.
    """
    if cfg.budget.seconds is None or cfg.budget.factor is not None:
        return
    if int(os.environ.get("LOCAL_RANK", 0)) > 0 and (known := os.environ.get(FACTOR)):
        cfg.budget.factor = float(known)  # found by the process that started this one
        budget.rescale(cfg, cfg.budget.factor, set(keys))
        return
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 or int(os.environ.get("SLURM_NTASKS", 1)) > 1:
        raise UserError(
            f"budget={cfg.budget.name} times the first steps, which several processes that were started apart "
            "would each do differently. Type the factor of the step counts instead: budget.factor=0.01"
        )
    sweep = build.sweep_folder() or os.environ.get(SWEEP)
    if sweep is None:
        budget.fit_seconds(cfg, _times(cfg, stages, models, data), set(keys))
    else:
        _as_the_first(cfg, Path(sweep), stages, models, data, keys)
    os.environ[FACTOR] = str(cfg.budget.factor)


def _as_the_first(
    cfg: DictConfig,
    sweep: Path,
    stages: Sequence[Stage],
    models: Sequence[SuperResolver],
    data: Sequence[Loaders],
    keys: Collection[str],
) -> None:
    run = HydraConfig.get()
    rows, file = comparable(run.overrides.task), sweep / "budget.json"
    with FileLock(sweep / ".budget.lock"):  # the others wait for the first one, and do not disturb its timing
        known = _read(file)
        if rows in known:
            cfg.budget.factor = float(known[rows]["factor"])
            log.info(
                f"budget={cfg.budget.name}: {cfg.budget.factor:.3g} of the recipe's steps, as {known[rows]['row']} was "
                f"timed for ({file})"
            )
            budget.rescale(cfg, cfg.budget.factor, set(keys))
            return
        budget.fit_seconds(cfg, _times(cfg, stages, models, data), set(keys))
        known[rows] = {"factor": cfg.budget.factor, "row": Path(run.runtime.output_dir).name}
        part = file.with_suffix(".part")
        part.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
        os.replace(part, file)


def comparable(typed: Sequence[str]) -> str:
    """What rows have in common that are to be trained for as many steps: all that was typed but seed and row."""
    words = []
    for override in typed:
        key, value = key_of(override), override.partition("=")[2]
        if key == "ablation":
            words.append(f"{key}={value.partition('/')[0]}")
        elif key not in ("seed", "resume") and declared(key).named:
            words.append(override)
    return " ".join(sorted(words))


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _times(
    cfg: DictConfig, stages: Sequence[Stage], models: Sequence[SuperResolver], data: Sequence[Loaders]
) -> list[tuple[int, float]]:
    """(optimizer steps, measured seconds of one step) of each stage."""
    probe: L.Trainer = hydra.utils.instantiate(cfg.trainer, logger=False, enable_checkpointing=False)
    device = probe.strategy.root_device
    share = cfg.accumulate * probe.world_size
    known: dict[str, float] = {}
    times = []
    for stage, model, module in zip(stages, models, data, strict=True):
        key = repr({k: v for k, v in plain(stage.cfg).items() if declared(k).timing})
        if key not in known:
            batch = module.to_float(module.sample_batch(max(1, stage.cfg.batch_size // share)), device)
            with probe.precision_plugin.train_step_context():
                known[key] = budget.step_seconds(model, batch, build.training(stage.cfg), device)
        times.append((stage.end - stage.begin, known[key]))
    return times
