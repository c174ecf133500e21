"""The stages of a run, one after the other, on one trainer."""

import logging
import os
import signal
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from traceback import walk_tb
from typing import Any

import lightning.pytorch as L
import torch

from sr.callbacks import Checkpoints, Lost
from sr.compiled import compiled
from sr.compose.words import pasted, path_word
from sr.errors import UserError, reason, user_error
from sr.loggers import CsvLog
from sr.models.bookkeeping import draw_on, drawn
from sr.models.module import Module
from sr.runs import checkpoint
from sr.runs.code import tell_other_code, tell_other_codes
from sr.runs.config import LAST, plain
from sr.runs.latest import resume_command
from sr.training import compiling
from sr.training.build import read_again
from sr.training.plan import Plan, Stage
from sr.training.resumed import of_another_program
from sr.training.speed import speed, step_through
from sr.training.stage_configs import never_validated
from sr.whole import copy_whole
from sr.zoo.files import read_tensors
from sr.zoo.load import beginning, is_ours

log = logging.getLogger(__name__)
Content = Mapping[str, Any]  # of the checkpoint that a run goes on from


def ready(plan: Plan, resumed: Content | None, folder: Path) -> None:
    """Bring the models into the form that they train in.

    Raises:
        UserError: a checkpoint does not fit the stage that begins from it; the interrupted run had other stages.
    """
    fast = speed(plan.cfg.trainer)
    # LBFGS makes one vector of all gradients, for which each must lie in memory as it is counted.
    lbfgs = any(getattr(stage.setup.optimizer, "func", None) is torch.optim.LBFGS for stage in plan.stages)
    for stage in plan.stages if fast.channels_last and not lbfgs else ():
        stage.model.to(memory_format=torch.channels_last)
    first = plan.stages[first_stage(plan.stages, resumed)]
    if resumed is not None:
        checkpoint.load_weights(first.model, resumed["state_dict"], folder)
        tell_other_code(first.model, resumed["sr"], folder)
        tell_other_codes(plain(plan.cfg), resumed["sr"], folder)
        if resumed["global_step"] < plan.stages[-1].end:
            try:
                first.setup.loss.load_state_dict(resumed["loss_state_dict"])  # of another teacher, for example
            except RuntimeError as error:
                raise of_another_program(folder, plan.words, reason(error)) from error
    for stage in plan.stages:  # of a late stage too, which would fail after hours
        source = stage.cfg.init_from
        if source and source not in ("last", "best") and resumed is None:
            checkpoint.fitting(stage.model, _read(stage, source), plain(stage.cfg.model), source)
    for model in dict.fromkeys(stage.model for stage in plan.stages) if fast.compile else ():
        model.network = compiled(model.network, mode=fast.compile)  # type: ignore[method-assign]


def first_stage(stages: Sequence[Stage], resumed: Content | None) -> int:
    """The index of the stage that a run begins or goes on with.

    Raises:
        UserError: the interrupted run had other stages.
    """
    if resumed is None or (tag := resumed["sr"].get("stage")) is None:
        return 0
    number, name, began = (tag.get(key, 0) for key in ("number", "name", "begin"))
    if not 0 < number <= len(stages) or (stages[number - 1].name, stages[number - 1].begin) != (name, began):
        raise UserError(
            f"the run was in stage {number} ({name}), which began after {began:,} steps; these "
            "settings have no such stage. Leave out what changes the stages' steps"
        )
    return number - 1


def fit(plan: Plan, trainer: L.Trainer, folder: Path, resumed: Content | None) -> None:
    """Train every stage that is not done; each leaves `checkpoints/stage<n>_<name>.ckpt` where there are several."""
    stages = plan.stages
    begin = first_stage(stages, resumed)
    step = int(resumed["global_step"]) if resumed else 0
    for logger in trainer.loggers:
        if isinstance(logger, CsvLog) and resumed:
            logger.resume_at(step)
        elif not isinstance(logger, CsvLog):
            try:
                logger.log_hyperparams(stages[0].metadata["config"])
            except Exception as error:  # a server that is not there, an address that is none
                raise user_error(error) or UserError(f"{type(logger).__name__}: {reason(error)}") from error
    trainer.strategy.checkpoint_io = checkpoint.CheckpointFiles(resumed)
    if step >= stages[-1].end:
        log.info(f"this run is complete: {step:,} steps.")
        stages[-1].model.metadata = dict(stages[-1].metadata)
        return
    for index, stage in list(enumerate(stages))[begin:]:
        model, going_on = stage.model, resumed is not None and index == begin
        former = stages[index - 1] if index else None
        if not going_on:
            _warm_start(stage, former, folder)
        _keep_optimizers(trainer, stage, former, going_on)
        model.attach(stage.setup)
        model.metadata, model.whole_steps = dict(stage.metadata), stages[-1].end
        if stage.of > 1:
            log.info(f"stage {stage.number}/{stage.of} {stage.name}: to step {stage.end:,}")
        if going_on:
            log.info(f"resuming at step {step:,} of {stages[-1].end:,}")
        _enter(trainer, stage, step if not going_on else None)
        try:
            source = checkpoint.locate(folder) if going_on else None
            with compiling.told(speed(plan.cfg.trainer).compile):
                trainer.fit(model, datamodule=stage.data, ckpt_path=source, weights_only=True)
        except SystemExit as stop:  # interrupted: Lightning has shut down in order, on SIGTERM with no exit status
            log.info(f"stopped at step {trainer.global_step:,}. Go on with: {resume_command(folder)}")
            status = stop.code or 128 + signal.SIGTERM
            raise SystemExit(0 if trainer.local_rank else status) from stop  # else Lightning kills the first process
        except (LookupError, TypeError, AttributeError, ValueError, RuntimeError) as error:
            restoring = trainer._checkpoint_connector._loaded_checkpoint  # let go once it is restored
            first = going_on and trainer.global_step == step and _by_optimizer(error)
            if user_error(error) or not (first or (restoring and not isinstance(error, RuntimeError))):
                raise
            raise of_another_program(folder, plan.words, f"{type(error).__name__}: {reason(error)}") from error
        if going_on and resumed is not None and step >= stage.end:
            # Nothing was trained; a mean of weights counts.
            checkpoint.load_weights(model, resumed["state_dict"], folder)
            draw_on(model.random, trainer.strategy.root_device)
        if trainer.global_step < stage.end:  # as told by a callback: Lightning returns as if all were done
            raise UserError(
                f"training was stopped at step {trainer.global_step:,} of {stage.end:,} by one of the callbacks "
                f"({', '.join(plan.cfg.callbacks)}): the run is not finished, and nothing of it is measured. "
                f"Go on with: {resume_command(folder)}\nOr measure it as it is: "
                f"{pasted('evaluate', [path_word('checkpoint', folder)])}"
            )
        step = stage.end
        if index + 1 < len(stages):
            following = stages[index + 1].model
            following.batches_seen, following.random = model.batches_seen, drawn(trainer.strategy.root_device)
            _leave(trainer, stage, folder)


