"""Training crops whose LR is blurred, reduced, noisy and JPEG-coded, beside kornia's steps on a margin, crop by crop.

Run it: OMP_NUM_THREADS=1 python benchmarks/degradation.py > benchmarks/degradation.md
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
import torch
from beside import TURNS, in_turns, machine, table
from kornia.enhance import jpeg_codec_differentiable
from kornia.filters import gaussian_blur2d
from skimage import data

import sr
from sr.degradation import Degradation, GaussianBlur, GaussianNoise, Jpeg, MatlabBicubic

PATCH, CROPS = 48, 16  # LR pixels a side, crops of a batch


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


def ways(scale: int, hr: np.ndarray) -> dict[str, Callable[[], object]]:
    """A batch of crops, the next ones each time that a way is called."""
    chain = Degradation(scale, [GaussianBlur([0.2, 2.0]), MatlabBicubic(scale), GaussianNoise([0, 15]), Jpeg([40, 95])])
    side = hr.shape[0] // scale

    def places() -> Iterator[tuple[int, int, int]]:
        rng = np.random.default_rng(0)
        while True:
            y, x = rng.integers(0, side - PATCH + 1, 2).tolist()
            yield y, x, int(rng.integers(2**62))

    def ours(next_place: Iterator[tuple[int, int, int]]) -> None:
        drawn = [next(next_place) for _ in range(CROPS)]
        rows = [chain.spans(y, y + PATCH, side) for y, _, _ in drawn]
        columns = [chain.spans(x, x + PATCH, side) for _, x, _ in drawn]
        parts = [hr[slice(*r[0]), slice(*c[0])].copy() for r, c in zip(rows, columns, strict=True)]
        chain.parts([torch.from_numpy(p).permute(2, 0, 1) for p in parts], [s for *_, s in drawn], rows, columns)

    def theirs(next_place: Iterator[tuple[int, int, int]]) -> None:
        margin, grid = -(-(6 + 2 * scale) // scale) + 16, 16  # of the blur, the reduction and a JPEG block
        for y, x, seed in (next(next_place) for _ in range(CROPS)):
            (top, bottom), (left, right) = (
                (max(0, v - margin) // grid * grid, min(side, -(-(v + PATCH + margin) // grid) * grid)) for v in (y, x)
            )
            region = hr[top * scale : bottom * scale, left * scale : right * scale].copy()
            lr = kornias(region, scale, torch.Generator().manual_seed(seed))
            lr[..., y - top : y - top + PATCH, x - left : x - left + PATCH].contiguous()

    one, other = places(), places()
    return {"ours": lambda: ours(one), "theirs": lambda: theirs(other)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=31)
    args = parser.parse_args()
    hr, rows = np.tile(data.astronaut(), (4, 4, 1)), list[list[object]]()
    for scale in (2, 3, 4):
        seconds = in_turns(ways(scale, hr[: 2048 // scale * scale, : 2048 // scale * scale]), args.rounds)
        a_second = [CROPS / seconds[way] for way in ("ours", "theirs")]
        rows.append([f"x{scale}", *(f"{v:,.0f}" for v in a_second), f"{a_second[0] / a_second[1]:.1f}"])
    print(f"# `degradation=blur_noise_jpeg`, crops of {PATCH} LR pixels a second\n\n{machine()}; {TURNS}.\n")
    print(table(["scale", "ours", "kornia, crop by crop", "times faster"], rows))


if __name__ == "__main__":
    main()
