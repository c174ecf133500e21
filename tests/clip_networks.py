"""Small networks on clips, and what the naive evaluations of their papers' equations have in common."""

import itertools
from collections.abc import Callable, Sequence

import naive
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.layers.deformable import DeformConv
from sr.models.basicvsr import BasicVSR
from sr.models.clips import ClipResolver
from sr.models.edvr import EDVR
from sr.models.spynet import SPyNet

EXACT = {"rtol": 0, "atol": 1e-9}
MAKERS: dict[str, Callable[..., ClipResolver]] = {
    "edvr": lambda **more: stirred(EDVR(**{"channels": 4, "num_blocks": 1, "groups": 2} | more)),
    "basicvsr": lambda **more: stirred(BasicVSR(**{"channels": 4, "num_blocks": 1} | more)),
}
both = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


def stirred(network: nn.Module) -> nn.Module:
    """The same weights each time, with flows and offsets of a pixel or two instead of none."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
    for module in network.modules():
        if isinstance(module, DeformConv):
            nn.init.kaiming_normal_(module.weight)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.offset.weight, std=0.3)
            nn.init.normal_(module.offset.bias)
        if isinstance(module, SPyNet):
            for level in module.levels:
                level[-1].weight.data.mul_(100)
                level[-1].bias.data.mul_(10)
    return network


def clip(frames: int, h: int, w: int, batch: int = 1, kind: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(batch, frames, 3, h, w, dtype=kind, generator=torch.Generator().manual_seed(1))


def loops(function: Callable[..., np.ndarray], *given: Tensor | int, **more: object) -> Tensor:
    arrays = [v.detach().numpy() if isinstance(v, Tensor) else v for v in given]
    return torch.from_numpy(np.ascontiguousarray(function(*arrays, **more)))


def conv(layer: nn.Conv2d, x: Tensor, stride: int = 1) -> Tensor:
    return F.conv2d(x, layer.weight, layer.bias, stride, layer.weight.shape[-1] // 2)


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.1 * x)


def blocks(layers: Sequence[nn.Module], x: Tensor) -> Tensor:
    for block in layers:
        x = x + conv(block.conv2, conv(block.conv1, x).clamp(min=0))
    return x


def enlarged(x: Tensor, factor: int, corners: bool = False) -> Tensor:
    return loops(naive.resized, x, factor * x.shape[-2], factor * x.shape[-1], corners=corners)


def shuffled(x: Tensor) -> Tensor:
    """Channel 4c + 2i + j goes to row 2y + i and column 2x + j."""
    b, c, h, w = x.shape
    out = x.new_zeros(b, c // 4, 2 * h, 2 * w)
    for i, j in itertools.product(range(2), range(2)):
        out[:, :, i::2, j::2] = x[:, 2 * i + j :: 4]
    return out
