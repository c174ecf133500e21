"""The one exception that means "the user can mend this", and what its message is made of."""

import difflib
from collections.abc import Collection, Iterable

LINES = "\n  "  # between items that stand on a line each


class UserError(ValueError):
    """A wrong input, found before the work starts.

    The message says what was looked for, where, what was found instead, and what to type to mend it.
    Entry scripts print it without a traceback and exit with status 1.
    """


def user_error(error: BaseException | None) -> UserError | None:
    """The UserError that `error` is or was caused by: Hydra wraps what a constructor raises."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__
    return error


def nearest(name: str, valid: Iterable[str]) -> str:
    """' Did you mean ...?' with one or two of the valid names, or an empty string."""
    close = difflib.get_close_matches(name, list(dict.fromkeys(valid)), n=2, cutoff=0.6)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def reason(error: BaseException) -> str:
    """The first line of an error of another library, or its type where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def some(items: Collection[object], most: int = 5, between: str = ", ") -> str:
    """The first items, and how many more there are."""
    first = between.join(str(item) for item, _ in zip(items, range(most), strict=False))
    return first + (f"{between.strip(',')}and {len(items) - most} more" if len(items) > most else "")
