"""Which run of a dashboard a run folder is: its id, and the folder's place, by which a copy is known."""

import logging
import re
from pathlib import Path

from sr.bounded import text_of
from sr.errors import printable
from sr.runs.trust import trusts_run
from sr.whole import write_whole

log = logging.getLogger(__name__)


def id_in(file: Path) -> str:
    """The id that `keep` wrote."""
    return text_of(file).partition("\n")[0].strip()


def id_of(file: Path) -> str | None:
    """The id of the user's own run; None of somebody else's, who may have written one of the user's there."""
    if not file.is_file() or not trusts_run(file.parent):
        return None
    return found if re.fullmatch(r"[\w-]+", found := id_in(file)) else None


def known(file: Path) -> str | None:
    """The id of the folder that a file lies in; None where it has none yet, or is a copy of one that is still there.

    Else both would write into one run. A folder that was moved keeps its id.
    """
    if not file.is_file():
        return None
    if not trusts_run(file.parent):  # else anybody's word chose a run of the user's
        log.warning(f"note: you did not begin the run in {file.parent}: its {file.stem} is left, a new one begins here")
        return None
    found, place = id_in(file), text_of(file).partition("\n")[2].strip()
    first = Path(place) / file.name  # in a copy by hard links it is the same file, in another folder
    if place and first.is_file() and not first.parent.samefile(file.parent) and id_in(first) == found:
        log.warning(
            f"note: {file.parent} is a copy of {printable(place)}, which goes on under its {file.stem}; "
            "a new one begins here"
        )
        return None
    keep(file, found)
    return found


def keep(file: Path, found: str) -> None:
    """Write an id down."""
    write_whole(file, f"{found}\n{file.parent.resolve()}\n")
