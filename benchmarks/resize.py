"""MATLAB's bicubic resize of a 2K image, beside BasicSR's way: a product of weights for each row of the output.

Run it: OMP_NUM_THREADS=1 python benchmarks/resize.py > benchmarks/resize.md
"""

import argparse
import math

import torch
from beside import TURNS, in_turns, machine, table
from torch import Tensor

from sr.imaging.resize import imresize


def by_rows(x: Tensor, scale: float) -> Tensor:
    """(C, H, W) floats resized as BasicSR's `imresize` goes about it, written anew from Keys' formula.

    Sides are padded symmetrically; then each output row of each channel is one matrix-vector product, and each output
    column after it.
    """
    for dim in (1, 2):
        n = x.shape[dim]
        out, shrink = math.ceil(n * scale), min(scale, 1.0)
        taps = math.ceil(4 / shrink) + 2
        centre = torch.arange(1, out + 1, dtype=torch.float64) / scale + 0.5 * (1 - 1 / scale)
        left = (centre - 2 / shrink).floor()
        distance = shrink * (centre[:, None] - left[:, None] - torch.arange(taps)).abs()
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        weights = torch.where(distance <= 1, near, torch.where(distance <= 2, far, 0.0))
        weights = (weights / weights.sum(1, keepdim=True)).to(x.dtype)
        pad = taps
        index = torch.arange(-pad, n + pad).remainder(2 * n)
        padded = x.index_select(dim, torch.where(index < n, index, 2 * n - 1 - index))
        first = (left.long() - 1 + pad).tolist()
        y = x.new_empty((x.shape[0], out, x.shape[2]) if dim == 1 else (x.shape[0], x.shape[1], out))
        for i, start in enumerate(first):
            for c in range(x.shape[0]):
                if dim == 1:
                    y[c, i] = padded[c, start : start + taps].t().mv(weights[i])
                else:
                    y[c, :, i] = padded[c, :, start : start + taps].mv(weights[i])
        x = y
    return x


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(1356, 2040), help="height and width of the image")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    height, width = args.size
    picture = torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    floats = picture.float() / 255
    rows: list[list[object]] = []
    for text, scale in (("1/2", 1 / 2), ("1/3", 1 / 3), ("1/4", 1 / 4), ("x2 of 1/2", 2), ("x4 of 1/4", 4)):
        eight, real = (x if scale < 1 else imresize(x, 1 / scale) for x in (picture, floats))
        ways = {
            "bytes": lambda eight=eight, scale=scale: imresize(eight, scale),
            "floats": lambda real=real, scale=scale: imresize(real, scale),
            "by rows": lambda real=real, scale=scale: by_rows(real, scale),
        }
        seconds = in_turns(ways, args.rounds)
        apart = float((imresize(real, scale) - by_rows(real, scale)).abs().max())
        rows.append([text, *(f"{1e3 * seconds[name]:.1f}" for name in ways), f"{apart:.0e}"])
    print(f"# MATLAB bicubic of a {width}x{height} RGB image, milliseconds\n\n{machine()}; {TURNS}.\n")
    columns = ["factor", "`sr.imresize`, uint8", "`sr.imresize`, float32", "BasicSR's way, float32", "apart, of 1"]
    print(table(columns, rows))


if __name__ == "__main__":
    main()
