"""ESPCN: the network that introduced sub-pixel convolution."""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from torch import Tensor, nn

from sr.errors import UserError
from sr.layers.convolution import Padding, Standardised
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
        padding_mode: torch's: `zeros` around the image, or `replicate`, its border carried on.
        gain: where set, the first layer sees gain * (x - 0.45), which it is without once merged. It wants `replicate`,
            under which the two are the same at the borders.
    """

    protocols: ClassVar[tuple[str, ...]] = ("y_classic", "y")

    def __init__(
        self,
        scale: int,
        colors: int = 1,
        channels: Sequence[int] = (64, 32),
        padding_mode: Padding = "zeros",
        gain: float | None = None,
    ) -> None:
        super().__init__(scale, colors)
        if gain is not None and padding_mode != "replicate":
            raise UserError(f"gain={gain} is the paper's network only with carried-on borders: padding_mode=replicate")
        n1, n2 = channels
        conv = partial(nn.Conv2d, padding_mode=padding_mode)
        head = conv(colors, n1, 5, padding=2) if gain is None else Standardised(colors, n1, 5, gain)
        self.features = nn.Sequential(head, nn.Tanh(), conv(n1, n2, 3, padding=1), nn.Tanh())
        self.tail = PixelShuffleTail(n2, colors, scale, padding_mode)

    def network(self, x: Tensor, scale: int) -> Tensor:
        return self.tail(self.features(x))
