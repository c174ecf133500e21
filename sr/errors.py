"""The one exception that means "the user can mend this"."""


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
