"""A sweep whose rows are Slurm's jobs: all are submitted at once and left alone, so that no shell has to stay open.

Hydra's launcher for submitit watches its jobs to the end, and typed again would submit all of them again. Here what a
sweep has submitted stands in its folder, and only rows are submitted that are neither finished nor in Slurm's queue.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from sr.bounded import text_of
from sr.errors import UserError
from sr.runs.lock import held
from sr.runs.record import recorded
from sr.whole import write_whole

LAUNCHER = "submitit_slurm"
SUBMITTED = "slurm.json"  # in the sweep's folder: the row's name -> its last job


def queued(folder: Path) -> dict[str, str]:
    """The rows of a sweep that wait in Slurm's queue or run there: their names, and their jobs.

    Raises:
        UserError: Slurm does not answer, or what was submitted cannot be read.
    """
    file, known = folder / SUBMITTED, _open(folder, _submitted(folder))
    if not known:
        return {}
    command = ["squeue", "--me", "-h", "-r", "-o", "%i"]
    env = {key: value for key, value in os.environ.items() if not key.startswith("SQUEUE_")}  # the user's own views
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    except OSError as error:
        raise UserError(
            f"{folder} was submitted to Slurm, but squeue cannot be run here: {error.strerror}. Where none of its jobs "
            f"is left, remove {file}"
        ) from error
    if done.returncode:
        raise UserError(f"{folder} was submitted to Slurm, which does not answer: {done.stderr.strip()}")
    there = set(done.stdout.split())
    return _open(folder, {row: job for row, job in known.items() if job in there})  # some may have ended meanwhile


def _submitted(folder: Path) -> dict[str, str]:
    file = folder / SUBMITTED
    try:
        known: dict[str, str] = json.loads(text_of(file)) if file.is_file() else {}
        if not (isinstance(known, dict) and all(isinstance(job, str) for job in known.values())):
            raise ValueError("the names of rows are wanted, each with its job")
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{file} is damaged: {error}. Where squeue --me shows none of the sweep's jobs any more, remove it"
        ) from error
    return known


def _open(folder: Path, jobs: dict[str, str]) -> dict[str, str]:
    return {row: job for row, job in jobs.items() if recorded(folder / row).get("status") != "finished"}


@contextmanager
def left_with_slurm(folder: Path) -> Iterator[None]:
    """Within it Hydra's launcher for Slurm submits what is left to do of a sweep, and returns at once."""

    def launch(self: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        there, wanted = queued(folder), {}
        for overrides in job_overrides:
            name = _name(self, overrides)
            if name not in there and recorded(folder / name).get("status") != "finished" and not held(folder / name):
                wanted[name] = list(overrides)
        if wanted:
            with _unwatched(folder, list(wanted)):
                former(self, list(wanted.values()), initial_job_idx)
        return [JobReturn(_return_value=None, status=JobStatus.COMPLETED) for _ in job_overrides]

    # Hydra loads plugins by itself, so that an import here would give another class.
    (launcher,) = [found for found in Plugins.instance().discover(Launcher) if found.__name__ == "SlurmLauncher"]
    with _instead(launcher, "launch", launch) as former:
        yield


@contextmanager
def _instead(of: type, name: str, method: Callable[..., Any]) -> Iterator[Any]:
    """Put a method in another one's place, which is yielded."""
    former = getattr(of, name)
    setattr(of, name, method)
    try:
        yield former
    finally:
        setattr(of, name, former)


def _name(launcher: Any, overrides: Sequence[str]) -> str:
    """Of a row's folder, as Hydra will name it in the row's own process."""
    current = HydraConfig.instance()
    former = current.cfg
    row = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, list(overrides))
    current.set_config(row)
    try:
        return str(row.hydra.sweep.subdir)
    finally:
        current.cfg = former


class _Left:
    """In the place of a job of submitit's, which the launcher would wait for."""

    def results(self) -> list[None]:
        return [None]


@contextmanager
def _unwatched(folder: Path, names: Sequence[str]) -> Iterator[None]:
    """Within it submitit submits the named rows in one array, notes their jobs and waits for none."""
    from submitit import AutoExecutor

    def submit(self: Any, *what: Any) -> list[_Left]:
        jobs = former(self, *what)
        now = {name: job.job_id for name, job in zip(names, jobs, strict=True)}
        write_whole(folder / SUBMITTED, _submitted(folder) | now)
        return [_Left() for _ in jobs]

    with _instead(AutoExecutor, "map_array", submit) as former:
        yield
