"""What running a network costs, counted without running it: multiply-adds, activations, convolutions, peak memory.

Definitions. Multiply-adds (MACs) are those of convolutions, transposed convolutions and linear layers; biases,
activation functions, pooling, interpolation and attention's element-wise products are left out, as in the papers'
tables. Transposed convolutions are counted at their input, as they are computed; a table that counts them at their
output has stride^2 times as many. Activations are the elements that convolutions, transposed ones too, put out: the
definition of the NTIRE challenges, in which the outputs of linear layers do not count. A 1x1 convolution counts; where
an author writes it as a linear layer (BSRN-S) his figure is lower. A convolution is counted each time it is run, so a
recursive one as often as it recurs.
"""

from __future__ import annotations

import copy
import json
import math
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sr.layers.deformable import DeformConv
from sr.models.base import SuperResolver
from sr.runs.construct import construct


@dataclass(frozen=True)
class Cost:
    """Of one image."""

    macs: int
    activations: int
    convolutions: int
    peak_bytes: int  # of tensors alive at once, input and output included, weights and convolution workspace not


def lr_size(scale: int, output: Sequence[int] = (720, 1280)) -> tuple[int, int]:
    """(h, w) of LR whose enlargement covers `output` (H, W): x2 360x640, x3 240x427, x4 180x320."""
    return math.ceil(output[0] / scale), math.ceil(output[1] / scale)


def cost(model: SuperResolver, size: Sequence[int], scale: int) -> Cost:
    """Count one forward pass of a model, merged beforehand, on LR of (h, w); no arithmetic is done."""
    shadow = copy.deepcopy(model).to("meta")
    macs = activations = convolutions = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs, activations, convolutions
        if isinstance(layer, _ConvNd | DeformConv):
            transposed = isinstance(layer, _ConvTransposeNd)
            places = math.prod((inputs[0] if transposed else output).shape[2:]) * output.shape[0]
            macs += places * layer.weight.numel()
            activations += output.numel()
            convolutions += 1
        elif isinstance(layer, nn.Linear):
            macs += output.numel() * layer.in_features

    handles = [m.register_forward_hook(count) for m in shadow.modules()]
    memory = _Memory()
    try:
        with torch.no_grad(), memory:
            shadow(torch.empty(1, 3, *size, device="meta"), scale)
    finally:
        for handle in handles:
            handle.remove()
    return Cost(macs, activations, convolutions, memory.peak)


class _Memory(TorchDispatchMode):
    """Follows which tensors are alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive: dict[int, int] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._see(leaf.untyped_storage())
        return result

    def _see(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self.alive:
            return
        self.alive[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.now -= self.alive.pop(key, 0)


@dataclass(frozen=True)
class Price:
    """What a model costs at one scale: deployed, for an output of 1280x720."""

    parameters: int
    training_parameters: int
    counts: Cost

    def eightfold(self) -> Price:
        """The same network under x8 self-ensemble, which runs it eight times."""
        counts = replace(self.counts, macs=8 * self.counts.macs, activations=8 * self.counts.activations)
        return replace(self, counts=counts)


def price(node: Mapping[str, Any], scale: int) -> Price:
    """What an architecture costs, from its settings alone."""
    scales = node.get("scale")
    own = dict(node) if scales == scale or (isinstance(scales, list) and scale in scales) else {**node, "scale": scale}
    return _price(json.dumps(own, sort_keys=True), scale)


@cache
def _price(node: str, scale: int) -> Price:
    model = construct(json.loads(node), "of the comparison")
    merged = model.merged()
    return Price(_count(merged), _count(model), cost(merged, lr_size(scale), scale))


def _count(model: SuperResolver) -> int:
    return sum(p.numel() for p in model.parameters())
