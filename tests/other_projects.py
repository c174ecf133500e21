"""State dicts as other projects write them, with random values, and their networks as plain sums of convolutions.

Written from what those projects' code does (ranges, mean colours, orders, paddings), with torch.nn.functional alone. An
evaluation takes and gives what a user has: RGB, or luma, in [0, 1].
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import (
    conv2d,
    conv_transpose2d,
    interpolate,
    leaky_relu,
    max_pool2d,
    pad,
    pixel_shuffle,
    prelu,
    relu,
)  # fmt: skip

State = dict[str, Tensor]
MEAN = torch.tensor((0.4488, 0.4371, 0.4040))


class Maker:
    """Fills a state dict in a project's order."""

    def __init__(self) -> None:
        self.state: State = {}

    def conv(self, name: str, inputs: int, outputs: int, side: int = 3, bias: bool = True, gain: float = 1.0) -> None:
        self.state[f"{name}.weight"] = gain * torch.randn(outputs, inputs, side, side) / (inputs * side * side) ** 0.5
        if bias:
            self.state[f"{name}.bias"] = 0.1 * torch.randn(outputs)

    def norm(self, name: str, channels: int, counter: bool = True) -> None:
        self.state[f"{name}.weight"] = 1 + 0.2 * torch.randn(channels)
        self.state[f"{name}.bias"] = 0.1 * torch.randn(channels)
        self.state[f"{name}.running_mean"] = 0.1 * torch.randn(channels)
        self.state[f"{name}.running_var"] = 0.5 + torch.rand(channels)
        if counter:
            self.state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def slope(self, name: str, values: int = 1) -> None:
        self.state[f"{name}.weight"] = 0.25 + 0.1 * torch.randn(values)


def c(s: State, name: str, x: Tensor, padding: int | None = None, stride: int = 1) -> Tensor:
    weight = s[f"{name}.weight"]
    around = weight.shape[-1] // 2 if padding is None else padding
    return conv2d(x, weight, s.get(f"{name}.bias"), stride, around)


