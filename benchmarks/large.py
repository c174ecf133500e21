"""What `sr upscale` takes of memory for pictures whose features do not fit: its peak.

Each is a process of its own, as a user types it. The networks are those of conf/model x4 as training begins with them,
so that their results say nothing. What counts is what the process holds at most beyond what it holds with the network
loaded, its share of files that are mapped into memory among it.

Run it: PYTHONPATH=tests python benchmarks/large.py > benchmarks/large.md
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import networks as nets
import numpy as np
import torch
from beside import processor, table
from PIL import Image

from sr.runs.checkpoint import describe

ROOT, SCALE = Path(__file__).resolve().parents[1], 4
CASES = (
    ("edsr_baseline", 4000, 3000, ()),
    ("rlfn", 4000, 3000, ("scratch=features",)),
    ("rlfn", 1600, 1200, ()),
    ("bsrn", 1600, 1200, ()),
)


def checkpoint(name: str, folder: Path) -> Path:
    """The network of conf/model/NAME.yaml that nobody trained."""
    torch.manual_seed(0)
    state, file = nets.build(name, SCALE).state_dict(), folder / f"{name}.ckpt"
    torch.save({"state_dict": state, "sr": describe(nets.node(name, scale=SCALE), name, {})}, file)
    return file


def resident(process: int) -> int:
    """Bytes that it holds."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def measured(typed: list[str], folder: Path) -> tuple[int, str]:
    """Bytes at most above those with the network loaded, and how it was made.

    Raises:
        SystemExit: it failed; with what it wrote.
    """
    command = [sys.executable, str(ROOT / "upscale.py"), *typed]
    before, told = 0, []
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )
    assert process.stdout is not None
    for line in process.stdout:
        told.append(line)
        if line.startswith("1 picture"):  # the network is loaded, the picture is not
            before = resident(process.pid)
    _, status, used = os.wait4(process.pid, 0)
    made = re.search(r"(whole|exact tiles)(?: \(to \S+\))?, ", "".join(told))
    if status or made is None:
        raise SystemExit("".join(told))
    return used.ru_maxrss * 1024 - before, made[1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", type=int, help="numbers of the rows, from 0")
    parser.add_argument("--part", type=int, default=1, help="of each side")
    given = parser.parse_args()
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for n, (name, width, height, typed) in enumerate(CASES):
            if given.only is not None and n not in given.only:
                continue
            width, height = width // given.part, height // given.part
            small = np.random.default_rng(0).integers(0, 256, (height // 20, width // 20, 3), dtype=np.uint8)
            Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(folder / "photo.jpg")
            words = ["input=photo.jpg", f"model={checkpoint(name, folder)}", f"output={n}", "device=cpu", *typed]
            peak, made = measured(words, folder)
            how = ", ".join((made, *typed))
            rows.append([name, f"{width}x{height}", how, f"{peak / 2**30:.2f}"])
            print(rows[-1], file=sys.stderr, flush=True)
    print("# `sr upscale`, x4, of pictures that are made in tiles\n")
    print(f"{processor()}, torch {torch.__version__}; JPEG in and out, one run each.\n")
    print(table(["network", "picture", "made", "GiB above the loaded process"], rows))


if __name__ == "__main__":
    main()
