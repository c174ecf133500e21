"""FSRCNN: SRCNN's successor that works on the small image."""

from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from sr.errors import UserError
from sr.layers.convolution import edge_padded, first, initialised, zero_padded
from sr.models.base import SuperResolver


class Deconvolution(nn.ConvTranspose2d):
    """9x9 with stride s, the border carried on or zeros around it, cropped so that it is centred as `FSRCNN` says.

    At x3, with the border carried on, it is one 3x3 convolution and a pixel shuffle, in half the time: of the nine
    pixels that an LR pixel covers each sees every third weight of the kernel.

    Shapes: (B, C, H, W) -> (B, C', s*H, s*W).
    """

    def __init__(self, in_channels: int, out_channels: int, scale: int, zero_padding: bool = False) -> None:
        super().__init__(in_channels, out_channels, 9, stride=scale)
        self.zero_padding = zero_padding

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        (scale, _), (height, width) = self.stride, input.shape[-2:]
        if scale == 3 and not self.zero_padding:
            assert self.bias is not None
            taps = self.weight.unflatten(3, (3, 3)).unflatten(2, (3, 3))  # C, C', LR row, row, LR column, column
            weight = taps.permute(1, 3, 5, 0, 2, 4).flatten(0, 2).flip(2, 3)
            nine = F.conv2d(F.pad(input, 4 * (1,), mode="replicate"), weight, self.bias.repeat_interleave(9))
            return F.pixel_shuffle(nine, 3)
        reach = 4 // scale + 1  # LR pixels beyond the border that the kernel can see
        mode = "constant" if self.zero_padding else "replicate"
        y = super().forward(F.pad(input, 4 * (reach,), mode=mode))
        begin = reach * scale + 4
        return y[..., begin : begin + height * scale, begin : begin + width * scale]


class FSRCNN(SuperResolver):
    """5x5 features, 1x1 shrinking, m times 3x3 mapping, 1x1 expanding, 9x9 deconvolution with stride s.

    Dong, Loy and Tang, "Accelerating the Super-Resolution Convolutional Neural Network", ECCV 2016
    (https://arxiv.org/abs/1608.00367), section 3: FSRCNN(d, s, m), PReLU after every convolution. Borders are padded by
    replication, those of the deconvolution's input included, as in the authors' test code. The deconvolution's kernel
    is centred on the top left of the s x s pixels that an LR pixel covers where s is even, and at x3 on the middle one.
    The authors' x3 file was trained with the top left one; their test code moves its output by (1, 1), which is the
    same. Works in 0-1. Convolutions start as He's N(0, 2 / (k*k*C')), the deconvolution as N(0, 0.001), biases as 0.

    Parameters on Y, whatever the scale: FSRCNN(56, 12, 4) 12,644 and with a slope per channel 12,809 (on RGB 24,683);
    FSRCNN-s, (32, 5, 1), 4,016.

    Args:
        scale: enlargement factor.
        colors: 1 for Y as in the paper, 3 for RGB.
        channels: d, the width of the features.
        mid_channels: s of the paper, the width of the mapping.
        num_blocks: m, the number of mapping layers.
        channel_slopes: PReLU with a slope per channel instead of the authors' one per layer.
        zero_padding: zeros around the image, and the deconvolution's kernel centred on the top left pixel at x3, too:
            PyTorch's padding, as in yjn870's port.
        gain: where set, the first layer sees gain * (x - 0.45), which it is without once merged.
    """

    supported_scales: ClassVar[tuple[int, ...]] = (2, 3, 4)
    protocols: ClassVar[tuple[str, ...]] = ("y_classic", "y")

    def __init__(
        self,
        scale: int,
        colors: int = 1,
        channels: int = 56,
        mid_channels: int = 12,
        num_blocks: int = 4,
        channel_slopes: bool = False,
        zero_padding: bool = False,
        gain: float | None = None,
    ) -> None:
        super().__init__(scale, colors)
        if gain is not None and zero_padding:
            raise UserError(f"gain={gain} is the paper's network only with carried-on borders: zero_padding=false")
        sizes = [(colors, channels, 5), (channels, mid_channels, 1)]
        sizes += num_blocks * [(mid_channels, mid_channels, 3)] + [(mid_channels, channels, 1)]
        he = partial(nn.init.kaiming_normal_, mode="fan_out", nonlinearity="relu")
        self.features = nn.Sequential()
        for inputs, outputs, kernel in sizes:
            made = zero_padded if zero_padding else edge_padded
            conv = (
                made(inputs, outputs, kernel) if self.features or gain is None else first(inputs, outputs, kernel, gain)
            )
            self.features.extend([initialised(conv, he), nn.PReLU(outputs if channel_slopes else 1)])
        deconv = Deconvolution(channels, colors, scale, zero_padding)
        self.deconv = initialised(deconv, partial(nn.init.normal_, std=1e-3))

    def network(self, x: Tensor, scale: int) -> Tensor:
        return self.deconv(self.features(x))
