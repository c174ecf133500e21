"""EFDN: edge-enhanced feature distillation network, the baseline of NTIRE 2025's efficient track."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from sr.layers.attention import ESA
from sr.layers.convolution import conv3x3
from sr.layers.reparam import EDBB
from sr.layers.upsample import PixelShuffleTail
from sr.models.base import SuperResolver


class EFDB(nn.Module):
    """Edge-enhanced feature distillation block.

    A 1x1 and two edge-enhanced 3x3, each with PReLU, one after the other; a 1x1 to half of the channels of the input
    and of each of their results; these four fused by a 1x1, ESA, and the input added.

    Args:
        channels: C, a multiple of 4.
        conv: makes each 3x3, ``conv(C, C)``.

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, conv: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        made = (nn.Conv2d(channels, channels, 1), conv(channels, channels), conv(channels, channels))
        self.refine = nn.ModuleList(nn.Sequential(layer, nn.PReLU(channels)) for layer in made)
        self.distill = nn.ModuleList(nn.Conv2d(channels, channels // 2, 1) for _ in range(4))
        self.fuse = nn.Conv2d(4 * (channels // 2), channels, 1)
        self.esa = ESA(channels, channels // 4)

    def forward(self, x: Tensor) -> Tensor:
        found = [x]
        for refine in self.refine:
            found.append(refine(found[-1]))
        halves = [distill(y) for distill, y in zip(self.distill, found, strict=True)]
        return self.esa(self.fuse(torch.cat(halves, 1))) + x


class EFDN(SuperResolver):
    """Head, four blocks of which two at a time are fused by a 1x1, a long skip, one sub-pixel step.

    Wang, "Edge-Enhanced Feature Distillation Network for Efficient Super-Resolution", CVPRW 2022
    (https://arxiv.org/abs/2204.08759), and the author's code (github icandle/EFDN, models/EFDN_deploy.py), whose fourth
    block is fused with the second's result. Works in 0-1. torch's default initialisation.

    Parameters of the merged form (48 channels) at x4: 276,192, with 16.69 G multiply-adds at 256x256; NTIRE 2025 lists
    0.276 M and 16.70 G.

    Args:
        scale: enlargement factor.
        channels: C, a multiple of 4.
        reparam: whether the 3x3 of the blocks are trained as `EDBB`; false: as the plain convolutions that these merge
            to.
    """

    min_patch: ClassVar[int] = 16
    min_size: ClassVar[int] = 15  # of ESA

    def __init__(self, scale: int, channels: int = 48, reparam: bool = True) -> None:
        super().__init__(scale)
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.ModuleList(EFDB(channels, EDBB if reparam else conv3x3) for _ in range(4))
        self.fuse = nn.ModuleList(nn.Conv2d(2 * channels, channels, 1) for _ in range(3))
        self.tail = PixelShuffleTail(channels, 3, scale)

    def network(self, x: Tensor, scale: int) -> Tensor:
        head = self.head(x)
        first = self.blocks[0](head)
        second = self.blocks[1](first)
        third = self.blocks[2](self.fuse[0](torch.cat([first, second], 1)))
        fourth = self.blocks[3](self.fuse[1](torch.cat([second, third], 1)))
        return self.tail(self.fuse[2](torch.cat([second, fourth], 1)) + head)
