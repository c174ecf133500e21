"""What a training step costs beyond the network: `sr train` beside a bare loop of the same network, data and optimizer.

Run it: OMP_NUM_THREADS=1 python benchmarks/loop.py > benchmarks/loop.md

Each way is a process of its own, in which training pauses every so many steps for as many of the bare loop. CPU time;
of these turns the quarter in which the bare loop was fastest counts, when the machine had least other work. Few
turns hold a validation, and medians do not see it.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from beside import machine, table
from torch import Tensor

from sr.cli import entry
from sr.data.bundled import Bundled
from sr.models.espcn import ESPCN
from sr.models.stepping import Stepper

TURN = 20  # steps, the interval of the logs
VALIDATED = 1000  # steps from one validation to the next
TINY = ["model=espcn", "model.channels=[8,8]", "scale=2", "data=bundled", "patch_size=8", "batch_size=4", "loss=l1"]
PLAIN = [*TINY, "logger=csv", "benchmarks=[]", "trainer=cpu", "trainer.channels_last=false",
         f"val_every_steps={VALIDATED}", f"trainer.log_every_n_steps={TURN}"]  # fmt: skip
ALL = "callbacks=[ema,panels,stopwatch,adjustable_clipping]"  # population_statistics is for batch norm
WAYS = {
    "no callbacks": ["callbacks=[]", "trainer.enable_progress_bar=false"],
    "all callbacks": [ALL],
    "all, one step at a time": [ALL, "steps_at_once=1"],
}


def bare(cache: Path) -> Callable[[], float]:
    """A turn of a loop with nothing in it but data, forward, backward and Adam: its CPU seconds."""
    data = Bundled(scale=2, patch_size=8, batch_size=4, seed=0, cache_dir=cache)
    data.setup("fit")
    model = ESPCN(scale=2, channels=(8, 8))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches, loss = iter(data.train_dataloader()), torch.nn.L1Loss()

    def turn() -> float:
        began = time.process_time()
        for _ in range(TURN):
            batch = data.to_float(next(batches))
            loss(*model.training_images(batch)[:2]).backward()
            optimizer.step()
            optimizer.zero_grad()
        return time.process_time() - began

    return turn


def answer(way: str, folder: Path, steps: int) -> None:
    """Train, and print milliseconds of a step in each turn: the bare loop's, and those of the way."""
    other, take = bare(folder / "cache"), Stepper.take
    began: float | None = None

    def paused(self: Stepper, batch: Any) -> Tensor:
        nonlocal began
        loss = take(self, batch)
        if self.model.batches_seen % TURN == 0:
            if began is not None:
                ours = time.process_time() - began
                print("turn", *(1000 * seconds / TURN for seconds in (other(), ours)), file=sys.__stdout__)
            began = time.process_time()
        return loss

    Stepper.take = paused  # type: ignore[method-assign]
    places = [f"hydra.run.dir={folder}/run", f"cache_dir={folder}/cache"]
    sys.argv[1:] = ["train", *PLAIN, *WAYS[way], f"steps={steps}", *places]
    entry()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4000, help="of each way")
    parser.add_argument("--answer", nargs=2, help=argparse.SUPPRESS)
    typed = parser.parse_args()
    if typed.answer:
        return answer(typed.answer[0], Path(typed.answer[1]), typed.steps)
    rows = list[list[object]]()
    for way in WAYS:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, f"--steps={typed.steps}", "--answer", way, folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("turn ")]
        if done.returncode or not lines:
            raise SystemExit(done.stderr)
        turns = sorted([float(number) for number in line] for line in lines)[: -(-len(lines) // 4)]
        beyond = statistics.median(ours - other for other, ours in turns)
        share = statistics.median(ours / other - 1 for other, ours in turns)
        base, step = (statistics.median(column) for column in zip(*turns, strict=True))
        rows.append([way, f"{base:.2f}", f"{step:.2f}", f"{beyond:+.2f}", f"{share:+.0%}"])
    print("# A training step of a small ESPCN x2, batch 4 of 8x8, milliseconds\n")
    print(f"{machine()}; {TURN} steps of each in turns, medians of the quietest quarter.\n")
    print(
        "Always: the guard against losses that are no numbers, checkpoints, the clock, the CSV logger. All callbacks: "
        "the progress bar, the moving average of weights and the clipping of gradients by the learning rate, too, "
        f"which work in each step, and panels and stopwatch, which work at validations, every {VALIDATED:,} steps. "
        "`population_statistics` is not among them: this network has no batch norm.\n"
    )
    print(table(["sr train", "the bare loop", "a step", "beyond the bare loop", "of it"], rows))
    return None


if __name__ == "__main__":
    main()
