"""Tiles one after the other, the same ones in batches, and larger ones: CPU time for the same part of a picture.

Each tile of 32 LR pixels has 16 more around it, as a local network's needs; the features of four of them in a batch
take 1.8 times the memory of those of one tile of 64 with 16 around it.

Run it: OMP_NUM_THREADS=1 python benchmarks/tiles.py > benchmarks/tiles.md
"""

import argparse
from collections.abc import Callable

import torch
from beside import TURNS, in_turns, machine, table

from sr.cli import keep_freed_memory
from sr.models.base import SuperResolver
from sr.models.edsr import EDSR
from sr.models.rlfn import RLFN

NETWORKS: dict[str, Callable[[], SuperResolver]] = {"EDSR-baseline": lambda: EDSR(4), "RLFN": lambda: RLFN(4)}
HALO = 16


def tiles(model: SuperResolver, number: int, batch: int, side: int) -> Callable[[], object]:
    """Make so many tiles, some at a time."""
    given = torch.rand(batch, 3, side + 2 * HALO, side + 2 * HALO)

    def make() -> None:
        with torch.inference_mode():
            for _ in range(number // batch):
                model(given)

    return make


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=32, help="LR pixels of a tile")
    given = parser.parse_args()
    keep_freed_memory()  # as the commands do
    rows: list[list[object]] = []
    for name, network in NETWORKS.items():
        torch.manual_seed(0)
        model, side = network().eval(), given.side
        ways = {
            "alone": tiles(model, 4, 1, side),
            "in a batch": tiles(model, 4, 4, side),
            "larger": tiles(model, 1, 1, 2 * side),
        }
        seconds = in_turns(ways, given.rounds)
        rows.append([name, *(f"{1000 * each:.0f}" for each in seconds.values())])
    print(
        f"# A part of {2 * given.side}x{2 * given.side} LR pixels x4 in tiles, milliseconds\n\n{machine()}; {TURNS}.\n"
    )
    one, more = f"{given.side}x{given.side}", f"{2 * given.side}x{2 * given.side}"
    print(table(["network", f"four of {one}, one by one", "the four in a batch", f"one of {more}"], rows))


if __name__ == "__main__":
    main()
