"""ESPCN: the network that introduced sub-pixel convolution."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from sr.layers.upsample import PixelShuffleTail
from sr.models.base import SuperResolver


class ESPCN(SuperResolver):
    """5x5, 3x3, 3x3 on the low-resolution luma, then pixel shuffle.

    Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural
    Network", CVPR 2016 (https://arxiv.org/abs/1609.05158), equations 1-4 and section 3.2: tanh after the first two
    convolutions, none on the output. Works in 0-1. torch's default initialisation.

    Parameters on Y at x2 / x3 / x4: 21,284 / 22,729 / 24,752.

    Args:
        scale: enlargement factor.
        colors: 1 for Y as in the paper's tables, 3 for RGB.
        channels: widths n1, n2 of the two hidden layers.
    """

    protocols: ClassVar[tuple[str, ...]] = ("y_classic", "y")

    def __init__(self, scale: int, colors: int = 1, channels: Sequence[int] = (64, 32)) -> None:
        super().__init__(scale, colors)
        n1, n2 = channels
        self.features = nn.Sequential(
            nn.Conv2d(colors, n1, 5, padding=2), nn.Tanh(), nn.Conv2d(n1, n2, 3, padding=1), nn.Tanh()
        )
        self.tail = PixelShuffleTail(n2, colors, scale)

    def network(self, x: Tensor, scale: int) -> Tensor:
        return self.tail(self.features(x))