def bn(s: State, name: str, x: Tensor) -> Tensor:
    weight, bias, mean, var = (
        s[f"{name}.{kind}"][:, None, None] for kind in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def edsr_pytorch(blocks: int, f: int, scale: int, white: float = 255.0) -> State:
    m = Maker()
    for name, sign in (("sub_mean", -1), ("add_mean", 1)):
        m.state[f"{name}.weight"] = torch.eye(3)[:, :, None, None]
        m.state[f"{name}.bias"] = sign * white * MEAN
    m.conv("head.0", 3, f)
    for n in range(blocks):
        m.conv(f"body.{n}.body.0", f, f)
        m.conv(f"body.{n}.body.2", f, f, gain=0.5)
    m.conv(f"body.{blocks}", f, f)
    for n, factor in enumerate({2: (2,), 3: (3,), 4: (2, 2)}[scale]):
        m.conv(f"tail.0.{2 * n}", f, f * factor**2)
    m.conv("tail.1", f, 3)
    return m.state


def edsr_naive(s: State, x: Tensor, scale: int, white: float = 255.0, res_scale: float = 1.0) -> Tensor:
    mean = white * MEAN[:, None, None]
    head = c(s, "head.0", white * x - mean)
    blocks = sum(key.endswith("body.0.weight") for key in s)
    y = head
    for n in range(blocks):
        y = y + res_scale * c(s, f"body.{n}.body.2", relu(c(s, f"body.{n}.body.0", y)))
    y = c(s, f"body.{blocks}", y) + head
    for n, factor in enumerate({2: (2,), 3: (3,), 4: (2, 2)}[scale]):
        y = pixel_shuffle(c(s, f"tail.0.{2 * n}", y), factor)
    return (c(s, "tail.1", y) + mean) / white


def mdsr_pytorch(blocks: int, f: int, scales: tuple[int, ...]) -> State:
    m = Maker()
    for name, sign in (("sub_mean", -1), ("add_mean", 1)):
        m.state[f"{name}.weight"] = torch.eye(3)[:, :, None, None]
        m.state[f"{name}.bias"] = sign * 255 * MEAN
    m.conv("head.0", 3, f)
    for place, scale in enumerate(scales):
        for n in (0, 1):
            m.conv(f"pre_process.{place}.{n}.body.0", f, f, 5)
            m.conv(f"pre_process.{place}.{n}.body.2", f, f, 5)
        for n, factor in enumerate({2: (2,), 3: (3,), 4: (2, 2)}[scale]):
            m.conv(f"upsample.{place}.{2 * n}", f, f * factor**2)
    for n in range(blocks):
        m.conv(f"body.{n}.body.0", f, f)
        m.conv(f"body.{n}.body.2", f, f)
    m.conv(f"body.{blocks}", f, f)
    m.conv("tail.0", f, 3)
    return m.state


def mdsr_naive(s: State, x: Tensor, scale: int, place: int) -> Tensor:
    mean = 255 * MEAN[:, None, None]
    y = c(s, "head.0", 255 * x - mean)
    for n in (0, 1):
        y = y + c(s, f"pre_process.{place}.{n}.body.2", relu(c(s, f"pre_process.{place}.{n}.body.0", y)))
    skip, n = y, 0
    while f"body.{n}.body.0.weight" in s:
        y = y + c(s, f"body.{n}.body.2", relu(c(s, f"body.{n}.body.0", y)))
        n += 1
    y = c(s, f"body.{n}", y) + skip
    for n, factor in enumerate({2: (2,), 3: (3,), 4: (2, 2)}[scale]):
        y = pixel_shuffle(c(s, f"upsample.{place}.{2 * n}", y), factor)
    return (c(s, "tail.0", y) + mean) / 255


def edsr_basicsr(blocks: int, f: int, scale: int) -> State:
    m = Maker()
    m.conv("conv_first", 3, f)
    for n in range(blocks):
        m.conv(f"body.{n}.conv1", f, f)
        m.conv(f"body.{n}.conv2", f, f, gain=0.5)
    m.conv("conv_after_body", f, f)
    for n, factor in enumerate({2: (2,), 3: (3,), 4: (2, 2)}[scale]):
        m.conv(f"upsample.{2 * n}", f, f * factor**2)
    m.conv("conv_last", f, 3)
    return m.state


def edsr_basicsr_naive(s: State, x: Tensor, scale: int, res_scale: float = 1.0) -> Tensor:
    mean = MEAN[:, None, None]
    head = c(s, "conv_first", (x - mean) * 255)
    y, n = head, 0
    while f"body.{n}.conv1.weight" in s:
        y = y + res_scale * c(s, f"body.{n}.conv2", relu(c(s, f"body.{n}.conv1", y)))
        n += 1
    y = c(s, "conv_after_body", y) + head
    for n, factor in enumerate({2: (2,), 3: (3,), 4: (2, 2)}[scale]):
        y = pixel_shuffle(c(s, f"upsample.{2 * n}", y), factor)
    return c(s, "conv_last", y) / 255 + mean


def msrresnet(blocks: int, f: int, scale: int) -> State:
    m = Maker()
    m.conv("conv_first", 3, f)
    for n in range(blocks):
        m.conv(f"body.{n}.conv1", f, f)
        m.conv(f"body.{n}.conv2", f, f)
    m.conv("upconv1", f, f * (9 if scale == 3 else 4))
    if scale == 4:
        m.conv("upconv2", f, 4 * f)
    m.conv("conv_hr", f, f)
    m.conv("conv_last", f, 3)
    return m.state


def msrresnet_naive(s: State, x: Tensor, scale: int) -> Tensor:
    y, n = leaky_relu(c(s, "conv_first", x), 0.1), 0
    while f"body.{n}.conv1.weight" in s:
        y = y + c(s, f"body.{n}.conv2", relu(c(s, f"body.{n}.conv1", y)))
        n += 1
    y = leaky_relu(pixel_shuffle(c(s, "upconv1", y), 3 if scale == 3 else 2), 0.1)
    if scale == 4:
        y = leaky_relu(pixel_shuffle(c(s, "upconv2", y), 2), 0.1)
    y = c(s, "conv_last", leaky_relu(c(s, "conv_hr", y), 0.1))
    return y + interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)


