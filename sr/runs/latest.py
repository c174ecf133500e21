"""Where a run goes on: in its folder, from its last checkpoint, or where that is damaged from the one before it."""

import logging
import os
from itertools import count
from pathlib import Path
from typing import Any

from sr.compose.words import pasted, path_typed, path_word
from sr.errors import UserError, reason
from sr.runs.config import LAST, RECORD
from sr.whole import copy_whole

log = logging.getLogger(__name__)
BEFORE = "previous.ckpt"
DAMAGED = "damaged.ckpt"  # what stood in the last one's place; kept, as nobody knows what it may be good for


def resume_command(folder: Path) -> str:
    """The command that goes on with a run, as it is pasted into a shell."""
    return pasted("train", [path_word("resume", folder)])


def saved(folder: Path) -> bool:
    """Whether a run has come to a checkpoint."""
    return any((folder / "checkpoints" / name).is_file() for name in (LAST, BEFORE))


def resumable(folder: Path) -> bool:
    """Whether it holds a run that goes on: with a checkpoint to go on from, or a record to begin anew by."""
    return saved(folder) or (folder / RECORD).is_file()


def left(folder: Path) -> bool:
    """Whether a run has checkpoints, none of which it can go on from: killed after its first best.ckpt, for example."""
    return not saved(folder) and any((folder / "checkpoints").glob("*.ckpt"))


def set_aside(folder: Path) -> Path | None:
    """Rename the checkpoints of a run that begins anew; to what, or None where there are none."""
    if not left(folder):
        return None
    return (folder / "checkpoints").rename(_free(folder / "checkpoints_before"))


def _free(place: Path) -> Path:
    """The place, or where something is there already the next one with a number."""
    places = (place.with_stem(f"{place.stem}_{n}" if n > 1 else place.stem) for n in count(1))
    return next(at for at in places if not os.path.lexists(at))


def latest(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The newest checkpoint of a run that can be read, and its contents; see `checkpoint.read`.

    Raises:
        UserError: there is none.
    """
    from sr.runs import checkpoint  # torch, for which a command that is only read does not wait

    last, before = (folder / "checkpoints" / name for name in (LAST, BEFORE))
    try:
        return last, checkpoint.read(last)
    except UserError as error:
        if not before.is_file():
            raise
        content = checkpoint.read(before)
        step = content.get("global_step", 0)
        log.warning(f"{reason(error)}\nthe run goes on from the one before it, of step {step:,}")
        return before, content


def put_back(folder: Path) -> None:
    """Put the checkpoint before the last one in its place."""
    last, before, damaged = (folder / "checkpoints" / name for name in (LAST, BEFORE, DAMAGED))
    if last.exists():
        os.replace(last, _free(damaged))
    copy_whole(before, last)


def run_folder(path: Path) -> Path:
    """The run folder that `path` is or lies in: with a checkpoint to go on from, or a record to begin anew by.

    Raises:
        UserError: there is none, or a checkpoint is named that a run does not go on from.
    """
    if path.suffix == ".ckpt" and path.name != LAST and path.is_file():
        raise UserError(
            f"resume={path}: a run goes on from its checkpoints/{LAST} alone: give its folder. To begin a new run from "
            f"the weights of {path.name}: {path_typed('init_from', path)}"
        )
    for folder in (path, *path.parents[:2]):
        if resumable(folder):
            return folder
    found = "it does not exist" if not path.exists() else f"neither checkpoints/{LAST} nor {RECORD} is in it"
    raise UserError(
        f"resume={path}: not a run that can be continued: {found}. Give a run folder "
        "(outputs/<model>_x<scale>/<time>), or resume=last for the newest one"
    )


def last_run(outputs: Path) -> Path:
    """The run below `outputs` that is the newest by its last checkpoint, or where it has none by its beginning."""
    found = {p.parents[1]: p for p in outputs.glob(f"**/checkpoints/{LAST}")}
    found |= {p.parent: p for p in outputs.glob(f"**/{RECORD}") if p.parent not in found}
    if not found:
        raise UserError(
            f"resume=last: there is no run below {outputs.resolve()}. Runs started from another "
            "folder are found with resume=<run folder>"
        )
    return max(found, key=lambda folder: found[folder].stat().st_mtime)
