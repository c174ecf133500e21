"""Blueprint separable convolutions, and the depthwise separable one that they turn round.

Haase and Amthor, "Rethinking Depthwise Separable Convolutions: How Intra-Kernel Correlations Lead to Improved
MobileNets", CVPR 2020 (https://arxiv.org/abs/2003.13549).
"""

import math
from collections.abc import Callable, Mapping

from torch import nn

from sr.layers.convolution import conv3x3


class BSConvU(nn.Sequential):
    """Unconstrained blueprint separable convolution: 1x1 across channels, then 3x3 within each channel.

    The reverse order of a depthwise separable convolution: every output channel has one spatial blueprint,
    weighted over the input channels. Parameters: in*out + 10*out, plus out with a pointwise bias.

    Args:
        in_channels: C.
        out_channels: C'.
        stride: of the 3x3.
        padding: zeros around the input of the 3x3; 1 keeps the size at stride 1.
        pointwise_bias: whether the 1x1 has a bias (BSRN: no; the released BSRN-S: yes). It does not commute
            with the zero padding that follows, so it is not the same as a larger depthwise bias.

    Shapes: (B, C, H, W) -> (B, C', H', W').
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, padding: int = 1, pointwise_bias: bool = False
    ) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=pointwise_bias)
        self.depthwise = nn.Conv2d(out_channels, out_channels, 3, stride, padding, groups=out_channels)


class BSConvS(nn.Sequential):
    """Subspace blueprint separable convolution: the 1x1 of `BSConvU` through a bottleneck.

    The paper's equation 10 without its regulariser, a loss that holds the rows of the first 1x1 orthonormal. The
    bottleneck has a quarter of in_channels, rounded up, 4 at least, in_channels at most, as in the authors' code.
    Parameters: in*mid + mid*out + 10*out.

    Shapes: (B, in_channels, H, W) -> (B, out_channels, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        mid = min(in_channels, max(4, math.ceil(in_channels / 4)))
        self.squeeze = nn.Conv2d(in_channels, mid, 1, bias=False)
        self.pointwise = nn.Conv2d(mid, out_channels, 1, bias=False)
        self.depthwise = nn.Conv2d(out_channels, out_channels, 3, padding=1, groups=out_channels)


class DepthwiseSeparable(nn.Sequential):
    """3x3 within each channel, then 1x1 across them.

    As in MobileNets (https://arxiv.org/abs/1704.04861), without their batch norm and activation between the two.
    Parameters: 9*in + (in + 1)*out; a bias of the first part would be part of the second's.

    Shapes: (B, in_channels, H, W) -> (B, out_channels, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)


# 3x3 convolutions by name, each made from (C, C').
DECOMPOSITIONS: Mapping[str, Callable[[int, int], nn.Module]] = {
    "plain": conv3x3,
    "depthwise": DepthwiseSeparable,
    "bsconv_s": BSConvS,
    "bsconv_u": BSConvU,
}
