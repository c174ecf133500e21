"""Small real runs: what is typed for them, how they are started, and what they leave."""

import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml

from sr.models.edsr import EDSR
from sr.runs import composed

ROOT = Path(__file__).resolve().parents[1]

SMALL = ["model=ecbsr_m4c8", "scale=2", "batch_size=2", "patch_size=8", "loss=l1", "benchmarks=[]", "callbacks=[]"]
NODE = {"_target_": "sr.models.edsr.EDSR", "scale": 2, "num_blocks": 1, "channels": 4}


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


def pasted(printed: str) -> list[str]:
    """The words that bash gives `sr` when a line is pasted into it."""
    shell = subprocess.run(
        ["bash", "-c", f"sr() {{ printf '%s\\0' \"$@\"; }}\n{printed}"], capture_output=True, text=True, check=True
    )
    return shell.stdout.split("\0")[:-1]


def write(path: Path, node=NODE, state=None, **told) -> Path:
    """A checkpoint of a small network."""
    state = EDSR(scale=2, num_blocks=1, channels=4).state_dict() if state is None else state
    torch.save({"state_dict": state, "sr": {"format": 2, "name": "m", "model": node, "config": {}} | told}, path)
    return path


def changed(begun: Path, place: Path, **values) -> Path:
    """A copy of a run with other values in its record, as somebody else would have made it."""
    shutil.copytree(begun, place, symlinks=True)
    text = (place / composed.RECORD).read_text()
    content = yaml.safe_load(text)
    for path, value in values.items():
        *parents, last = path.split("__")
        node = content["config"]
        for name in parents:
            node = node[name]
        node[last] = value
    (place / composed.RECORD).write_text(yaml.safe_dump(content))
    return place


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
