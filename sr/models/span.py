"""SPAN, attention without parameters, and DISP: the baseline and an entry of NTIRE 2026's efficient track."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sr.layers.conv3xc import Conv3XC
from sr.layers.convolution import conv3x3
from sr.layers.upsample import PixelShuffleTail
from sr.models.base import SuperResolver
from sr.models.edsr import DIV2K_MEAN


class SPAB(nn.Module):
    """Swift parameter-free attention block: three 3x3 with SiLU between, and a gate that is their own result.

    With o the third convolution's result, ``(o + x) * (sigmoid(o) - 0.5)``.

    Args:
        channels: C.
        conv: makes each 3x3, ``conv(C, C)``.

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, conv: Callable[[int, int], nn.Module] = Conv3XC) -> None:
        super().__init__()
        self.refine = nn.ModuleList(conv(channels, channels) for _ in range(3))
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Its result, and what the first convolution and its activation made."""
        first, second, third = self.refine
        inner = self.act(first(x))
        o = third(self.act(second(inner)))
        return (o + x) * (torch.sigmoid(o) - 0.5), inner


class SPAN(SuperResolver):
    """Head, attention blocks, four stages of the features fused by a 1x1, one sub-pixel step.

    Wan et al., "Swift Parameter-free Attention Network for Efficient Super-Resolution", CVPRW 2024
    (https://arxiv.org/abs/2311.12770), figure 2 and the authors' code: fused are the head's result, a 3x3 of the last
    block's, the first block's, and the last block's first inner tensor. That code's SiLU changes its input in place, so
    this last one is the activated tensor (with the other one the authors' weights give 16 dB). Sees (x - DIV2K's mean
    colour) * 255 and answers in 0-1. torch's default initialisation.

    Parameters of the merged form at x2 / x4: 52 channels 481,324 / 498,208, 48 channels 410,700 / 426,288; the
    baseline of NTIRE 2026 (28 channels) 150,688 at x4.

    Args:
        scale: enlargement factor.
        num_blocks: number of SPAB.
        channels: C.
        reparam: whether its 3x3 are trained as `Conv3XC`; false: as the plain convolutions that these merge to, which
            is all that the authors' NTIRE files hold.
    """

    mean: Tensor

    def __init__(self, scale: int, num_blocks: int = 6, channels: int = 52, reparam: bool = True) -> None:
        super().__init__(scale)
        conv = Conv3XC if reparam else conv3x3
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN), persistent=False)
        self.head = conv(3, channels)
        self.blocks = nn.ModuleList(SPAB(channels, conv) for _ in range(num_blocks))
        self.smooth = conv(channels, channels)
        self.fuse = nn.Conv2d(4 * channels, channels, 1)
        self.tail = PixelShuffleTail(channels, 3, self.scale)

    def network(self, x: Tensor, scale: int) -> Tensor:
        head = self.head((x - self.mean[:, None, None]) * 255)
        outputs, y = [], head
        for block in self.blocks:
            y, inner = block(y)
            outputs.append(y)
        return self.tail(self.fuse(torch.cat([head, self.smooth(y), outputs[0], inner], dim=1)))


class DISPBlock(nn.Module):
    """Four 3x3 with SiLU after each, plus the input.

    Args:
        channels: C.
        conv: makes each 3x3, ``conv(C, C)``.

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, conv: Callable[[int, int], nn.Module] = Conv3XC) -> None:
        super().__init__()
        self.refine = nn.Sequential()
        for _ in range(4):
            self.refine.extend([conv(channels, channels), nn.SiLU()])

    def forward(self, x: Tensor) -> Tensor:
        return self.refine(x) + x


class DISP(SuperResolver):
    """Head, plain blocks, a 1x1 with a long skip, one sub-pixel step.

    The entry of team 18 to NTIRE 2026's challenge on efficient super-resolution, as its released code has it
    (https://github.com/Amazingren/NTIRE2026_ESR). Works in 0-1. The released file holds merged convolutions under the
    names of SPAN's code; that they are trained as SPAN's is inferred from these. torch's default initialisation.

    Parameters of the merged form (4 blocks, 32 channels) at x4: 163,792.

    Args:
        scale: enlargement factor.
        num_blocks: number of blocks.
        channels: C.
        reparam: as in `SPAN`.
    """

    def __init__(self, scale: int, num_blocks: int = 4, channels: int = 32, reparam: bool = True) -> None:
        super().__init__(scale)
        conv = Conv3XC if reparam else conv3x3
        self.head = conv(3, channels)
        self.blocks = nn.Sequential(*(DISPBlock(channels, conv) for _ in range(num_blocks)))
        self.smooth = nn.Conv2d(channels, channels, 1)
        self.tail = PixelShuffleTail(channels, 3, self.scale)

    def network(self, x: Tensor, scale: int) -> Tensor:
        head = self.head(x)
        return self.tail(self.smooth(self.blocks(head)) + head)
