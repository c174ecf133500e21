"""Whether LR has the channels, the colour and the brightness of its HR."""

from itertools import permutations

import numpy as np
from PIL import Image

from sr.data.compact import THUMBNAIL

# 8-bit levels. Official and realistic LR, noise included, stay below them.
CLOSE = 3.0  # root mean square between thumbnails: nothing is said of less
FAR = 8.0  # between the means of a channel: said of more, whatever it comes from
BETTER = 0.5  # an explanation counts that leaves less than this share of the difference
GREY, COLOURED = 0.5, 4.0  # root mean square of what tells the channels apart


def difference(hr: np.ndarray, lr: np.ndarray, scale: int) -> str:
    """Compare means and spread of the channels, on thumbnails, which shrinking, blur and noise hardly change.

    Args:
        hr: (H, W, 3) uint8.
        lr: (h, w, 3) uint8.
        scale: enlargement factor.

    Returns:
        What LR is, for a sentence that begins with its name; empty where nothing is suspicious.
    """
    h, w = (min(a // scale, b) for a, b in zip(hr.shape[:2], lr.shape[:2], strict=True))
    large, small = _thumbnail(hr[: h * scale, : w * scale]), _thumbnail(lr[:h, :w])
    if _colour(small) < GREY and _colour(large) > COLOURED:
        return "is grey, HR is coloured"
    if _colour(large) < GREY and _colour(small) > COLOURED:
        return "is coloured, HR is grey"
    found = []
    orders = {order: _line(large[:, list(order)], small)[2] for order in permutations(range(3))}
    best = min(orders, key=orders.__getitem__)
    if orders[0, 1, 2] > CLOSE and orders[best] < BETTER * orders[0, 1, 2]:
        found.append(f"has its channels swapped: they are {''.join('RGB'[c] for c in best)}")
        large = large[:, list(best)]
    return " and ".join(found + _brightness(large, small))


def _thumbnail(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (256, 3), averaged over areas."""
    small = Image.fromarray(np.ascontiguousarray(pixels)).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, np.float64).reshape(-1, 3)


def _colour(thumbnail: np.ndarray) -> float:
    return float(np.sqrt(((thumbnail - thumbnail.mean(1, keepdims=True)) ** 2).mean()))


def _line(hr: np.ndarray, lr: np.ndarray) -> tuple[float, float, float]:
    """Factor and offset that bring HR closest to LR, and the root mean square that is left."""
    spread = float(((hr - hr.mean()) ** 2).mean())
    factor = float(((hr - hr.mean()) * (lr - lr.mean())).mean()) / max(spread, 1e-9)
    offset = float(lr.mean() - factor * hr.mean())
    return factor, offset, _rms(factor * hr + offset - lr)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))


def _brightness(hr: np.ndarray, lr: np.ndarray) -> list[str]:
    """What is said of how bright LR is: no line, or one."""
    ratio = float((hr * lr).sum() / max((hr**2).sum(), 1e-9))
    factor, offset, left = _line(hr, lr)
    far, scaled = _rms(hr - lr), _rms(ratio * hr - lr)
    means = hr.mean(0), lr.mean(0)
    if far > CLOSE and scaled < BETTER * far and (left > BETTER * scaled or abs(offset) < 1):
        return [f"is {'darker' if ratio < 1 else 'brighter'} by a factor of {ratio:.2f}"]
    if far > CLOSE and left < BETTER * far and factor > 0:
        return [f"has {factor:.2f} times the contrast and is moved by {offset:+.0f} levels"]
    if np.abs(means[1] - means[0]).max() > FAR:
        was, now = (", ".join(f"{v:.0f}" for v in m) for m in means)
        return [f"has other means of R, G and B ({now}; HR {was})"]
    return []
