"""RFDN: residual feature distillation network."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from sr.errors import UserError
from sr.layers.attention import ESA
from sr.layers.blueprint import DECOMPOSITIONS
from sr.layers.convolution import conv3x3
from sr.models.base import SuperResolver
from sr.models.imdn import IMDN


class Distillation(nn.Module):
    """What RFDN's and BSRN's blocks have in common.

    Three stages each keep half of the channels (1x1, "distilled") and refine all of them (a 3x3 plus its input); a
    fourth 3x3 refines to half. The four halves are fused by a 1x1. An activation after every distillation and
    refinement.

    Args:
        channels: C.
        conv: makes each 3x3, ``conv(C, C')``.
        act: the activation.

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, conv: Callable[[int, int], nn.Module], act: nn.Module) -> None:
        super().__init__()
        half = channels // 2
        self.distill = nn.ModuleList(nn.Conv2d(channels, half, 1) for _ in range(3))
        self.refine = nn.ModuleList(conv(channels, channels) for _ in range(3))
        self.last = conv(channels, half)
        self.act = act
        self.fuse = nn.Conv2d(4 * half, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        halves = []
        for distill, refine in zip(self.distill, self.refine, strict=True):
            halves.append(self.act(distill(x)))
            x = self.act(refine(x) + x)
        halves.append(self.act(self.last(x)))
        return self.fuse(torch.cat(halves, dim=1))


class RFDB(Distillation):
    """Residual feature distillation block: LeakyReLU 0.05, then ESA; the released block adds no input at the end.

    Args:
        channels: C.
        esa_channels: f of ESA.
        esa_groups: convolutions of ESA after its pooling.
        conv: makes each 3x3 outside ESA, ``conv(C, C')``.
        dilation: of the second refinement, a plain convolution.
    """

    def __init__(
        self,
        channels: int,
        esa_channels: int,
        esa_groups: int,
        conv: Callable[[int, int], nn.Module] = conv3x3,
        dilation: int = 1,
    ) -> None:
        super().__init__(channels, conv, nn.LeakyReLU(0.05))
        if dilation != 1:
            self.refine[1] = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.esa = ESA(channels, esa_channels, esa_groups)

    def forward(self, x: Tensor) -> Tensor:
        return self.esa(super().forward(x))


class RFDN(IMDN):
    """IMDN's network with residual feature distillation blocks.

    Liu, Tang and Wu, "Residual Feature Distillation Network for Lightweight Image Super-Resolution", ECCVW 2020
    (https://arxiv.org/abs/2009.11551). Works in 0-255. torch's default initialisation, as the authors'.

    Two sizes are in use. The winner of AIM 2020, which the authors released (4 blocks, 50 channels, ESA with
    12 channels and three convolutions), has 417,212 / 423,977 / 433,448 parameters at x2 / x3 / x4. The paper's
    own was not released; 6 blocks of 48 channels, ESA with 6 channels and one convolution, has 534,756 /
    541,251 / 550,344, which are the counts of the paper's tables: this form is inferred from them.

    Args:
        scale: enlargement factor.
        num_blocks: number of RFDB.
        channels: C, even.
        esa_channels: f of ESA.
        esa_groups: convolutions of ESA after its pooling.
        conv: what the blocks have for 3x3 convolutions: plain, depthwise, bsconv_s or bsconv_u
            (`sr.layers.blueprint`); the comparison of BSRN (https://arxiv.org/abs/2205.05996), table 1.
        dilation: of the second refinement in each block: 2 in an entry to NTIRE 2022, with plain convolutions.
    """

    min_patch: ClassVar[int] = 16
    min_size: ClassVar[int] = 15  # of ESA

    def __init__(
        self,
        scale: int,
        num_blocks: int = 4,
        channels: int = 50,
        esa_channels: int = 12,
        esa_groups: int = 3,
        conv: str = "plain",
        dilation: int = 1,
    ) -> None:
        SuperResolver.__init__(self, scale)
        if conv not in DECOMPOSITIONS:
            raise UserError(f"model.conv={conv}: RFDN's convolutions are {', '.join(DECOMPOSITIONS)}")
        if dilation < 1:
            raise UserError(f"model.dilation={dilation}: a whole number from 1 is wanted")
        if dilation != 1 and conv != "plain":
            raise UserError(f"model.dilation={dilation}: only RFDN's plain convolutions are dilated, not {conv}")
        made = DECOMPOSITIONS[conv]
        self._build(channels, (RFDB(channels, esa_channels, esa_groups, made, dilation) for _ in range(num_blocks)))

    def network(self, x: Tensor, scale: int) -> Tensor:
        return super().network(x * 255, scale) / 255
