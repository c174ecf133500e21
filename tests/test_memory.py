"""What a process may take of memory."""

import sys
from threading import Event, Thread

import numpy as np
import pytest

from sr.memory import limited_to

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such limit")


def test_more_than_the_limit_is_not_given():
    with limited_to(2**28):
        assert np.ones(2**20).sum() == 2**20
        with pytest.raises(MemoryError):
            np.ones(2**27)
    assert np.ones(2**27, np.uint8).any()


def test_the_limit_is_gone_after_threads_that_took_it_at_the_same_time():
    """The second would put back what the first had set."""
    before, inside, leave = resource.getrlimit(resource.RLIMIT_DATA), Event(), Event()

    def other():
        with limited_to(2**32):
            inside.set()
            leave.wait(5)

    thread = Thread(target=other)
    with limited_to(2**31):
        thread.start()
        inside.wait(0.2)
    leave.set()
    thread.join()
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
