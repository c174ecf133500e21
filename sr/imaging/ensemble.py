"""Geometric self-ensemble, the "+" of EDSR+ and its successors."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch
from torch import Tensor

from sr.precision import widened


def self_ensemble(fn: Callable[[Tensor], Tensor], lr: Tensor) -> Tensor:
    """Mean of `fn` over the eight flips and quarter turns of its input, each turned back.

    The mean is taken over unrounded outputs. Only sensible where LR was made by a symmetric degradation:
    bicubic is one, the shifted or blurred tracks of NTIRE are not.

    Args:
        fn: maps (B, C, h, w) to (B, C', s*h, s*w) for any h and w.
        lr: images (B, C, h, w), not necessarily square.

    Returns:
        (B, C', s*h, s*w) in the type of the output of `fn`; half precision is summed in float32.

    Source: B. Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPRW 2017, section 3.4.
    """
    return averaged(fn(turned(lr)) for turned in VIEWS)


def averaged(outputs: Iterable[Tensor]) -> Tensor:
    """The mean of what was made of each of VIEWS, turned back."""
    for total, dtype in totals(outputs):
        summed, kind = total, dtype
    return (summed / 8).to(kind)


def totals(outputs: Iterable[Tensor]) -> Iterator[tuple[Tensor, torch.dtype]]:
    """After each of them the sum so far, half precision in float32, and the type that they have."""
    total: Tensor | None = None
    for (flip, turns), out in zip(TURNS, outputs, strict=True):
        out = torch.rot90(out, -turns, (-2, -1))
        upright = widened(out.flip(-1) if flip else out)
        total = upright if total is None else total + upright
        yield total, out.dtype


def _view(images: Tensor, flip: bool, turns: int) -> Tensor:
    return torch.rot90(images.flip(-1) if flip else images, turns, (-2, -1))


TURNS = [(flip, turns) for flip in (False, True) for turns in range(4)]
VIEWS = [partial(_view, flip=flip, turns=turns) for flip, turns in TURNS]  # the eight flips and quarter turns
