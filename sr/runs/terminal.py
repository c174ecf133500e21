"""A terminal that is closed, or a pager that is left, while a command writes to it."""

import os
import signal
import stat
from functools import partial
from typing import Any, TextIO


def write_nowhere() -> None:
    """Print nothing any more into a terminal that is gone, which would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        if stat.S_ISCHR(os.fstat(stream).st_mode):
            os.dup2(nowhere, stream)
    os.close(nowhere)


def outlive() -> None:
    """Go on to the command's end, as one does that only submits jobs."""

    def go_on(*_: Any) -> None:
        write_nowhere()

    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, go_on)


def unread(*streams: TextIO | None) -> None:
    """Go on where nobody reads any more, as behind `| head`: what a stream cannot write from then on goes nowhere."""

    def tried(call: Any, stream: TextIO, *words: Any) -> Any:
        try:
            return call(*words)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
            return call(*words)

    for stream in streams:
        if stream is None or "write" in getattr(stream, "__dict__", ["write"]):  # done before
            continue
        for name in ("write", "flush"):
            setattr(stream, name, partial(tried, getattr(stream, name), stream))
