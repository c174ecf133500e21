"""What the scripts of this folder share: ways to do one thing, timed in turns, as a Markdown table."""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

torch.set_num_threads(1)
TURNS = "the ways in turns, the median of each"


def processor() -> str:
    """Its name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def machine() -> str:
    """The processor and the versions that a table was measured with, and how."""
    return (
        f"{processor()}, {platform.system()}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"NumPy {np.__version__}; one thread, CPU time of the process"
    )


def in_turns(
    ways: Mapping[str, Callable[[], object]], rounds: int = 7, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Seconds of each way: the median over rounds in which all take their turn.

    Args:
        ways: by name; each is called once before, so that what is made once is not counted. One that runs elsewhere
            returns its seconds.
        rounds: how often each is timed.
        clock: that of the process's CPU time; `time.perf_counter` where others work for a way, a GPU or other
            processes, and the way waits for them.
    """
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = clock()
            spent = way()
            seconds[name].append(spent if isinstance(spent, float) else clock() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


def command_seconds(*arguments: object) -> float:
    """CPU seconds of a Python process, its start included.

    Raises:
        SystemExit: it failed; with what it wrote.
    """
    before = os.times()
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def table(columns: list[str], rows: list[list[object]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
