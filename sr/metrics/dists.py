"""DISTS, which forgives textures that are drawn anew, for users who have VGG-16's weights; nothing is downloaded."""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.layers.pretrained import MEAN, STD, VGG16
from sr.metrics.lpips import Convolutions, carried, needed, other_weights
from sr.metrics.metric import Metric

FAINT = 1e-6  # c1 and c2 of equations 5 and 6


class DISTS(nn.Module):
    """Distance of structure and texture in the features of VGG-16.

    Ding et al., Image quality assessment: unifying structure and texture similarity, IEEE TPAMI 2020
    (https://arxiv.org/abs/2004.07728), equation 7.

    Args:
        weights: torchvision's file of VGG-16, trained on ImageNet.
    """

    mean: Tensor
    std: Tensor
    window: Tensor
    alpha: Tensor
    beta: Tensor

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.convs = Convolutions(VGG16, weights)
        own = carried("dists_models/weights.pt")
        whole = own["alpha"].sum() + own["beta"].sum()
        self.register_buffer("alpha", own["alpha"].detach().flatten() / whole)
        self.register_buffer("beta", own["beta"].detach().flatten() / whole)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1))
        hanning = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("window", hanning[:, None] * hanning)

    def _pooled(self, x: Tensor) -> Tensor:
        """L2 pooling, section 3.1: (B, C, H, W) -> half as large."""
        window = self.window.expand(x.shape[1], 1, 3, 3)
        return (F.conv2d(x.square(), window, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()

    def _features(self, image: Tensor) -> list[Tensor]:
        return [image, *self.convs((image - self.mean) / self.std, self._pooled)]

    @torch.inference_mode()
    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Distance of each pair: 0 for equal pictures.

        Args:
            sr: (B, 3, H, W) RGB, uint8.
            hr: the same.

        Returns:
            (B,).
        """
        self.to(sr.device)
        texture, structure = list[Tensor](), list[Tensor]()
        for x, y in zip(self._features(sr.float() / 255), self._features(hr.float() / 255), strict=True):
            mean_x, mean_y = (t.mean((2, 3)) for t in (x, y))
            texture.append((2 * mean_x * mean_y + FAINT) / (mean_x.square() + mean_y.square() + FAINT))
            x, y = x - mean_x[..., None, None], y - mean_y[..., None, None]
            variances = x.square().mean((2, 3)) + y.square().mean((2, 3))
            structure.append((2 * (x * y).mean((2, 3)) + FAINT) / (variances + FAINT))
        return 1 - (torch.cat(texture, 1) * self.alpha + torch.cat(structure, 1) * self.beta).sum(1)


_network = cache(DISTS)


def dists(sr: Tensor, hr: Tensor) -> Tensor:
    """`DISTS` with the weights that stand where torchvision keeps them."""
    return _network(needed("dists", VGG16))(sr, hr)


NOTE = "DISTS: on VGG-16, of 8-bit RGB at its own size; smaller is better."
METRIC = Metric(
    "dists", dists, better=-1, rgb=True, smallest=16, note=NOTE, other_weights=lambda: other_weights(VGG16, _network)
)  # fmt: skip
