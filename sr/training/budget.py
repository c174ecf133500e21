"""Scale every step count of a recipe together, to a time or to a handful of steps."""

import copy
import logging
import math
import time
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from sr.compose.keys import declared
from sr.models.base import SuperResolver, Training
from sr.runs.config import flat
from sr.training.short import shortened
from sr.training.stage_configs import scales, stage_configs

log = logging.getLogger(__name__)

WARM_UP, TIMED = 2, 6  # steps run on copies to time a training step
SHARE = 0.85  # of the seconds go to training steps, the rest to validation and start-up


def shrunk(cfg: DictConfig, model: type[SuperResolver], typed: Collection[str]) -> DictConfig:
    """The config after what a budget says without measuring: a short schedule, small sizes, a number of steps.

    Keys that the user `typed` win over the budget. Whoever types `steps` has said how long.
    """
    cfg = shortened(cfg, typed).copy()
    budget = cfg.budget
    largest = model.min_patch if budget.smallest_patch else budget.get("max_patch")
    for path, node in [("", cfg), *((f"stages.{name}.", stage) for name, stage in cfg.stages.items() if stage)]:
        batch, patch, hr_patch = (node.get(key) for key in ("batch_size", "patch_size", "hr_patch_size"))
        if budget.max_batch is not None and batch and batch > budget.max_batch and "batch_size" not in typed:
            _change(cfg, f"{path}batch_size", budget.max_batch, "images")
        if largest is None or "patch_size" in typed:
            continue
        fits = not budget.smallest_patch and hr_patch and hr_patch // min(scales(cfg)) <= largest
        if hr_patch and "hr_patch_size" not in typed and not fits:
            log.info(f"budget={budget.name}: {path}hr_patch_size {hr_patch} -> null")
            node.hr_patch_size = None
        if patch and patch > largest:
            _change(cfg, f"{path}patch_size", largest, "LR pixels")
    if "steps" in typed:
        budget.seconds = budget.steps = None
    elif budget.factor is None and budget.steps is not None:
        budget.factor = min(1.0, budget.steps / stage_configs(cfg, typed)[-1].end)
    return cfg if budget.factor is None else rescaled(cfg, budget.factor, typed)


def factor_of_seconds(budget: DictConfig, stages: Sequence[tuple[int, float]]) -> float:
    """The factor with which the whole run takes the budget's seconds.

    Args:
        budget: with the `seconds` that training may take.
        stages: (optimizer steps, measured seconds of one step) of each stage.
    """
    steps, seconds = sum(n for n, _ in stages), sum(n * s for n, s in stages)
    factor = min(1.0, max(2 * len(stages) / steps, SHARE * budget.seconds / seconds))
    log.info(
        f"budget={budget.name}: a step takes {seconds / steps:.3f} s here, so {budget.seconds:.0f} s hold "
        f"{int(steps * factor):,} steps of the recipe's {steps:,}"
    )
    return factor


def step_seconds(model: SuperResolver, batch: Any, setup: Training, device: Any) -> float:
    """Mean time of an optimizer step (all its updates and micro-batches) after a warm-up, on a copy of the model.

    `batch` is a micro-batch as training gets it, on `device`, in float.
    """
    trial, setup = copy.deepcopy(model), copy.deepcopy(setup)
    trial.attach(setup)
    trial.to(device)
    optimizers = setup.build_optimizers(trial.learnable())
    for n in range(WARM_UP + TIMED):
        if n == WARM_UP:
            start = time.perf_counter()
        for player, terms in trial.updates(batch):
            optimizers[player].zero_grad()
            torch.stack(list(terms.values())).sum().backward()
            optimizers[player].step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return (time.perf_counter() - start) / TIMED * setup.accumulate


def rescaled(cfg: DictConfig, factor: float, typed: Collection[str]) -> DictConfig:
    """The config with every step count of the recipe times `factor` (at least 1 each), except typed ones."""
    cfg = cfg.copy()
    cfg.budget.factor = factor
    if factor == 1:
        return cfg
    recipe: Any = OmegaConf.to_container(cfg, resolve=False)  # an interpolation follows the count that it points to
    for path, value in flat(recipe).items():
        counted = isinstance(value, int) or (isinstance(value, list) and all(isinstance(v, int) for v in value))
        if declared(path).budget == "steps" and path not in typed and counted and not isinstance(value, bool):
            scaled = _periods(value, factor) if path.endswith(".step_size") else _scaled(value, factor)
            _change(cfg, path, scaled, "steps")
    # Scaled with the rest, validation would take the same time as in the full run: longer than the training.
    stages = stage_configs(cfg, typed)
    least = math.ceil(stages[-1].end / cfg.budget.validations) if cfg.budget.validations else 1
    if "val_every_steps" not in typed:
        shortest = min(stage.end - stage.begin for stage in stages)
        _change(cfg, "val_every_steps", min(max(cfg.val_every_steps, least), shortest), "steps")
    return cfg


def _periods(value: int, factor: float) -> int:
    """The steps between two changes of a rate: up, so that a short run has no more of them than a long one."""
    return max(1, math.ceil(value * factor - 1e-6))


def _scaled(value: Any, factor: float) -> Any:
    if value == 0:
        return 0
    if isinstance(value, int):
        # Down, so that what happens late in a run still happens in a short one; 1e-6 is for rounding of the product.
        return max(1, int(value * factor + 1e-6))
    if any(later <= former for former, later in pairwise(value)):
        return [_scaled(v, factor) for v in value]  # lengths of periods
    scaled: list[int] = []
    for v in value:  # milestones stay in order and apart
        scaled.append(max(int(v * factor + 1e-6), scaled[-1] + 1 if scaled else 1))
    return scaled


def _change(cfg: DictConfig, path: str, value: Any, unit: str) -> None:
    before = OmegaConf.select(cfg, path)
    if before != value:
        log.info(f"budget={cfg.budget.name}: {path} {before} -> {value} {unit}")
        OmegaConf.update(cfg, path, value)
