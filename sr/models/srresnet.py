"""SRResNet, the generator of SRGAN, and its later form without batch norm."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from sr.layers.convolution import conv3x3, initialised
from sr.layers.residual import ResBlock
from sr.layers.upsample import StagedUpsampler
from sr.models.base import SuperResolver


class NormResBlock(nn.Module):
    """``x + bn(conv(prelu(bn(conv(x)))))``, nothing after the addition.

    Args:
        channels: C.
        norm: makes what stands for batch norm, ``norm(C)``.

    Shapes: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, norm: Callable[[int], nn.Module] = nn.BatchNorm2d) -> None:
        super().__init__()
        first, second = conv3x3(channels, channels), conv3x3(channels, channels)
        self.body = nn.Sequential(first, norm(channels), nn.PReLU(), second, norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class SRResNet(SuperResolver):
    """9x9 head, residual blocks with batch norm and a long skip, sub-pixel steps with PReLU, 9x9 tail.

    Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network", CVPR 2017
    (https://arxiv.org/abs/1609.04802), figure 4. PReLU has one slope per layer. Sees 0-1 and answers in -1 to 1
    (section 3.2), which is brought to 0-1 here. torch's default initialisation.

    Parameters (16 blocks, 64 channels) at x4: 1,549,462.

    Args:
        scale: enlargement factor: 3 or a power of 2.
        num_blocks: B.
        channels: C.
        tanh_output: a tanh holds the output in -1 to 1; the paper has none.
        norm: whether it has batch norm, as in the paper.
    """

    def __init__(
        self, scale: int, num_blocks: int = 16, channels: int = 64, tanh_output: bool = False, norm: bool = True
    ) -> None:
        super().__init__(scale)
        made: Callable[[int], nn.Module] = nn.BatchNorm2d if norm else nn.Identity
        self.head = nn.Sequential(nn.Conv2d(3, channels, 9, padding=4), nn.PReLU())
        self.body = nn.Sequential(
            *(NormResBlock(channels, made) for _ in range(num_blocks)), conv3x3(channels, channels), made(channels)
        )
        self.upsampler = StagedUpsampler(channels, scale, nn.PReLU)
        self.tail = nn.Conv2d(channels, 3, 9, padding=4)
        self.bound = nn.Tanh() if tanh_output else nn.Identity()

    def network(self, x: Tensor, scale: int) -> Tensor:
        head = self.head(x)
        return (self.bound(self.tail(self.upsampler(head + self.body(head)))) + 1) / 2


class MSRResNet(SuperResolver):
    """SRResNet as it was modified for ESRGAN: no batch norm, 3x3 head and tail, bilinear image as the skip.

    Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", ECCVW 2018
    (https://arxiv.org/abs/1809.00219), in the form of BasicSR, whose figures are the published ones: LeakyReLU 0.1
    outside the blocks, no convolution and no skip after them, one more 3x3 before the last at HR. Works in 0-1.
    Weights start as a tenth of He's, biases as 0.

    Parameters (16 blocks, 64 channels) at x2 / x3 / x4: 1,369,859 / 1,554,499 / 1,517,571.

    Args:
        scale: enlargement factor: 3 or a power of 2.
        num_blocks: B.
        channels: C.
    """

    def __init__(self, scale: int, num_blocks: int = 16, channels: int = 64) -> None:
        super().__init__(scale)
        self.head = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.LeakyReLU(0.1))
        self.body = nn.Sequential(*(ResBlock(channels) for _ in range(num_blocks)))
        self.upsampler = StagedUpsampler(channels, scale, partial(nn.LeakyReLU, 0.1))
        self.tail = nn.Sequential(conv3x3(channels, channels), nn.LeakyReLU(0.1), conv3x3(channels, 3))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                initialised(module, nn.init.kaiming_normal_).weight.data.mul_(0.1)

    def network(self, x: Tensor, scale: int) -> Tensor:
        residual = self.tail(self.upsampler(self.body(self.head(x))))
        return residual + F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
