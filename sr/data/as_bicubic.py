"""Whether LR that is read is the papers' plain bicubic, by its pixels: the name of a folder may say nothing."""

import secrets

import numpy as np
import torch

from sr.imaging.resize import EDGES, imresize

# Of 255: code that does what MATLAB's does is apart by so much. Pillow's bicubic is by 3 on Set5's head, by 7 to 16 on
# eight other pictures of Set5 and Set14 at x4, one that does not smooth by 50 and more.
LEVELS = 1
# Of all values, at most. Of 197 public files made in MATLAB none differs in one; where a half is rounded to even, as
# NumPy and torch do, it is 7 of 100,000. Changed on purpose, a level everywhere gave RLFN 1.3 dB.
SHARE = 0.001
SIDE = 192  # LR pixels of the square that is looked at, anywhere in a larger picture
MARGIN = 8  # LR pixels beside it, to which its cut edges reach


def is_bicubic(lr: np.ndarray, hr: np.ndarray, scale: int) -> bool:
    """Whether LR (h, w, 3) is HR (s*h, s*w, 3), both uint8, as MATLAB's `imresize` shrinks it.

    By either edge rule and rounded once or twice, as the public files are. What HR has beyond multiples of the scale
    does not count. Of a large picture a square is looked at, another one each time.
    """
    if any(small * scale > large for small, large in zip(lr.shape[:2], hr.shape[:2], strict=True)):
        return False
    (top, bottom), (left, right) = (_somewhere(side) for side in lr.shape[:2])
    lr, hr = lr[top:bottom, left:right], hr[: lr.shape[0] * scale, : lr.shape[1] * scale]
    up, down = max(top - MARGIN, 0), bottom + MARGIN
    aside, beyond = max(left - MARGIN, 0), right + MARGIN
    around = hr[up * scale : down * scale, aside * scale : beyond * scale]
    large = torch.from_numpy(np.ascontiguousarray(around.transpose(2, 0, 1)))
    small = torch.from_numpy(lr.transpose(2, 0, 1).astype(np.int16))
    inner = np.s_[:, top - up : top - up + lr.shape[0], left - aside : left - aside + lr.shape[1]]
    made = (
        imresize(large, 1 / scale, edge=edge, quantize_intermediate=twice)[inner]
        for edge in EDGES
        for twice in (True, False)
    )
    apart = ((one - small).abs() for one in made)
    return any(int(one.max()) <= LEVELS and float((one > 0).float().mean()) <= SHARE for one in apart)


def _somewhere(side: int) -> tuple[int, int]:
    """Begin and end of so many pixels, or of fewer within."""
    begin = secrets.randbelow(max(side - SIDE, 0) + 1)
    return begin, min(begin + SIDE, side)
