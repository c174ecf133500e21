"""Files that would be waited for without end."""

import signal
import time
from contextlib import contextmanager


@contextmanager
def at_once(seconds=1.0):
    """What waits without end is ended."""

    def ended(*_):
        raise AssertionError("it was waited for")

    former, begin = signal.signal(signal.SIGALRM, ended), time.process_time()
    signal.setitimer(signal.ITIMER_REAL, 10 * seconds)  # of a busy machine
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert time.process_time() - begin < seconds