def leftthomas(stages: int, f: int = 64, blocks: int = 5, counter: bool = True) -> State:
    m = Maker()
    m.conv("block1.0", 3, f, 9)
    m.slope("block1.1")
    for n in range(2, 2 + blocks):
        m.conv(f"block{n}.conv1", f, f)
        m.norm(f"block{n}.bn1", f, counter)
        m.slope(f"block{n}.prelu")
        m.conv(f"block{n}.conv2", f, f)
        m.norm(f"block{n}.bn2", f, counter)
    m.conv(f"block{2 + blocks}.0", f, f)
    m.norm(f"block{2 + blocks}.1", f, counter)
    for n in range(stages):
        m.conv(f"block{3 + blocks}.{n}.conv", f, 4 * f)
        m.slope(f"block{3 + blocks}.{n}.prelu")
    m.conv(f"block{3 + blocks}.{stages}", f, 3, 9, gain=0.3)
    return m.state


def leftthomas_naive(s: State, x: Tensor, blocks: int = 5) -> Tensor:
    head = prelu(c(s, "block1.0", x), s["block1.1.weight"])
    y = head
    for n in range(2, 2 + blocks):
        z = bn(s, f"block{n}.bn1", c(s, f"block{n}.conv1", y))
        z = c(s, f"block{n}.conv2", prelu(z, s[f"block{n}.prelu.weight"]))
        y = y + bn(s, f"block{n}.bn2", z)
    y = head + bn(s, f"block{2 + blocks}.1", c(s, f"block{2 + blocks}.0", y))
    n = 0
    while f"block{3 + blocks}.{n}.conv.weight" in s:
        y = prelu(pixel_shuffle(c(s, f"block{3 + blocks}.{n}.conv", y), 2), s[f"block{3 + blocks}.{n}.prelu.weight"])
        n += 1
    return (torch.tanh(c(s, f"block{3 + blocks}.{n}", y)) + 1) / 2


def lornatang(stages: int, f: int, blocks: int, prefix: str = "conv") -> State:
    m = Maker()
    m.conv(f"{prefix}1.0", 3, f, 9)
    m.slope(f"{prefix}1.1")
    for n in range(blocks):
        m.conv(f"trunk.{n}.rcb.0", f, f, bias=False)
        m.norm(f"trunk.{n}.rcb.1", f)
        m.slope(f"trunk.{n}.rcb.2")
        m.conv(f"trunk.{n}.rcb.3", f, f, bias=False)
        m.norm(f"trunk.{n}.rcb.4", f)
    m.conv(f"{prefix}2.0", f, f, bias=False)
    m.norm(f"{prefix}2.1", f)
    for n in range(stages):
        m.conv(f"upsampling.{n}.upsample_block.0", f, 4 * f)
        m.slope(f"upsampling.{n}.upsample_block.2")
    m.conv(f"{prefix}3", f, 3, 9)
    return m.state


