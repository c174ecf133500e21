"""CPU time up to the end of a run of one step, beside that of importing torch and Lightning.

Run it: OMP_NUM_THREADS=1 python benchmarks/startup.py > benchmarks/startup.md
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from beside import command_seconds, machine, table

TYPED = ["model=ecbsr_m4c8", "scale=2", "data=bundled", "steps=1", "patch_size=16", "batch_size=4", "callbacks=[]",
         "logger=csv", "trainer=cpu", "benchmarks=[]"]  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8, help="the first is not counted")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as scratch:
        train = ["-m", "sr", "train", *TYPED, f"cache_dir={scratch}/cache"]
        ways = {
            "import torch, lightning.pytorch": lambda _: command_seconds("-c", "import torch, lightning.pytorch"),
            "sr train, one step": lambda n: command_seconds(*train, f"hydra.run.dir={Path(scratch) / str(n)}"),
            "sr train --help": lambda _: command_seconds("-m", "sr", "train", "--help"),
        }
        found: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds):
            for name, way in ways.items():
                found[name].append(way(number))
    medians = {name: statistics.median(values[1:]) for name, values in found.items()}  # the first fills the caches
    imports = next(iter(medians.values()))
    print("# Start-up\n")
    print(f"{machine()}.\n")
    print("Below 1, as a command imports with the garbage collector at rest, has it pass over what was imported, and")
    print("leaves out what torchmetrics draws with.\n")
    print(
        table(
            ["process", "CPU seconds", "ratio"],
            [[f"`{n}`", f"{s:.2f}", f"{s / imports:.2f}"] for n, s in medians.items()],
        )
    )


if __name__ == "__main__":
    main()
