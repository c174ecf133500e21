"""Plain convolutions that keep the size of an image, how they start where a paper says so, and a frame for others."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Conv = TypeVar("Conv", nn.Conv2d, nn.ConvTranspose2d)


def conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    """With bias, zeros around the image."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


def zero_padded(in_channels: int, out_channels: int, kernel_size: int) -> nn.Conv2d:
    """Of odd size, with zeros outside the image."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)


def edge_padded(in_channels: int, out_channels: int, kernel_size: int) -> nn.Conv2d:
    """Of odd size, with the pixels of the border carried on outside the image."""
    return nn.Conv2d(
        in_channels, out_channels, kernel_size, padding=kernel_size // 2,
        padding_mode="replicate" if kernel_size > 1 else "zeros",  # spares a 1x1 a copy of its input
    )  # fmt: skip


def initialised(conv: Conv, fill: Callable[[Tensor], Any]) -> Conv:
    """The same convolution with its weight filled in place by `fill` (one of `torch.nn.init`), and biases of 0."""
    fill(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def framed(x: Tensor, color: Tensor) -> Tensor:
    """One pixel of `color`, (C,), on each side of `x`: (B, C, H, W) -> (B, C, H + 2, W + 2)."""
    batch, channels, _, width = x.shape
    color = color.to(x.dtype)[:, None, None]
    row = color.expand(batch, channels, 1, width)
    x = torch.cat([row, x, row], dim=2)
    column = color.expand(batch, channels, x.shape[2], 1)
    return torch.cat([column, x, column], dim=3)
