"""Files that anybody may have put there: never waited for, and read only as far as a run can have written them."""

import csv
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from sr.errors import UserError

# Bytes. run.json's longest part is an error that names 100 files. Of 10^5 images sets.json has 15 MB and
# results_per_image.csv 50 MB; of 10^6 steps, each of them logged, metrics.csv has 120 MB.
RECORD, LIST, TABLE = 1 << 20, 1 << 26, 1 << 28
WEIGHTS = 1 << 31  # ONNX's own limit: 5 * 10^8 numbers of four bytes, and no author's file has a fifth of them
MOST_VALUES = 30_000_000  # of a table, a row counted as ten more, which is the memory that it takes
MOST_OF_MEANS = 1_000_000  # of results.csv, which takes more: 1,000 models on 20 sets have 600,000
LARGE, HOLLOW = 1 << 27, 8  # bytes of a file of which an eighth must have been written: the rest would be holes
LONGEST = 1 << 20  # letters of a line of it


def others_may_write(mode: int, group: int) -> bool:
    """Whether somebody else than its owner may write a file or a folder; nobody knows it on Windows.

    A group does not count that is its user's alone, as many systems give each one.
    """
    if os.name == "nt" or mode & stat.S_IWOTH:
        return os.name != "nt"
    return bool(mode & stat.S_IWGRP) and not _alone(group)


def _alone(group: int) -> bool:
    import grp  # which only Unix has
    import pwd

    with suppress(KeyError):  # of a number without a name
        found, me = grp.getgrgid(group), pwd.getpwuid(os.getuid()).pw_name
        return found.gr_name == me and {*found.gr_mem} <= {me}
    return False


def refuse_odd(file: Path, most: float = float("inf")) -> None:
    """Look at a file before it is opened.

    Args:
        file: which may be a link to one.
        most: bytes.

    Raises:
        UserError: it is a named pipe, a socket or a device, which may be waited for without end, or it is too large.
        OSError: it is not there.
    """
    found = file.stat()
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):  # a folder's own error names it
        raise UserError(f"{file} is refused: it is no file but a named pipe, a socket or a device. Remove it")
    if found.st_size > most:
        raise UserError(f"{file} is refused: it has {found.st_size:,} bytes, more than a file of its kind ({most:,})")
    if stat.S_ISREG(found.st_mode) and found.st_size > LARGE and (there := _there(file)) < found.st_size / HOLLOW:
        raise UserError(
            f"{file} is refused: of its {found.st_size:,} bytes {there:,} were ever written. Copy or download it again"
        )


def _there(file: Path) -> int:
    """Bytes of a file that are not in holes, of which a few kB on a disk may hold terabytes.

    Counted until they are enough. Blocks tell less: where a file was just written some systems have none yet.
    """
    if not hasattr(os, "SEEK_HOLE"):
        return file.stat().st_size
    found = end = 0
    with file.open("rb") as opened:
        size = os.fstat(opened.fileno()).st_size
        while found < size / HOLLOW:
            try:
                begin = os.lseek(opened.fileno(), end, os.SEEK_DATA)
            except OSError:  # holes to its end
                break
            end = os.lseek(opened.fileno(), begin, os.SEEK_HOLE)
            found += end - begin
    return found


def _refuse_link(file: Path) -> None:
    """Raises a UserError for a link to another place: what is read is shown in tables, errors and names."""
    if file.is_symlink() and not (target := file.resolve()).is_relative_to(file.parent.resolve()):
        raise UserError(f"{file} is refused: it is a link to {target}, which may be anything of yours. Copy it there")


@contextmanager
def opened(file: Path) -> Iterator[TextIO]:
    """A CSV file, open.

    Raises:
        UserError: it is no plain file, or larger than `TABLE`, or a link to another folder's.
        OSError: it cannot be opened.
    """
    _refuse_link(file)
    refuse_odd(file, TABLE)
    with file.open(newline="", encoding="utf-8-sig") as text:  # a spreadsheet that saved it marks it so
        yield text


def text_of(file: Path, most: int = RECORD, encoding: str = "utf-8", errors: str = "strict") -> str:
    """The text of a file of at most so many bytes.

    Raises:
        UserError: it is no plain file, or larger, or a link to another folder's.
        OSError: it cannot be opened.
        ValueError: it is no text of that encoding.
    """
    _refuse_link(file)
    refuse_odd(file, most)
    return file.read_text(encoding=encoding, errors=errors)


def bytes_of(file: Path, most: int) -> bytes:
    """The bytes of a file of at most so many.

    Raises:
        UserError: it is no plain file, or larger, or a link to another folder's.
        OSError: it cannot be opened.
    """
    _refuse_link(file)
    refuse_odd(file, most)
    return file.read_bytes()


class Rows(csv.DictReader):  # type: ignore[type-arg]
    """The rows of a CSV file by column: small files that grow in memory, as of empty columns, are refused.

    Args:
        lines: of the file.
        file: for messages.
        most: values; None: `MOST_VALUES`.
    """

    def __init__(self, lines: Iterable[str], file: Path, most: int | None = None) -> None:
        self.file, self.left = file, most or MOST_VALUES
        super().__init__(self._short(lines))
        names = self.fieldnames or ()
        if twice := next((name for n, name in enumerate(names) if name and name in names[:n]), None):
            raise UserError(f"{self.file} has two columns called {twice}: nobody knows which one counts")
        if len(names) == 1 and ";" in names[0]:
            raise UserError(
                f"{self.file} was saved by another program: its values stand between semicolons. Put the former file "
                "back, or save it with commas between values and points in numbers"
            )

    def __next__(self) -> dict[str | Any, str | Any]:
        row = super().__next__()
        self.left -= 10 + len(row) + len(row.get(None, ()))
        if self.left < 0:
            raise UserError(f"{self.file} is refused: it holds more values than any run writes")
        return row

    def _short(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            if len(line) > LONGEST:
                raise UserError(f"{self.file} is refused: it holds a longer line than any run writes")
            yield line
