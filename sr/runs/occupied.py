"""A folder that was typed or given: whose it is, what becomes of what is there, where its links lead."""

import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

from sr.errors import UserError, printable, some
from sr.runs.own import began
from sr.runs.record import SWEEP, recorded
from sr.runs.yaml_file import read

OF_A_SWEEP = "multirun.yaml"
OF_JOBS = ".submitit"
KEPT = ("job", "overrides", "callbacks")  # of what Hydra records about itself
LARGE = ("checkpoints", "wandb")  # folders of one's own run that may be links to another disk


def refuse_foreign(folder: Path, command: str, mode: str) -> None:
    """Refuse a folder that was typed and holds what another command, or somebody else, put there.

    See `_visible` for what counts.

    Args:
        folder: that was typed.
        command: that will write there, as `train`.
        mode: `run` or `sweep`.

    Raises:
        UserError: it is neither new nor empty, and not of the same command; or see `refuse_links`.
    """
    if not folder.is_dir():
        return
    there, found = _visible(folder, command), _made_by(folder, mode)
    maker = found["job"]["config_name"] if found else None
    a_run = command == "train" and ((folder / SWEEP).is_file() if mode == "sweep" else bool(recorded(folder)))
    # Other projects that use Hydra have commands of such names, too.
    ours = maker == command and "NewFolder" in str(found["callbacks"].get("folder"))
    if not there or ours or (a_run and (maker == command or mode == "sweep")):
        return refuse_links(folder, rows=mode == "sweep")
    of = f"sr {maker} made it" if maker and maker != command else f"sr {command} did not make it"
    raise UserError(
        f"{folder} holds {some(there)}, and {of}: nothing there is overwritten. Name a folder that is new or empty: "
        f"{'out' if command in ('compare', 'study') else f'hydra.{mode}.dir'}=PATH. With none named it makes one"
    )


def keep_former(folder: Path, hydra: Any, mode: str) -> None:
    """Move what the same command with other words left in a folder that was typed into `former`, `former_2`, ... there.

    Args:
        folder: that was typed, and that this process holds.
        hydra: of the command's config.
        mode: `run` or `sweep`.
    """
    command = str(hydra.job.config_name)
    there, found = _visible(folder, command), _made_by(folder, mode)
    there = [name for name in there if not re.fullmatch(r"former(_\d+)?", name)]
    if not there or not found or found["overrides"].get("task") == list(hydra.overrides.task):
        return
    former = reserved(folder / "former")
    for name in (*there, ".hydra"):
        if (folder / name).exists():
            os.replace(folder / name, former / name)
    print(printable(f"note: what another sr {command} left in {folder} is kept in {former}"), file=sys.stderr)


def _visible(folder: Path, command: str) -> list[str]:
    """What counts of a folder: not what is hidden, nor the command's own log, which is only added to.

    Results of jobs count: submitit unpickles what lies where a job should have put them.
    """
    names = (p.name for p in folder.iterdir())
    return sorted(n for n in names if n == OF_JOBS or (not n.startswith(".") and n != f"{command}.log"))


def _made_by(folder: Path, mode: str) -> dict[str, Any]:
    """What Hydra recorded about the command that made a folder: its `job`, `overrides` and `callbacks`."""
    record = folder / (OF_A_SWEEP if mode == "sweep" else ".hydra/hydra.yaml")
    try:
        content: Any = read(record) if record.is_file() else None
    except UserError:  # torn, or anybody's
        return {}
    hydra = content.get("hydra") if isinstance(content, dict) else None
    found = {k: v if isinstance(v := hydra.get(k), dict) else {} for k in KEPT} if isinstance(hydra, dict) else {}
    return found if isinstance(found.get("job", {}).get("config_name"), str) else {}


def refuse_name(folder: Path) -> None:
    """Look at the names of a folder and of those around it, which whoever gave them chose.

    Raises:
        UserError: one holds `${`, behind which Hydra would look something up and write elsewhere, or into the folder's
            name, as what the environment holds; or a sign that begins a new line in a log.
    """
    place = os.path.realpath(folder)
    if "${" in place or any(ord(sign) < 32 for sign in place):
        raise UserError(
            f"{place!r}: a folder's name holds ${{ or a line break, by which what is written there would go elsewhere. "
            "Rename it"
        )


def refuse_links(folder: Path, rows: bool = False) -> None:
    """Look at a command's folder before anything is written in it, so before Hydra writes its records and the log.

    That this user began a run does not say who put links into its folder since. But there the folders that grow may
    lie on a larger disk, and so may checkpoints, which are replaced and never written through.

    Args:
        folder: of a command.
        rows: the folder is a sweep's, whose rows are looked at each like a run.

    Raises:
        UserError: a link in it leads out of it, so that what is written would be written there; or what should be a
            file is a named pipe or the like, which would be waited for; or a folder in it cannot be looked into.
    """
    refuse_name(folder)
    inside, own = Path(os.path.realpath(folder)), not rows and began(folder)

    def unseen(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # removed since by a process that runs there
            raise UserError(f"{folder} is refused: {error.filename!r} cannot be looked into ({error.strerror})")

    for place, folders, files in os.walk(inside, onerror=unseen):
        for name in files:
            try:
                mode = os.lstat(at := os.path.join(place, name)).st_mode
            except FileNotFoundError:
                continue
            if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
                raise UserError(f"{folder} is refused: {at!r} is a named pipe, a socket or a device. Remove it")
        for link in filter(os.path.islink, (os.path.join(place, name) for name in (*folders, *files))):
            if own and (os.path.relpath(link, inside) in LARGE or link.endswith(".ckpt")):
                continue
            # W&B links its logs from there; it replaces links and never writes through them, but into linked folders.
            # It sends what they lead to, those that the user's callbacks made.
            of_wandb = os.path.relpath(link, inside).startswith(f"wandb{os.sep}")
            if of_wandb and (
                (own and not os.path.isdir(link)) or re.fullmatch(r"latest-run|debug.*\.log", Path(link).name)
            ):
                continue
            if not Path(target := os.path.realpath(link)).is_relative_to(inside):
                raise UserError(
                    f"{folder} is refused: {link!r} is a link that leads out of it, to {target!r}, and what is "
                    "written in it would be written there. Remove the link"
                )
        folders[:] = [] if rows else folders
    for row in folder.glob("*/") if rows else ():
        refuse_links(row)


def reserved(wanted: Path) -> Path:
    """Make the folder, or where there is one already `<name>_2` and so on; nobody else has it."""
    folder, number = wanted, 1
    while True:
        try:
            os.mkdir(folder)
            return folder
        except FileNotFoundError:
            folder.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            number += 1
            folder = wanted.with_name(f"{wanted.name}_{number}")
