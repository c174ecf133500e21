"""One row of a sweep, which decides for itself what is left to do, in whatever process a launcher runs it."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from sr.compose.job import Job
from sr.errors import user_error
from sr.runs.lock import BusyError, locked
from sr.runs.record import record, recorded
from sr.sweeps.row_process import run_as_command

log = logging.getLogger(__name__)


def run_row(cfg: DictConfig, task: Callable[[DictConfig, Job, Path | None], Any]) -> Any:
    """Run the task; of a sweep's rows only those that are not finished, and those with a checkpoint from there.

    Args:
        cfg: of the row.
        task: takes the config, the job and the folder of the run that it goes on with, or None.

    Raises:
        BusyError: another process runs it.
    """
    job = Job.current()
    folder = job.folder
    if job.sweep is None:
        with locked(folder):
            return task(cfg, job, Path(cfg.resume) if cfg.resume else None)
    before = recorded(folder)
    if before.get("status") == "finished":
        log.info(f"{folder.name} is finished and is skipped")
        return before.get("objective")
    try:
        with locked(folder):
            resume = folder if (folder / "checkpoints" / "last.ckpt").is_file() else None
            if resume is None:
                _clear(folder)
            if cfg.trainer.strategy == "auto" and cfg.trainer.devices == 1:
                return task(cfg, job, resume)
        return run_as_command(cfg, job, resume)
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
