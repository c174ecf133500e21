"""VGG-19 features for perceptual and contrastive losses, from torchvision's weight file but without torchvision."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from sr.errors import UserError, reason
from sr.losses.frozen import Frozen

FILE = "vgg19-dcbb9e9d.pth"
ADDRESS = f"https://download.pytorch.org/models/{FILE}"

# Channels of the convolutions of each block; a 2x2 max-pooling stands between two blocks.
BLOCKS = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)
CONVS = tuple((f"{b}_{n}", width) for b, block in enumerate(BLOCKS, 1) for n, width in enumerate(block, 1))
NAMES = tuple(f"{kind}{number}" for number, _ in CONVS for kind in ("conv", "relu"))

# ImageNet's mean and deviation of RGB in [0, 1], with which torchvision trained these weights.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def find_vgg19(weights: str | Path | None = None) -> Path:
    """Where the weight file is: the given path, else torchvision's place.

    Raises:
        UserError: it is not there; says where it was looked for, where to get it and what to type.
    """
    torchvisions = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    path = torchvisions if weights is None else Path(weights).expanduser()
    if path.is_file():
        return path
    looked = f"{path} (torchvision's place; no path was given)" if weights is None else f"{path} (vgg_weights)"
    raise UserError(
        f"VGG-19's weights ({FILE}) were looked for at {looked}; there is no such file. This loss needs the real ones: "
        f"get them from {ADDRESS} (575 MB) and type vgg_weights=PATH, or put the file at {torchvisions}"
    )


def _read(file: Path, depth: int) -> dict[str, Tensor]:
    """The first `depth` convolutions as "1_1.weight" and so on, in float32; all of them are looked at."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise UserError(f"{file} is no weight file ({reason(error)}); wanted is {FILE} from {ADDRESS}") from error
    found, index, before = {}, 0, 3
    for n, (number, width) in enumerate(CONVS):
        if number.endswith("_1") and n > 0:
            index += 1  # the pooling between two blocks has a number too
        for kind, shape in (("weight", (width, before, 3, 3)), ("bias", (width,))):
            key = f"features.{index}.{kind}"
            value = state.get(key) if isinstance(state, dict) else None
            if not isinstance(value, Tensor) or value.shape != shape or not value.is_floating_point():
                what = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else "nothing"
                raise UserError(
                    f"{file} does not hold VGG-19's weights: {key} should be a tensor {shape}, there is {what}. Wanted "
                    f"is torchvision's {FILE} from {ADDRESS} (not VGG-16, nor VGG-19 with batch norm)"
                )
            if n < depth:
                found[f"{number}.{kind}"] = value.float()
        index, before = index + 2, width
    return found


class VGG19Features(Frozen):
    """Feature maps of VGG-19 (Simonyan and Zisserman, ICLR 2015, configuration E) trained on ImageNet.

    Computed only as deep as the deepest layer that is asked for; the weights are never in a checkpoint.

    Args:
        layers: "conv5_4" is the 4th convolution of the 5th block before its activation, "relu5_4" after it.
        weights: torchvision's weight file; None for torchvision's place.
        normalize: bring RGB in [0, 1] to ImageNet's mean 0 and deviation 1 first.

    Raises:
        UserError: a layer that VGG-19 does not have; no weight file, or a wrong one.

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
        for key, value in _read(find_vgg19(weights), depth).items():
            self.register_buffer(f"conv{key.replace('.', '_')}", value, persistent=False)
        self.register_buffer("mean", torch.tensor(MEAN).reshape(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).reshape(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        least = 2 ** (int(self.convs[-1][0][0]) - 1)
        if min(images.shape[-2:]) < least:
            raise UserError(
                f"VGG-19's block {self.convs[-1][0][0]} needs images of {least}x{least} or more, "
                f"got {tuple(images.shape)}. Train on larger patches (patch_size=...)"
            )
        x = images.expand(-1, 3, -1, -1)  # luma goes into all three channels
        if self.normalize:
            x = (x - self.mean) / self.std
        found = {}
        for number, _ in self.convs:
            if number.endswith("_1") and number != "1_1":
                x = F.max_pool2d(x, 2)
            x = F.conv2d(x, getattr(self, f"conv{number}_weight"), getattr(self, f"conv{number}_bias"), padding=1)
            if f"conv{number}" in self.layers:
                found[f"conv{number}"] = x
            x = F.relu(x)
            if f"relu{number}" in self.layers:
                found[f"relu{number}"] = x
        return found
