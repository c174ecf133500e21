"""LapSRN: a pyramid of x2 steps, each of them supervised."""

from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sr.imaging.resize import imresize
from sr.layers.convolution import initialised
from sr.models.base import SuperResolver

he = partial(nn.init.kaiming_normal_, a=0.2)


class PyramidLevel(nn.Module):
    """One x2 step: features deeper and twice as large, image twice as large plus a residual from them.

    Args:
        channels: C.
        depth: 3x3 convolutions before the deconvolution.

    Shapes: features (B, C, H, W) and image (B, 1, H, W) -> (B, C, 2*H, 2*W) and (B, 1, 2*H, 2*W).
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.features = nn.Sequential()
        for _ in range(depth):
            self.features.extend([initialised(nn.Conv2d(channels, channels, 3, padding=1), he), nn.LeakyReLU(0.2)])
        self.enlarge = initialised(nn.ConvTranspose2d(channels, channels, 3, stride=2), he)
        self.act = nn.LeakyReLU(0.2)
        self.residual = initialised(nn.Conv2d(channels, 1, 3, padding=1), he)
        self.enlarge_image = nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1, bias=False)
        hat = torch.tensor([0.25, 0.75, 0.75, 0.25])
        with torch.no_grad():
            self.enlarge_image.weight.copy_(hat[:, None] * hat)

    def forward(self, features: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        # The authors crop the last row and column: 2*H + 1 -> 2*H.
        features = self.act(self.enlarge(self.features(features))[..., :-1, :-1])
        return features, self.enlarge_image(image) + self.residual(features)


def paper_depth(scale: int) -> int:
    """Convolutions per level in the paper's networks."""
    return 5 if scale == 8 else 10


class LapSRN(SuperResolver):
    """A feature branch and an image branch that grow together by x2 steps, on luma.

    Lai et al., "Deep Laplacian Pyramid Networks for Fast and Accurate Super-Resolution", CVPR 2017
    (https://arxiv.org/abs/1704.03915), section 3, in the form of the authors' released models: LeakyReLU 0.2, 3x3
    deconvolution of features, learned 4x4 deconvolution of the image that starts as bilinear. The loss is the sum over
    all levels, each against HR reduced by bicubic (equation 4). Works in 0-1. The first convolution starts as N(0,
    0.001) as in the authors' code (with He's the recipe diverges), the others as in He et al., biases as 0.

    Parameters: x2 407,441; x4 814,242; x8 667,123.

    Args:
        scale: 2, 4 or 8.
        channels: C.
        depth: convolutions per level; None for the paper's 10, at x8 5.
    """

    supported_scales: ClassVar[tuple[int, ...]] = (2, 4, 8)
    protocols: ClassVar[tuple[str, ...]] = ("y_float", "y")

    def __init__(self, scale: int, channels: int = 64, depth: int | None = None) -> None:
        super().__init__(scale, colors=1)
        depth = depth or paper_depth(scale)
        self.head = nn.Sequential(initialised(nn.Conv2d(1, channels, 3, padding=1), he), nn.LeakyReLU(0.2))
        nn.init.normal_(self.head[0].weight, std=1e-3)  # type: ignore[arg-type]
        self.levels = nn.ModuleList(PyramidLevel(channels, depth) for _ in range(scale.bit_length() - 1))

    def pyramid(self, x: Tensor) -> list[Tensor]:
        """The images of all levels, (B, 1, 2*H, 2*W) first, from luma (B, 1, H, W)."""
        images, features = [], self.head(x)
        for level in self.levels:
            features, x = level(features, x)
            images.append(x)
        return images

    def network(self, x: Tensor, scale: int) -> Tensor:
        return self.pyramid(x)[-1]

    def training_terms(self, batch: Any, loss: nn.Module) -> dict[str, Tensor]:
        hr, lr = self.own_colors(batch.hr), self.own_colors(batch.lr)
        images = self.pyramid(lr)
        targets = [imresize(hr, 2 ** (n + 1) / batch.scale) for n in range(len(images))]
        each = [loss(image, target, lr) for image, target in zip(images, targets, strict=True)]
        return {name: torch.stack([terms[name] for terms in each]).sum() for name in each[0]}
