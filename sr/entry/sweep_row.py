"""One row of a sweep, which decides for itself what is left to do, in whatever process a launcher runs it."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from sr.entry.names import CONF
from sr.entry.resume import quoted
from sr.errors import UserError, user_error
from sr.report import runs

log = logging.getLogger(__name__)


def run_row(cfg: DictConfig, task: Callable[[DictConfig], Any]) -> Any:
    """Run the task; of a sweep's rows only those that are not finished, and those with a checkpoint from there.

    Raises:
        UserError: the row is being run by another process.
    """
    run = HydraConfig.get()
    if run.mode != RunMode.MULTIRUN:
        return task(cfg)
    folder = Path(run.runtime.output_dir)
    before = runs.recorded(folder)
    if before.get("status") == "finished":
        log.info(f"{folder.name} is finished and is skipped")
        return before.get("objective")
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as busy:
        raise UserError(f"{folder.name} is being run by another process, in {folder}") from busy
    try:
        if (folder / "checkpoints" / "last.ckpt").is_file():
            cfg.resume = str(folder)
        else:
            _clear(folder)
        if cfg.trainer.strategy != "auto" or cfg.trainer.devices != 1:
            return _apart(cfg, folder)
        return task(cfg)
    except Exception as error:
        wrong = user_error(error)
        runs.record(folder, "failed", error=str(wrong) if wrong else f"{type(error).__name__}: {error}")
        log.error(f"{folder.name} failed: {wrong or ''}", exc_info=None if wrong else error)
        raise
    finally:
        lock.release()


def _clear(folder: Path) -> None:
    """A row that never got to a checkpoint begins anew."""
    for name in (".run", "run.json", "metrics.csv"):
        (folder / name).unlink(missing_ok=True)


def _apart(cfg: DictConfig, folder: Path) -> Any:
    """Run a row of several processes as a run of its own: started from here, each would run the whole sweep again."""
    run = HydraConfig.get()
    typed = [f"--config-dir={s.path}" for s in run.runtime.config_sources if s.provider == "command-line"]
    typed += [*run.overrides.task, f"hydra.run.dir={quoted(folder)}"]
    if cfg.resume:
        typed.append(f"resume={quoted(folder)}")
    log.info(f"{folder.name} needs several processes and runs as: python train.py {shlex.join(typed)}")
    environment = {k: v for k, v in os.environ.items() if k != "SR_BUDGET_FACTOR"}
    process = subprocess.Popen([sys.executable, str(CONF.parent / "train.py"), *typed], env=environment)
    try:
        code = process.wait()
    except KeyboardInterrupt:  # which the processes of the row were sent too
        with suppress(KeyboardInterrupt):
            process.wait()
        raise
    after = runs.recorded(folder)
    if code != 0 or after.get("status") != "finished":
        raise UserError(after.get("error") or f"its process ended with status {code}; see {folder / 'train.log'}")
    return after.get("objective")
