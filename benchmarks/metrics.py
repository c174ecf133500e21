"""PSNR and SSIM of an image of B100's size, beside BasicSR's way: an 11 x 11 window in float64.

Run it: OMP_NUM_THREADS=1 python benchmarks/metrics.py > benchmarks/metrics.md
"""

import argparse

import cv2
import numpy as np
import torch
from beside import TURNS, in_turns, machine, table
from skimage import data

import sr
from sr.metrics.protocols import get_protocol

SCALE = 4


def _prepared(images: tuple[np.ndarray, np.ndarray], luma: bool) -> list[np.ndarray]:
    """Shaved float64 channels (H, W, C) in 0..255 of (H, W, 3) uint8 RGB; of BT.601's unrounded Y, if asked for."""
    found = []
    for image in images:
        v = image[SCALE:-SCALE, SCALE:-SCALE].astype(np.float64)
        if luma:
            v = (np.dot(v.astype(np.float32) / 255, [65.481, 128.553, 24.966]) + 16.0)[..., None]
        found.append(v.astype(np.float64))
    return found


def psnr_by_window(images: tuple[np.ndarray, np.ndarray], luma: bool) -> float:
    """PSNR as BasicSR goes about it, written anew from the formula."""
    x, y = _prepared(images, luma)
    return float(10 * np.log10(255**2 / np.mean((x - y) ** 2)))


def ssim_by_window(images: tuple[np.ndarray, np.ndarray], luma: bool) -> float:
    """SSIM as BasicSR goes about it: the whole window at once over five pictures in float64, channel by channel."""
    x, y = _prepared(images, luma)
    line = cv2.getGaussianKernel(11, 1.5)
    window, values = np.outer(line, line), []

    def blurred(v: np.ndarray) -> np.ndarray:
        return cv2.filter2D(v, -1, window)[5:-5, 5:-5]

    for c in range(x.shape[2]):
        p, q = x[..., c], y[..., c]
        mean_p, mean_q = blurred(p), blurred(q)
        own_p, own_q = blurred(p**2) - mean_p**2, blurred(q**2) - mean_q**2
        shared = blurred(p * q) - mean_p * mean_q
        upper = (2 * mean_p * mean_q + 2.55**2) * (2 * shared + 7.65**2)
        values.append((upper / ((mean_p**2 + mean_q**2 + 2.55**2) * (own_p + own_q + 7.65**2))).mean())
    return float(np.mean(values))


def by_window(images: tuple[np.ndarray, np.ndarray], luma: bool) -> tuple[float, float]:
    """Both, each from the pictures on, as two calls of BasicSR's."""
    return psnr_by_window(images, luma), ssim_by_window(images, luma)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(320, 480), help="height and width of the image")
    parser.add_argument("--rounds", type=int, default=31)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    height, width = args.size
    photo = np.ascontiguousarray(data.astronaut()[:height, :width])
    hr = torch.from_numpy(photo).movedim(-1, 0)[None].contiguous()
    output = sr.imresize(sr.imresize(hr, 1 / SCALE).float() / 255, SCALE)
    image = (output.clamp(0, 1) * 255 + 0.5).byte()[0].movedim(0, -1).numpy()
    rows: list[list[object]] = []
    for name in ("y", "rgb"):
        protocol = get_protocol(name)
        ways = {
            "ours": lambda protocol=protocol: protocol.compare(output, hr, SCALE),
            "window": lambda name=name: by_window((image, photo), name == "y"),
        }
        seconds = in_turns(ways, args.rounds)
        ours, (psnr, ssim) = protocol.compare(output, hr, SCALE), by_window((image, photo), name == "y")
        apart = abs(float(ours["psnr"]) - psnr), abs(float(ours["ssim"]) - ssim)
        times = [1e3 * seconds[way] for way in ways]
        rows.append(
            [f"`{name}`", *(f"{t:.1f}" for t in times), f"{times[1] / times[0]:.1f}", *(f"{a:.0e}" for a in apart)]
        )
    print(f"# PSNR and SSIM of a {width}x{height} image, milliseconds\n\n{machine()}; {TURNS}.\n")
    columns = ["protocol", "`Protocol.compare`", "BasicSR's way", "times faster", "PSNR apart, dB", "SSIM apart"]
    print(table(columns, rows))


if __name__ == "__main__":
    main()