def lornatang_naive(s: State, x: Tensor, prefix: str = "conv") -> Tensor:
    head = prelu(c(s, f"{prefix}1.0", x), s[f"{prefix}1.1.weight"])
    y, n = head, 0
    while f"trunk.{n}.rcb.0.weight" in s:
        z = prelu(bn(s, f"trunk.{n}.rcb.1", c(s, f"trunk.{n}.rcb.0", y)), s[f"trunk.{n}.rcb.2.weight"])
        y = y + bn(s, f"trunk.{n}.rcb.4", c(s, f"trunk.{n}.rcb.3", z))
        n += 1
    y, n = head + bn(s, f"{prefix}2.1", c(s, f"{prefix}2.0", y)), 0
    while f"upsampling.{n}.upsample_block.0.weight" in s:
        z = pixel_shuffle(c(s, f"upsampling.{n}.upsample_block.0", y), 2)
        y = prelu(z, s[f"upsampling.{n}.upsample_block.2.weight"])
        n += 1
    return c(s, f"{prefix}3", y).clamp(0, 1)


SOBEL = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
EDGES = {
    "conv1x1_sbx": SOBEL,
    "conv1x1_sby": SOBEL.T,
    "conv1x1_lpl": torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]),
}


def ecbsr(blocks: int, f: int, scale: int, colors: int) -> State:
    m = Maker()
    widths = [colors] + (blocks + 1) * [f] + [colors * scale**2]
    for n, (a, b) in enumerate(pairwise(widths)):
        own = f"backbone.{n}"
        m.conv(f"{own}.conv3x3", a, b)
        for key, shape in (("k0", (2 * b, a, 1, 1)), ("b0", (2 * b,)), ("k1", (b, 2 * b, 3, 3)), ("b1", (b,))):
            m.state[f"{own}.conv1x1_3x3.{key}"] = 0.2 * torch.randn(shape)
        for edge, mask in EDGES.items():
            for key, shape in (("k0", (b, a, 1, 1)), ("b0", (b,)), ("scale", (b, 1, 1, 1)), ("bias", (b,))):
                m.state[f"{own}.{edge}.{key}"] = 0.2 * torch.randn(shape)
            m.state[f"{own}.{edge}.mask"] = mask.expand(b, 1, 3, 3).clone()
        if n <= blocks:
            m.slope(f"{own}.act", b)
    return m.state


def ecbsr_naive(s: State, x: Tensor, white: float, with_identity: bool = False) -> Tensor:
    """Each branch pads the result of its 1x1 with that convolution's bias."""
    y, n = white * x, 0
    while (own := f"backbone.{n}") + ".conv3x3.weight" in s:
        z = c(s, f"{own}.conv3x3", y)
        for branch in ("conv1x1_3x3", *EDGES):
            own_bias = s[f"{own}.{branch}.b0"]
            inner = conv2d(y, s[f"{own}.{branch}.k0"])  # the bias is added to what is padded with zeros: the same
            inner = pad(inner, (1, 1, 1, 1)) + own_bias[:, None, None]
            if branch in EDGES:
                mask = s[f"{own}.{branch}.scale"] * s[f"{own}.{branch}.mask"]
                z = z + conv2d(inner, mask, s[f"{own}.{branch}.bias"], groups=len(mask))
            else:
                z = z + conv2d(inner, s[f"{own}.{branch}.k1"], s[f"{own}.{branch}.b1"])
        if with_identity and z.shape == y.shape:
            z = z + y
        y = prelu(z, s[f"{own}.act.weight"]) if f"{own}.act.weight" in s else z
        n += 1
    return _shuffled(y, white * x) / white


def _shuffled(y: Tensor, x: Tensor) -> Tensor:
    """Each colour repeated for all of its pixels."""
    pixels = y.shape[1] // x.shape[1]
    return pixel_shuffle(y + torch.repeat_interleave(x, pixels, dim=1), round(pixels**0.5))


def plainsr(blocks: int, f: int, scale: int, colors: int = 1) -> State:
    m = Maker()
    widths = [colors] + (blocks + 1) * [f] + [colors * scale**2]
    for n, (a, b) in enumerate(pairwise(widths)):
        m.conv(f"backbone.{n}.conv3x3", a, b)
        if n <= blocks:
            m.slope(f"backbone.{n}.act", b)
    return m.state


