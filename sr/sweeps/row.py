"""One row of a sweep, which decides for itself what is left to do, in whatever process a launcher runs it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from sr.errors import user_error
from sr.runs.lock import BusyError, alone
from sr.runs.record import record, recorded
from sr.sweeps.row_process import run_apart

log = logging.getLogger(__name__)


def run_row(cfg: DictConfig, task: Callable[[DictConfig], Any]) -> Any:
    """Run the task; of a sweep's rows only those that are not finished, and those with a checkpoint from there.

    Raises:
        BusyError: another process runs it.
    """
    run = HydraConfig.get()
    folder = Path(run.runtime.output_dir)
    if run.mode != RunMode.MULTIRUN:
        with alone(folder):
            return task(cfg)
    before = recorded(folder)
    if before.get("status") == "finished":
        log.info(f"{folder.name} is finished and is skipped")
        return before.get("objective")
    try:
        with alone(folder):
            if (folder / "checkpoints" / "last.ckpt").is_file():
                cfg.resume = str(folder)
            else:
                _clear(folder)
            if cfg.trainer.strategy == "auto" and cfg.trainer.devices == 1:
                return task(cfg)
        return run_apart(cfg, folder)
    except BusyError:
        raise  # what it is recorded to be is the other process's
    except Exception as error:
        wrong = user_error(error)
        record(folder, "failed", error=str(wrong) if wrong else f"{type(error).__name__}: {error}")
        log.error(f"{folder.name} failed: {wrong or ''}", exc_info=None if wrong else error)
        raise


def _clear(folder: Path) -> None:
    """A row that never got to a checkpoint begins anew."""
    for name in (".run", "run.json", "metrics.csv"):
        (folder / name).unlink(missing_ok=True)
