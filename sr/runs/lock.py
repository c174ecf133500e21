"""One process at a time in a run folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sr.errors import UserError

LOCK = ".lock"
RANKS = ("LOCAL_RANK", "RANK", "SLURM_PROCID")  # how those who start processes number them


class BusyError(UserError):
    """Another process runs in this folder; nothing in it may be changed."""


def first_process() -> bool:
    """Whether this is the first of a run's several processes, or the only one."""
    return not any(int(os.environ.get(rank, 0)) > 0 for rank in RANKS)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder's lock; of a run's several processes the first one does. A process that dies lets it go.

    Raises:
        BusyError: another process holds it.
    """
    if not first_process():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as held:
        raise BusyError(
            f"{folder.name} is being run by another process, in {folder}. Type this again when that one has ended, "
            "or name another run: resume=<run folder>"
        ) from held
    try:
        yield
    finally:
        lock.release()


def claim(folder: Path) -> None:
    """A new run gets a folder of its own; what another one wrote is never overwritten."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / ".run").touch(exist_ok=False)
    except FileExistsError as error:
        raise UserError(
            f"{folder} holds a run already. Go on with it: resume={folder}. Or give the new one another folder: "
            "hydra.run.dir=PATH"
        ) from error