def plainsr_naive(s: State, x: Tensor, white: float) -> Tensor:
    y, n = white * x, 0
    while f"backbone.{n}.conv3x3.weight" in s:
        y = c(s, f"backbone.{n}.conv3x3", y)
        y = prelu(y, s[f"backbone.{n}.act.weight"]) if f"backbone.{n}.act.weight" in s else y
        n += 1
    return _shuffled(y, white * x) / white


def compact(convs: int, f: int, scale: int) -> State:
    m = Maker()
    for n in range(convs + 1):
        m.conv(f"body.{2 * n}", f if n else 3, f)
        m.slope(f"body.{2 * n + 1}", f)
    m.conv(f"body.{2 * convs + 2}", f, 3 * scale**2)
    return m.state


def compact_naive(s: State, x: Tensor, scale: int) -> Tensor:
    y, n = x, 0
    while f"body.{n}.weight" in s:
        weight = s[f"body.{n}.weight"]
        y = prelu(y, weight) if weight.ndim == 1 else c(s, f"body.{n}", y)
        n += 1
    return pixel_shuffle(y, scale) + interpolate(x, scale_factor=scale, mode="nearest")


def vdsr(layers: int, f: int) -> State:
    m = Maker()
    widths = [1] + (layers - 1) * [f] + [1]
    for n, (a, b) in enumerate(pairwise(widths)):
        m.conv(f"features.{2 * n}", a, b, bias=False)
    return m.state


def vdsr_naive(s: State, enlarged: Tensor) -> Tensor:
    y, n = enlarged, 0
    while f"features.{n}.weight" in s:
        y = c(s, f"features.{n}", relu(y) if n else y)
        n += 2
    return enlarged + y


def espcn(scale: int, colors: int = 1) -> State:
    m = Maker()
    m.conv("first_part.0", colors, 64, 5)
    m.conv("first_part.2", 64, 32)
    m.conv("last_part.0", 32, colors * scale**2)
    return m.state


def espcn_naive(s: State, x: Tensor, scale: int) -> Tensor:
    y = torch.tanh(c(s, "first_part.2", torch.tanh(c(s, "first_part.0", x))))
    return pixel_shuffle(c(s, "last_part.0", y), scale)


def fsrcnn(d: int = 56, s: int = 12, m: int = 4) -> State:
    made = Maker()
    made.conv("first_part.0", 1, d, 5)
    made.slope("first_part.1", d)
    layers = [(d, s, 1), *(m * [(s, s, 3)]), (s, d, 1)]
    for n, (a, b, side) in enumerate(layers):
        made.conv(f"mid_part.{2 * n}", a, b, side)
        made.slope(f"mid_part.{2 * n + 1}", b)
    made.state["last_part.weight"] = torch.randn(d, 1, 9, 9) / 20
    made.state["last_part.bias"] = torch.randn(1)
    return made.state


def fsrcnn_naive(s: State, x: Tensor, scale: int) -> Tensor:
    y, n = prelu(c(s, "first_part.0", x), s["first_part.1.weight"]), 0
    while f"mid_part.{n}.weight" in s:
        y = prelu(c(s, f"mid_part.{n}", y), s[f"mid_part.{n + 1}.weight"])
        n += 2
    weight, bias = s["last_part.weight"], s["last_part.bias"]
    return conv_transpose2d(y, weight, bias, scale, padding=4, output_padding=scale - 1)


def imdn_reference(blocks: int, f: int, scale: int) -> State:
    m = Maker()
    kept = f // 4
    m.conv("model.0", 3, f)
    for n in range(blocks):
        own = f"model.1.sub.{n}"
        for k in (1, 2, 3):
            m.conv(f"{own}.conv{k}.0", f if k == 1 else f - kept, f)
        m.conv(f"{own}.conv4", f - kept, kept)
        m.conv(f"{own}.conv1x1", 4 * kept, f, 1)
    m.conv(f"model.1.sub.{blocks}", f, f)
    m.conv("model.2", f, 3 * scale**2)
    return m.state


