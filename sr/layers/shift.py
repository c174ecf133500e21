"""First and last convolution of a network that works around a mean colour and in its own range.

Lim et al., EDSR, CVPRW 2017 (https://arxiv.org/abs/1707.02921): the images are in 0-255 and the mean colour of the
training set is taken off before the first layer and put back after the last.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sr.layers.convolution import framed


class ShiftedConv(nn.Conv2d):
    """3x3 convolution of ``(x - mean) * value_range``, zero padding.

    Args:
        mean: colour that the network works around, in 0-1, one value per input channel.
        value_range: of the network, for an image in 0-1.
        out_channels: C'.

    Shapes: (B, C, H, W) in 0-1 -> (B, C', H, W).
    """

    mean: Tensor

    def __init__(self, mean: Sequence[float], value_range: float, out_channels: int) -> None:
        super().__init__(len(mean), out_channels, 3, padding=1)
        self.value_range = value_range
        self.register_buffer("mean", torch.tensor(mean), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x - self.mean[:, None, None]) * self.value_range)

    @torch.no_grad()
    def merge(self) -> ColorPaddedConv:
        """The same convolution on x itself: the shift goes into the bias, and the border has the mean colour."""
        assert self.bias is not None
        weight = self.weight * self.value_range
        merged = ColorPaddedConv(self.mean, self.out_channels).to(weight)
        bias = self.bias - (weight * self.mean[:, None, None]).sum(dim=(1, 2, 3))
        merged.load_state_dict({"weight": weight, "bias": bias})
        return merged


class ColorPaddedConv(nn.Conv2d):
    """3x3 convolution that sees one colour outside the image.

    Args:
        color: (C,).
        out_channels: C'.

    Shapes: (B, C, H, W) -> (B, C', H, W).
    """

    color: Tensor

    def __init__(self, color: Tensor, out_channels: int) -> None:
        super().__init__(len(color), out_channels, 3)
        self.register_buffer("color", color.clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(framed(x, self.color))


class UnshiftedConv(nn.Conv2d):
    """3x3 convolution whose result is divided by `value_range`, plus `mean`: undoes `ShiftedConv`.

    Args:
        in_channels: C.
        mean: as `ShiftedConv`, one value per output channel.
        value_range: as `ShiftedConv`.

    Shapes: (B, C, H, W) -> (B, C', H, W) in about 0-1.
    """

    mean: Tensor

    def __init__(self, in_channels: int, mean: Sequence[float], value_range: float) -> None:
        super().__init__(in_channels, len(mean), 3, padding=1)
        self.value_range = value_range
        self.register_buffer("mean", torch.tensor(mean), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / self.value_range + self.mean[:, None, None]

    @torch.no_grad()
    def merge(self) -> nn.Conv2d:
        """The plain convolution that this equals."""
        assert self.bias is not None
        merged = nn.Conv2d(self.in_channels, self.out_channels, 3, padding=1).to(self.weight)
        bias = self.bias / self.value_range + self.mean
        merged.load_state_dict({"weight": self.weight / self.value_range, "bias": bias})
        return merged
