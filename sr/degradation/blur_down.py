"""The blur-downsampling of papers on video ("BD")."""

import functools

import numpy as np
import torch
from torch import Tensor

from sr.degradation.randomness import Randomness
from sr.degradation.step import Step, as_float
from sr.errors import UserError

EDGES = {
    "replicate": lambda at, n: at.clip(0, n - 1),
    "reflect": lambda at, n: n - 1 - abs(n - 1 - at % max(1, 2 * n - 2)),
}


class BlurDown(Step):
    """A Gaussian blur, of which every `scale`-th pixel is kept.

    At x4 BasicVSR's takes 12 taps and keeps 1.5, 5.5, ... of HR, with edges replicated (Chan et al., CVPR 2021);
    DUF's takes 13 and keeps 0, 4, ..., with edges reflected (Jo et al., CVPR 2018). They lie 1.5 HR pixels apart, which
    costs bicubic 2.3 dB (the bundled photos).

    Args:
        scale: by how much the sides get smaller.
        sigma: of the blur, HR pixels.
        taps: of the blur on each side; None is 12, or 13 where `scale` is odd.
        first: place of the first pixel that is kept, HR pixels; None is the middle of the first LR pixel.
        edge: replicate, or reflect (at the middle of the edge pixel).

    Raises:
        UserError: taps do not lie on pixels, or a value has no sense.
    """

    floats = True

    def __init__(
        self,
        scale: int,
        sigma: float = 1.6,
        taps: int | None = None,
        first: float | None = None,
        edge: str = "replicate",
    ) -> None:
        taps = 12 + scale % 2 if taps is None else taps
        first = (scale - 1) / 2 if first is None else first
        for key, value, least in (("sigma", sigma, 0), ("taps", taps, 1), ("first", first, 0)):
            whole = key != "taps" or isinstance(value, int)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not whole or value < least:
                raise UserError(f"BlurDown: {key}={value!r} must be a {'whole ' * (key == 'taps')}number from {least}")
        start = first - (taps - 1) / 2
        if sigma == 0 or start != int(start) or edge not in EDGES:
            raise UserError(
                f"BlurDown: sigma={sigma} must be above 0, first={first} a whole number (and a half where "
                f"taps={taps} is even), edge={edge} one of {', '.join(EDGES)}"
            )
        self.scale, self.sigma, self.taps, self.first, self.border = scale, sigma, taps, first, edge
        self.shrink = scale
        self.start = int(start)
        self.reach = max(-self.start, self.start + taps - scale, 0)

    @property
    def symmetric(self) -> bool:
        return self.first == (self.scale - 1) / 2

    def batch(self, x: Tensor, draws: Randomness) -> Tensor:
        x, place = as_float(x), np.arange(self.taps) - (self.taps - 1) / 2
        weights = np.exp(-(place**2) / (2 * self.sigma**2))
        for dim in (2, 3):
            n, kept = x.shape[dim], x.shape[dim] // self.scale
            at = torch.arange(self.start, self.start + self.taps + (kept - 1) * self.scale, device=x.device)
            padded = x.index_select(dim, EDGES[self.border](at, n))
            last = (kept - 1) * self.scale + 1
            rows = [(slice(None),) * dim + (slice(k, k + last, self.scale),) for k in range(self.taps)]
            parts = (padded[row] * w for row, w in zip(rows, (weights / weights.sum()).tolist(), strict=True))
            x = functools.reduce(torch.add, parts)
        return x
