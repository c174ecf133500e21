"""SRCNN: the first convolutional network for super-resolution."""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from torch import Tensor, nn

from sr.imaging.resize import imresize
from sr.layers.convolution import edge_padded, first, initialised
from sr.models.base import SuperResolver


class SRCNN(SuperResolver):
    """Three convolutions on the luma of the image enlarged by bicubic.

    Dong, Loy, He and Tang, "Image Super-Resolution Using Deep Convolutional Networks", TPAMI 2016
    (https://arxiv.org/abs/1501.00092), equations 1-3: patch extraction, non-linear mapping, reconstruction; ReLU after
    the first two. Borders are padded by replication as in the authors' test code (zeros lose almost 3 dB on Set5 x3
    with the authors' weights). Weights start as N(0, 0.001), biases as 0 (section 3.3).

    Parameters, whatever the scale: 9-1-5 8,129; 9-3-5 24,513; 9-5-5 57,281.

    Args:
        scale: enlargement factor.
        channels: widths n1, n2 of the two hidden layers.
        kernels: sizes f1, f2, f3, odd.
        init_std: deviation at which weights start. None: as in He et al., those of the last layer at 0.001.
        gain: where set, the first layer sees gain * (x - 0.45), which it is without once merged.
    """

    supported_scales: ClassVar[tuple[int, ...]] = tuple(range(2, 9))
    protocols: ClassVar[tuple[str, ...]] = ("y_classic", "y")

    def __init__(
        self,
        scale: int,
        channels: Sequence[int] = (64, 32),
        kernels: Sequence[int] = (9, 1, 5),
        init_std: float | None = 1e-3,
        gain: float | None = None,
    ) -> None:
        super().__init__(scale, colors=1)
        (n1, n2), (f1, f2, f3) = channels, kernels
        small = partial(nn.init.normal_, std=1e-3 if init_std is None else init_std)
        hidden = partial(nn.init.kaiming_normal_, nonlinearity="relu") if init_std is None else small
        self.extract = initialised(first(1, n1, f1, gain), hidden)
        self.map = initialised(edge_padded(n1, n2, f2), hidden)
        self.reconstruct = initialised(edge_padded(n2, 1, f3), small)
        self.act = nn.ReLU()

    def network(self, x: Tensor, scale: int) -> Tensor:
        x = imresize(x, scale)
        x = self.act(self.extract(x))
        x = self.act(self.map(x))
        return self.reconstruct(x)
