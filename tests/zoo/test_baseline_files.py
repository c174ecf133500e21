"""Files of RCAN, RRDBNet, SwinIR and EFDN against their networks written down once more from the authors' names."""

import pytest
import torch
from torch.nn import functional as F

from sr.zoo.load import load

MEAN = torch.tensor([0.4488, 0.4371, 0.4040])[:, None, None]


class Layers:
    """A file's convolutions and linear layers, by its names."""

    def __init__(self, state):
        self.state = state

    def conv(self, name, x):
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, self.state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def linear(self, name, x):
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.state[f"{name}.weight"], self.state[f"{name}.bias"])


def shuffled(net, name, x):
    y = net.conv(name, x)
    return F.pixel_shuffle(y, int((y.shape[1] / x.shape[1]) ** 0.5))


def rcan(net, x, groups, depth, names):
    head, block, gate, group, last, stages, tail = names
    features = y = net.conv(head, (x - MEAN) * 255)
    for g in range(groups):
        z = y
        for b in range(depth):
            own = block.format(g, b)
            r = net.conv(f"{own}.2", net.conv(f"{own}.0", z).relu())
            first, second = (f"{own}.3.{part}" for part in gate)
            z = z + r * torch.sigmoid(net.conv(second, net.conv(first, r.mean((2, 3), keepdim=True)).relu()))
        y = y + net.conv(group.format(g, depth), z)
    y = features + net.conv(last.format(groups), y)
    for stage in stages:
        y = shuffled(net, stage, y)
    return net.conv(tail, y) / 255 + MEAN


BASICSR = ("conv_first", "body.{}.residual_group.{}.rcab", ("attention.1", "attention.3"), "body.{}.conv")
BASICSR += ("conv_after_body", ("upsample.0", "upsample.2"), "conv_last")
AUTHORS = ("head.0", "body.{}.body.{}.body", ("conv_du.0", "conv_du.2"), "body.{}.body.{}", "body.{}")
AUTHORS += (("tail.0.0",), "tail.1")


def rrdbnet(net, x, blocks, names):
    head, conv, trunk, first, second, before, last = names
    if len(net.state[f"{head}.weight"][0]) == 12:
        x = F.pixel_unshuffle(x, 2)
    features = y = net.conv(head, x)
    for n in range(blocks):
        inner = y
        for dense in (1, 2, 3):
            seen = [inner]
            for k in (1, 2, 3, 4):
                seen.append(F.leaky_relu(net.conv(conv.format(n, dense, k), torch.cat(seen, 1)), 0.2))
            inner = inner + 0.2 * net.conv(conv.format(n, dense, 5), torch.cat(seen, 1))
        y = y + 0.2 * inner
    y = features + net.conv(trunk, y)
    for name in (first, second):
        y = F.leaky_relu(net.conv(name, y.repeat_interleave(2, 2).repeat_interleave(2, 3)), 0.2)
    return net.conv(last, F.leaky_relu(net.conv(before, y), 0.2))


AROUND = {
    "RRDBNet": ("conv_first", "body.{}.rdb{}.conv{}", "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"),
    "RRDBNet of ESRGAN": (
        "conv_first", "RRDB_trunk.{}.RDB{}.conv{}", "trunk_conv", "upconv1", "upconv2", "HRconv", "conv_last",
    ),
    "RRDBNet of ESRGAN's first names": (
        "model.0", "model.1.sub.{}.RDB{}.conv{}.0", "model.1.sub.1", "model.3", "model.6", "model.8", "model.10",
    ),
}  # fmt: skip


