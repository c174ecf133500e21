"""One row of a sweep, which decides for itself what is left to do, in whatever process a launcher runs it."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from sr.compose.words import Job, pasted, path_word, spelled
from sr.errors import UserError, some, user_error
from sr.metrics.metric import get_metrics
from sr.runs import own
from sr.runs.config import RECORD
from sr.runs.latest import left, saved
from sr.runs.lock import BusyError, first_process, locked
from sr.runs.place import refuse_apart
from sr.runs.preempted import SWEEP
from sr.runs.record import record, recorded
from sr.runs.started import TASKS, can_tell, hear, restarted, started, tell
from sr.sweeps.changed import since
from sr.training.timing import FACTOR

log = logging.getLogger(__name__)


def run_row(cfg: DictConfig, task: Callable[[DictConfig, Job, Path | None], Any]) -> Any:
    """Run the task; of a sweep's rows only those that are not finished, and those with a checkpoint from there.

    So is a command of a job that Slurm put back, or of torchrun's second attempt.

    Args:
        cfg: of the row.
        task: takes the config, the job and the folder of the run that it goes on with, or None.

    Raises:
        BusyError: another process runs it.
    """
    job = Job.current()
    folder = job.folder
    looks = job.sweep is not None or (restarted() and not cfg.resume)
    if looks and _as_the_first("finished", folder, lambda: recorded(folder).get("status") == "finished"):
        log.info(f"{folder.name} is finished and is skipped")
        _tell_not_own(folder, ": its figures are taken as they stand there. To train it here")
        if changed := since(cfg, folder):
            log.warning(
                f"warning: {folder.name} was trained with other settings than its configs say now: {some(changed)}. To "
                "train it anew move its folder away"
            )
        for word in (word for word in cfg.get("metrics") or () if word.endswith(".py")):
            with suppress(UserError):  # by which the sweep's table knows which of its figures is the best
                get_metrics([word])
        return recorded(folder).get("objective")
    if job.sweep is None:
        refuse_apart()
        with locked(folder):
            resume = _begun(folder) if looks else cfg.resume
            return task(cfg, job, Path(resume) if resume else None)
    try:
        with locked(folder):
            resume = _begun(folder)
            if (cfg.trainer.strategy == "auto" and cfg.trainer.devices == 1) or started():
                return task(cfg, job, resume)
        return run_as_command(job, resume)
    except BusyError:
        raise  # what it is recorded to be is the other process's
    except Exception as error:
        wrong = user_error(error)
        record(folder, "failed", error=str(wrong) if wrong else f"{type(error).__name__}: {error}")
        log.error(f"{folder.name} failed: {wrong or ''}", exc_info=None if wrong else error)
        raise


def _begun(folder: Path) -> Path | None:
    """The folder, where its run has come to a checkpoint or begins anew by its record."""
    begun = _as_the_first("begun", folder, lambda: saved(folder) or (left(folder) and (folder / RECORD).is_file()))
    if begun:
        _tell_not_own(folder, ", and is gone on with from the weights there. To train it here from its first step")
    return folder if begun else None


def _tell_not_own(folder: Path, what: str) -> None:
    if not own.began(folder):
        log.warning(f"warning: {folder} was not begun by you on this machine{what} move that folder away")


def _as_the_first(what: str, folder: Path, found: Callable[[], bool]) -> bool:
    """What is so in a folder, as the first of the run's processes sees it before it changes anything there."""
    if not (started() and can_tell()):
        return found()
    words = [what, str(folder.absolute())]
    if not first_process():
        return hear(words) == str(True)
    so = found()
    tell(words, str(so))
    return so


def run_as_command(job: Job, resume: Path | None) -> Any:
    """Run a row as a command of its own, which locks the row's folder itself, and outlives this process so protected.

    Returns:
        The row's objective.

    Raises:
        UserError: it failed.
        BusyError: another process runs it.
        SystemExit: this process was told to end (SIGTERM), and so was the row.
    """
    folder = job.folder
    assert job.sweep is not None
    typed = [
        *(f"--config-dir={path}" for path in job.words.config_dirs),
        *map(spelled, job.words.texts),
        path_word("hydra.run.dir", folder),
    ]
    if resume is not None:
        typed.append(path_word("resume", folder))
    log.info(f"{folder.name} needs several processes and runs as: {pasted('train', typed)}")
    code = _ended([sys.executable, "-m", "sr", "train", *typed], surroundings(job.sweep))
    after = recorded(folder)
    if code != 0 or after.get("status") != "finished":
        with locked(folder):  # else it was refused, and what stands there is another process's
            raise UserError(after.get("error") or f"its process ended with status {code}; see {folder / 'train.log'}")
    return after.get("objective")


def surroundings(sweep: Path) -> dict[str, str]:
    """The environment of a row's own command, whose processes it starts itself.

    Args:
        sweep: the sweep's folder.
    """
    return {k: v for k, v in os.environ.items() if k not in (FACTOR, *TASKS)} | {SWEEP: str(sweep)}


def _ended(command: Sequence[str], environment: dict[str, str]) -> int:
    """The exit status of a command; SIGTERM is passed on to it, Ctrl-C it was sent too."""
    process: subprocess.Popen[bytes] | None = None
    stopped = False

    def stop(*_: Any) -> None:
        nonlocal stopped
        stopped = True
        if process is not None:
            process.terminate()

    first = threading.current_thread() is threading.main_thread()  # only there signals can be taken
    former = signal.signal(signal.SIGTERM, stop) if first else None
    try:
        process = subprocess.Popen(command, env=environment)
        if stopped:
            process.terminate()
        code = process.wait()
    except KeyboardInterrupt:
        if process is not None:
            with suppress(KeyboardInterrupt):
                process.wait()
        raise
    finally:
        if first:
            signal.signal(signal.SIGTERM, former or signal.SIG_DFL)
    if stopped:
        raise SystemExit(128 + signal.SIGTERM)
    return code
