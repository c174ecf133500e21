"""Whether LR that is read is the papers' plain bicubic, by its pixels: the name of a folder may say nothing."""

import numpy as np
import torch

from sr.imaging.resize import EDGES, imresize

# Of 255: code that does what MATLAB's does is apart by so much. Pillow's bicubic is by 3 on Set5's head, by 7 to 16 on
# eight other pictures of Set5 and Set14 at x4, one that does not smooth by 50 and more.
LEVELS = 1


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
