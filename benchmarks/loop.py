"""What a training step costs beyond the network: `sr train` beside a bare loop of the same network, data and optimizer.

Run it: OMP_NUM_THREADS=1 python benchmarks/loop.py > benchmarks/loop.md

CPU time of the process, the ways in turns, start-up taken off by a shorter run.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from beside import command_seconds, machine, table

from sr.data.bundled import Bundled
from sr.models.espcn import ESPCN

TINY = ["model=espcn", "model.channels=[8,8]", "scale=2", "data=bundled", "patch_size=8", "batch_size=4", "loss=l1"]
PLAIN = [*TINY, "logger=csv", "benchmarks=[]", "trainer=cpu", "trainer.channels_last=false",
         "val_every_steps=100000", "trainer.log_every_n_steps=20"]  # fmt: skip
WAYS = {
    "no callbacks": ["callbacks=[]", "trainer.enable_progress_bar=false"],
    "all callbacks": ["callbacks=[ema,panels]"],
    "all, one step at a time": ["callbacks=[ema,panels]", "steps_at_once=1"],
}


def ours(folder: Path, typed: list[str], steps: int) -> float:
    """CPU seconds of a command."""
    typed = [*PLAIN, *typed, f"steps={steps}", f"hydra.run.dir={folder}", f"cache_dir={folder.parent}/cache"]
    return command_seconds("-m", "sr", "train", *typed)


def bare(cache: Path, steps: int) -> float:
    """CPU seconds of a loop with nothing in it but data, forward, backward and Adam."""
    data = Bundled(scale=2, patch_size=8, batch_size=4, seed=0, cache_dir=cache)
    data.setup("fit")
    model = ESPCN(scale=2, channels=(8, 8))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches, loss = iter(data.train_dataloader()), torch.nn.L1Loss()
    began = time.process_time()
    for _ in range(steps):
        batch = data.to_float(next(batches))
        loss(*model.training_images(batch)[:2]).backward()
        optimizer.step()
        optimizer.zero_grad()
    return time.process_time() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, nargs=2, default=[40, 4040], help="of the shorter and the longer run")
    typed = parser.parse_args()
    rounds, (short, long) = typed.rounds, typed.steps
    found: dict[str, list[float]] = {name: [] for name in ("bare loop", *WAYS)}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(rounds):
            cache = Path(scratch) / "cache"
            bare(cache, short)
            found["bare loop"].append(1000 * bare(cache, long) / long)
            for way, (name, typed) in enumerate(WAYS.items()):
                seconds = [ours(Path(scratch) / f"{way}_{number}_{n}", typed, n) for n in (short, long)]
                found[name].append(1000 * (seconds[1] - seconds[0]) / (long - short))
    steps = {name: statistics.median(values) for name, values in found.items()}
    rows = [[name, f"{step:.2f}", f"{step - steps['bare loop']:+.2f}"] for name, step in steps.items()]
    print("# A training step of a small ESPCN x2, batch 4 of 8x8, milliseconds\n")
    print(f"{machine()}.\n")
    print(table(["loop", "a step", "beyond the bare loop"], rows))


if __name__ == "__main__":
    main()
