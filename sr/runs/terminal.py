"""A terminal that is closed while a command runs in it."""

import os
import signal
import stat
from typing import Any


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
