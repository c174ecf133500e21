"""RRDBNet, the generator of ESRGAN: residual in residual dense blocks."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.layers.convolution import conv3x3, initialised
from sr.models.base import SuperResolver

RESIDUAL = 0.2  # factor of what each block, and each three of them, adds


class DenseBlock(nn.Module):
    """Five 3x3, of which each sees the input and what all before it made; LeakyReLU 0.2 after all but the last.

    Args:
        channels: C.
        growth: what each of the first four adds.

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        widths = [growth] * 4 + [channels]
        self.convs = nn.ModuleList(conv3x3(channels + n * growth, width) for n, width in enumerate(widths))
        self.act = nn.LeakyReLU(0.2)
        for conv in self.convs:
            assert isinstance(conv, nn.Conv2d)
            initialised(conv, nn.init.kaiming_normal_).weight.data.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        *first, last = self.convs
        for conv in first:
            seen.append(self.act(conv(torch.cat(seen, dim=1))))
        return x + RESIDUAL * last(torch.cat(seen, dim=1))


class RRDB(nn.Module):
    """Three dense blocks in a row, their result times 0.2 plus the input."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(channels, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        return x + RESIDUAL * self.blocks(x)


class RRDBNet(SuperResolver):
    """Head, dense blocks with a long skip, two nearest-neighbour enlargements with a 3x3 after each, two more 3x3.

    Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", ECCVW 2018
    (https://arxiv.org/abs/1809.00219), figures 3 and 4, in the form of BasicSR. It enlarges four times; at x2 it sees
    the image unshuffled, 2x2 pixels as channels (Wang et al., Real-ESRGAN, ICCVW 2021,
    https://arxiv.org/abs/2107.10833). Works in 0-1. The blocks' weights start as a tenth of He's, their biases as 0,
    the others as torch's default, as BasicSR's.

    Parameters (23 blocks, 64 channels, growth 32) at x2 / x4: 16,703,171 / 16,697,987.

    Args:
        scale: enlargement factor, 2 or 4.
        num_blocks: number of RRDB.
        channels: C.
        growth: of the dense blocks.
    """

    supported_scales: ClassVar[tuple[int, ...]] = (2, 4)

    def __init__(self, scale: int, num_blocks: int = 23, channels: int = 64, growth: int = 32) -> None:
        super().__init__(scale)
        self.folded = 4 // scale  # pixels a side that it sees as one
        self.head = conv3x3(3 * self.folded**2, channels)
        self.body = nn.Sequential(*(RRDB(channels, growth) for _ in range(num_blocks)), conv3x3(channels, channels))
        self.enlarge = nn.ModuleList(conv3x3(channels, channels) for _ in range(2))
        self.tail = nn.Sequential(conv3x3(channels, channels), nn.LeakyReLU(0.2), conv3x3(channels, 3))
        self.act = nn.LeakyReLU(0.2)

    def network(self, x: Tensor, scale: int) -> Tensor:
        h, w = x.shape[-2:]
        if self.folded > 1:
            rows, columns = ((n + self.folded - 1) // self.folded * self.folded for n in (h, w))
            x = F.pixel_unshuffle(F.pad(x, (0, columns - w, 0, rows - h), mode="replicate"), self.folded)
        head = self.head(x)
        y = head + self.body(head)
        for conv in self.enlarge:
            y = self.act(conv(F.interpolate(y, scale_factor=2, mode="nearest")))
        return self.tail(y)[..., : scale * h, : scale * w]
