"""CPU time of measuring a test set, beside a loop that decodes and shrinks each image for each model.

Each measuring is a process of its own. Bicubic stands for a network. What a network computes and how near that is to HR
are new with every model; what is left beside these is what a test set costs each model.

Run it: OMP_NUM_THREADS=1 python benchmarks/evaluate.py > benchmarks/evaluate.md
"""

import argparse
import os
import tempfile
from itertools import count
from pathlib import Path

import torch
from beside import TURNS, command_seconds, in_turns, machine, table
from cache import photos

from sr.cli import keep_freed_memory
from sr.imaging.files import list_images, read_image
from sr.metrics.protocols import get_protocol
from sr.models.bicubic import Bicubic

SCALE = 4


@torch.inference_mode()
def anew(folder: Path) -> None:
    """What a plain loop does for each model."""
    keep_freed_memory()  # as every command does
    model, protocol = Bicubic(SCALE), get_protocol("y")
    for file in list_images(folder):
        hr = torch.from_numpy(read_image(file).pixels).permute(2, 0, 1)[None]
        hr = hr[..., : hr.shape[-2] // SCALE * SCALE, : hr.shape[-1] // SCALE * SCALE]
        print(protocol.compare(model(protocol.lr(hr, SCALE)), hr, SCALE))


@torch.inference_mode()
def of_the_model(height: int, width: int) -> dict[str, float]:
    """Milliseconds of an image: the network alone, the comparison of its output with HR, and Y of HR in it."""
    keep_freed_memory()
    model, protocol = Bicubic(SCALE), get_protocol("y")
    hr = torch.randint(0, 256, (1, 3, height - height % SCALE, width - width % SCALE), dtype=torch.uint8)
    lr, y = protocol.lr(hr, SCALE), protocol.reference(hr, False)
    output = model(lr)
    ways = {
        "the network": lambda: model(lr),
        "PSNR and SSIM": lambda: protocol.compare(output, hr, SCALE),
        "PSNR and SSIM, Y of HR at hand": lambda: protocol.compare(
            output, hr, SCALE, reference=lambda hr, _: y[..., SCALE:-SCALE, SCALE:-SCALE]
        ),
    }
    return {name: 1e3 * seconds for name, seconds in in_turns(ways, 15).items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(1356, 2040), help="height and width of the images")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--anew", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.anew:
        anew(args.anew)
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as name:
        place, number = Path(name), count()
        photos(place / "many", args.images, *args.size)
        photos(place / "one", 1, 64, 64)
        words = ["-m", "sr", "evaluate", f"scale={SCALE}", "panels=0", "protocols=[y]", "benchmarks=[folder]"]

        def run(folder: str, cache: object, *more: str) -> float:
            own = [f"data.root={place / folder}", f"cache_dir={place / f'cache{cache}'}"]
            return command_seconds(*words, *own, f"hydra.run.dir={place / f'{next(number)}'}", *more)

        bicubic = "model=bicubic"
        seconds = in_turns(
            {
                "start": lambda: run("one", 0, bicubic),
                "first": lambda: run("many", next(number), bicubic),
                "again": lambda: run("many", 0, bicubic),
                "bare start": lambda: command_seconds(__file__, "--anew", place / "one"),
                "bare": lambda: command_seconds(__file__, "--anew", place / "many"),
            },
            args.rounds,
        )
    own = of_the_model(*args.size)
    at_hand = own.pop("PSNR and SSIM, Y of HR at hand")

    def each(more: str, less: str) -> float:
        return 1e3 * (seconds[more] - seconds[less]) / args.images

    times = {
        "a loop that keeps nothing, each model": each("bare", "bare start"),
        "the first model, which decodes and keeps": each("first", "start"),
        "a model after it": each("again", "start"),
        **{f"of these {name}": ms for name, ms in own.items()},
    }
    rows: list[list[object]] = [[name, f"{ms:.0f}"] for name, ms in times.items()]
    print(f"# `sr evaluate` on {args.images} PNG of {args.size[1]}x{args.size[0]}, bicubic as the network\n")
    print(f"{machine()}; {TURNS}.\n\nWhat a command takes on one small image (its start) is left out.\n")
    print(table(["", "ms an image"], rows))
    print(f"\nY of HR takes {own['PSNR and SSIM'] - at_hand:.1f} of these where no model before has kept it.")


if __name__ == "__main__":
    main()