def imdn_reference_naive(s: State, x: Tensor, scale: int) -> Tensor:
    head = c(s, "model.0", x)
    y, n = head, 0
    while (own := f"model.1.sub.{n}") + ".conv4.weight" in s:
        rest, parts = y, []
        kept = len(s[f"{own}.conv4.weight"])
        for k in (1, 2, 3):
            z = leaky_relu(c(s, f"{own}.conv{k}.0", rest), 0.05)
            parts.append(z[:, :kept])
            rest = z[:, kept:]
        y = y + c(s, f"{own}.conv1x1", torch.cat([*parts, c(s, f"{own}.conv4", rest)], 1))
        n += 1
    return pixel_shuffle(c(s, "model.2", head + c(s, f"model.1.sub.{n}", y)), scale)


GROUPS = {1: ("conv3",), 2: ("conv_max", "conv3"), 3: ("conv_max", "conv3", "conv3_")}


def _esa(m: Maker, own: str, channels: int, f: int, groups: int) -> None:
    for name in ("conv1", "conv_f", "conv2", *GROUPS[groups], "conv4"):
        inputs, outputs = channels if name == "conv1" else f, channels if name == "conv4" else f
        m.conv(f"{own}.{name}", inputs, outputs, 1 if name in ("conv1", "conv_f", "conv4") else 3)


def _esa_naive(s: State, own: str, x: Tensor) -> Tensor:
    first = c(s, f"{own}.conv1", x)
    y = max_pool2d(c(s, f"{own}.conv2", first, padding=0, stride=2), 7, 3)
    names = [name for name in GROUPS[3] if f"{own}.{name}.weight" in s]
    for n, name in enumerate(names):
        y = c(s, f"{own}.{name}", relu(y) if n else y)
    y = interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False)
    return x * torch.sigmoid(c(s, f"{own}.conv4", y + c(s, f"{own}.conv_f", first)))


def rlfn_ntire(blocks: int, f: int, mid: int, scale: int) -> State:
    m = Maker()
    m.conv("fea_conv", 3, f)
    for n in range(1, blocks + 1):
        for k, (a, b) in enumerate(((f, mid), (mid, mid), (mid, f)), 1):
            m.conv(f"B{n}.c{k}_r", a, b)
        m.conv(f"B{n}.c5", f, f, 1)
        _esa(m, f"B{n}.esa", f, 16, 1)
    m.conv("LR_conv", f, f)
    m.conv("upsampler.0", f, 3 * scale**2)
    return m.state


def rlfn_ntire_naive(s: State, x: Tensor, scale: int) -> Tensor:
    head = c(s, "fea_conv", 255 * x)
    y, n = head, 1
    while f"B{n}.c5.weight" in s:
        z = y
        for k in (1, 2, 3):
            z = leaky_relu(c(s, f"B{n}.c{k}_r", z), 0.05)
        y = _esa_naive(s, f"B{n}.esa", c(s, f"B{n}.c5", z + y))
        n += 1
    return pixel_shuffle(c(s, "upsampler.0", c(s, "LR_conv", y) + head), scale) / 255


def rfdn(blocks: int, f: int, esa: int, groups: int, scale: int) -> State:
    m = Maker()
    half = f // 2
    m.conv("fea_conv", 3, f)
    for n in range(1, blocks + 1):
        for k in (1, 2, 3):
            m.conv(f"B{n}.c{k}_d", f, half, 1)
            m.conv(f"B{n}.c{k}_r", f, f)
        m.conv(f"B{n}.c4", f, half)
        m.conv(f"B{n}.c5", 4 * half, f, 1)
        _esa(m, f"B{n}.esa", f, esa, groups)
    m.conv("c.0", blocks * f, f, 1)
    m.conv("LR_conv", f, f)
    m.conv("upsampler.0", f, 3 * scale**2)
    return m.state


