"""Scale every step count of a recipe together, to a time or to a handful of steps."""

from __future__ import annotations

import copy
import logging
import math
import time
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from sr.models.base import SuperResolver

log = logging.getLogger(__name__)

# Arguments of torch's schedulers and of recipes that count optimizer steps. `T_0` and the like are torch's names.
STEP_KEYS = {
    "steps", "total_steps", "step_size", "step_size_up", "step_size_down", "milestones", "T_max", "T_0",
    "total_iters", "warmup_steps", "every_steps", "val_every_steps", "save_every_steps", "at_step",
}  # fmt: skip
WARM_UP, TIMED = 2, 6  # steps run on copies to time a training step
SHARE = 0.85  # of the seconds go to training steps, the rest to validation and start-up


def shrink(cfg: DictConfig, model: type[SuperResolver], typed: set[str]) -> None:
    """Apply what a budget says without measuring: a batch and a patch that are small, a number of steps.

    Args:
        typed: the keys that the user typed; they win over the budget. Whoever types `steps` has said how long.
    """
    budget = cfg.budget
    if budget.max_batch is not None and cfg.batch_size > budget.max_batch and "batch_size" not in typed:
        _change(cfg, "batch_size", budget.max_batch, "images")
    if budget.smallest_patch and cfg.patch_size > model.min_patch and "patch_size" not in typed:
        _change(cfg, "patch_size", model.min_patch, "LR pixels")
    if "steps" in typed:
        budget.seconds = budget.steps = None
    elif budget.factor is None and budget.steps is not None:
        budget.factor = min(1.0, budget.steps / cfg.steps)
    if budget.factor is not None:
        rescale(cfg, budget.factor, typed)


def calibrate(
    cfg: DictConfig, model: SuperResolver, batch: Any, optimizer: Any, loss: Any, device: Any, typed: set[str]
) -> None:
    """Time the first steps on a copy of the model and set the budget's factor from it.

    Args:
        batch: a batch as training gets it, on `device`, in float.
    """
    budget = cfg.budget
    if budget.factor is not None or budget.seconds is None:
        return
    seconds = step_seconds(model, batch, optimizer, loss, device) * cfg.accumulate
    affordable = max(2, int(SHARE * budget.seconds / seconds))
    budget.factor = min(1.0, affordable / cfg.steps)
    log.info(
        f"budget={budget.name}: a step takes {seconds:.3f} s here, so {budget.seconds:.0f} s hold "
        f"{affordable:,} steps of the recipe's {cfg.steps:,}"
    )
    rescale(cfg, budget.factor, typed)


def step_seconds(model: SuperResolver, batch: Any, optimizer: Any, loss: Any, device: Any) -> float:
    """Mean time of a training step (forward, backward, update) after a warm-up; the model is left as it was."""
    trial, loss = copy.deepcopy(model).to(device).train(), copy.deepcopy(loss).to(device)
    stepper = optimizer(trial.trained_parameters())
    for n in range(WARM_UP + TIMED):
        if n == WARM_UP:
            start = time.perf_counter()
        stepper.zero_grad()
        torch.stack(list(trial.training_terms(batch, loss).values())).sum().backward()
        stepper.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return (time.perf_counter() - start) / TIMED


def rescale(cfg: DictConfig, factor: float, typed: set[str]) -> None:
    """Multiply every step count of the recipe by `factor` (at least 1 each), except typed ones; log what changed."""
    if factor == 1:
        return
    for path, value in list(_step_counts(cfg)):
        node = OmegaConf.select(cfg, path.rpartition(".")[0]) if "." in path else cfg
        if path in typed or OmegaConf.is_interpolation(node, path.rpartition(".")[2]):
            continue  # an interpolation follows the count that it points to
        _change(cfg, path, _scaled(value, factor), "steps")
    # Scaled with the rest, validation would take the same time as in the full run: longer than the training.
    least = math.ceil(cfg.steps / cfg.budget.validations) if cfg.budget.validations else 1
    if "val_every_steps" not in typed:
        _change(cfg, "val_every_steps", min(max(cfg.val_every_steps, least), cfg.steps), "steps")


def _scaled(value: Any, factor: float) -> Any:
    if isinstance(value, int):
        return max(1, round(value * factor))
    scaled: list[int] = []
    for v in value:  # milestones stay in order and apart
        scaled.append(max(round(v * factor), scaled[-1] + 1 if scaled else 1))
    return scaled


def _step_counts(cfg: DictConfig) -> Any:
    """(dotted path, value) of every step count, in stages and nested schedulers too."""
    tree: Any = OmegaConf.to_container(cfg, resolve=True)
    stack: list[tuple[str, Any]] = [("", {k: v for k, v in tree.items() if k not in ("budget", "data")})]
    while stack:
        prefix, node = stack.pop()
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            path = f"{prefix}.{key}" if prefix else str(key)
            counted = isinstance(value, int) or (isinstance(value, list) and all(isinstance(v, int) for v in value))
            if key in STEP_KEYS and counted and not isinstance(value, bool):
                yield path, value
            elif isinstance(value, dict | list):
                stack.append((path, value))


def _change(cfg: DictConfig, path: str, value: Any, unit: str) -> None:
    before = OmegaConf.select(cfg, path)
    if before != value:
        log.info(f"budget={cfg.budget.name}: {path} {before} -> {value} {unit}")
        OmegaConf.update(cfg, path, value)
