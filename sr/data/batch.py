"""The one structure that travels from the data modules to the training and measuring loops."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Pairs of low- and high-resolution images.

    Attributes:
        lr: (B, 3, h, w) RGB; uint8 from a loader, float in [0, 1] once it is on the device.
        hr: (B, 3, scale*h, scale*w) RGB, same type; where something is measured uint8 as it is in its file.
        scale: enlargement factor.
        name: one name per image.
        grey: True where the HR file stores one channel (its three channels are then equal).
    """

    lr: Tensor
    hr: Tensor
    scale: int
    name: list[str]
    grey: list[bool]
