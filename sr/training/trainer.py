"""Lightning's trainer of a run: what it may be told, and what it is made of."""

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.strategies import DDPStrategy
from omegaconf import DictConfig, OmegaConf

from sr.callbacks import BackToTraining, Checkpoints, Lost, NanGuard, Progress
from sr.compose import checks
from sr.compose.rules import scale_name
from sr.errors import UserError
from sr.layers.torch_file import refuse_lost
from sr.loggers import CsvLog
from sr.loggers.run_facts import run_facts
from sr.metrics.metric import get_metrics
from sr.metrics.protocols import get_protocol
from sr.runs.code import codes_of
from sr.runs.config import plain
from sr.runs.started import started
from sr.training.speed import lightnings

# Settings of Lightning that would end a run before its steps, look at less than the config says, or have no effect.
INSTEAD = {
    **dict.fromkeys(("max_epochs", "min_epochs", "max_steps", "min_steps"), "steps=1000 (of the optimizer)"),
    "max_time": "budget.seconds=3600: the schedule then fits the time",
    "fast_dev_run": "budget=smoke",
    **dict.fromkeys(("limit_train_batches", "overfit_batches"), "steps=10, or a folder of few images"),
    "limit_val_batches": "data.val_images=5",
    "limit_test_batches": "budget.test_images=5",
    "limit_predict_batches": "budget.test_images=5",
    "val_check_interval": "val_every_steps=1000",
    "check_val_every_n_epoch": "val_every_steps=1000",
    "accumulate_grad_batches": "accumulate=2",
    "callbacks": "callbacks=[panels,ema]",
    "logger": "logger=csv",
    "default_root_dir": "hydra.run.dir=<a folder>",
    "enable_checkpointing": "save_every_minutes=5",
    **dict.fromkeys(("num_sanity_val_steps", "use_distributed_sampler", "enable_model_summary"), "nothing"),
}


def refuse_told_elsewhere(trainer: DictConfig) -> None:
    """Raises a UserError where the trainer is told what a run is told by another key, or copies itself."""
    if re.search("spawn|fork|notebook", str(strategy := trainer.get("strategy"))):
        raise UserError(
            f"trainer.strategy={strategy}: a run's processes are begun one by one. Type trainer.strategy=ddp"
        )
    if wrong := [key for key in INSTEAD if trainer.get(key) is not None]:
        told = "; ".join(f"instead of trainer.{key}={trainer[key]} type {INSTEAD[key]}" for key in wrong)
        raise UserError(f"the trainer does not decide how long a run is and what it sees: {told}")


def trainer(
    cfg: DictConfig, steps: Sequence[int], folder: Path, name: str, partial_updates: bool, sweep: Path | None
) -> L.Trainer:
    """The trainer of the whole run.

    Args:
        cfg: of the run, as composed.
        steps: optimizer steps at the end of each stage, of the whole run.
        folder: of the run.
        name: of the run.
        partial_updates: a step may leave parameters without a gradient.
        sweep: folder of the sweep that the run is a row of, or None.
    """
    lead = get_metrics(cfg.metrics)[0]
    monitor, better = f"val/{lead.name}_{get_protocol(cfg.protocol).name}", lead.better or 1
    code = codes_of({"metrics": cfg.metrics}).get(lead.name, "")
    last = Checkpoints(folder / "checkpoints", monitor, cfg.save_every_minutes, cfg.save_every_steps, better, code)
    callbacks: list[L.Callback] = [NanGuard(folder), Lost()]
    if cfg.trainer.enable_progress_bar:
        callbacks.append(Progress(steps[-1] * cfg.accumulate))
    for key, node in cfg.callbacks.items():
        if not re.fullmatch(r"[\w-]+", str(key)):  # panels are drawn in a folder of this name
            raise UserError(f"callbacks.{key}: a callback is named by letters, figures, _ and -")
        if node is not None:
            drawn = key == "panels" or node.get("_target_") == "sr.callbacks.Panels"
            extra = {"folder": str(folder / key)} if drawn else {}
            callbacks.append(added := checks.built(node, f"callbacks.{key}", L.Callback, **extra))
            with suppress(LookupError, TypeError, AttributeError):  # of one that has its state only later
                refuse_lost(added.state_dict(), f"callbacks.{key}")
    # After the others: an average of weights must have taken the step that is saved.
    callbacks += [BackToTraining(), last]
    loggers: list[Any] = [CsvLog(folder)]
    known = {"facts": run_facts(folder, name, plain(cfg.choices), scale_name(cfg.scale), sweep, cfg.seed)}
    for key, node in cfg.logger.items():
        if node is not None:
            ours = OmegaConf.is_dict(node) and str(node.get("_target_")).startswith("sr.")
            own: dict[str, Any] = known if ours else {}  # another library's takes what it takes
            loggers.append(checks.built(node, f"logger.{key}", Logger, **own, _convert_="all"))
    callbacks += [hook for logger in loggers for hook in getattr(logger, "callbacks", [])]
    here, plugins = started(), list(cfg.trainer.get("plugins") or [])
    if here is not None and here.by == "srun":  # Lightning would save, and put the job back, in the middle of a step
        plugins.append(SLURMEnvironment(auto_requeue=False))
    made: L.Trainer = checks.built(
        lightnings(cfg.trainer),
        "trainer (trainer=auto takes what this machine has)",
        plugins=plugins or None,
        max_steps=steps[0],
        max_epochs=-1,
        callbacks=callbacks,
        logger=loggers,
        accumulate_grad_batches=cfg.accumulate,
        val_check_interval=cfg.val_every_steps * cfg.accumulate,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=1,
        use_distributed_sampler=False,  # the data modules give each process its own images
        enable_checkpointing=False,  # sr.callbacks.Checkpoints does it
        enable_model_summary=False,
        default_root_dir=str(folder),
        _convert_="all",
    )
    if partial_updates and isinstance(made.strategy, DDPStrategy):  # typed, or chosen for several devices
        made.strategy._ddp_kwargs.setdefault("find_unused_parameters", True)
    return made
