"""Processes of one run that torchrun or Slurm's srun has started: how many, and what the first one tells the others."""

import hashlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr.bounded import text_of
from sr.errors import UserError
from sr.runs.preempted import JOB
from sr.whole import write_whole

JOBS = Path("outputs/.slurm")  # what the first process of each run of a job has told
WAIT = 120.0  # seconds that the processes of a run may begin apart
# With these Lightning takes a process for one of those that srun started for the run.
TASKS = (
    "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID",
)  # fmt: skip


@dataclass(frozen=True)
class Started:
    """Several processes of a run.

    Attributes:
        by: who started them: torchrun or srun.
        processes: on all nodes.
        nodes: that they run on.
    """

    by: str
    processes: int
    nodes: int


@contextmanager
def starting_alike() -> Iterator[None]:
    """Within it, processes that are started import what this one does, and nothing that lies where the user stands.

    Rows of a sweep and workers of launchers begin by `python -m` or `-c`, where Python looks there first: a folder of
    somebody else's may hold a module of any name.
    """
    before = {name: os.environ.get(name) for name in ("PYTHONSAFEPATH", "PYTHONPATH")}
    if not before["PYTHONSAFEPATH"]:  # python -P, which is not inherited, says the same: sys.path has no such place
        own = [None if sys.flags.safe_path else os.path.abspath(sys.path[0]), before["PYTHONPATH"]]
        os.environ |= {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(filter(None, own))}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ |= {} if value is None else {name: value}


def started() -> Started | None:
    """The processes of which this is one; None where it is the only one, or Lightning starts the others."""
    by, names = "srun", ("SLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_NODES")
    if "TORCHELASTIC_RUN_ID" in os.environ:  # which srun may have started on each node
        by, names = "torchrun", ("WORLD_SIZE", "GROUP_WORLD_SIZE")
    processes, nodes = (number_of(name, 1) for name in names)
    return Started(by, processes, nodes) if processes > 1 else None


def number_of(name: str, otherwise: int) -> int:
    """A number that whoever started the process put into its environment; `otherwise` where that is empty or not set.

    Raises:
        UserError: it is no number.
    """
    found = os.environ.get(name) or str(otherwise)
    if not found.isdecimal():
        raise UserError(f"{name}={found} in the environment is no number of processes. Type: unset {name}")
    return int(found)


def restarted() -> bool:
    """Whether this is a later attempt at the same command: of a job that Slurm put back, or of torchrun."""
    return any(os.environ.get(n, "0") not in ("", "0") for n in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT"))


def can_tell() -> bool:
    """Whether there is something by which a run's first process tells the others anything."""
    return JOB in os.environ or _agents_share()


def remembered(words: Sequence[str]) -> Path | None:
    """The folder of the run that a former attempt at the command has begun."""
    if not restarted():
        return None
    found = None
    if JOB in os.environ:
        found = _read(words)[0]
    elif (store := _store()) is not None and store.check([_key(words)]):
        found = store.get(_key(words)).decode()
    return Path(found) if found and Path(found).is_dir() else None


def tell(words: Sequence[str], told: str) -> None:
    """Tell the run's other processes something, and the job's next attempt.

    Args:
        words: what it is about: for the run's folder, what was typed.
        told: a line of text.
    """
    if JOB in os.environ:
        write_whole(_file(words), f"{_attempt()}\n{told}\n")
    if (store := _store()) is not None:
        store.set(_key(words), told)
        store.set(f"{_key(words)}_{_attempt()}", told)


def hear(words: Sequence[str]) -> str | None:
    """What the first process has told; None where nothing can tell.

    Raises:
        UserError: it has told none for two minutes.
    """
    if (store := _store()) is not None:
        try:
            told: str = store.get(f"{_key(words)}_{_attempt()}").decode()
            return told
        except RuntimeError as error:
            raise _nothing_told() from error
    if JOB not in os.environ:
        return None
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        told, attempt = _read(words)
        if told and attempt == _attempt():
            return told
        time.sleep(0.2)
    raise _nothing_told()


def _nothing_told() -> UserError:
    return UserError(
        f"the first of the run's processes has told nothing for {WAIT:.0f} seconds: it has ended, was started with "
        f"other words, or sees another {JOBS.parent}. Name a folder for all of them: hydra.run.dir=PATH"
    )


def _attempt() -> str:
    """Of one launch of a run's processes, which all of them know."""
    names = ("SLURM_STEP_ID", "SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")
    return "_".join(os.environ.get(name, "0") for name in names)


def _key(words: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:8]


def _file(words: Sequence[str]) -> Path:
    return Path.cwd() / JOBS / f"{os.environ[JOB]}_{_key(words)}"


def _read(words: Sequence[str]) -> tuple[str, str]:
    file = _file(words)
    try:
        attempt, told = text_of(file).splitlines()
        mine = file.lstat().st_uid == os.getuid()  # others may write in a shared folder, and know a job's number
    except (OSError, ValueError):
        return "", ""
    return (told, attempt) if mine else ("", "")


def _agents_share() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def _store() -> Any:
    """What the agents of torchrun share with their processes; None where there is nothing such."""
    if not _agents_share():
        return None
    from datetime import timedelta

    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return TCPStore(*place, is_master=False, wait_for_workers=False, timeout=timedelta(seconds=WAIT))
