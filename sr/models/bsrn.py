"""BSRN and BSRN-S: blueprint separable residual networks."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from sr.errors import UserError
from sr.layers.attention import CCA, ESA
from sr.layers.blueprint import BSConvU
from sr.layers.residual import all_outputs
from sr.layers.upsample import PixelShuffleTail
from sr.models.base import SuperResolver
from sr.models.rfdn import Distillation


class ESDB(Distillation):
    """Efficient separable distillation block of the paper: BSConv-U and GELU, then attention, added to the input.

    Args:
        channels: C.
        attention: applied to the fused features, (B, C, H, W) -> (B, C, H, W).
        pointwise_bias: of the BSConv-U.
    """

    def __init__(self, channels: int, attention: nn.Module, pointwise_bias: bool = False) -> None:
        super().__init__(channels, partial(BSConvU, pointwise_bias=pointwise_bias), nn.GELU())
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(super().forward(x)) + x


class ChannelScale(nn.Module):
    """A learned factor per channel, started at N(1, 0.2): what BSRN-S has in place of CCA's first half."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(1 + 0.2 * torch.randn(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class BSRN(SuperResolver):
    """Feature distillation network of RFDN's kind with blueprint separable convolutions.

    Li et al., "Blueprint Separable Residual Network for Efficient Image Super-Resolution", CVPRW 2022
    (https://arxiv.org/abs/2205.05996): the image, repeated four times over the channels, is lifted
    by a BSConv-U; the outputs of all blocks are fused by 1x1, GELU and BSConv-U, and added to the lifted
    features; one sub-pixel step follows. Attention is ESA (16 channels, BSConv-U inside, the strided one
    included, GELU), then CCA. Works in 0-1. torch's default initialisation, as the authors'.

    Parameters (8 blocks, 64 channels) at x2 / x3 / x4: 331,628 / 340,283 / 352,400.

    Args:
        scale: enlargement factor.
        num_blocks: number of ESDB.
        channels: C.
        esa_channels: f of ESA.
        reduction: of CCA.
        attention: at the end of each block, in this order: "esa" and "cca" in the paper; also one of them, none, or
            the other order.
    """

    min_patch: ClassVar[int] = 16
    min_size: ClassVar[int] = 15  # of ESA

    def __init__(
        self,
        scale: int,
        num_blocks: int = 8,
        channels: int = 64,
        esa_channels: int = 16,
        reduction: int = 16,
        attention: Sequence[str] = ("esa", "cca"),
    ) -> None:
        super().__init__(scale)
        down = partial(BSConvU, stride=2, padding=0)
        kinds: dict[str, Callable[[], nn.Module]] = {
            "esa": partial(ESA, channels, esa_channels, conv=BSConvU, down=down, activation=nn.GELU),
            "cca": partial(CCA, channels, reduction),
        }
        if not set(attention) <= set(kinds):
            raise UserError(f"model.attention={list(attention)}: BSRN's kinds of attention are {', '.join(kinds)}")

        def attend() -> nn.Module:
            return nn.Sequential(*(kinds[kind]() for kind in attention))

        self._build(num_blocks, channels, attend, pointwise_bias=False)

    def _build(self, num_blocks: int, channels: int, attention: Callable[[], nn.Module], pointwise_bias: bool) -> None:
        self.head = BSConvU(4 * 3, channels, pointwise_bias=pointwise_bias)
        self.blocks = nn.ModuleList(ESDB(channels, attention(), pointwise_bias) for _ in range(num_blocks))
        self.fuse = nn.Sequential(
            nn.Conv2d(num_blocks * channels, channels, 1),
            nn.GELU(),
            BSConvU(channels, channels, pointwise_bias=pointwise_bias),
        )
        self.tail = PixelShuffleTail(channels, 3, self.scale)

    def network(self, x: Tensor, scale: int) -> Tensor:
        head = self.head(torch.cat([x, x, x, x], dim=1))
        return self.tail(self.fuse(all_outputs(self.blocks, head)) + head)


class BSRNS(BSRN):
    """BSRN-S, the NTIRE 2022 entry that won the model-complexity track, as its authors released it.

    Same network as `BSRN`, another block: the pointwise part of every BSConv-U has a bias, ESA has channels/4 channels
    and a plain strided convolution, and a learned scale per channel and a 1x1 take CCA's place. The authors write each
    1x1 as a linear layer on channels-last tensors; here it is a 1x1 convolution, so a weight of theirs, (C', C), is
    ours, (C', C, 1, 1), and their scale, (1, C), is ours, (C, 1, 1).

    Parameters (5 blocks, 48 channels) at x4: 156,288.

    Args:
        scale: enlargement factor.
        num_blocks: number of blocks.
        channels: C.
        esa_channels: f of ESA.
    """

    def __init__(self, scale: int, num_blocks: int = 5, channels: int = 48, esa_channels: int = 12) -> None:
        SuperResolver.__init__(self, scale)
        conv = partial(BSConvU, pointwise_bias=True)

        def attention() -> nn.Module:
            return nn.Sequential(
                ESA(channels, esa_channels, conv=conv, activation=nn.GELU),
                ChannelScale(channels),
                nn.Conv2d(channels, channels, 1),
            )

        self._build(num_blocks, channels, attention, pointwise_bias=True)
