"""What a process may take of memory, what glibc does with what was freed (kept or given back), and the way to a GPU."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

UNKNOWN = 5 * 2**30  # bytes, where a system does not tell what is free
DATA = 5  # of /proc/self/statm: pages of what a process writes to
_LIMITED = Lock()
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # glibc's malloc.h


@cache
def _glibc() -> Any:
    """The C library, or None where it is another one."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.CDLL("libc.so.6")
    except OSError:
        return None


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the next step instead of giving it back to the system each time.

    Halves the page faults of a training step (BSRN x4, 8 patches of 48x48, 2 cores: 0.56 to 0.51 s a step).

    Returns:
        Whether this system has glibc and took the settings.
    """
    settings = {M_MMAP_THRESHOLD: 32 << 20, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 256 << 20}
    return _glibc() is not None and all([_glibc().mallopt(key, value) == 1 for key, value in settings.items()])


def give_back_freed_memory() -> None:
    """Let glibc return all pages that it keeps free.

    Holes that no later piece fits into add up: without it a process takes up to a tenth more memory after some frames
    than after others, however little it holds.
    """
    if _glibc() is not None:
        _glibc().malloc_trim(0)


def free_ram() -> int:
    """Half of the bytes that are free on the host."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        known = hasattr(os, "sysconf")
        available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if known else UNKNOWN
    return available // 2


def sent(values: "torch.Tensor", device: "torch.device") -> "torch.Tensor":
    """On a device. Nobody waits: from ordinary memory the host would, until a GPU has done all that it was told."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


@contextmanager
def limited_to(more: int) -> Iterator[None]:
    """Let this process take so many bytes more than it has, and no more than these; where the system is not Linux, any.

    What asks for more is told that there is none, and no other program has to make room. Addresses that are only
    reserved do not count: each thread reserves 64 MiB. The limit is the process's, so threads take turns.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    with _LIMITED:
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = int(Path("/proc/self/statm").read_text().split()[DATA]) * resource.getpagesize() + more
        known = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_DATA, (min([most, *known]), hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
