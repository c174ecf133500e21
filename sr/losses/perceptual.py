"""Distance between images as VGG-19 sees them."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sr.losses.frozen import chosen_layers
from sr.losses.vgg import VGG19Features


class Perceptual(nn.Module):
    """Weighted sum over layers of distance(s * phi(sr), s * phi(hr)).

    Johnson et al., ECCV 2016 (https://arxiv.org/abs/1603.08155); Ledig et al., SRGAN, CVPR 2017
    (https://arxiv.org/abs/1609.04802), equation 5. torch's distances average over channels too, of which the equation
    says nothing. No gradient is kept of hr.

    Args:
        layers: name -> weight, see `VGG19Features`; null leaves a layer out.
        weights: torchvision's weight file; None for torchvision's place.
        normalize: bring images to ImageNet's mean and deviation first.
        feature_scale: s; SRGAN has 1 / 12.75.
        distance: torch.nn.MSELoss() or torch.nn.L1Loss().

    Shapes: (B, 1|3, H, W) twice, in [0, 1] -> scalar.
    """

    def __init__(
        self,
        layers: Mapping[str, float | None],
        distance: nn.Module,
        weights: str | None = None,
        normalize: bool = True,
        feature_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.layers = chosen_layers(layers)
        self.features = VGG19Features(tuple(self.layers), weights, normalize)
        self.distance = distance
        self.feature_scale = feature_scale

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.features(hr)
        seen, s = self.features(sr), self.feature_scale
        return torch.stack([w * self.distance(s * seen[k], s * wanted[k]) for k, w in self.layers.items()]).sum()
