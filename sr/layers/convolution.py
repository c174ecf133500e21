"""Plain convolutions that keep the size of an image, how they start where a paper says so, and a frame for others."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

Padding = Literal["zeros", "replicate"]
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


class Standardised(nn.Conv2d):
    """An `edge_padded` convolution of gain * (x - 0.45), for luma in [0, 1] or RGB: it learns in far fewer steps.

    It makes the same functions of x as a plain one, which `merge` returns: W' = gain W, b' = b - 0.45 gain sum(W). That
    is exact at the borders, too, as they are carried on; with zeros around the image it would not be.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: odd.
        gain: about one over the deviation that values have in a picture, 10 say.
    """

    centre = 0.45

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, gain: float) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, padding_mode="replicate")
        self.gain = gain

    def forward(self, input: Tensor) -> Tensor:  # as torch calls it
        return super().forward((input - self.centre) * self.gain)

    @torch.no_grad()
    def merge(self) -> nn.Conv2d:
        """The plain convolution of x that this one equals, on the same device and in the same dtype."""
        assert self.bias is not None
        (kernel_size, _), weight = self.kernel_size, self.gain * self.weight
        conv = edge_padded(self.in_channels, self.out_channels, kernel_size).to(weight)
        conv.load_state_dict({"weight": weight, "bias": self.bias - self.centre * weight.sum(dim=(1, 2, 3))})
        return conv


def first(in_channels: int, out_channels: int, kernel_size: int, gain: float | None) -> nn.Conv2d:
    """The first convolution of a network with carried-on borders: `Standardised`, or of x itself where gain is None."""
    if gain is None:
        return edge_padded(in_channels, out_channels, kernel_size)
    return Standardised(in_channels, out_channels, kernel_size, gain)


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
