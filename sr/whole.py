"""Files that are written whole or not at all: who reads one sees its former content or its new one, never a part."""

import json
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from sr.errors import DISK, UserError

DAY = 86400  # seconds
Led = tuple[str, int, int]  # where a folder leads: its real path, its device and its number there
_HELD: dict[Path, Led] = {}  # the folders that commands write in, and where they led when those began
READ_BY_ALL = 0o644  # of what is shared and believed: the group that umask 002 gives rights to could change it


@contextmanager
def in_place(folder: Path) -> Iterator[None]:
    """Within, nothing is written by `replacing` where another folder, as by a link, has taken the place of this one."""
    place = Path(os.path.abspath(folder))
    place.mkdir(parents=True, exist_ok=True)
    before = _HELD.get(place)
    _HELD[place] = led(place)
    try:
        yield
    finally:
        _HELD.pop(place)
        if before is not None:
            _HELD[place] = before


def led(folder: Path) -> Led:
    """Where a folder leads now."""
    found = folder.stat()
    return os.path.realpath(folder), found.st_dev, found.st_ino


def refuse_elsewhere(folder: Path, began: Led, now: Led) -> None:
    """Look whether a folder leads where it led.

    Some disks of a network give folders new numbers, so its path is enough; of one that was moved, and has a link in
    its place, the number is.

    Raises:
        UserError: to another one, as others may write around it.
    """
    if now[0] != began[0] and now[1:] != began[1:]:
        raise UserError(
            f"{folder} led to {began[0]} when this command began, and leads to {now[0]} now: nothing is written there. "
            f"Look at who else may write in {folder.parent}"
        )


def refuse_replaced(file: Path) -> None:
    """Look whether a file is to be written where a command began to write.

    Raises:
        UserError: its folder was moved away; or another one has taken its place (`in_place`).
    """
    for place in {*Path(os.path.abspath(file)).parents} & _HELD.keys():
        if not place.exists():
            raise UserError(
                f"{place} is not there any more, and {file.name} is not written. A run that was moved goes on from its "
                "new place: sr train resume=<new place>"
            )
        refuse_elsewhere(place, _HELD[place], led(place))


@contextmanager
def replacing(file: Path, mode: int = 0o666) -> Iterator[Path]:
    """A place to write to, hidden beside `file` and with its suffix, which replaces `file` once all is written.

    In the same folder, as a move from another disk can tear. After an error `file` is what it was. Of threads and
    processes that replace one file at the same time each writes to a place of its own, and the last one's stays.
    Who else may write in the folder knows no place beforehand, and can put no link there that would be written through.

    Args:
        file: to be replaced.
        mode: who may read and write it, less what the umask takes away.

    Raises:
        UserError: another folder has taken the place of the command's (`in_place`).
    """
    refuse_replaced(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.stem}.{secrets.randbelow(10**9)}.part{file.suffix}")
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    try:
        yield part
        refuse_replaced(file)
        os.replace(part, file)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in DISK and error.filename in (None, str(part)):
            error.filename = str(file)  # a write that fails names no file
        raise


def forget_parts(file: Path) -> None:
    """Remove what killed processes left where they were replacing `file`, a day ago or longer: nobody writes it now."""
    own = re.compile(re.escape(f".{file.stem}.") + r"\d+" + re.escape(f".part{file.suffix}"))
    for part in file.parent.glob(".*.part*"):
        if own.fullmatch(part.name):
            with suppress(OSError):
                if time.time() - part.lstat().st_mtime > DAY:
                    part.unlink()


def unlinked(file: str, flags: int) -> int:
    """For `open(..., opener=)` of names that are known beforehand: a link is not followed but an OSError."""
    return os.open(file, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def write_whole(file: Path, content: Any, mode: int = 0o666) -> None:
    """Replace a file at once by text, or by what JSON can hold."""
    forget_parts(file)
    with replacing(file, mode) as part:
        part.write_text(content if isinstance(content, str) else json.dumps(content, indent=2) + "\n", encoding="utf-8")


def copy_whole(source: Path, file: Path) -> None:
    """Replace a file at once by a copy of another one: a second name of it where the disk knows links."""
    with replacing(file) as part:
        part.unlink(missing_ok=True)
        try:
            os.link(source, part)
        except OSError:
            shutil.copy2(source, part)


class OwnLog(logging.FileHandler):
    """Of a folder (conf/hydra/job_logging): a copy of it by hard links, as backups are, keeps the lines that it has."""

    def _open(self) -> TextIOWrapper:
        file = Path(self.baseFilename)
        if file.is_file() and file.stat().st_nlink > 1:
            with replacing(file) as part:
                shutil.copy2(file, part)
        number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o666)
        return os.fdopen(number, "a", encoding=self.encoding, errors=self.errors)
