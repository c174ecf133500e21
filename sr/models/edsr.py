"""EDSR: deep residual network without batch norm."""

from torch import Tensor, nn

from sr.layers.residual import ResBlock
from sr.layers.shift import ShiftedConv, UnshiftedConv
from sr.layers.upsample import StagedUpsampler
from sr.models.base import SuperResolver

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)  # of R, G, B over DIV2K's training images


class EDSR(SuperResolver):
    """Head, residual body with a long skip, staged sub-pixel upsampler, tail.

    Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPRW 2017
    (https://arxiv.org/abs/1707.02921), figure 3 and table 1. Works in 0-255 around DIV2K's mean colour.
    torch's default initialisation, as the authors'. In the `merged()` form range, mean colour and `res_scale` are
    part of the convolutions.

    Parameters at x2 / x3 / x4: baseline (16 blocks, 64 channels) 1,369,859 / 1,554,499 / 1,517,571;
    full (32 blocks, 256 channels) 40,729,603 / 43,680,003 / 43,089,923.

    Args:
        scale: enlargement factor: 3 or a power of 2.
        num_blocks: B.
        channels: F.
        res_scale: factor of each block's residual; 1 for the baseline, 0.1 for the full model.
    """

    def __init__(self, scale: int, num_blocks: int = 16, channels: int = 64, res_scale: float = 1.0) -> None:
        super().__init__(scale)
        self.head = ShiftedConv(DIV2K_MEAN, 255, channels)
        self.body = nn.Sequential(
            *(ResBlock(channels, res_scale=res_scale) for _ in range(num_blocks)),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.upsampler = StagedUpsampler(channels, scale)
        self.tail = UnshiftedConv(channels, DIV2K_MEAN, 255)

    def network(self, x: Tensor, scale: int) -> Tensor:
        head = self.head(x)
        return self.tail(self.upsampler(head + self.body(head)))
