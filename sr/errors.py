"""The one exception that means "the user can mend this", and what its message is made of."""

import difflib
import errno
import logging
import os
import shlex
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path

from yaml import MarkedYAMLError

LONGEST = 1000  # letters of what another library tells
LINES = "\n  "  # between items that stand on a line each
OUTPUTS = "hydra.run.dir=PATH; of a sweep hydra.sweep.dir=PATH; sr upscale takes output=PATH beside it"
DISK = {  # what to do about an error of the system
    errno.ENOSPC: "Free some room on that disk, or write to another one",
    errno.EFBIG: "A limit on the size of files is set here, which ulimit -f tells: raise it",
    errno.EDQUOT: "Free some room in your quota, or write to another disk",
    errno.EACCES: "Give yourself the rights there, or name another place",
    errno.EPERM: "Give yourself the rights there, or name another place",
    errno.EROFS: "Name a place on a disk that can be written",
}


def printable(text: str) -> str:
    """Text for a terminal: of names from files, what is no letter, sign, space or end of a line is spelled out.

    An escape sequence could move the cursor, hide lines, or rename the window.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


class Printable(logging.Formatter):
    """The one place where messages become lines, on the screen and in logs (conf/hydra/job_logging)."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class UserError(ValueError):
    """A wrong input, found before the work starts.

    The message says what was looked for, where, what was found instead, and what to type to mend it.
    Entry scripts print it without a traceback and exit with status 1.
    """


def user_error(error: BaseException | None) -> UserError | None:
    """The UserError that `error` is or was caused by: Hydra wraps what a constructor raises.

    What the system refuses (memory, a full disk, a folder that may not be written, a name that is no text) is one too.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, UserError):
            return cause
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno is not None:
            file = cause.filename if cause.filename2 is None else cause.filename2  # where it was to be moved
            place = f"{file}: " if file is not None else ""
            advice = DISK.get(cause.errno, "Name another place")
            denied = cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
            if denied and file is not None and os.path.abspath(file) == os.path.abspath("outputs"):  # nobody typed it
                advice = f"Stand in a folder of your own, or say where to write: {OUTPUTS}"
            return UserError(f"{place}{cause.strerror}. {advice}")
        if isinstance(cause, RuntimeError) and str(cause) == "Could not determine home directory.":
            return UserError("~name in a path: there is no user of that name, or no home folder. Type the whole path")
        if isinstance(cause, RecursionError) and _last_file(cause).parent == Path(os.__file__).parent:
            return UserError("a folder holds folders within each other too deep to be looked through. Name another one")
        if isinstance(cause, MemoryError):
            what = f" ({reason(cause)})" if str(cause) else ""
            return UserError(f"memory ran out{what}. Free some, or take smaller images, patches or batches")
        by_callback = isinstance(cause, RuntimeError) and _last_file(cause).match("lightning/pytorch/callbacks/*.py")
        if by_callback or type(cause).__name__ == "MisconfigurationException":
            return UserError(f"Lightning refuses this: {str(cause).rstrip('.')}. Leave out or change what it is about")
        if isinstance(cause, UnicodeEncodeError) and "surrogates" in cause.reason:
            return UserError(f"{cause.object.strip()!r:.200}: a name that is not UTF-8. Rename the file or folder")
        if isinstance(cause, MarkedYAMLError) and cause.problem_mark is not None:
            return UserError(f"{cause.problem_mark.name}, line {cause.problem_mark.line + 1}: {cause.problem}. Mend it")
    return None


def _last_file(error: BaseException) -> Path:
    """Where it was raised."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return Path(at.tb_frame.f_code.co_filename if at is not None else "")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:  # a UserError that is raised again has what it caused as cause
        seen.add(id(error))
        yield error
        error = error.__cause__


def interrupted(error: BaseException | None) -> bool:
    """Whether it is Ctrl-C, or what a library made of it while it tidied up."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__  # which has no circles: Python sees to that
    return error is not None


def nearest(name: object, valid: Iterable[str]) -> str:
    """' Did you mean ...?' with one or two of the valid names, or an empty string; capitals, - and _ are no matter."""
    names = {_folded(known): known for known in reversed(list(dict.fromkeys(valid)))}
    asked = _folded(str(name))
    close = [asked] if asked in names else difflib.get_close_matches(asked, list(names), n=2, cutoff=0.6)
    if len(close) == 2:  # a second one only if it is about as near
        first, second = (difflib.SequenceMatcher(None, known, asked).ratio() for known in close)
        close = close if second > first - 0.15 else close[:1]
    return f" Did you mean {' or '.join(names[known] for known in close)}?" if close else ""


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")


def reason(error: BaseException) -> str:
    """The first line of an error of another library, or its type where it says nothing."""
    told = (str(error).splitlines() or [type(error).__name__])[0]
    return told if len(told) <= LONGEST else f"{told[:LONGEST]} ..."


@cache
def told_once(log: logging.Logger, level: int, text: str) -> None:
    """Log what would be found again for each of many images, parts or paths, in this process the first time alone."""
    log.log(level, text)


def installing(extra: str) -> str:
    """The command that installs an extra: by the place of a checkout, as a name on an index may be anybody's."""
    root = Path(__file__).resolve().parents[1]
    what = f"-e {shlex.quote(f'{root}[{extra}]')}" if (root / "pyproject.toml").is_file() else f'"sr-lab[{extra}]"'
    return f"pip install {what}"


def some(items: Collection[object], most: int = 5, between: str = ", ") -> str:
    """The first items, and how many more there are."""
    first = between.join(str(item) for item, _ in zip(items, range(most), strict=False))
    return first + (f"{between.strip(',')}and {len(items) - most} more" if len(items) > most else "")
