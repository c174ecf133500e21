"""SPAN's re-parameterised convolution: three convolutions in a row and a 1x1 beside them, deployed as one 3x3."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.layers.reparam import Kernel, Reparameterized, added, chained


class Conv3XC(Reparameterized):
    """1x1 to gain * C, 3x3 to gain * C', 1x1 to C', plus a 1x1 of the input.

    Wan et al., "Swift Parameter-free Attention Network for Efficient Super-Resolution", CVPRW 2024
    (https://arxiv.org/abs/2311.12770), in the authors' code with a gain of 2. The first 1x1 sees an input framed with
    zeros, so the 3x3 sees its bias outside the image, as in `ECB`: only so is the block one 3x3 with zero padding at
    the borders too. As there, the kernel is formed from the branches and applied once.

    Args:
        in_channels: C.
        out_channels: C'.
        gain: how much wider it is inside.

    Shapes: (B, C, H, W) -> (B, C', H, W).
    """

    def __init__(self, in_channels: int, out_channels: int, gain: int = 2) -> None:
        super().__init__()
        self.expand = nn.Conv2d(in_channels, gain * in_channels, 1)
        self.spatial = nn.Conv2d(gain * in_channels, gain * out_channels, 3)
        self.squeeze = nn.Conv2d(gain * out_channels, out_channels, 1)
        self.skip = nn.Conv2d(in_channels, out_channels, 1)

    def kernel(self) -> Kernel:
        weight, bias = chained(_parameters(self.expand), _parameters(self.spatial))
        mixing, last = self.squeeze.weight[:, :, 0, 0], _parameters(self.squeeze)[1]
        row = torch.einsum("om,miyx->oiyx", mixing, weight), mixing @ bias + last
        return added(row, _parameters(self.skip))

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.kernel()
        return F.conv2d(x, weight, bias, padding=1)


def _parameters(conv: nn.Conv2d) -> Kernel:
    assert conv.bias is not None
    return conv.weight, conv.bias
