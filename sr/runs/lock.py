"""One process at a time in a run folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from sr.errors import UserError
from sr.runs.config import LAST
from sr.runs.latest import resumable, resume_command, saved
from sr.runs.record import recorded
from sr.runs.started import number_of, started

LOCK = ".lock"
RANKS = ("LOCAL_RANK", "RANK", "SLURM_PROCID")  # how those who start processes number them


class BusyError(UserError):
    """Another process runs in this folder; nothing in it may be changed."""


def first_process() -> bool:
    """Whether this is the first of a run's several processes, or the only one."""
    return not any(number_of(name, 0) > 0 for name in RANKS)


def refuse_alone() -> None:
    """Raises a UserError where the environment calls the only process a later one of several, which writes nothing."""
    later = [name for name in RANKS if number_of(name, 0) > 0]
    if later and started() is None and max(number_of(name, 1) for name in ("WORLD_SIZE", "SLURM_NTASKS")) == 1:
        raise UserError(
            f"{later[0]}={os.environ[later[0]]} in the environment says that this is not the first of a run's "
            "processes, but nothing says how many there are (WORLD_SIZE). If it is the only one: unset "
            + " ".join(later)
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder's lock; of a run's several processes the first one does. A process that dies lets it go.

    Raises:
        BusyError: another process holds it.
    """
    if not first_process():
        yield
        return
    lock = taken(folder)
    try:
        yield
    finally:
        lock.release()


def taken(folder: Path) -> BaseFileLock:
    """A folder's lock, held; the folder is made where there is none.

    Raises:
        BusyError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0.5)  # somebody may only be looking whether it is held
    except Timeout as busy:
        raise BusyError(
            f"{folder.name} is being run by another process, in {folder}. Type this again when that one has ended, or "
            "name another folder"
        ) from busy
    return lock


def held(folder: Path) -> bool:
    """Whether a process runs in a run folder now."""
    if not (folder / LOCK).is_file():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False  # a folder that only may be read


def claim(folder: Path, anew: bool = False) -> None:
    """A new run gets a folder of its own; what another one wrote is never overwritten.

    One that was stopped before its first checkpoint left nothing but its curve, which is kept: its folder is free.

    Args:
        folder: of the run.
        anew: the run of this folder begins again, having no checkpoint to go on from; others may be there.

    Raises:
        UserError: a run with a checkpoint or with results is in it, a finished one, or a metrics.csv of no known run.
    """
    from sr.scores.results import set_aside  # torch, for which a command that is refused early does not wait

    facts, results = recorded(folder), ["results*.csv", "x*/results.csv"]
    unknown = not facts and (folder / "metrics.csv").is_file()
    ended = facts.get("status") == "finished" or any(any(folder.glob(pattern)) for pattern in results)
    if ended or (not anew and (unknown or any(folder.glob("checkpoints/*.ckpt")))):
        if saved(folder) or (resumable(folder) and not ended):
            raise UserError(
                f"{folder} holds a run already. Go on with it: {resume_command(folder)}. Or give the new one another "
                "folder: hydra.run.dir=PATH"
            )
        raise UserError(
            f"{folder} holds what a run left, which cannot be gone on with: checkpoints/{LAST} is not there. Begin "
            "another one in another folder, hydra.run.dir=PATH, or in this one once you have moved that away"
        )
    (folder / "run.json").unlink(missing_ok=True)
    set_aside(folder, ["metrics"])  # of a run whose checkpoints were moved away, for example
