"""MDSR: one network for several scales."""

from collections.abc import Sequence

from torch import Tensor, nn

from sr.layers.residual import ResBlock
from sr.layers.shift import ShiftedConv, UnshiftedConv
from sr.layers.upsample import StagedUpsampler
from sr.models.base import SuperResolver
from sr.models.edsr import DIV2K_MEAN


class MDSR(SuperResolver):
    """EDSR's head, body and tail shared by all scales; each scale has its own entrance and upsampler.

    Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPRW 2017
    (https://arxiv.org/abs/1707.02921), section 3.3 and figure 5: two residual blocks with 5x5 convolutions per scale
    before the body, whose long skip starts after them. The tail is shared, as in the authors' code. Works in 0-255
    around DIV2K's mean colour, without residual scaling. torch's default initialisation, as the authors'.
    A training step updates the layers of its batch's scale only.

    Parameters (x2, x3 and x4 together): baseline (16 blocks, 64 channels) 3,227,203; full (80 blocks) 7,953,987.

    Args:
        scale: the enlargement factors, each 3 or a power of 2.
        num_blocks: B of the shared body.
        channels: F.
    """

    def __init__(self, scale: Sequence[int] = (2, 3, 4), num_blocks: int = 16, channels: int = 64) -> None:
        super().__init__(scale)
        self.head = ShiftedConv(DIV2K_MEAN, 255, channels)
        self.entrances = nn.ModuleDict(
            {f"x{s}": nn.Sequential(*(ResBlock(channels, kernel_size=5) for _ in range(2))) for s in self.scales}
        )
        self.body = nn.Sequential(
            *(ResBlock(channels) for _ in range(num_blocks)), nn.Conv2d(channels, channels, 3, padding=1)
        )
        self.upsamplers = nn.ModuleDict({f"x{s}": StagedUpsampler(channels, s) for s in self.scales})
        self.tail = UnshiftedConv(channels, DIV2K_MEAN, 255)

    def network(self, x: Tensor, scale: int) -> Tensor:
        features = self.entrances[f"x{scale}"](self.head(x))
        return self.tail(self.upsamplers[f"x{scale}"](features + self.body(features)))