def swin_layer(net, name, x, heads, side, shift):
    """(h, w, C): each place sees those of its window that are in the picture."""
    h, w, channels = x.shape
    q, k, v = net.linear(f"{name}.attn.qkv", net.norm(f"{name}.norm1", x)).reshape(h, w, 3, heads, -1).unbind(2)
    table = net.state[f"{name}.attn.relative_position_bias_table"]
    rows, columns = ((torch.arange(n) + shift) // side for n in (h, w))
    found = torch.zeros(h, w, channels)
    for y in range(h):
        for z in range(w):
            own = [(i, j) for i in range(h) if rows[i] == rows[y] for j in range(w) if columns[j] == columns[z]]
            index = [(y - i + side - 1) * (2 * side - 1) + z - j + side - 1 for i, j in own]
            those = tuple(torch.tensor(one) for one in zip(*own, strict=True))
            logits = torch.einsum("hd,nhd->nh", q[y, z] * q.shape[-1] ** -0.5, k[those]) + table[index]
            found[y, z] = torch.einsum("nh,nhd->hd", logits.softmax(0), v[those]).flatten()
    x = x + net.linear(f"{name}.attn.proj", found)
    return x + net.linear(f"{name}.mlp.fc2", F.gelu(net.linear(f"{name}.mlp.fc1", net.norm(f"{name}.norm2", x))))


def swinir(net, x, groups, depth, heads, side):
    h, w = x.shape[2:]
    x = F.pad(x, (0, -w % side, 0, -h % side), mode="reflect") - MEAN
    features = net.conv("conv_first", x)
    y = net.norm("patch_embed.norm", features[0].permute(1, 2, 0))
    for g in range(groups):
        z = y
        for n in range(depth):
            z = swin_layer(net, f"layers.{g}.residual_group.blocks.{n}", z, heads, side, side // 2 * (n % 2))
        y = y + net.conv(f"layers.{g}.conv", z.permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    y = features + net.conv("conv_after_body", net.norm("norm", y).permute(2, 0, 1)[None])
    return (F.pixel_shuffle(net.conv("upsample.0", y), 3) + MEAN)[..., : 3 * h, : 3 * w]


def esa(net, name, x):
    """The gate, from features that a strided convolution and pooling shrank."""
    a = net.conv(f"{name}.conv1", x)
    small = F.conv2d(a, net.state[f"{name}.conv2.weight"], net.state[f"{name}.conv2.bias"], stride=2)
    y = net.conv(f"{name}.conv_max", F.max_pool2d(small, 7, 3)).relu()
    y = net.conv(f"{name}.conv3_", net.conv(f"{name}.conv3", y).relu())
    y = F.interpolate(y, x.shape[2:], mode="bilinear") + net.conv(f"{name}.conv_f", a)
    return x * torch.sigmoid(net.conv(f"{name}.conv4", y))


def efdn(net, x):
    """Without the author's cut to 0-1 at its end."""
    outputs = [net.conv("head", x)]
    y = outputs[0]
    for n in range(4):
        found = [y]
        for part, conv in (("conv1", "conv1x1"), ("conv2", "rep_conv"), ("conv3", "rep_conv")):
            z = net.conv(f"cells.{n}.{part}.{conv}", found[-1])
            found.append(z.relu() + net.state[f"cells.{n}.{part}.act.weight"][:, None, None] * z.clamp(max=0))
        halves = [net.conv(f"cells.{n}.branch.{m}", z) for m, z in enumerate(found)]
        y = esa(net, f"cells.{n}.att", net.conv(f"cells.{n}.fuse", torch.cat(halves, 1))) + y
        outputs.append(y)
        if n:  # fused with the block before; the last one with the second
            y = net.conv(f"local_fuse.{n - 1}", torch.cat([outputs[n if n < 3 else 2], y], 1))
    y = net.conv("tail.0", y + outputs[0])
    return F.pixel_shuffle(y, int((y.shape[1] / 3) ** 0.5))


NAIVE = {
    "EFDN": efdn,
    "RCAN of BasicSR": lambda net, x: rcan(net, x, 2, 2, BASICSR),
    "RCAN": lambda net, x: rcan(net, x, 2, 3, AUTHORS),
    **{name: lambda net, x, name=name: rrdbnet(net, x, 1 if "first" in name else 2, AROUND[name]) for name in AROUND},
    "SwinIR-light": lambda net, x: swinir(net, x, 2, 2, 3, 4),
}


@pytest.mark.parametrize("name", NAIVE)
def test_a_file_is_the_network_of_its_authors(authors_file, name, tmp_path):
    def written(state):  # what else there is in such files
        if "first" in name:
            return {f"model.{key}": value for key, value in state.items()}
        if name == "RCAN":
            return state | {"sub_mean.weight": torch.eye(3)[..., None, None], "add_mean.bias": torch.ones(3)}
        if name == "SwinIR-light":
            layer = "layers.0.residual_group.blocks.1"
            return state | {
                f"{layer}.attn_mask": torch.zeros(4, 16, 16),
                f"{layer}.attn.relative_position_index": INDEX,
            }
        return {"params_ema": state}

    path, _ = authors_file(name, "file.pth", written)
    content = torch.load(path, weights_only=True)
    model = load(str(path), tmp_path, range_="own").model
    x = torch.rand(1, 3, 23, 29) if name == "EFDN" else torch.rand(1, 3, 10, 14)  # ESA takes 15 pixels
    with torch.no_grad():
        wanted = NAIVE[name](Layers(content.get("params_ema", content)), x)
        torch.testing.assert_close(model(x), wanted, rtol=1e-4, atol=1e-4)
    assert wanted.std() > 0.01


INDEX = torch.arange(256).reshape(16, 16)
