"""Bicubic interpolation, the baseline of every table."""

from typing import ClassVar

from torch import Tensor

from sr.imaging.resize import imresize
from sr.models.base import SuperResolver


class Bicubic(SuperResolver):
    """MATLAB's `imresize(x, s, 'bicubic')` on float RGB, not rounded.

    Keys, "Cubic Convolution Interpolation for Digital Image Processing", IEEE TASSP 1981, a = -0.5.
    No parameters: it cannot be trained, only measured.
    """

    supported_scales: ClassVar[tuple[int, ...]] = tuple(range(1, 33))
    protocols: ClassVar[tuple[str, ...]] = ("y_classic", "y", "rgb")

    def __init__(self, scale: int) -> None:
        super().__init__(scale)

    def network(self, x: Tensor, scale: int) -> Tensor:
        return imresize(x, scale)
