"""Blocks with batch norm in their branches that are deployed as one 3x3 convolution.

In training each batch norm sees its branch's own statistics, which is what makes them more than one convolution;
with fixed statistics (`eval`) every branch is linear, and `merge` gives their sum.
"""

import torch
from torch import Tensor, nn

from sr.layers.convolution import framed
from sr.layers.reparam import Kernel, Reparameterized, added, chained, identity_kernel


def fused(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Kernel:
    """A convolution and the batch norm after it, with its running statistics, as one convolution."""
    gain, shift = affine(norm)
    weight = conv.weight * gain[:, None, None, None]
    return weight, shift if conv.bias is None else shift + gain * conv.bias


def affine(norm: nn.BatchNorm2d) -> Kernel:
    """Factor and summand per channel that a batch norm with its running statistics is, (C,) each."""
    assert norm.running_var is not None and norm.running_mean is not None
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return gain, norm.bias - gain * norm.running_mean


class ConvNorm(nn.Sequential):
    """Convolution without bias that keeps the size, then batch norm."""

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[int, int]) -> None:
        padding = (kernel[0] // 2, kernel[1] // 2)
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, padding=padding, bias=False), nn.BatchNorm2d(out_channels)
        )

    def kernel(self) -> Kernel:
        return fused(self[0], self[1])  # type: ignore[arg-type]


class RepVGGBlock(Reparameterized):
    """3x3 + 1x1 + identity, a batch norm after each (no identity where the numbers of channels differ).

    Ding et al., "RepVGG: Making VGG-style ConvNets Great Again", CVPR 2021 (https://arxiv.org/abs/2101.03697), figure
    4; without its ReLU.

    Shapes: (B, in_channels, H, W) -> (B, out_channels, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.square = ConvNorm(in_channels, out_channels, (3, 3))
        self.point = ConvNorm(in_channels, out_channels, (1, 1))
        self.identity = nn.BatchNorm2d(in_channels) if in_channels == out_channels else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.square(x) + self.point(x)
        return y if self.identity is None else y + self.identity(x)

    def kernel(self) -> Kernel:
        kernels = [self.square.kernel(), self.point.kernel()]
        if self.identity is not None:
            gain, shift = affine(self.identity)
            kernels.append((gain[:, None, None, None] * identity_kernel(kernels[0][0]), shift))
        return added(*kernels)


class ACBlock(Reparameterized):
    """3x3 + 1x3 + 3x1, a batch norm after each.

    Ding et al., "ACNet: Strengthening the Kernel Skeletons for Powerful CNN via Asymmetric Convolution Blocks", ICCV
    2019 (https://arxiv.org/abs/1908.03930), figure 2.

    Shapes: (B, in_channels, H, W) -> (B, out_channels, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.square = ConvNorm(in_channels, out_channels, (3, 3))
        self.horizontal = ConvNorm(in_channels, out_channels, (1, 3))
        self.vertical = ConvNorm(in_channels, out_channels, (3, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.square(x) + self.horizontal(x) + self.vertical(x)

    def kernel(self) -> Kernel:
        return added(self.square.kernel(), self.horizontal.kernel(), self.vertical.kernel())


class NormPad(nn.Module):
    """Batch norm, then one pixel around of what it makes of zero.

    So a convolution that follows sees outside the image what it would if the batch norm had come after zero padding:
    the pair stays one convolution at the borders. As in the authors' code the frame is made from the running
    statistics, in training too, and passes no gradient on.

    Shapes: (B, C, H, W) -> (B, C, H + 2, W + 2).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return framed(self.norm(x), affine(self.norm)[1].detach())


class DiverseBranchBlock(Reparameterized):
    """3x3 + 1x1 + (1x1, 3x3) + (1x1, 3x3 average), a batch norm after each convolution and the average.

    Ding et al., "Diverse Branch Block: Building a Convolution as an Inception-like Unit", CVPR 2021
    (https://arxiv.org/abs/2103.13425), figure 3. As in the authors' code the 1x1 before the 3x3 keeps the channels
    and is the identity plus a weight that starts at 0.

    Shapes: (B, in_channels, H, W) -> (B, out_channels, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.square = ConvNorm(in_channels, out_channels, (3, 3))
        self.point = ConvNorm(in_channels, out_channels, (1, 1))
        self.deviation = nn.Conv2d(in_channels, in_channels, 1, bias=False)  # of the first 1x1 from the identity
        nn.init.zeros_(self.deviation.weight)
        self.sequence_pad = NormPad(in_channels)
        self.sequence = nn.Conv2d(in_channels, out_channels, 3, bias=False)
        self.sequence_norm = nn.BatchNorm2d(out_channels)
        self.average_in = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.average_pad = NormPad(out_channels)
        self.average = nn.AvgPool2d(3, stride=1)
        self.average_norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        sequence = self.sequence_norm(self.sequence(self.sequence_pad(x + self.deviation(x))))
        average = self.average_norm(self.average(self.average_pad(self.average_in(x))))
        return self.square(x) + self.point(x) + sequence + average

    def kernel(self) -> Kernel:
        gain, shift = affine(self.sequence_pad.norm)
        first = gain[:, None, None, None] * self.deviation.weight + torch.diag(gain)[:, :, None, None], shift
        sequence = chained(first, fused(self.sequence, self.sequence_norm))
        gain, shift = affine(self.average_norm)
        mean = torch.diag(gain)[:, :, None, None].expand(-1, -1, 3, 3) / 9, shift
        average = chained(fused(self.average_in, self.average_pad.norm), mean)
        return added(self.square.kernel(), self.point.kernel(), sequence, average)
