"""CPU time of measuring a test set: the first time, and once it is decoded, and what of that is the model's own.

Each measuring is a process of its own. Bicubic stands for a network. What a network computes and how near that is to HR
are new with every model; what is left beside these is what a test set costs each model.

Run it: OMP_NUM_THREADS=1 python benchmarks/evaluate.py > benchmarks/evaluate.md
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from beside import command_seconds, in_turns, machine, table
from cache import photos

from sr.cli import keep_freed_memory
from sr.metrics.protocols import get_protocol
from sr.models.bicubic import Bicubic

SCALE = 4


@torch.inference_mode()
def of_the_model(height: int, width: int, place: Path) -> dict[str, float]:
    """Milliseconds of an image: the network alone, the comparison of its output with HR, and Y of HR in it."""
    keep_freed_memory()  # as every command does
    model, protocol = Bicubic(SCALE), get_protocol("y")
    hr = torch.randint(0, 256, (1, 3, height - height % SCALE, width - width % SCALE), dtype=torch.uint8)
    lr = protocol.lr(hr, SCALE)
    output = model(lr)
    np.save(place / "y.npy", protocol.reference(hr, False).numpy())
    ways = {
        "the network": lambda: model(lr),
        "PSNR and SSIM": lambda: protocol.compare(output, hr, SCALE),
        "Y of HR": lambda: protocol.reference(hr, False),
        "Y of HR, kept in a file": lambda: np.array(np.load(place / "y.npy", mmap_mode="r")),
    }
    return {name: 1e3 * seconds for name, seconds in in_turns(ways).items()}


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
        words = ["evaluate", "model=bicubic", f"scale={SCALE}", "panels=0", "protocols=[y]", "benchmarks=[folder]"]

        def run(folder: str, number: int, *more: str) -> float:
            own = [f"data.root={Path(place) / folder}", f"cache_dir={Path(place) / 'cache'}"]
            return command_seconds("-m", "sr", *words, *own, f"hydra.run.dir={Path(place) / str(number)}", *more)

        start = run("one", 0)
        first, second = (1e3 * (run("photos", number) - start) / args.images for number in (1, 2))
        own = of_the_model(*args.size, Path(place))
    y = [own.pop(name) for name in ("Y of HR", "Y of HR, kept in a file")]
    times = {
        "first time: decoded and kept": first,
        "second time": second,
        **{f"of which {name}": each for name, each in own.items()},
        "of which anything else": second - sum(own.values()),
    }
    rows: list[list[object]] = [[name, f"{each:.0f}"] for name, each in times.items()]
    print(f"# `sr evaluate model=bicubic` on {args.images} PNG of {args.size[1]}x{args.size[0]}\n\n{machine()}.\n")
    print("One run of each; what the command takes on one small image (its start) is left out.\n")
    print(table(["", "ms an image"], rows))
    print(f"\nY of HR takes {y[0]:.1f} of these, and {y[1]:.1f} if it were kept and read: so it is made anew.")


if __name__ == "__main__":
    main()
