"""200 runs beside each other: CPU time of `sr compare`, and what its page weighs.

One run is trained; those compared are copies of its folder with a rate, a seed, figures and a curve of their own.
Nothing is measured anew: the figures are those in the folders, and the networks are run for the crops alone.

Run it: OMP_NUM_THREADS=1 python benchmarks/compare.py > benchmarks/compare.md
"""

import argparse
import csv
import os
import random
import shutil
import statistics
import tempfile
from pathlib import Path

import torch
import yaml
from beside import command_seconds, machine, table

from sr.runs.composed import RECORD
from sr.runs.own import MARK, signed

TYPED = ["model=ecbsr_m4c8", "scale=2", "data=bundled", "budget=smoke", "budget.test_middle=null",
         "val_every_steps=2", "logger=csv", "trainer=cpu", "callbacks=[]", "benchmarks=[bundled]"]  # fmt: skip
LAST = "checkpoints/last.ckpt"
FIGURES = ("psnr", "val/psnr_y", "test/Bundled/psnr_y", "test/Bundled/psnr_rgb")


def copied(run: Path, place: Path, number: int) -> None:
    """A run folder that differs from another in its rate, its seed, and by some hundredths of a decibel."""
    shutil.copytree(run, place, ignore=shutil.ignore_patterns("panels", "best.ckpt", "previous.ckpt"))
    draw = random.Random(number)
    record = yaml.safe_load((run / RECORD).read_text().rpartition(MARK)[0])
    last = torch.load(run / LAST, weights_only=False)  # our own of a moment ago
    for config in (record["config"], last["sr"]["config"]):
        config |= {"seed": number, "optimizer": config["optimizer"] | {"lr": 1e-4 * (1 + number // 5)}}
    (place / RECORD).write_text(signed(yaml.safe_dump(record, sort_keys=False)))
    torch.save(last, place / LAST)
    for name in ("metrics.csv", "results.csv", "results_per_image.csv"):
        with (run / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            if row.get("model") != "bicubic":
                row |= {key: str(float(row[key]) + draw.gauss(0, 0.05)) for key in FIGURES if row.get(key)}
        with (place / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200, help="of the run")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        cache = f"cache_dir={scratch}/cache"
        command_seconds("-m", "sr", "train", *TYPED, f"steps={args.steps}", cache, f"hydra.run.dir={scratch}/run")
        for number in range(args.runs):
            copied(Path(scratch) / "run", Path(scratch) / f"runs/{number:03d}", number)
        lines = []
        for words in (["sort=psnr"], ["sort=psnr", "crops=0"]):
            found = []
            for number in range(args.rounds):
                out = Path(scratch) / f"compared_{len(lines)}_{number}"
                found.append(
                    command_seconds("-m", "sr", "compare", f"runs={scratch}/runs", *words, cache, f"out={out}")
                )
            shown = (out / "table.csv").read_text().count("\n") - 1
            size = (out / "index.html").stat().st_size / 1e6
            lines.append([f"`{' '.join(words)}`", shown, f"{statistics.median(found):.1f}", f"{size:.2f}"])
    print("# Many runs compared\n")
    told = f"{args.runs} runs of {args.steps} steps; the median of {args.rounds}"
    print(f"{machine()}, its start included; {told}.\n")
    print(table(["`sr compare`", "rows", "CPU seconds", "MB of the page"], lines))


if __name__ == "__main__":
    main()
