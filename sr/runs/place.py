"""The folder of a command: one of its own, and none where nothing came of it."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import BaseFileLock
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from sr.compose.keys import refuse_unread
from sr.compose.words import Words, quoted
from sr.errors import UserError, printable, user_error
from sr.runs.config import RECORD
from sr.runs.lock import LOCK, BusyError, first_process, held, taken
from sr.runs.occupied import OF_A_SWEEP, keep_former, refuse_foreign, reserved
from sr.runs.started import can_tell, hear, number_of, remembered, started, tell

NAMES = ("hydra.run.dir", "hydra.sweep.dir", "out")  # a folder that is typed by one of these stays as it is
RECORDS = {"config.yaml", "hydra.yaml", "overrides.yaml"}  # Hydra's, of a run or row


class NewFolder(Callback):
    """Gives each command a folder that no other one has, though all of them name theirs by the second.

    Hydra calls it when it has composed and before it writes; composing alone makes no folder. A run's other processes
    are told the folder by the first one, and so is the next attempt of a job that Slurm put back.

    Args:
        made: filled in: the outermost folder that was not there before the command.
        held: filled in: whether this process holds the folder's lock already.
    """

    def __init__(self, made: str | None = None, held: bool = False) -> None:
        self.made, self.held = made, held
        self._lock: BaseFileLock | None = None

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        with _refusing():
            self._lock = _place(config, "run")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        with _refusing():
            refuse_unread(config)  # once, before there are rows
            self._lock = _place(config, "sweep")

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        if self._lock is not None:
            self._lock.release()

    on_multirun_end = on_run_end

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_lock": None}  # a launcher's other processes hold their rows


def _place(config: DictConfig, mode: str) -> BaseFileLock | None:
    """Choose the folder; one that was typed is held from here on, before Hydra writes its records there.

    A training run holds its own: it is gone on with or refused. So is a study, whose keys are kept.
    """
    words = [str(word) for word in config.hydra.overrides.task]
    alike = mode == "run" and config.hydra.job.config_name == "train" and not typed(config.hydra)
    if not first_process():
        if alike and started():
            _write_into(config, hear(words))
        return None
    former = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)  # by which a folder's name finds the model's
    try:
        wanted = Path(str(OmegaConf.select(config, f"hydra.{mode}.dir")))
    finally:
        HydraConfig.instance().cfg = former
    made, folder, lock = missing(wanted), wanted, None
    if typed(config.hydra) and not _goes_on(config, wanted):
        refuse_foreign(wanted, str(config.hydra.job.config_name), mode)
        if config.hydra.job.config_name not in ("train", "study"):
            lock = taken(wanted)
            keep_former(wanted, config.hydra, mode)
    with read_write(config.hydra), open_dict(config.hydra):
        if not typed(config.hydra):
            before = remembered(words) if alike else None
            folder = before or reserved(wanted)
            made = None if before else made or folder.absolute()
            config.hydra[mode].dir = str(folder)
        if alike:
            tell(words, str(folder.absolute()))
        config.hydra.callbacks.folder.made = str(made) if made else None
        config.hydra.callbacks.folder.held = mode == "run" and lock is not None
        if (folder / RECORD).is_file():  # of another run, which keeps its records if this one is refused
            config.hydra.output_subdir = None
        if mode == "sweep":  # whose rows are composed anew, from what was typed
            told = {"hydra.sweep.dir": folder, "++hydra.callbacks.folder.made": made}
            config.hydra.overrides.hydra.extend([f"{key}={quoted(path)}" for key, path in told.items() if path])
    return lock


def _write_into(config: DictConfig, folder: str | None) -> None:
    if folder is not None:
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.run.dir = folder


@contextmanager
def _refusing() -> Iterator[None]:
    """End the command: Hydra makes a warning of what else a callback raises, and goes on."""
    try:
        yield
    except OmegaConfBaseException:  # a folder's name that cannot be told: Hydra ends by that next
        return
    except Exception as error:
        if (wrong := user_error(error)) is None:
            raise
        sys.exit(printable(f"error: {wrong}"))


def typed(hydra: Any) -> bool:
    """Whether the user has named the folder."""
    overrides: Any = OmegaConf.to_container(hydra.overrides, resolve=False)
    words = Words([*overrides["hydra"], *overrides["task"]])
    return any(name in words for name in NAMES)


def _goes_on(config: DictConfig, folder: Path) -> bool:
    """Whether the command goes on with the run of the folder."""
    resume = OmegaConf.select(config, "resume")
    return bool(resume) and Path(str(resume)).resolve() == folder.resolve()


def refuse_apart() -> None:
    """Several processes of a run that cannot tell each other its folder need one that is typed.

    Raises:
        UserError: it is not; each would name one by its own clock.
    """
    several = number_of("WORLD_SIZE", 1) > 1 or started() or not first_process()
    if several and not can_tell() and not typed(HydraConfig.get()):
        raise UserError(
            "this is one of several processes of a run, which would each name the run's folder by their own clock. "
            "Name one for all of them: hydra.run.dir=PATH"
        )


def missing(folder: Path) -> Path | None:
    """The outermost of a folder and those around it that is not there; None where it is there."""
    return next((p for p in reversed([folder.absolute(), *folder.absolute().parents]) if not p.exists()), None)


@contextmanager
def emptied() -> Iterator[None]:
    """Remove the present job's folder if the job fails before it has written anything in it."""
    try:
        yield
    except BusyError:
        raise  # what is there is the other process's
    except BaseException:
        run: Any = HydraConfig.get()
        folder: Any = OmegaConf.select(run, "callbacks.folder") or {}
        if first_process() and (made := folder.get("made")):
            own = {run.output_subdir, f"{run.job.name}.log", LOCK}
            remove(Path(run.runtime.output_dir), Path(made), own, mine=bool(folder.get("held")))
        raise


def remove(folder: Path, made: Path, own: set[str | None], mine: bool = False) -> None:
    """Remove a folder with nothing but a command's `own` in it, and those around it that are empty then, to `made`.

    One in which another process runs is left alone; where this one holds it, it is `mine`.
    """
    if not folder.is_dir() or (not mine and held(folder)):  # moved away, of which the error tells
        return
    records = [p for name in own if name and (folder / name).is_dir() for p in (folder / name).iterdir()]
    if {p.name for p in folder.iterdir()} - own or {p.name for p in records} - RECORDS:
        return
    shutil.rmtree(folder, ignore_errors=True)
    forget(folder.parent, made)


def forget(folder: Path, made: Path) -> None:
    """Remove a folder and those around it, to `made`, while nothing is in them but what Hydra begins a sweep with."""
    with suppress(OSError):  # it holds something else
        for place in (p for p in (folder, *folder.parents) if p == made or made in p.parents):
            if {p.name for p in place.iterdir()} <= (own := {OF_A_SWEEP, LOCK}):
                for name in own:
                    (place / name).unlink(missing_ok=True)
            place.rmdir()
