"""The residual block without batch norm, and chains of blocks."""

import copy
from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor, nn


class ResBlock(nn.Module):
    """``x + res_scale * conv(relu(conv(x)))``, no normalisation and nothing after the addition.

    Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPRW 2017
    (https://arxiv.org/abs/1707.02921), figure 2c and section 3.2. Convolutions have biases.
    Parameters: 2*(C*C*k*k + C).

    Args:
        channels: C.
        kernel_size: odd k; zero padding keeps the size.
        res_scale: factor of the residual branch.

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, kernel_size: int = 3, res_scale: float = 1.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.act = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.res_scale = res_scale

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv2(self.act(self.conv1(x)))
        return x + (residual if self.res_scale == 1 else residual * self.res_scale)

    @torch.no_grad()
    def merge(self) -> Self:
        """The same block with the factor in its second convolution, and 1 in its place."""
        merged = copy.deepcopy(self)
        for p in merged.conv2.parameters():
            p.mul_(self.res_scale)
        merged.res_scale = 1.0
        return merged


def all_outputs(blocks: Iterable[nn.Module], x: Tensor) -> Tensor:
    """What each of n blocks in a row makes of the one before it: (B, C, H, W) -> (B, n * C, H, W)."""
    outputs = []
    for block in blocks:
        x = block(x)
        outputs.append(x)
    return torch.cat(outputs, dim=1)
