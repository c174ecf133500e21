"""Discriminators: images in [0, 1] -> one logit each, or one for each pixel."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from sr.errors import UserError


class SRGANDiscriminator(nn.Module):
    """Eight 3x3 convolutions, LeakyReLU 0.2, batch norm from the second on, and two dense layers.

    Ledig et al., CVPR 2017 (https://arxiv.org/abs/1609.04802), figure 4; the sigmoid is in the criterion. Images are
    brought to [-1, 1], where the paper compares them. The paper sees 96x96 pixels and so 6x6 at its dense layers; here
    any other size is averaged to `pooled` x `pooled`, which at 96x96 changes nothing. The reading note's form has all
    strides 1 and pooled=1, and sees [0, 1].

    Parameters: 23,565,505 (the reading note's form: 5,215,425).

    Args:
        colors: of the images.
        channels: of the first convolution; they double with the third, fifth and seventh.
        strides: of the eight convolutions.
        pooled: side of the feature map before the dense layers.
        dense: width of the first dense layer.
        signed: see [-1, 1] rather than [0, 1].

    Shapes: (B, colors, H, W) in [0, 1] -> (B, 1).
    """

    def __init__(
        self,
        colors: int = 3,
        channels: int = 64,
        strides: Sequence[int] = (1, 2, 1, 2, 1, 2, 1, 2),
        pooled: int = 6,
        dense: int = 1024,
        signed: bool = True,
    ) -> None:
        super().__init__()
        if len(strides) != 8:
            raise UserError(f"SRGANDiscriminator has 8 convolutions, got strides={list(strides)}")
        self.signed = signed
        self.features = nn.Sequential()
        before = colors
        for n, stride in enumerate(strides):
            width = channels * 2 ** (n // 2)
            self.features.append(nn.Conv2d(before, width, 3, stride, padding=1))
            if n > 0:
                self.features.append(nn.BatchNorm2d(width))
            self.features.append(nn.LeakyReLU(0.2))
            before = width
        self.classify = _classifier(before, pooled, dense)

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.features(2 * images - 1 if self.signed else images))


class VGGStyleDiscriminator(nn.Module):
    """Five halvings of 3x3 and strided 4x4 convolutions, LeakyReLU 0.2, two dense layers.

    The discriminator of BasicSR's MSRGAN, made for 128x128 pixels; here any other size is averaged to the 4x4 that
    these give. Sees [0, 1]. Batch norm after every convolution but the first, which alone has a bias.

    Parameters: 14,499,401.

    Args:
        colors: of the images.
        channels: of the first two convolutions; each level doubles them up to 8 times as many.

    Shapes: (B, colors, H, W) in [0, 1] -> (B, 1).
    """

    def __init__(self, colors: int = 3, channels: int = 64) -> None:
        super().__init__()
        self.features = nn.Sequential()
        before = colors
        for level in range(5):
            width = channels * min(2**level, 8)
            self.features.append(nn.Conv2d(before, width, 3, padding=1, bias=level == 0))
            if level > 0:
                self.features.append(nn.BatchNorm2d(width))
            self.features.extend([nn.LeakyReLU(0.2), nn.Conv2d(width, width, 4, 2, padding=1, bias=False)])
            self.features.extend([nn.BatchNorm2d(width), nn.LeakyReLU(0.2)])
            before = width
        self.classify = _classifier(before, 4, 100)

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.features(images))


class UNetDiscriminator(nn.Module):
    """A U-Net with skips that are added, whose logits judge every pixel.

    Wang et al., Real-ESRGAN (ICCV workshops 2021, https://arxiv.org/abs/2107.10833), section 3.4 and figure 6: three
    strided 4x4 convolutions down, three 3x3 ones after bilinear enlargement up, spectral norm (Miyato et al., ICLR
    2018) on all but the first and the last, LeakyReLU 0.2.

    Parameters: 4,376,897.

    Args:
        colors: of the images.
        channels: of the first convolution; each level down doubles them.

    Shapes: (B, colors, H, W) in [0, 1] -> (B, 1, H, W), H and W multiples of 8.
    """

    def __init__(self, colors: int = 3, channels: int = 64) -> None:
        super().__init__()
        widths = [channels * 2**level for level in range(4)]
        self.first = nn.Conv2d(colors, channels, 3, padding=1)
        self.down = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, 2, padding=1, bias=False)) for a, b in pairwise(widths)
        )
        self.up = nn.ModuleList(
            spectral_norm(nn.Conv2d(b, a, 3, padding=1, bias=False)) for a, b in reversed(list(pairwise(widths)))
        )
        self.end = nn.ModuleList(spectral_norm(nn.Conv2d(channels, channels, 3, padding=1, bias=False)) for _ in "ab")
        self.last = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[-2] % 8 or images.shape[-1] % 8:
            raise UserError(
                f"UNetDiscriminator takes images whose sides are multiples of 8 pixels, got {tuple(images.shape)}: "
                "type a patch_size whose product with the scale is one"
            )
        maps = [_leaky(self.first(images))]
        for conv in self.down:
            maps.append(_leaky(conv(maps[-1])))
        x = maps.pop()
        for conv in self.up:
            x = _leaky(conv(F.interpolate(x, scale_factor=2, mode="bilinear"))) + maps.pop()
        for conv in self.end:
            x = _leaky(conv(x))
        return self.last(x)


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def _classifier(channels: int, side: int, width: int) -> nn.Sequential:
    """(B, channels, H, W) averaged to `side` x `side`, then two dense layers -> (B, 1)."""
    dense = nn.Linear(channels * side**2, width)
    return nn.Sequential(nn.AdaptiveAvgPool2d(side), nn.Flatten(), dense, nn.LeakyReLU(0.2), nn.Linear(width, 1))
