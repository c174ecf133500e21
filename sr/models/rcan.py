"""RCAN: residual channel attention network."""

from torch import Tensor, nn

from sr.layers.attention import ChannelAttention
from sr.layers.convolution import conv3x3
from sr.layers.shift import ShiftedConv, UnshiftedConv
from sr.layers.upsample import StagedUpsampler
from sr.models.base import SuperResolver
from sr.models.edsr import DIV2K_MEAN


class RCAB(nn.Module):
    """Residual channel attention block: 3x3, ReLU, 3x3, channel attention, plus the input.

    Args:
        channels: C.
        reduction: of the attention.

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv3x3(channels, channels),
            nn.ReLU(),
            conv3x3(channels, channels),
            ChannelAttention(channels, reduction),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResidualGroup(nn.Module):
    """Blocks in a row and a 3x3, plus the input."""

    def __init__(self, channels: int, depth: int, reduction: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*(RCAB(channels, reduction) for _ in range(depth)), conv3x3(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class RCAN(SuperResolver):
    """EDSR's network around groups of blocks with channel attention, each group with a skip of its own.

    Zhang et al., "Image Super-Resolution Using Very Deep Residual Channel Attention Networks", ECCV 2018
    (https://arxiv.org/abs/1807.02758), figures 2 and 4. Works in 0-255 around DIV2K's mean colour, as the authors'
    code, which is built on EDSR's. torch's default initialisation.

    Parameters (10 groups of 20 blocks, 64 channels) at x2 / x3 / x4: 15,444,643 / 15,629,283 / 15,592,355.

    Args:
        scale: enlargement factor: 3 or a power of 2.
        num_blocks: number of groups.
        depth: blocks in each.
        channels: C.
        reduction: of the attention.
    """

    def __init__(
        self, scale: int, num_blocks: int = 10, depth: int = 20, channels: int = 64, reduction: int = 16
    ) -> None:
        super().__init__(scale)
        self.head = ShiftedConv(DIV2K_MEAN, 255, channels)
        self.body = nn.Sequential(
            *(ResidualGroup(channels, depth, reduction) for _ in range(num_blocks)), conv3x3(channels, channels)
        )
        self.upsampler = StagedUpsampler(channels, scale)
        self.tail = UnshiftedConv(channels, DIV2K_MEAN, 255)

    def network(self, x: Tensor, scale: int) -> Tensor:
        head = self.head(x)
        return self.tail(self.upsampler(head + self.body(head)))
