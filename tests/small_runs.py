"""Small real runs: what is typed for them, how they are started, and what they leave."""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]

SMALL = ["model=ecbsr_m4c8", "scale=2", "batch_size=2", "patch_size=8", "loss=l1", "benchmarks=[]", "callbacks=[]"]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as f:
        return list(csv.DictReader(f))


def saved(folder: Path, name: str = "last") -> dict:
    return torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)


def same(a: object, b: object) -> bool:
    """Whether two nested states are equal to the bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


SCRIPT, PACKAGE = (str(ROOT / "train.py"),), ("-m", "sr", "train")


def start(folder: Path, *arguments: str, by: Sequence[str] = SCRIPT, **environment: str) -> subprocess.Popen:
    typed = [sys.executable, *by, f"hydra.run.dir={folder}", "logger=csv", *arguments]
    log = (folder.parent / f"{folder.name}.out").open("w")
    return subprocess.Popen(
        typed, cwd=folder.parent, stdout=log, stderr=log,
        env={**os.environ, "SR_CACHE_DIR": str(folder.parent / "cache"), **environment},
    )  # fmt: skip


def wait_for(condition, process: subprocess.Popen, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < end, "the run ended or hangs before it was interrupted"
        time.sleep(0.02)
