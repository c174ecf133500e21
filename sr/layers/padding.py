"""A frame of one colour around an image."""

from __future__ import annotations

import torch
from torch import Tensor


def framed(x: Tensor, color: Tensor) -> Tensor:
    """One pixel of `color`, (C,), on each side of `x`: (B, C, H, W) -> (B, C, H + 2, W + 2)."""
    batch, channels, _, width = x.shape
    color = color.to(x.dtype)[:, None, None]
    row = color.expand(batch, channels, 1, width)
    x = torch.cat([row, x, row], dim=2)
    column = color.expand(batch, channels, x.shape[2], 1)
    return torch.cat([column, x, column], dim=3)
