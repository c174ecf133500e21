"""A plain stack of 3x3 convolutions, and the same stack trained with re-parameterised blocks."""

from torch import Tensor, nn
from torch.nn import functional as F

from sr.layers.reparam import ECB
from sr.layers.reparam_norm import ACBlock, DiverseBranchBlock, RepVGGBlock
from sr.layers.upsample import repeat_pixels
from sr.models.base import SuperResolver


class PlainVGG(SuperResolver):
    """3x3 head, m blocks with a PReLU after each, 3x3 to s*s pixels, nearest-neighbour image as the skip.

    The base network of Wang, Dong and Shan, RepSR, ACM MM 2022 (https://arxiv.org/abs/2205.05671), figure 2(a): what
    every re-parameterised network of this file is once `merged()`. PReLU has one slope per channel. Works in 0-1.
    torch's default initialisation.

    Parameters at x2 / x3 / x4, merged: M4C16 on RGB 11,548 / 13,723 / 16,768, on Y 10,100 / 10,825 / 11,840.

    Args:
        scale: enlargement factor.
        colors: 3 for RGB, 1 for Y.
        num_blocks: m.
        channels: C.
    """

    def __init__(self, scale: int, colors: int = 3, num_blocks: int = 4, channels: int = 16) -> None:
        super().__init__(scale, colors)
        self.backbone = nn.Sequential(nn.Conv2d(colors, channels, 3, padding=1), nn.PReLU(channels))
        for _ in range(num_blocks):
            self.backbone.extend([self.make_block(channels), nn.PReLU(channels)])
        self.tail = nn.Conv2d(channels, colors * scale**2, 3, padding=1)

    def make_block(self, channels: int) -> nn.Module:
        """What stands between two activations: (B, C, H, W) -> (B, C, H, W), linear with fixed statistics."""
        return nn.Conv2d(channels, channels, 3, padding=1)

    def network(self, x: Tensor, scale: int) -> Tensor:
        return F.pixel_shuffle(self.tail(self.backbone(x)) + repeat_pixels(x, scale), scale)


class RepVGGNet(PlainVGG):
    """`PlainVGG` trained with RepVGG's blocks (https://arxiv.org/abs/2101.03697)."""

    def make_block(self, channels: int) -> nn.Module:
        return RepVGGBlock(channels, channels)


class ACNet(PlainVGG):
    """`PlainVGG` trained with ACNet's asymmetric blocks (https://arxiv.org/abs/1908.03930)."""

    def make_block(self, channels: int) -> nn.Module:
        return ACBlock(channels, channels)


class DBBNet(PlainVGG):
    """`PlainVGG` trained with diverse branch blocks (https://arxiv.org/abs/2103.13425)."""

    def make_block(self, channels: int) -> nn.Module:
        return DiverseBranchBlock(channels, channels)


class ECBNet(PlainVGG):
    """`PlainVGG` trained with ECBSR's edge-oriented blocks; `ECBSR` has them as head and tail too, and 0-255."""

    def make_block(self, channels: int) -> nn.Module:
        return ECB(channels, channels)
