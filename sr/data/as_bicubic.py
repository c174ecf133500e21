"""Whether LR that is read is the papers' plain bicubic, by its pixels: the name of a folder may say nothing."""

from weakref import WeakKeyDictionary

import numpy as np
import torch

from sr.data.pairset import Pairs
from sr.imaging.resize import EDGES, imresize

SEEN = 1000  # pairs of a set that are looked at, spread over it: of sets of images all
LEVELS = 1  # of 255 by which others' code that does what MATLAB's does is apart; other bicubics are by 10 and more
_kept: WeakKeyDictionary[Pairs, bool] = WeakKeyDictionary()


def is_bicubic(lr: np.ndarray, hr: np.ndarray, scale: int) -> bool:
    """Whether LR (h, w, 3) is HR (s*h, s*w, 3), both uint8, as MATLAB's `imresize` shrinks it.

    By either edge rule and rounded once or twice, as the public files are. What HR has beyond multiples of the scale
    does not count.
    """
    h, w = (side * scale for side in lr.shape[:2])
    large = torch.from_numpy(np.ascontiguousarray(hr[:h, :w].transpose(2, 0, 1)))
    small = torch.from_numpy(lr.transpose(2, 0, 1).astype(np.int16))
    made = (
        imresize(large, 1 / scale, edge=edge, quantize_intermediate=twice) for edge in EDGES for twice in (True, False)
    )
    return any(one.shape == small.shape and int((one - small).abs().max()) <= LEVELS for one in made)


def seen_bicubic(pairs: Pairs, scale: int) -> bool:
    """Whether the LR of opened pairs is, as far as those tell that are looked at, once."""
    if pairs not in _kept:
        looked = range(0, len(pairs), -(-len(pairs) // SEEN) or 1)
        _kept[pairs] = all(is_bicubic(*pairs.whole(n)[:2], scale) for n in looked)
    return _kept[pairs]