def rfdn_naive(s: State, x: Tensor, scale: int, white: float = 255.0) -> Tensor:
    head = c(s, "fea_conv", white * x)
    y, outputs, n = head, [], 1
    while f"B{n}.c4.weight" in s:
        parts = []
        for k in (1, 2, 3):
            parts.append(leaky_relu(c(s, f"B{n}.c{k}_d", y), 0.05))
            y = leaky_relu(c(s, f"B{n}.c{k}_r", y) + y, 0.05)
        parts.append(leaky_relu(c(s, f"B{n}.c4", y), 0.05))
        y = _esa_naive(s, f"B{n}.esa", c(s, f"B{n}.c5", torch.cat(parts, 1)))
        outputs.append(y)
        n += 1
    y = leaky_relu(c(s, "c.0", torch.cat(outputs, 1)), 0.05)
    return pixel_shuffle(c(s, "upsampler.0", c(s, "LR_conv", y) + head), scale) / white


@dataclass(frozen=True)
class Case:
    """A file of another project.

    Attributes:
        family: which the zoo has to recognise.
        state: makes it.
        naive: its network, (state, x) -> SR; x is luma where the project's network sees one channel.
        scale: of the file.
        told: whether its tensors tell the scale; else it is typed.
        typed: range as typed; "own" for the project's.
        parameters: of the project's network of this size, as published; None where the size is ours.
    """

    family: str
    state: Callable[[], State]
    naive: Callable[[State, Tensor], Tensor]
    scale: int
    told: bool = True
    typed: str = "own"
    parameters: int | None = None