def _by_optimizer(error: Exception) -> bool:
    """Whether an optimizer raised it, which first looks at the state that it was given when it steps."""
    if isinstance(error, torch.OutOfMemoryError):
        return False
    whose = [frame.f_locals.get("self") for frame, _ in walk_tb(error.__traceback__)]
    within = [n for n, one in enumerate(whose) if isinstance(one, torch.optim.Optimizer)]
    # Lightning may call the network from within the optimizer's step: what fails there is not the optimizer's.
    return bool(within) and not any(isinstance(one, torch.nn.Module) for one in whose[within[-1] :])


def _warm_start(stage: Stage, former: Stage | None, folder: Path) -> None:
    """Give a new stage its first weights."""
    source = stage.cfg.init_from
    if source == "last" and former is not None and former.model is stage.model:
        return
    if source == "last":
        assert former is not None
        content = {"state_dict": former.model.state_dict(), "sr": former.model.metadata}
        source = f"stage {former.number}"
    elif source == "best":
        assert former is not None
        best = folder / "checkpoints" / f"{former.file}_best.ckpt"
        if not best.is_file():
            raise never_validated(stage)
        source = str(best)
        content = checkpoint.read(source)
    elif source:
        content = _read(stage, source)
    else:
        return
    log.info(checkpoint.warm_start(stage.model, content, plain(stage.cfg.model), source))


def _read(stage: Stage, source: str) -> dict[str, Any]:
    path = Path(source).expanduser()
    if isinstance(stage.model, Module) and path.is_file() and not is_ours(path):  # of its own repository
        tensors = {f"inner.{name}": tensor for name, tensor in read_tensors(path).items()}
        return {"state_dict": tensors, "sr": {"model": {}, "part": True}}
    return beginning(source, stage.cfg.zoo, stage.cfg.scale if isinstance(stage.cfg.scale, int) else None)


def _keep_optimizers(trainer: L.Trainer, stage: Stage, former: Stage | None, going_on: bool) -> None:
    """Hand the former stage's optimizer state over, where the stage says so.

    The position in the schedule goes with it unless the stage has a schedule or a learning rate of its own.
    """
    stage.model.former_optimizers = None
    if going_on or former is None or stage.cfg.optimizer_state == "fresh":
        return
    now, then = stage.cfg, former.cfg
    same = all(plain(now[key]) == plain(then[key]) for key in ("optimizer", "scheduler", "parameter_groups"))
    stage.model.former_optimizers = [
        (optimizer.state_dict(), config.scheduler.state_dict() if same else None)
        for optimizer, config in zip(trainer.optimizers, trainer.lr_scheduler_configs, strict=True)
    ]


def _enter(trainer: L.Trainer, stage: Stage, step: int | None) -> None:
    """Set the trainer to a stage, `step` optimizer steps into the whole run; None where a checkpoint will tell."""
    loop = trainer.fit_loop.epoch_loop
    loop.max_steps = stage.end
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Lost):
            callback.read = partial(read_again, stage.cfg.model)
    if reason := step_through(trainer, stage.model, stage.cfg):
        graph = stage.model.graph
        expected = graph is True or (graph == "auto" and trainer.strategy.root_device.type == "cuda")
        log.info(f"one optimizer step at a time{' and no CUDA graph' if expected else ''}: {reason}")
    if step is not None:
        # Lightning counts the steps of automatic and manual optimization apart; the run has one count.
        loop.automatic_optimization.optim_progress.optimizer.step.total.completed = step
        loop.manual_optimization.optim_step_progress.total.completed = step
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Checkpoints):
                callback.best = None  # figures of different losses and scales do not compare


def _leave(trainer: L.Trainer, stage: Stage, folder: Path) -> None:
    """Keep a finished stage's checkpoints under its name."""
    if trainer.is_global_zero:
        checkpoints = folder / "checkpoints"
        copy_whole(checkpoints / LAST, checkpoints / f"{stage.file}.ckpt")
        best = checkpoints / "best.ckpt"
        if best.is_file() and checkpoint.read(best)["sr"]["stage"]["number"] == stage.number:
            os.replace(best, checkpoints / f"{stage.file}_best.ckpt")
    trainer.strategy.barrier()
