"""How far ONNX Runtime is from the network, for the files of conf/model, from the smallest picture to 257x131.

Weights are drawn, not trained (as the tests draw them: no branch idle, statistics of real features), x4 where a network
has it. The error is the largest difference of any value, in parts of the largest value, at least of 1; what `sr export`
keeps is below 1e-5, in float16 (beside the network in float32; on white, black and a checkerboard, too) below 2e-3.
Every file has passed onnx.checker, or its row says what is wrong.

Run it: PYTHONPATH=tests python benchmarks/export.py > benchmarks/export.md
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import networks as nets
import onnx
import onnxruntime
import torch
from beside import processor, table

from sr.errors import UserError, reason
from sr.forms.deployed import CLIP_SIZES, Exported, exportable
from sr.forms.formats import FORMATS, apart

SIZES = ((1, 1), (2, 7), (21, 24), (257, 131))  # LR pixels
OPSET = 18


def drawn(name: str, half: bool, small: bool) -> Exported:
    """The network of conf/model/NAME.yaml."""
    torch.manual_seed(0)
    scale = nets.scales(name)[-1]
    model = nets.build(name, scale, small)
    nets.used(model)
    return Exported(model, name, scale, half)


def row(name: str, sizes: tuple[tuple[int, int], ...], small: bool, folder: Path) -> list[object]:
    """Of the table."""
    cells: list[object] = [name]
    what = drawn(name, False, small)
    try:
        exportable(what.model)
    except UserError as error:
        return [name, f"x{what.scale}", "-", "-", "-", str(error).split(":")[0]]
    if what.frames is None:
        fitting = [size for size in sizes if min(size) >= what.least]
    else:
        fitting = [*CLIP_SIZES[:2], *((h // 4 * 4, w // 4 * 4) for h, w in sizes[3:])]
    given = [what.noise(*size) for size in fitting]
    least = f"{fitting[0][0]}x{fitting[0][1]}" + (f", {what.frames} frames" if what.frames else "")
    cells += [f"x{what.scale}", least]
    with torch.no_grad():
        network = what.deployed()
        wanted = [network(x) for x in given]
        white = torch.ones_like(given[len(given) // 2])
        board = ((torch.arange(white.shape[-2])[:, None] + torch.arange(white.shape[-1])) % 2).expand_as(white).float()
        for half, more in ((False, []), (True, [white, 0 * white, board])):
            one = drawn(name, half, small)
            file = folder / f"{one.stem}.onnx"
            try:
                FORMATS["onnx"].write(file, one, OPSET)
                run = FORMATS["onnx"].reader(file, one)
                error = apart(run, [*given, *more], [*wanted, *(network(x) for x in more)], half)
                cells.append(f"{error:.1e}")
            except Exception as error:  # it is the table that tells
                cells.append(str(error) if isinstance(error, UserError) else reason(error))
            file.unlink(missing_ok=True)
    return [*cells, ""]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[name for name in nets.NAMES if name != "bicubic"])
    parser.add_argument("--small", action="store_true", help="few blocks and channels, as in the fast tests")
    parser.add_argument("--sizes", type=int, default=len(SIZES), help="how many of them, the smallest first")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in given.only:
            start = time.perf_counter()
            rows.append(row(name, SIZES[: given.sizes], given.small, Path(folder)))
            print(rows[-1], f"{time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    print("# How far ONNX files are from their networks\n")
    versions = f"ONNX {onnx.__version__}, ONNX Runtime {onnxruntime.__version__}"
    largest = "x".join(map(str, SIZES[given.sizes - 1]))
    print(
        f"{processor()}, torch {torch.__version__}, {versions}; noise up to {largest}, operators of version {OPSET}.\n"
    )
    print(table(["network", "scale", "from", "error", "error in float16", "note"], rows))


if __name__ == "__main__":
    main()
