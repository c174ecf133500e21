"""CPU time of measuring a test set: the first time, and once it is decoded.

Each row is a process of its own. Bicubic stands for a network: what is left beside it costs every model the same.

Run it: OMP_NUM_THREADS=1 python benchmarks/evaluate.py > benchmarks/evaluate.md
"""

import argparse
import os
import tempfile
from pathlib import Path

from beside import command_seconds, machine, table
from cache import photos


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(1356, 2040), help="height and width of the images")
    parser.add_argument("--images", type=int, default=16)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as place:
        photos(Path(place) / "photos", args.images, *args.size)
        photos(Path(place) / "one", 1, 64, 64)
        words = ["evaluate", "model=bicubic", "scale=4", "panels=0", "protocols=[y]", "benchmarks=[folder]"]

        def run(folder: str, number: int, *more: str) -> float:
            own = [f"data.root={Path(place) / folder}", f"cache_dir={Path(place) / 'cache'}"]
            return command_seconds("-m", "sr", *words, *own, f"hydra.run.dir={Path(place) / str(number)}", *more)

        start = run("one", 0)
        runs = [run("photos", 1) - start, run("photos", 2) - start]
    rows: list[list[object]] = [
        [name, f"{s:.2f}", f"{1e3 * s / args.images:.0f}"]
        for name, s in zip(("first time: decoded and kept", "second time"), runs, strict=True)
    ]
    print(f"# `sr evaluate model=bicubic` on {args.images} PNG of {args.size[1]}x{args.size[0]}\n\n{machine()}.\n")
    print("One run of each; what the command takes on one small image (its start) is left out.\n")
    print(table(["", "CPU seconds", "ms an image"], rows))


if __name__ == "__main__":
    main()
