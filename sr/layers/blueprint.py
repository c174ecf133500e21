"""Blueprint separable convolution.

Haase and Amthor, "Rethinking Depthwise Separable Convolutions: How Intra-Kernel Correlations Lead to Improved
MobileNets", CVPR 2020 (https://arxiv.org/abs/2003.13549).
"""

from __future__ import annotations

from torch import Tensor, nn


class BSConvU(nn.Module):
    """Unconstrained blueprint separable convolution: 1x1 across channels, then k x k within each channel.

    The reverse order of a depthwise separable convolution: every output channel has one spatial blueprint,
    weighted over the input channels. Parameters: in*out + out*(k*k + 1), plus out with a pointwise bias.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: k of the depthwise part.
        stride: of the depthwise part.
        padding: zeros around the input of the depthwise part; None keeps the size at stride 1.
        pointwise_bias: whether the 1x1 has a bias (BSRN: no; the released BSRN-S: yes). It does not commute
            with the zero padding that follows, so it is not the same as a larger depthwise bias.

    Shapes: (B, C, H, W) -> (B, C', H', W').
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int | None = None,
        pointwise_bias: bool = False,
    ) -> None:
        super().__init__()
        padding = kernel_size // 2 if padding is None else padding
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=pointwise_bias)
        self.depthwise = nn.Conv2d(out_channels, out_channels, kernel_size, stride, padding, groups=out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.depthwise(self.pointwise(x))
