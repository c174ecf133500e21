"""What running a network costs, counted without running it: multiply-adds, activations, convolutions, peak memory.

Definitions. Multiply-adds (MACs) are those of convolutions, transposed convolutions and linear layers; biases,
activation functions, pooling, interpolation and attention's element-wise products are left out, as in the papers'
tables. Transposed convolutions are counted at their input, as they are computed; a table that counts them at their
output has stride^2 times as many. Activations are the elements that convolutions, transposed ones too, put out: the
definition of the NTIRE challenges, in which the outputs of linear layers do not count. A 1x1 convolution counts; where
an author writes it as a linear layer (BSRN-S) his figure is lower. A convolution is counted each time it is run, so a
recursive one as often as it recurs. What a network computes outside of such layers is looked at operation by operation:
one that is neither of the kinds left out above nor a layer's is named (`Cost.unknown`), not taken for nothing.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import weakref
from collections import Counter
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
from sr.models.clips import ClipResolver
from sr.own_modules import left_as_it_is
from sr.runs.code import of_network
from sr.runs.construct import construct
from sr.zoo.onnx_file import OnnxResolver

log = logging.getLogger(__name__)
# Operations of torch that the definition leaves out, beside views and those on each value by itself.
LEFT_OUT = """
_prelu_kernel _softmax _to_copy _unsafe_view clone contiguous copy_ fill_
arange empty empty_like empty_strided full full_like linspace new_empty new_full new_ones new_zeros ones ones_like rand
randn scalar_tensor zeros zeros_like
cat flip gather index index_select repeat roll scatter select_scatter slice_scatter stack tril triu
amax amin argmax argmin cumsum max mean median min sort std std_mean sum topk var var_mean
_adaptive_avg_pool2d adaptive_avg_pool2d avg_pool2d max_pool2d_with_indices
_native_batch_norm_legit _native_batch_norm_legit_no_training native_batch_norm native_group_norm native_layer_norm
channel_shuffle col2im constant_pad_nd grid_sampler_2d im2col pixel_shuffle pixel_unshuffle reflection_pad2d
replication_pad2d promote_types _upsample_bicubic2d_aa _upsample_bilinear2d_aa upsample_bicubic2d upsample_bilinear2d
upsample_nearest2d
"""
FREE = frozenset(LEFT_OUT.split())


@dataclass(frozen=True)
class Cost:
    """Of one image."""

    macs: int
    activations: int
    convolutions: int
    peak_bytes: int  # of tensors alive at once, input and output included, weights and convolution workspace not
    unknown: tuple[str, ...] = ()  # operations that are not counted and may multiply: "bmm x 3"


def lr_size(scale: int) -> tuple[int, int]:
    """(h, w) of LR whose enlargement covers 720x1280: x2 360x640, x3 240x427, x4 180x320."""
    return math.ceil(720 / scale), math.ceil(1280 / scale)


def cost(model: SuperResolver, size: Sequence[int], scale: int) -> Cost:
    """Count one forward pass of a model, merged beforehand, on LR of (h, w); no arithmetic is done.

    Of a network that goes through a whole clip it is what each further frame takes: one alone has no flow to another.
    """
    if isinstance(model, OnnxResolver):
        return Cost(0, 0, 0, 0, ("all that its file holds",))
    shadow = copy.deepcopy(model).to("meta")
    alone = _counted(shadow, torch.empty(1, 3, *size, device="meta"), scale)
    if not goes_through_clips(model):
        return alone
    two = _counted(shadow, torch.empty(1, 2, 3, *size, device="meta"), scale)
    more = {key: getattr(two, key) - getattr(alone, key) for key in ("macs", "activations", "convolutions")}
    return replace(alone, **more, unknown=two.unknown)


def goes_through_clips(model: SuperResolver) -> bool:
    """Whether each frame is made of all of a clip."""
    return isinstance(model, ClipResolver) and model.reach is None


def _counted(shadow: SuperResolver, lr: Tensor, scale: int) -> Cost:
    """One forward pass of a model without values."""
    macs = activations = convolutions = 0
    memory = _Following()

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
        memory.layers -= 1

    def enter(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        memory.layers += 1

    layers = [m for m in shadow.modules() if isinstance(m, _ConvNd | DeformConv | nn.Linear)]
    handles = [layer.register_forward_pre_hook(enter) for layer in layers]
    handles += [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.no_grad(), torch.device("meta"), memory, left_as_it_is():
            shadow(lr, scale)
    finally:
        for handle in handles:
            handle.remove()
    unknown = tuple(f"{name} x {times}" for name, times in sorted(memory.unknown.items()))
    return Cost(macs, activations, convolutions, memory.peak, unknown)


class _Following(TorchDispatchMode):
    """Follows which tensors are alive, and what is computed outside of the counted layers."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive: dict[int, int] = {}
        self.now = self.peak = 0
        self.layers = 0  # counted ones that are being run
        self.unknown: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not self.layers and not func.is_view and torch.Tag.pointwise not in func.tags and name not in FREE:
            self.unknown[name] += 1
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
    code: Mapping[str, str]  # of the network that was counted, see `sr.runs.code.of_network`

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
    counts = cost(merged, lr_size(scale), scale)
    if counts.unknown:
        log.warning(
            f"note: the multiply-adds of {type(model).__name__} x{scale} are without {', '.join(counts.unknown)}, "
            "which the counter does not know"
        )
    return Price(_count(merged), _count(model), counts, of_network(model))


def _count(model: SuperResolver) -> int:
    return sum(p.numel() for p in model.parameters())
