"""A picture in any depth through a network and back.

In tiles it comes strip by strip, so that the network's floats of the whole result are held only where `outscale`
reduces them. Bicubic's, of a deep picture's alpha and of what lies beside a result, are held whole.
"""

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sr.deploy.alpha import filled
from sr.deploy.tiles import enlarge, strips
from sr.errors import UserError
from sr.imaging.photo import Photo, in_depth
from sr.imaging.resize import imresize
from sr.models.base import SuperResolver
from sr.precision import full_precision

log = logging.getLogger(__name__)
DIM = 1 / 8  # of white: what is seen of a picture lies above it


@dataclass(frozen=True)
class How:
    """How pictures are enlarged.

    Attributes:
        scale: the network's own factor.
        outscale: to which its result is reduced, as MATLAB does; None for `scale`.
        ensemble: the mean over the eight flips and quarter turns.
        tile: side of the tiles in LR pixels; None for the whole picture where it fits in memory.
        scratch: a folder for the features of pictures whose features do not fit in memory.
        half: keep these in half precision.
    """

    scale: int
    outscale: float | None = None
    ensemble: bool = False
    tile: int | None = None
    scratch: Path | None = None
    half: bool = False

    @property
    def factor(self) -> float:
        """Of the result."""
        return self.outscale or self.scale

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Of the result, as `reduced` makes it."""
        high, wide = (math.ceil(side * self.scale * (self.factor / self.scale) - 1e-9) for side in (height, width))
        return high, wide

    def reduced(self, sr: Tensor) -> Tensor:
        """The network's result at the factor that is wanted."""
        return sr if self.factor == self.scale else imresize(sr, self.factor / self.scale)


class Made(NamedTuple):
    """A result, and whether it was made tile by tile."""

    photo: Photo
    tiled: bool


def enlarged(
    model: SuperResolver,
    photo: Photo,
    how: How,
    device: torch.device,
    depth: np.dtype[Any] | None = None,
    seen: Callable[[float], object] | None = None,
) -> Made:
    """A picture enlarged.

    Alpha is enlarged by bicubic, which leaves what is opaque opaque: networks are trained on photos and ring along the
    hard edges of masks.

    Args:
        model: merged, in eval mode.
        photo: of any depth.
        how: see `How`.
        device: where the network runs.
        depth: the type of the result's values; None for that of `photo`.
        seen: called now and then with the share of the result that has come since.

    Raises:
        UserError: the network gives values that are no numbers, or what it computes fits nowhere.
    """
    depth, white, channels = depth or photo.colour.dtype, photo.white, photo.colour.shape[2]
    lr = _unit(filled(photo), white).expand(-1, 3, -1, -1)
    _tell_dim(photo)
    colour = np.empty((0, 0, channels), depth)
    walked: list[bool] = []
    with torch.inference_mode(), full_precision(device):
        for top, rows, height in _rows(model, lr, how, device, walked.append):
            refuse_diverged(rows)
            if top == 0:
                colour = np.empty((height, rows.shape[2], channels), depth)
            values = (rows if channels == 3 else rows.mean(0, keepdim=True)).movedim(0, -1).numpy()
            colour[top : top + rows.shape[1]] = in_depth(values, depth, white)
            if seen is not None:
                seen(rows.shape[1] / height)
    size = colour.shape[0], colour.shape[1]
    alpha = None if photo.alpha is None else bicubic(photo.alpha[..., None], photo.opaque, size, depth)[..., 0]
    return Made(replace(photo, colour=colour, alpha=alpha), walked[0])


def _tell_dim(photo: Photo) -> None:
    """Warn of floats below a bright highlight, and of 10 or 12 bits in a file of 16."""
    step = max(1, math.isqrt(photo.colour.size // 100_000))
    most = float(np.percentile(photo.colour[::step, ::step], 95)) / photo.white
    if photo.colour.dtype != np.uint8 and 0 < most < DIM:
        log.warning(
            f"warning: of 100 values of the picture 95 are below {most:.2%} of its white, {photo.white:g}: the network "
            "sees it as nearly black, and what it draws there may be far off. Scale the values so that 1 (of 16 bits "
            "65535) is white, and clip what is brighter"
        )


def _rows(
    model: SuperResolver, lr: Tensor, how: How, device: torch.device, walked: Callable[[bool], object]
) -> Iterator[tuple[int, Tensor, int]]:
    """Number of the first row, rows (3, h, W) and height of the whole, from the top."""
    given: dict[str, Any] = {"tile": how.tile, "scratch": how.scratch, "device": device, "self_ensemble": how.ensemble}
    given |= {"half": how.half, "walked": walked, "memory": None}
    if how.factor == how.scale:
        for top, rows in strips(model, lr, how.scale, **given):
            yield top, rows, lr.shape[-2] * how.scale
    else:
        sr = how.reduced(enlarge(model, lr, how.scale, **given))
        yield 0, sr[0], sr.shape[-2]


def refuse_diverged(values: Tensor) -> None:
    """Raises a UserError where some of a network's values are no numbers."""
    if not bool(torch.isfinite(values).all()):
        raise UserError("the network gives values that are no numbers: its weights have diverged")


def beside_bicubic(photo: Photo, large: Photo) -> Photo:
    """Bicubic to the left, its result to the right."""
    left = bicubic(filled(photo), photo.white, large.colour.shape[:2], large.colour.dtype)
    alpha = None if large.alpha is None else np.concatenate([large.alpha, large.alpha], 1)
    return replace(large, colour=np.concatenate([left, large.colour], 1), alpha=alpha)


def bicubic(values: np.ndarray, white: float, size: tuple[int, ...], depth: np.dtype[Any]) -> np.ndarray:
    """(H, W, C) of any type as MATLAB's bicubic makes it of a size, in a type."""
    if values.dtype == depth == np.uint8:
        planes = torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))
        return imresize(planes, size=(size[0], size[1])).movedim(0, -1).numpy()
    large = imresize(_unit(values, white), size=(size[0], size[1]))
    return in_depth(large[0].movedim(0, -1).numpy(), depth, white)


def _unit(values: np.ndarray, white: float) -> Tensor:
    """(H, W, C) of any type -> (1, C, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(values.astype(np.float32).transpose(2, 0, 1))).div_(white)[None]
