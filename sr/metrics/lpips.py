"""LPIPS, the learned perceptual distance, for users who have its network's weights; nothing is downloaded."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sr.errors import UserError
from sr.layers.pretrained import ALEXNET, VGG16, Pretrained
from sr.metrics.metric import Metric

HEADS = {ALEXNET: "alex", VGG16: "vgg"}  # torchmetrics' names of LPIPS's own weights
SMALLEST = 31  # pixels a side: below it AlexNet's pooling has nothing left


def find_weights(network: Pretrained, key: str, weights: str | Path | None = None) -> Path | None:
    """Where a network's weights are: the given path, else torchvision's place; None where no path is given and none is.

    Args:
        network: whose weights.
        key: the word that names a path, for the error.
        weights: the given path.

    Raises:
        UserError: the given path is no file.
    """
    path = network.place if weights is None else Path(weights).expanduser()
    if weights is not None and not path.is_file():
        raise UserError(
            f"{key}={weights}: there is no such file. It is torchvision's {network.file}, from {network.address} "
            f"({network.megabytes} MB)"
        )
    return path if path.is_file() else None


def carried(file: str) -> Any:
    """A distance's own weights, which torchmetrics carries: of a file below its functional/image."""
    spec = find_spec("torchmetrics")
    path = Path(str(spec.origin)).parent / "functional/image" / file if spec else Path("torchmetrics")
    if not path.is_file():
        raise UserError(f"a metric's own weights are missing ({path}): pip install --force-reinstall torchmetrics")
    return torch.load(path, map_location="cpu", weights_only=True)


class Convolutions(nn.Module):
    """Activations of a network that torchvision trained; `other` tells its weights where they are not torchvision's.

    Args:
        network: which.
        weights: torchvision's file of it.
    """

    def __init__(self, network: Pretrained, weights: Path) -> None:
        super().__init__()
        self.network = network
        convs, self.other = network.read(weights)
        for n, (weight, bias) in enumerate(convs):
            self.register_buffer(f"weight{n}", weight)
            self.register_buffer(f"bias{n}", bias)

    def forward(self, x: Tensor, pool: Callable[[Tensor], Tensor] | None = None) -> list[Tensor]:
        """See `Pretrained.seen`."""
        convs = range(len(self.network.convs))
        return self.network.seen(x, [(self.get_buffer(f"weight{n}"), self.get_buffer(f"bias{n}")) for n in convs], pool)


class LPIPS(nn.Module):
    """Distance of pictures in the features of a classifier, version 0.1.

    Zhang et al., The unreasonable effectiveness of deep features as a perceptual metric, CVPR 2018
    (https://arxiv.org/abs/1801.03924), equation 1.

    Args:
        weights: torchvision's file of the classifier, trained on ImageNet.
        network: AlexNet, or VGG-16.
    """

    shift: Tensor
    spread: Tensor

    def __init__(self, weights: Path, network: Pretrained = ALEXNET) -> None:
        super().__init__()
        self.convs = Convolutions(network, weights)
        own = carried(f"lpips_models/{HEADS[network]}.pth")
        for n in range(sum(conv.seen for conv in network.convs)):
            self.register_buffer(f"head{n}", own[f"lin{n}.model.1.weight"].float())
        # The authors' normalisation of RGB in [-1, 1]
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("spread", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))

    def _features(self, image: Tensor) -> list[Tensor]:
        found = self.convs((image * 2 - 1 - self.shift) / self.spread)
        return [x / (x.square().sum(1, keepdim=True) + 1e-8).sqrt() for x in found]

    @torch.inference_mode()
    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Distance of each pair: 0 for equal pictures.

        Args:
            sr: (B, 3, H, W) RGB, uint8, SMALLEST pixels a side or more.
            hr: the same.

        Returns:
            (B,).
        """
        self.to(sr.device)
        pairs = zip(self._features(sr.float() / 255), self._features(hr.float() / 255), strict=True)
        distances = [
            (self.get_buffer(f"head{n}") * (x - y).square()).sum(1).mean((-2, -1)) for n, (x, y) in enumerate(pairs)
        ]
        return torch.stack(distances).sum(0)


network = cache(LPIPS)  # of one file, read once


def needed(name: str, network: Pretrained) -> Path:
    """Where torchvision keeps the weights that a metric needs.

    Raises:
        UserError: they are not there.
    """
    if (file := find_weights(network, name)) is None:
        raise UserError(
            f"metrics=[{name}] needs {network.title}'s weights: put torchvision's {network.file} from "
            f"{network.address} ({network.megabytes} MB) at {network.place}"
        )
    return file


def lpips(sr: Tensor, hr: Tensor) -> Tensor:
    """`LPIPS` with the weights that stand where torchvision keeps them."""
    return network(needed("lpips", ALEXNET))(sr, hr)


def lpips_of(weights: Path) -> Metric:
    """The metric with AlexNet's weights from a file."""
    distance = network(weights)
    return replace(METRIC, function=distance).with_weights(distance.convs.other)


def other_weights(network: Pretrained, distance: Callable[[Path], Any]) -> str:
    """`Metric.other_weights` of a distance whose weights stand where torchvision keeps them, if they do."""
    return distance(network.place).convs.other if network.place.is_file() else ""


NOTE = "LPIPS: version 0.1 on AlexNet, of 8-bit RGB; smaller is better."
METRIC = Metric(
    "lpips", lpips, better=-1, rgb=True, smallest=SMALLEST, note=NOTE,
    other_weights=lambda: other_weights(ALEXNET, network),
)  # fmt: skip
