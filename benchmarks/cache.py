"""Making the decoded cache of a training set (HR, and LR made from it), in passes of decoding all images once.

Run it: OMP_NUM_THREADS=1 python benchmarks/cache.py > benchmarks/cache.md

A virtual machine may give free memory back to its host. Each page of a new file then costs a fault there, which counts
as CPU time: 12 ms an image where it was seen. `echo 11 > .../page_reporting_order` (as root) stops it.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from beside import TURNS, in_turns, machine, table
from PIL import Image
from skimage import data

from sr.data.folder import Folder
from sr.data.images import LazyImages, each

REPORTING = Path("/sys/module/page_reporting/parameters/page_reporting_order")
LARGEST = 10  # order of the largest block of free pages


def photos(folder: Path, images: int, height: int, width: int) -> list[Path]:
    """PNG files of photos, mirrored side by side to the size, with a little noise of a sensor."""
    folder.mkdir()
    found = []
    for i in range(images):
        photo = (data.coffee, data.astronaut, data.chelsea, data.rocket)[i % 4]()
        h, w = photo.shape[:2]
        wide = np.pad(photo, ((0, max(0, height - h)), (0, max(0, width - w)), (0, 0)), mode="symmetric")
        noise = np.random.default_rng(i).normal(0, 1, (height, width, 1))
        picture = (wide[:height, :width] + noise).clip(0, 255).astype(np.uint8)
        found.append(folder / f"{i}.png")
        Image.fromarray(picture).save(found[-1])
    return found


def _given_back() -> str:
    if not REPORTING.exists():
        return ""
    return f"; free memory is{' not' * (int(REPORTING.read_text()) > LARGEST)} given back to the host"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(1356, 2040), help="height and width of the images")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        files = photos(Path(place) / "photos", args.images, *args.size)

        def build(scale: int) -> Callable[[], object]:
            def once() -> None:
                shutil.rmtree(Path(place) / "cache", ignore_errors=True)
                pairs = Folder(root=Path(place) / "photos", scale=scale, val_share=0, cache_dir=Path(place) / "cache")
                pairs.pairs("train")

            return once

        decoded = LazyImages(files)
        ways: dict[str, Callable[[], object]] = {"decode": lambda: each(lambda i: decoded[i].shape, len(files))}
        ways |= {f"x{scale}": build(scale) for scale in (2, 3, 4)}
        seconds = in_turns(ways, args.rounds)
    ms = {name: 1e3 * s / args.images for name, s in seconds.items()}
    size = f"{args.size[1]}x{args.size[0]}"
    print(f"# The decoded cache of {args.images} PNG of {size}, ms an image\n\n{machine()}; {TURNS}{_given_back()}.\n")
    rows: list[list[object]] = [["decode in the same threads, nothing else", f"{ms['decode']:.1f}", "1"]]
    rows += [[f"cache of HR and LR x{s}", f"{ms[f'x{s}']:.1f}", f"{ms[f'x{s}'] / ms['decode']:.2f}"] for s in (2, 3, 4)]
    print(table(["", "ms", "decode passes"], rows))


if __name__ == "__main__":
    main()
