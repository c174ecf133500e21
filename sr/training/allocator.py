"""Allocator settings that make training on a processor faster."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # glibc's malloc.h


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the next step instead of giving it back to the system each time.

    Halves the page faults of a training step (BSRN x4, 8 patches of 48x48, 2 cores: 0.56 to 0.51 s a step).

    Returns:
        Whether this system has glibc and took the settings.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False  # another C library
    settings = {M_MMAP_THRESHOLD: 32 << 20, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 256 << 20}
    return all([mallopt(key, value) == 1 for key, value in settings.items()])
