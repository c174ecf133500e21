"""Sub-pixel upsamplers.

Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional
Neural Network", CVPR 2016 (https://arxiv.org/abs/1609.05158), equation 4.
"""

from collections.abc import Callable

from torch import Tensor, nn

from sr.errors import UserError
from sr.layers.convolution import Padding


class PixelShuffleTail(nn.Sequential):
    """One 3x3 convolution to out*s*s channels, then pixel shuffle: the tail of the lightweight networks.

    Args:
        in_channels: C.
        out_channels: of the enlarged result.
        scale: s.
        padding_mode: torch's, of the convolution.

    Shapes: (B, C, H, W) -> (B, out, s*H, s*W).
    """

    def __init__(self, in_channels: int, out_channels: int, scale: int, padding_mode: Padding = "zeros") -> None:
        conv = nn.Conv2d(in_channels, out_channels * scale**2, 3, padding=1, padding_mode=padding_mode)
        super().__init__(conv, nn.PixelShuffle(scale))


class StagedUpsampler(nn.Sequential):
    """3x3 convolution and pixel shuffle per stage: one stage for x3, log2(s) for x2, x4, x8.

    EDSR, figure 3, without activation; with one after each stage SRResNet's.
    Shapes: (B, C, H, W) -> (B, C, s*H, s*W).

    Raises:
        UserError: the scale is neither 3 nor a power of 2.
    """

    def __init__(self, channels: int, scale: int, activation: Callable[[], nn.Module] | None = None) -> None:
        super().__init__()
        for factor in stages(scale):
            self.append(PixelShuffleTail(channels, channels, factor))
            if activation is not None:
                self.append(activation())


def stages(scale: int) -> list[int]:
    """The factors, one per stage, whose product is `scale`: 3 -> [3], 2 -> [2], 8 -> [2, 2, 2]."""
    if scale == 3:
        return [3]
    if scale >= 2 and scale & (scale - 1) == 0:
        return [2] * (scale.bit_length() - 1)
    raise UserError(f"no upsampler for scale {scale}: it must be 3 or a power of 2. Type for example scale=4")


def repeat_pixels(x: Tensor, scale: int) -> Tensor:
    """(B, C, H, W) -> (B, C*s*s, H, W): what pixel shuffle turns into `x` enlarged by nearest neighbour."""
    return x.unsqueeze(2).expand(-1, -1, scale * scale, -1, -1).flatten(1, 2)
