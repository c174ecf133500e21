"""VDSR: a very deep network that learns the residual of bicubic interpolation."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from sr.imaging.resize import imresize
from sr.layers.convolution import initialised
from sr.models.base import SuperResolver


class VDSR(SuperResolver):
    """3x3 convolutions with ReLU between them on the luma of the image enlarged by bicubic, plus that luma.

    Kim, Lee and Lee, "Accurate Image Super-Resolution Using Very Deep Convolutional Networks", CVPR 2016
    (https://arxiv.org/abs/1511.04587), section 3.1. One network serves all scales where it was trained on all
    of them, as the authors': nothing in it depends on the scale. Works in 0-1; the enlarged luma is cut to the range of
    BT.601, 16/255 to 235/255, as in the authors' test code. Weights start as in He et al., biases as 0.

    Parameters, whatever the scale: 665,921; 664,704 without biases, the count of the papers' tables.

    Args:
        scale: enlargement factor, or all that one network serves.
        num_layers: D, the number of convolutions.
        channels: C.
        bias: of the convolutions.
        residual: whether the enlarged luma is added; without it the network makes the whole image (section 4.2).
        clipped: whether the enlarged luma is cut to its range; in twtygqyy's port it is not.
    """

    supported_scales: ClassVar[tuple[int, ...]] = tuple(range(2, 9))
    protocols: ClassVar[tuple[str, ...]] = ("y_classic", "y")
    float32_convs: ClassVar[int] = 2

    def __init__(
        self,
        scale: int | Sequence[int],
        num_layers: int = 20,
        channels: int = 64,
        bias: bool = True,
        residual: bool = True,
        clipped: bool = True,
    ) -> None:
        super().__init__(scale, colors=1)
        self.adds_input, self.clipped = residual, clipped
        widths = [1] + (num_layers - 1) * [channels] + [1]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)
            layers += [initialised(conv, partial(nn.init.kaiming_normal_, nonlinearity="relu")), nn.ReLU()]
        self.residual = nn.Sequential(*layers[:-1])

    def network(self, x: Tensor, scale: int) -> Tensor:
        x = imresize(x, scale)
        x = x.clamp(16 / 255, 235 / 255) if self.clipped else x
        return x + self.residual(x) if self.adds_input else self.residual(x)
