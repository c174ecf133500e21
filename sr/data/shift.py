"""How far LR lies beside its HR: one crop of LR is moved over HR, in the frequency domain."""

from typing import NamedTuple

import numpy as np

from sr.data.compact import THUMBNAIL

CROP, SEARCH = 64, 8  # LR pixels: side of the crop, and how far it is moved to each side


class Fit(NamedTuple):
    """How a crop of LR fits HR.

    Attributes:
        best: correlation at the best shift; None where the crop has no detail.
        gain: by how much it is better than without a shift.
        shift: (down, right), in LR pixels, of the place in HR that fits.
    """

    best: float | None
    gain: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)


def fit(hr: np.ndarray, lr: np.ndarray, thumbnail: np.ndarray, scale: int) -> Fit:
    """Move a crop of LR over HR.

    Args:
        hr: (H, W, 3) uint8.
        lr: (h, w, 3) uint8.
        thumbnail: (16, 16) of HR: where it changes most, the crop lies.
        scale: enlargement factor.
    """
    h, w = (min(a // scale, b) for a, b in zip(hr.shape[:2], lr.shape[:2], strict=True))
    side = min(CROP, h - 4, w - 4)
    if side < 8:
        return Fit(None)
    reach = min(SEARCH, (min(h, w) - side) // 2)
    cells = thumbnail.astype(np.float64)
    change = np.abs(np.diff(cells, axis=0))[:, :-1] + np.abs(np.diff(cells, axis=1))[:-1]
    cell_y, cell_x = np.unravel_index(int(change.argmax()), change.shape)
    y = int(np.clip((cell_y + 1) * h // THUMBNAIL - side // 2, reach, h - side - reach))
    x = int(np.clip((cell_x + 1) * w // THUMBNAIL - side // 2, reach, w - side - reach))
    crop = _gradient(lr[y : y + side, x : x + side, 1].astype(np.float64))
    around = hr[(y - reach) * scale : (y + side + reach) * scale, (x - reach) * scale : (x + side + reach) * scale, 1]
    wide = side + 2 * reach
    field = _gradient(around.reshape(wide, scale, wide, scale).mean((1, 3)))
    energy = float((np.abs(crop) ** 2).mean())
    if energy < 1 or float((np.abs(field) ** 2).mean()) < 1:  # square of a level a pixel
        return Fit(None)
    size = field.shape
    product = np.fft.ifft2(np.fft.fft2(field) * np.conj(np.fft.fft2(crop, size))).real
    steps = 2 * reach + 1
    norm = np.sqrt(energy * crop.size * np.maximum(_window_sums(np.abs(field) ** 2, len(crop)), 1))
    match = product[:steps, :steps] / norm
    row, column = (int(v) for v in np.unravel_index(int(match.argmax()), match.shape))
    (down, rise), (right, more) = _top(match[:, column], row), _top(match[row], column)
    best = float(match[row, column]) + rise + more
    return Fit(best, best - float(match[reach, reach]), (down - reach, right - reach))


def _gradient(grey: np.ndarray) -> np.ndarray:
    """(h, w) -> (h - 1, w - 1) complex: the change to the right, and downwards as the imaginary part."""
    return np.diff(grey, axis=1)[:-1] + 1j * np.diff(grey, axis=0)[:, :-1]


def _window_sums(values: np.ndarray, side: int) -> np.ndarray:
    """Sums over all squares of a side."""
    sums = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    return sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]


def _top(line: np.ndarray, at: int) -> tuple[float, float]:
    """Place of the top of the parabola through a peak and its neighbours, and how far it rises above the peak."""
    if not 0 < at < len(line) - 1:
        return float(at), 0.0
    before, peak, after = (float(v) for v in line[at - 1 : at + 2])
    bend = before - 2 * peak + after
    if bend >= 0:
        return float(at), 0.0
    move = 0.5 * (before - after) / bend
    return at + move, -0.25 * (before - after) * move
