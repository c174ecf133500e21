"""LPIPS on VGG-16, which its authors trained for use as a loss; papers print either."""

from torch import Tensor

from sr.layers.pretrained import VGG16
from sr.metrics.lpips import needed, network, other_weights
from sr.metrics.metric import Metric


def lpips_vgg(sr: Tensor, hr: Tensor) -> Tensor:
    """`LPIPS` with VGG-16's weights where torchvision keeps them."""
    return network(needed("lpips_vgg", VGG16), VGG16)(sr, hr)


NOTE = "LPIPS_VGG: version 0.1 on VGG-16, of 8-bit RGB; smaller is better."
METRIC = Metric(
    "lpips_vgg", lpips_vgg, better=-1, rgb=True, smallest=16, note=NOTE,
    other_weights=lambda: other_weights(VGG16, lambda file: network(file, VGG16)),
)  # fmt: skip
