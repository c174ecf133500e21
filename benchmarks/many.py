"""Sets of many small images (64x64): the time to the first step, and the memory of each of the loader's workers.

Each row is a process of its own. "First time" decodes all images into the cache, "again" finds them there; both look
through the folder, hold a tenth of the images out and compare them with the others, as `sr train` does before its first
step. A worker's own memory is what it has written to since the process forked it (private dirty pages), after its first
batch and after 20,000 samples from all over the set.

Run it: OMP_NUM_THREADS=1 python benchmarks/many.py > benchmarks/many.md
"""

import argparse
import gc
import json
import multiprocessing
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from beside import machine, table
from PIL import Image

from sr.data.folder import Folder
from sr.runs.same_data import contents

SIDE, BATCH = 64, 16


def images(folder: Path, count: int) -> None:
    """PNG files, of which no two are alike: bright and dark ones, and of all colours."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    for number in range(count):
        file = folder / f"{number:06d}.png"
        small = (draw.integers(40, 216, 3) + draw.normal(0, 40, (8, 8, 3))).clip(0, 255).astype(np.uint8)
        if not file.is_file():
            picture = Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            picture.save(file, compress_level=1)


def memory(process: int | str) -> float:
    """MiB that a process alone holds and has written to: not the cache's pages, which the system may take back."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    return sum(int(kb) for kb in re.findall(r"^Private_Dirty: +(\d+) kB", text, re.M)) / 1024


def opened(folder: Path, cache: Path, workers: int) -> Folder:
    """The set as `data=folder data.root=...` makes it."""
    return Folder(root=folder, scale=2, patch_size=16, batch_size=BATCH, cache_dir=cache, num_workers=workers)


def measured(folder: Path, cache: Path, workers: int, samples: int) -> dict[str, float]:
    """One process's figures: CPU seconds and MiB."""
    data, found, before = opened(folder, cache, workers), {}, memory("self")
    start = time.process_time()
    data.train_pairs()
    found["scan"] = time.process_time() - start
    start = time.process_time()
    data.check("fit")
    contents([data])
    found["open"] = time.process_time() - start
    start = time.process_time()
    data.pairs("test").verify()
    data.make_set("test")
    found["held out"] = time.process_time() - start
    start = time.process_time()
    batches = iter(data.train_dataloader())
    next(batches)
    found["first batch"] = time.process_time() - start
    gc.collect()
    found["process"] = memory("self") - before
    pids = [child.pid for child in multiprocessing.active_children()] if workers else []
    for n in range(1, samples // BATCH):
        if n == workers + 1:
            found["worker"] = max((memory(pid) for pid in pids), default=0.0)
        next(batches)
    found["worker later"] = max((memory(pid) for pid in pids), default=0.0)
    found["process later"] = memory("self") - before
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="*", default=(1_000, 10_000, 100_000))
    parser.add_argument("--folder", type=Path, help="where the images are made, and kept")
    parser.add_argument("--samples", type=int, default=20_000, help="after which memory is looked at again")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(Path(given.one[0]), Path(given.one[1]), *map(int, given.one[2:]))))
        return
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as place:
        for count in given.images:
            folder, cache = (given.folder or Path(place)) / f"{count}", Path(place) / f"cache{count}"
            images(folder, count)
            runs = []
            for workers in (0, 0, 2):
                command = [sys.executable, __file__, "--one", *map(str, (folder, cache, workers, given.samples))]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise SystemExit(done.stderr)
                runs.append(json.loads(done.stdout.splitlines()[-1]))
                print(count, workers, runs[-1], file=sys.stderr, flush=True)
            first, again, two = runs
            seconds = [first["scan"], first["open"], again["open"], again["held out"], again["first batch"]]
            mib = [again["process"], again["process later"], two["worker"], two["worker later"]]
            rows.append([f"{count:,}", *(f"{s:.2f}" for s in seconds), *(f"{m:.0f}" for m in mib)])
    columns = [
        "images",
        "scan",
        "first time",
        "again",
        "held out",
        "first batch",
        "process",
        "later",
        "worker",
        "later",
    ]
    print("# Sets of many small images\n")
    print(f"{machine()}: seconds to `first batch`, then MiB; one run each.\n")
    print(table(columns, rows))


if __name__ == "__main__":
    main()
