"""VGG-19 features for perceptual and contrastive losses, from torchvision's weight file but without torchvision."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from sr.errors import UserError
from sr.layers.pretrained import MEAN, STD, VGG19
from sr.losses.frozen import Frozen

BLOCKS = 2, 2, 4, 4, 4  # convolutions of each; a 2x2 max-pooling stands between two blocks
CONVS = tuple(f"{block}_{n}" for block, count in enumerate(BLOCKS, 1) for n in range(1, count + 1))
NAMES = tuple(f"{kind}{number}" for number in CONVS for kind in ("conv", "relu"))


def find_vgg19(weights: str | Path | None = None) -> Path:
    """Where the weight file is: the given path, else torchvision's place.

    Raises:
        UserError: it is not there; says where it was looked for, where to get it and what to type.
    """
    path = VGG19.place if weights is None else Path(weights).expanduser()
    if path.is_file():
        return path
    looked = f"{path} (torchvision's place; no path was given)" if weights is None else f"{path} (vgg_weights)"
    raise UserError(
        f"VGG-19's weights ({VGG19.file}) were looked for at {looked}; there is no such file. This loss needs the real "
        f"ones: get them from {VGG19.address} ({VGG19.megabytes} MB) and type vgg_weights=PATH, or put the file at "
        f"{VGG19.place}"
    )


class VGG19Features(Frozen):
    """Feature maps of VGG-19 (Simonyan and Zisserman, ICLR 2015, configuration E) trained on ImageNet.

    Computed only as deep as the deepest layer that is asked for; the weights are never in a checkpoint.

    Args:
        layers: "conv5_4" is the 4th convolution of the 5th block before its activation, "relu5_4" after it.
        weights: torchvision's weight file; None for torchvision's place.
        normalize: bring RGB in [0, 1] to ImageNet's mean 0 and deviation 1 first.

    Raises:
        UserError: a layer that VGG-19 does not have; no weight file, or a wrong one.

    Attributes:
        told: whose its weights are, for a run's record.

    Shapes: (B, 1|3, H, W) in [0, 1] -> {layer: (B, 64..512, H / 2^(block - 1), W / 2^(block - 1))}.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, layers: Sequence[str], weights: str | None = None, normalize: bool = True) -> None:
        super().__init__()
        if not layers or (unknown := [name for name in layers if name not in NAMES]):
            wrong = f"no layer {', '.join(unknown)}" if layers else "to be told at least one layer"
            raise UserError(f"VGG-19 has {wrong}; its layers are {', '.join(NAMES)}")
        self.layers = tuple(layers)
        self.normalize = normalize
        depth = 1 + max(NAMES.index(name) // 2 for name in layers)
        self.convs = CONVS[:depth]
        read, other = VGG19.read(find_vgg19(weights))
        self.told = f"weights {other or 'of torchvision'}"
        for number, (weight, bias) in zip(self.convs, read[:depth], strict=True):
            self.register_buffer(f"conv{number}_weight", weight, persistent=False)
            self.register_buffer(f"conv{number}_bias", bias, persistent=False)
        self.register_buffer("mean", torch.tensor(MEAN).reshape(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).reshape(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        least = 2 ** (int(self.convs[-1][0]) - 1)
        if min(images.shape[-2:]) < least:
            raise UserError(
                f"VGG-19's block {self.convs[-1][0]} needs images of {least}x{least} or more, "
                f"got {tuple(images.shape)}. Train on larger patches (patch_size=...)"
            )
        x = images.expand(-1, 3, -1, -1)  # luma goes into all three channels
        if self.normalize:
            x = (x - self.mean) / self.std
        found = {}
        for number in self.convs:
            if number.endswith("_1") and number != "1_1":
                x = F.max_pool2d(x, 2)
            x = F.conv2d(x, getattr(self, f"conv{number}_weight"), getattr(self, f"conv{number}_bias"), padding=1)
            if f"conv{number}" in self.layers:
                found[f"conv{number}"] = x
            x = F.relu(x)
            if f"relu{number}" in self.layers:
                found[f"relu{number}"] = x
        return found
