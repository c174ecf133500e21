"""SwinIR: attention within shifted windows between a convolution and a sub-pixel step."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.errors import UserError
from sr.layers.convolution import conv3x3
from sr.layers.upsample import PixelShuffleTail
from sr.layers.windows import PlaceNorm, WindowLayer
from sr.models.base import SuperResolver
from sr.models.edsr import DIV2K_MEAN


class SwinGroup(nn.Module):
    """Residual Swin transformer block: layers whose windows are shifted in turn, and a 3x3, plus the input.

    Args:
        channels: C.
        depth: number of layers.
        heads: of each layer's attention.
        window: pixels a side.

    Shapes: (B, C, H, W), both sides multiples of `window` -> the same.
    """

    def __init__(self, channels: int, depth: int, heads: int, window: int) -> None:
        super().__init__()
        layers = (WindowLayer(channels, heads, window, shifted=n % 2 == 1) for n in range(depth))
        self.body = nn.Sequential(*layers, conv3x3(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class SwinIR(SuperResolver):
    """Head, groups of layers with attention in windows, smoothing convolution with a long skip, one sub-pixel step.

    Liang et al., "SwinIR: Image Restoration Using Swin Transformer", ICCVW 2021 (https://arxiv.org/abs/2108.10257),
    the lightweight network of its section 4.2. Works in 0-1 around DIV2K's mean colour. Sizes that are no multiple of
    the window are mirrored up to one at the bottom and right, as in the authors' network, and cut again. The authors
    drop residuals at random in training (up to 0.1 at the last layer); here none are.

    Parameters (4 groups of 6 layers, 60 channels) at x2 / x3 / x4: 910,152 / 918,267 / 929,628.

    Args:
        scale: enlargement factor.
        num_blocks: number of groups.
        depth: layers in each.
        channels: C.
        heads: of the attention, a divisor of C.
        window: pixels a side, 2 to 14.

    Raises:
        UserError: of another window, or with heads that do not divide the channels.
    """

    min_size: ClassVar[int] = 8  # of mirroring to a whole window
    mean: Tensor

    def __init__(
        self, scale: int, num_blocks: int = 4, depth: int = 6, channels: int = 60, heads: int = 6, window: int = 8
    ) -> None:
        super().__init__(scale)
        if not 2 <= window <= 14 or channels % heads:
            raise UserError(
                f"SwinIR has windows of 2 to 14 pixels and a number of heads that divides its channels; asked was "
                f"window={window} channels={channels} heads={heads}"
            )
        self.window = window
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN)[:, None, None], persistent=False)
        self.head = conv3x3(3, channels)
        self.norm1 = PlaceNorm(channels)
        self.blocks = nn.Sequential(*(SwinGroup(channels, depth, heads, window) for _ in range(num_blocks)))
        self.norm2 = PlaceNorm(channels)
        self.smooth = conv3x3(channels, channels)
        self.tail = PixelShuffleTail(channels, 3, self.scale)

    def network(self, x: Tensor, scale: int) -> Tensor:
        h, w = x.shape[-2:]
        rows, columns = ((n + self.window - 1) // self.window * self.window for n in (h, w))
        frame = (0, columns - w, 0, rows - h)
        x = F.pad(x, frame, mode="reflect")
        head = self.head(x - self.mean)
        y = self.smooth(self.norm2(self.blocks(self.norm1(head)))) + head
        # Cut by padding: of a slice that happens to cut nothing torch.export takes for granted that it never does.
        return F.pad(self.tail(y) + self.mean, [-scale * n for n in frame])
