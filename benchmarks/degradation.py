"""Training crops whose LR is blurred, reduced, noisy and JPEG-coded, beside kornia's steps on a margin, crop by crop.

Run it: OMP_NUM_THREADS=1 python benchmarks/degradation.py > benchmarks/degradation.md

With --before=FOLDER, where another version of this repository lies, that one takes its turns, too, in a process of its
own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from beside import TURNS, in_turns, machine, table
from kornia.enhance import jpeg_codec_differentiable
from kornia.filters import gaussian_blur2d

import sr
from sr.data.bundled import Bundled
from sr.degradation import Degradation, GaussianBlur, GaussianNoise, Jpeg, MatlabBicubic

PATCH, CROPS, BATCHES = 48, 16, 4  # LR pixels a side, crops of a batch, batches of a turn


def bundled(scale: int, cache: Path) -> Bundled:
    """The bundled photos, to be trained on."""
    chain = Degradation(scale, [GaussianBlur([0.2, 2.0]), MatlabBicubic(scale), GaussianNoise([0, 15]), Jpeg([40, 95])])
    data = Bundled(scale=scale, patch_size=PATCH, batch_size=CROPS, seed=0, degradation=chain, cache_dir=cache)
    data.setup("fit")
    return data


def endless(patches: object) -> Callable[[], None]:
    """A turn: the next batches of a data set."""
    first = 0

    def turn() -> None:
        nonlocal first
        for _ in range(BATCHES):
            patches[list(range(first, first + CROPS))]
            first += CROPS

    return turn


def elsewhere(folder: Path, scale: int, cache: Path) -> Callable[[], float]:
    """A turn of the version in another folder: its CPU seconds."""
    process = subprocess.Popen(
        [sys.executable, __file__, f"--answer={scale}", f"--cache={cache}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(folder)},
    )  # fmt: skip

    def turn() -> float:
        print("go", file=process.stdin, flush=True)
        return float(process.stdout.readline())

    return turn


def answer(scale: int, cache: Path) -> None:
    """CPU seconds of a turn for each line that is read."""
    turn = endless(bundled(scale, cache).patches())
    for _ in sys.stdin:
        start = time.process_time()
        turn()
        print(time.process_time() - start, flush=True)


def kornias(region: np.ndarray, scale: int, generator: torch.Generator) -> torch.Tensor:
    """One region (H, W, 3) degraded by kornia's blur and JPEG and torch's noise."""
    sigma, noise, quality = torch.rand(3, generator=generator).tolist()
    x = torch.from_numpy(region).permute(2, 0, 1)[None] / 255
    sigma = 0.2 + 1.8 * sigma
    size = 2 * int(np.ceil(3 * sigma)) + 1
    x = sr.imresize(gaussian_blur2d(x, (size, size), (sigma, sigma), border_type="reflect"), 1 / scale)
    x = x + 15 * noise / 255 * torch.randn(x.shape, generator=generator)
    x = jpeg_codec_differentiable(x.clamp(0, 1), torch.tensor([40 + 55 * quality]))
    return (x * 255 + 0.5).floor_().clamp_(0, 255).to(torch.uint8)


def crop_by_crop(data: Bundled, rng: np.random.Generator) -> None:
    """A turn of kornia's."""
    s, images = data.scale, data.pairs("train").hr
    margin, grid = -(-(6 + 2 * s) // s) + 16, 16  # of the blur, the reduction and a JPEG block
    for _ in range(CROPS * BATCHES):
        hr = images[int(rng.integers(len(images)))]
        sides = [side // s for side in hr.shape[:2]]
        place = [int(rng.integers(side - PATCH + 1)) for side in sides]
        (top, bottom), (left, right) = (
            (max(0, v - margin) // grid * grid, min(side, -(-(v + PATCH + margin) // grid) * grid))
            for v, side in zip(place, sides, strict=True)
        )
        region = hr[top * s : bottom * s, left * s : right * s].copy()
        lr = kornias(region, s, torch.Generator().manual_seed(int(rng.integers(2**62))))
        y, x = place[0] - top, place[1] - left
        lr[..., y : y + PATCH, x : x + PATCH].contiguous()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--before", type=Path, help="a folder with another version of this repository")
    parser.add_argument("--name", default="before", help="of that version")
    parser.add_argument("--answer", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.answer:
        return answer(args.answer, args.cache)
    from sr.data.device import on_device

    rows, others = list[list[object]](), ["kornia, crop by crop"]
    with tempfile.TemporaryDirectory() as scratch:
        for scale in (2, 3, 4):
            data = bundled(scale, Path(scratch) / "cache")
            ways: dict[str, Callable[[], object]] = {
                "host": endless(data.patches()),
                "device (the processor)": endless(on_device(data.patches(), torch.device("cpu"))),
                others[0]: partial(crop_by_crop, data, np.random.default_rng(0)),
            }
            if args.before:
                ways[args.name] = elsewhere(args.before, scale, Path(scratch) / "before")
                others = [others[0], args.name]
            seconds = in_turns(ways, args.rounds)
            a_second = [f"{CROPS * BATCHES / s:,.0f}" for s in seconds.values()]
            rows.append([f"x{scale}", *a_second, *(f"{seconds[other] / seconds['host']:.1f}" for other in others)])
    what = f"crops of {PATCH} LR pixels a second, in batches of {CROPS}, the bundled photos"
    print(f"# `degradation=blur_noise_jpeg`, {what}\n")
    print(f"{machine()}; {TURNS}.\n")
    print(table(["scale", *ways, *(f"host, times {other}" for other in others)], rows))
    return None


if __name__ == "__main__":
    main()
