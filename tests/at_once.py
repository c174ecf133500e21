"""Files that would be waited for without end."""

import signal
import time
from contextlib import contextmanager


@contextmanager
def at_once(seconds=1.0):
    """What waits without end is ended."""

    def ended(*_):
        raise AssertionError("it was waited for")

    former, begin = signal.signal(signal.SIGALRM, ended), time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 2 * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert time.monotonic() - begin < seconds
