"""Attention by gates: ESA over space, CCA and RCAN's over channels."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.layers.convolution import conv3x3


class ESA(nn.Module):
    """Enhanced spatial attention: a gate per pixel and channel, from a strongly shrunk copy of the features.

    Liu et al., "Residual Feature Aggregation Network for Image Super-Resolution", CVPR 2020, in the
    form of RFDN (https://arxiv.org/abs/2009.11551): with f = `mid` channels::

        a    = 1x1(x)                                          C -> f
        b    = conv_n(act(... conv_1(maxpool(down(a)))))       down: 3x3 stride 2, no padding; pool 7 stride 3
        gate = sigmoid(1x1(bilinear(b, size of x) + 1x1(a)))   f -> C
        y    = x * gate

    Needs at least 15 pixels a side (15 -> 7 -> 1).

    Args:
        channels: C.
        mid: f.
        groups: number n of 3x3 convolutions after the pooling; 3 in RFDN and BSRN, 1 in RLFN.
        conv: makes each of them, ``conv(f, f)``.
        down: makes the strided one, ``down(f, f)``; None is a plain 3x3, stride 2, no padding.
        activation: between those convolutions; none follows the last.

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(
        self,
        channels: int,
        mid: int,
        groups: int = 3,
        conv: Callable[[int, int], nn.Module] = conv3x3,
        down: Callable[[int, int], nn.Module] | None = None,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, mid, 1)
        self.skip = nn.Conv2d(mid, mid, 1)
        self.down = nn.Conv2d(mid, mid, 3, stride=2) if down is None else down(mid, mid)
        self.pool = nn.MaxPool2d(7, stride=3)
        self.groups = nn.Sequential(conv(mid, mid))
        for _ in range(groups - 1):
            self.groups.extend([activation(), conv(mid, mid)])
        self.expand = nn.Conv2d(mid, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze(x)
        context = self.groups(self.pool(self.down(squeezed)))
        context = F.interpolate(context, size=x.shape[-2:], mode="bilinear", align_corners=False)
        return x * torch.sigmoid(self.expand(context + self.skip(squeezed)))


class CCA(nn.Module):
    """Contrast-aware channel attention: a gate per channel from its standard deviation plus its mean.

    Hui et al., "Lightweight Image Super-Resolution with Information Multi-distillation Network", ACM MM 2019
    (https://arxiv.org/abs/1909.11856): ``y = x * sigmoid(1x1(relu(1x1(std(x) + mean(x)))))``,
    std over all pixels (divided by their number, not by one less).

    Args:
        channels: C.
        reduction: the hidden layer has C // reduction channels.

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Conv2d(channels, channels // reduction, 1),
            nn.ReLU(),
            nn.Conv2d(channels // reduction, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(2, 3), keepdim=True)
        variance = (x - mean).square().mean(dim=(2, 3), keepdim=True)
        # A flat channel (always so in a 1x1 image) has variance 0, where the square root's slope is infinite:
        # the floor turns a NaN gradient into 0 and moves the value by at most 1e-6.
        contrast = variance.clamp_min(1e-12).sqrt()
        return x * self.gate(contrast + mean)


class ChannelAttention(nn.Module):
    """A gate per channel from its mean: ``y = x * sigmoid(1x1(relu(1x1(mean(x)))))``.

    Zhang et al., RCAN, ECCV 2018 (https://arxiv.org/abs/1807.02758), section 3.3.

    Args:
        channels: C.
        reduction: the hidden layer has C // reduction channels, and 1 at least.

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.gate = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x.mean(dim=(2, 3), keepdim=True))
