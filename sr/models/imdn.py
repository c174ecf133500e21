"""IMDN: information multi-distillation network."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from sr.layers.attention import CCA
from sr.layers.residual import all_outputs
from sr.layers.upsample import PixelShuffleTail
from sr.models.base import SuperResolver


class IMDB(nn.Module):
    """Information multi-distillation block.

    Three 3x3 convolutions with LeakyReLU 0.05, after each of which a quarter of the channels is kept and the
    rest goes on; a fourth 3x3, without activation, makes the last quarter. The four quarters pass through CCA,
    then a 1x1, and the input is added.

    Args:
        channels: C, a multiple of 4.
        reduction: of CCA; None for none.

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, reduction: int | None) -> None:
        super().__init__()
        quarter = channels // 4
        self.sizes = [quarter, channels - quarter]
        self.refine = nn.ModuleList(
            nn.Conv2d(inputs, channels, 3, padding=1) for inputs in (channels, self.sizes[1], self.sizes[1])
        )
        self.last = nn.Conv2d(self.sizes[1], quarter, 3, padding=1)
        self.act = nn.LeakyReLU(0.05)
        self.cca = nn.Identity() if reduction is None else CCA(channels, reduction)
        self.fuse = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        quarters, y = [], x
        for refine in self.refine:
            quarter, y = self.act(refine(y)).split(self.sizes, dim=1)
            quarters.append(quarter)
        quarters.append(self.last(y))
        return self.fuse(self.cca(torch.cat(quarters, dim=1))) + x


class IMDN(SuperResolver):
    """Head, blocks whose outputs are all fused, smoothing convolution with a long skip, one sub-pixel step.

    Hui et al., "Lightweight Image Super-Resolution with Information Multi-distillation Network", ACM MM 2019
    (https://arxiv.org/abs/1909.11856). Works in 0-1. torch's default initialisation, as the authors'.

    Parameters (6 blocks, 64 channels) at x2 / x3 / x4: 694,404 / 703,059 / 715,176.

    Args:
        scale: enlargement factor.
        num_blocks: number of IMDB.
        channels: C, a multiple of 4.
        reduction: of CCA.
    """

    def __init__(self, scale: int, num_blocks: int = 6, channels: int = 64, reduction: int = 16) -> None:
        super().__init__(scale)
        self._build(channels, (IMDB(channels, reduction) for _ in range(num_blocks)))

    def _build(self, channels: int, blocks: Iterable[nn.Module]) -> None:
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.ModuleList(blocks)
        self.fuse = nn.Sequential(nn.Conv2d(len(self.blocks) * channels, channels, 1), nn.LeakyReLU(0.05))
        self.smooth = nn.Conv2d(channels, channels, 3, padding=1)
        self.tail = PixelShuffleTail(channels, 3, self.scale)

    def network(self, x: Tensor, scale: int) -> Tensor:
        head = self.head(x)
        return self.tail(self.smooth(self.fuse(all_outputs(self.blocks, head))) + head)


class IMDNReference(IMDN):
    """IMDN as the reference of NTIRE 2022's efficient super-resolution: blocks in a row, without CCA and fusion.

    The form in which it won AIM 2019, in the code of github cszn/KAIR that the challenge took over
    (https://arxiv.org/abs/2205.05675, section 2). Works in 0-1.

    Parameters (8 blocks, 64 channels) at x4: 893,936.

    Args:
        scale: enlargement factor.
        num_blocks: number of IMDB.
        channels: C, a multiple of 4.
    """

    def __init__(self, scale: int, num_blocks: int = 8, channels: int = 64) -> None:
        SuperResolver.__init__(self, scale)
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.ModuleList(IMDB(channels, None) for _ in range(num_blocks))
        self.smooth = nn.Conv2d(channels, channels, 3, padding=1)
        self.tail = PixelShuffleTail(channels, 3, scale)

    def network(self, x: Tensor, scale: int) -> Tensor:
        y = head = self.head(x)
        for block in self.blocks:
            y = block(y)
        return self.tail(self.smooth(y) + head)
