"""The factor of a budget in seconds: found by timing steps, once for all rows of a sweep that are to be compared."""

import copy
import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from filelock import FileLock
from omegaconf import DictConfig

from sr.bounded import text_of
from sr.compose.checks import built
from sr.compose.keys import declared
from sr.compose.words import Job, Words
from sr.data.loaders import Loaders
from sr.errors import UserError
from sr.models.base import SuperResolver
from sr.models.hooks import EachBatch
from sr.runs import own
from sr.runs.config import plain
from sr.runs.preempted import SWEEP
from sr.runs.started import number_of, started
from sr.training import budget, build
from sr.training.budget import TIMED, WARM_UP
from sr.training.speed import lightnings, speed, step_through
from sr.training.stage_configs import StageConfig
from sr.whole import write_whole

log = logging.getLogger(__name__)
FACTOR = "SR_BUDGET_FACTOR"  # in the environment: for the processes that this one starts
GRAPHED = 20  # steps after which a CUDA graph has been made, where one is
LEAST = 1.0  # seconds that are timed, at least


def budget_factor(
    cfg: DictConfig, stages: Sequence[StageConfig], models: Sequence[SuperResolver], data: Sequence[Loaders], job: Job
) -> float:
    """What a recipe's step counts are multiplied by to take the budget's seconds.

    Every process of a run, and comparable rows of a sweep, take the same: rows that differ only in the seed, and all
    rows of an ablation, that of the first of them that is timed; it stands in the sweep's `budget.json`.
    """
    if number_of("LOCAL_RANK", 0) > 0 and (found := os.environ.get(FACTOR)):
        return float(found)  # found by the process that started this one
    if number_of("WORLD_SIZE", 1) > 1 or started():
        raise UserError(
            f"budget={cfg.budget.name} times the first steps, which several processes that were started apart "
            "would each do differently. Type the factor of the step counts instead: budget.factor=0.01"
        )
    if (sweep := job.sweep or os.environ.get(SWEEP)) is None:
        factor = budget.factor_of_seconds(cfg.budget, _times(cfg, stages, models, data))
        os.environ[FACTOR] = str(factor)
        return factor
    rows, file = comparable(job.words), Path(sweep) / "budget.json"
    with FileLock(Path(sweep) / ".budget.lock"):  # the others wait for the first one, and do not disturb its timing
        known = _found(file)
        if rows in known:
            factor = known[rows]["factor"]
            log.info(
                f"budget={cfg.budget.name}: {factor:.3g} of the recipe's steps, as {known[rows]['row']} was timed for "
                f"({file})"
            )
            if known[rows].get("signature") != _signature(rows, factor):
                log.warning(
                    f"warning: nothing shows that you timed what {file} tells, by which this row trains for so many "
                    "steps. If it is not yours, repeat all rows in a new folder"
                )
        else:
            factor = budget.factor_of_seconds(cfg.budget, _times(cfg, stages, models, data))
            known[rows] = {"factor": factor, "row": job.folder.name, "signature": _signature(rows, factor)}
            write_whole(file, known)
    os.environ[FACTOR] = str(factor)
    return factor


def _signature(rows: str, factor: float) -> str:
    return own.signature(f"{rows} {factor!r}", "budget.json")


def _found(file: Path) -> dict[str, Any]:
    """The factors of a sweep that are known, with the rows that were timed.

    Raises:
        UserError: the file is not as it was written: rows would be trained for other steps than those beside them.
    """
    if not file.is_file():
        return {}
    try:
        known: dict[str, Any] = json.loads(text_of(file))
        whole = all(0 < one["factor"] <= 1 and isinstance(one["row"], str) for one in known.values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise UserError(
            f"{file} is damaged: factors above 0 and up to 1 are wanted, each with the row that was timed. Type the "
            "one of the rows that are there, as their logs tell it: budget.factor=0.01. Or repeat all rows in a new "
            "folder"
        )
    return known


def comparable(words: Words) -> str:
    """What rows have in common that are to be trained for as many steps: all that was typed but seed and row."""
    common = []
    for word in words:
        if word.key == "ablation":
            common.append(f"ablation={word.value.partition('/')[0]}")
        elif word.key not in ("seed", "resume") and declared(word.key).named:
            common.append(word.text)
    return " ".join(sorted(common))


def _times(
    cfg: DictConfig, stages: Sequence[StageConfig], models: Sequence[SuperResolver], data: Sequence[Loaders]
) -> list[tuple[int, float]]:
    """(optimizer steps, measured seconds of one step) of each stage."""
    probe: L.Trainer = built(lightnings(cfg.trainer), "trainer", logger=False, enable_checkpointing=False)
    device = probe.strategy.root_device
    share = cfg.accumulate * probe.world_size
    known: dict[str, float] = {}
    times = []
    for stage, model, module in zip(stages, models, data, strict=True):
        key = repr({k: v for k, v in plain(stage.cfg).items() if declared(k).timing})
        if key not in known and probe.world_size == 1:
            known[key] = step_seconds(stage.cfg, model, module)
        elif key not in known:
            batch = module.to_float(module.sample_batch(max(1, stage.cfg.batch_size // share)), device)
            with probe.precision_plugin.train_step_context():
                known[key] = budget.step_seconds(model, batch, build.training(stage.cfg), device)
        times.append((stage.end - stage.begin, known[key]))
    return times


def step_seconds(cfg: DictConfig, model: SuperResolver, data: Loaders) -> float:
    """Mean time of an optimizer step of a stage, as it is trained: with its data, several at once, as a graph.

    Args:
        cfg: of the stage.
        model: of which a copy is trained.
        data: that it is trained on.
    """
    trial, pace = copy.deepcopy(model), Pace()
    trial.attach(build.training(cfg))
    if speed(cfg.trainer).channels_last:
        trial.to(memory_format=torch.channels_last)
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer: L.Trainer = built(
        lightnings(cfg.trainer) | off,
        "trainer",
        callbacks=[pace],
        max_epochs=-1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    step_through(trainer, trial, cfg)
    try:
        trainer.fit(trial, datamodule=data)
    finally:
        data.trainer = None
    return pace.seconds


class Pace(EachBatch):
    """Ends a training as soon as it is known how long a step takes.

    Attributes:
        seconds: of one, once the warm-up is over and enough were timed.
    """

    def __init__(self) -> None:
        self.seconds, self._since, self._step = 0.0, 0.0, 0

    def after_batch(self, trainer: L.Trainer, model: L.LightningModule, batch: Any) -> None:
        step, device = trainer.global_step, trainer.strategy.root_device
        if step == self._step or self.seconds:
            return
        self._step, first = step, GRAPHED if device.type == "cuda" else WARM_UP
        timed = step - first
        if timed and (timed < TIMED or time.perf_counter() - self._since < LEAST):
            return
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if timed == 0:
            self._since = time.perf_counter()
        else:
            self.seconds = (time.perf_counter() - self._since) / timed
            trainer.should_stop = True