def cases() -> Iterator[Any]:
    def case(name: str, *args: Any, **more: Any) -> Any:
        return pytest.param(Case(*args, **more), id=name)

    for scale in (2, 3, 4):
        yield case(
            f"EDSR-PyTorch x{scale}", "EDSR of EDSR-PyTorch", lambda scale=scale: edsr_pytorch(3, 8, scale),
            lambda s, x, scale=scale: edsr_naive(s, x, scale), scale,
        )  # fmt: skip
        yield case(
            f"EDSR of BasicSR x{scale}", "EDSR of BasicSR", lambda scale=scale: edsr_basicsr(2, 8, scale),
            lambda s, x, scale=scale: edsr_basicsr_naive(s, x, scale), scale,
        )  # fmt: skip
        yield case(
            f"MSRResNet x{scale}", "MSRResNet of BasicSR", lambda scale=scale: msrresnet(3, 8, scale),
            lambda s, x, scale=scale: msrresnet_naive(s, x, scale), scale,
        )  # fmt: skip
        yield case(
            f"FSRCNN x{scale}", "FSRCNN of yjn870", fsrcnn, lambda s, x, scale=scale: fsrcnn_naive(s, x, scale), scale,
            told=False, parameters=12809,
        )  # fmt: skip
    yield case("EDSR-baseline", "EDSR of EDSR-PyTorch", lambda: edsr_pytorch(16, 64, 2),
               lambda s, x: edsr_naive(s, x, 2), 2, parameters=1369859 + 24)  # fmt: skip
    yield case("EDSR of 256 channels", "EDSR of EDSR-PyTorch", lambda: edsr_pytorch(1, 256, 2),
               lambda s, x: edsr_naive(s, x, 2, res_scale=0.1), 2)  # fmt: skip
    yield case("EDSR of BasicSR, 256 channels", "EDSR of BasicSR", lambda: edsr_basicsr(1, 256, 2),
               lambda s, x: edsr_basicsr_naive(s, x, 2, res_scale=0.1), 2)  # fmt: skip
    yield case("EDSR-PyTorch trained in 0-1", "EDSR of EDSR-PyTorch", lambda: edsr_pytorch(2, 8, 4, 1.0),
               lambda s, x: edsr_naive(s, x, 4, 1.0), 4)  # fmt: skip
    yield case("MSRResNet", "MSRResNet of BasicSR", lambda: msrresnet(16, 64, 4),
               lambda s, x: msrresnet_naive(s, x, 4), 4, parameters=1517571)  # fmt: skip
    yield case("SRGAN of leftthomas", "SRGAN of leftthomas", lambda: leftthomas(2), leftthomas_naive, 4)
    yield case("SRGAN of leftthomas x8, before PyTorch 0.4.1", "SRGAN of leftthomas",
               lambda: leftthomas(3, f=8, counter=False), leftthomas_naive, 8)  # fmt: skip
    for name, prefix in (("Lornatang's", "conv"), ("Lornatang's former names", "conv_block")):
        yield case(name, "SRResNet of Lornatang", lambda prefix=prefix: lornatang(2, 16, 3, prefix),
                   lambda s, x, prefix=prefix: lornatang_naive(s, x, prefix), 4)  # fmt: skip
    yield case("ECBSR M4C16", "ECBSR", lambda: ecbsr(4, 16, 2, 1), lambda s, x: ecbsr_naive(s, x, 255.0), 2,
               parameters=42224)  # fmt: skip
    yield case("ECBSR of BasicSR", "ECBSR", lambda: ecbsr(2, 8, 4, 1), lambda s, x: ecbsr_naive(s, x, 1.0), 4,
               typed="0-1")  # fmt: skip
    yield case("ECBSR of BasicSR on RGB", "ECBSR", lambda: ecbsr(1, 8, 2, 3), lambda s, x: ecbsr_naive(s, x, 1.0), 2,
               typed="0-1")  # fmt: skip
    yield case("ECBSR merged", "ECBSR, merged", lambda: plainsr(4, 16, 3), lambda s, x: plainsr_naive(s, x, 255.0), 3,
               parameters=10825)  # fmt: skip
    yield case("ECBSR merged in 0-1", "ECBSR, merged", lambda: plainsr(1, 8, 2), lambda s, x: plainsr_naive(s, x, 1.0),
               2, typed="0-1")  # fmt: skip
    yield case("realesr-animevideov3", "SRVGGNetCompact", lambda: compact(16, 64, 4),
               lambda s, x: compact_naive(s, x, 4), 4, parameters=621424)  # fmt: skip
    yield case("compact x2", "SRVGGNetCompact", lambda: compact(3, 8, 2), lambda s, x: compact_naive(s, x, 2), 2)
    yield case("ESPCN x3", "ESPCN of yjn870", lambda: espcn(3), lambda s, x: espcn_naive(s, x, 3), 3, parameters=22729)
    yield case("IMDN of NTIRE 2022", "IMDN of NTIRE 2022", lambda: imdn_reference(8, 64, 4),
               lambda s, x: imdn_reference_naive(s, x, 4), 4, parameters=893936)  # fmt: skip
    yield case("RLFN of NTIRE 2022", "RLFN of NTIRE 2022", lambda: rlfn_ntire(4, 46, 48, 4),
               lambda s, x: rlfn_ntire_naive(s, x, 4), 4, parameters=317218)  # fmt: skip
    yield case("RFDN of AIM 2020", "RFDN", lambda: rfdn(4, 50, 12, 3, 4), lambda s, x: rfdn_naive(s, x, 4), 4,
               parameters=433448)  # fmt: skip
    yield case("RFDN of the paper's size", "RFDN", lambda: rfdn(6, 48, 6, 1, 2), lambda s, x: rfdn_naive(s, x, 2), 2,
               parameters=534756)  # fmt: skip
    yield case("RFDN with two convolutions in ESA, in 0-1", "RFDN", lambda: rfdn(2, 12, 4, 2, 3),
               lambda s, x: rfdn_naive(s, x, 3, 1.0), 3, typed="0-1")  # fmt: skip


HELD = {p.values[0].family for p in cases()} | {"MDSR of EDSR-PyTorch", "VDSR of twtygqyy"}  # families of the zoo
