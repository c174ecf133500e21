"""The networks on clips: their sizes, their equations evaluated naively, and the contract of clips."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import naive
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from sr.errors import UserError
from sr.imaging.resize import imresize
from sr.layers.deformable import DeformConv
from sr.measuring.cost import cost
from sr.models.base import SuperResolver
from sr.models.basicvsr import BasicVSR
from sr.models.bicubic import Bicubic
from sr.models.clips import ClipResolver, FeatureFile, window
from sr.models.edvr import EDVR
from sr.models.espcn import ESPCN
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


# --- the papers' equations, on plain functions -------------------------------------------------------------------


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


def deformed(layer: DeformConv, features: Tensor, guide: Tensor) -> Tensor:
    offset, mask = conv(layer.offset, guide).tensor_split([len(layer.offset.weight) * 2 // 3], 1)
    return loops(naive.deform_conv, features, offset, mask.sigmoid(), layer.weight, layer.bias, padding=1)


def halves(frame: Tensor) -> Tensor:
    b, c, h, w = frame.shape
    return frame.view(b, c, h // 2, 2, w // 2, 2).mean((3, 5))


def flow_between(net: SPyNet, frame: Tensor, other: Tensor) -> Tensor:
    """SPyNet in BasicVSR's form: sides made multiples of 32, six levels, colours around ImageNet's."""
    h, w = frame.shape[-2:]
    tall, wide = (32 * ((side + 31) // 32) for side in (h, w))
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).double()[..., None, None]
    pyramids = []
    for image in (frame, other):
        levels = [(loops(naive.resized, image, tall, wide) - mean) / std]
        for _ in range(5):
            levels.append(halves(levels[-1]))
        pyramids.append(levels[::-1])
    flow = torch.zeros(len(frame), 2, tall // 32, wide // 32).double()
    for level, (own, to) in enumerate(zip(*pyramids, strict=True)):
        if level > 0:
            flow = 2 * enlarged(flow, 2, corners=True)
        x = torch.cat([own, loops(naive.warp, to, flow, border=True), flow], 1)
        for n, layer in enumerate(m for m in net.levels[level] if isinstance(m, nn.Conv2d)):
            x = conv(layer, x if n == 0 else x.clamp(min=0))
        flow = flow + x
    flow = loops(naive.resized, flow, h, w)
    return torch.stack([flow[:, 0] * w / wide, flow[:, 1] * h / tall], 1)


def basicvsr(net: BasicVSR, frames: Sequence[Tensor]) -> list[Tensor]:
    def handed_on(branch: nn.Module, order: Sequence[int]) -> dict[int, Tensor]:
        found: dict[int, Tensor] = {}
        for former, n in zip([None, *order], order, strict=False):
            carried = torch.zeros(len(frames[n]), net.channels, *frames[n].shape[-2:]).double()
            if former is not None:
                carried = found[former]
                if net.flow is not None:
                    carried = loops(naive.warp, carried, flow_between(net.flow, frames[n], frames[former]))
            found[n] = blocks(list(branch)[2:], leaky(conv(branch[0], torch.cat([frames[n], carried], 1))))
        return found

    order = range(len(frames))
    directions = [handed_on(net.forward_branch, order)]
    if net.backward_branch is not None:
        directions.insert(0, handed_on(net.backward_branch, order[::-1]))
    out = []
    for n in order:
        x = leaky(conv(net.fusion[0], torch.cat([features[n] for features in directions], 1)))
        for stage in (0, 2):
            x = leaky(shuffled(conv(net.upsampler[stage][0], x)))
        out.append(conv(net.tail[2], leaky(conv(net.tail[0], x))) + enlarged(frames[n], 4))
    return out


def pcd(net: nn.Module, frame: Sequence[Tensor], centre: Sequence[Tensor]) -> Tensor:
    for level in (2, 1, 0):
        guide = leaky(conv(net.compare[level], torch.cat([frame[level], centre[level]], 1)))
        if level == 2:
            guide = leaky(conv(net.refine[2], guide))
        else:
            guide = leaky(conv(net.refine[level], torch.cat([guide, coarse_guide], 1)))  # noqa: F821
            guide = leaky(conv(net.settle[level], guide))
        moved = deformed(net.move[level], frame[level], guide)
        if level < 2:
            moved = conv(net.blend[level], torch.cat([moved, coarse], 1))  # noqa: F821
        if level > 0:
            coarse_guide, coarse = 2 * enlarged(guide, 2), enlarged(leaky(moved), 2)  # noqa: F841
    guide = leaky(conv(net.last_compare[0], torch.cat([moved, centre[0]], 1)))
    return leaky(deformed(net.last_move, moved, leaky(conv(net.last_compare[2], guide))))


def tsa(net: nn.Module, aligned: Sequence[Tensor]) -> Tensor:
    centre = conv(net.embed_centre, aligned[len(aligned) // 2])
    weighted = [x * torch.sigmoid((conv(net.embed, x) * centre).sum(1, keepdim=True)) for x in aligned]
    together = torch.cat(weighted, 1)

    def pooled(x: Tensor) -> Tensor:
        """3x3 at every second pixel; zeros around count in the mean, never as a maximum."""
        out = [[], []]
        for y, z in itertools.product(range(0, x.shape[-2], 2), range(0, x.shape[-1], 2)):
            part = x[..., max(y - 1, 0) : y + 2, max(z - 1, 0) : z + 2]
            out[0].append(part.amax((-2, -1)))
            out[1].append(part.sum((-2, -1)) / 9)
        size = (x.shape[-2] + 1) // 2, (x.shape[-1] + 1) // 2
        return torch.cat([torch.stack(kind, -1).unflatten(-1, size) for kind in out], 1)

    half = leaky(conv(net.halved[0], pooled(leaky(conv(net.squeeze[0], together)))))
    quarter = leaky(conv(net.quarter[0], pooled(leaky(conv(net.half_own[0], half)))))
    quarter = enlarged(leaky(conv(net.quarter[2], quarter)), 2)
    half = leaky(conv(net.join[0], leaky(conv(net.half_smooth[0], half)) + quarter))
    attention = conv(net.mask, enlarged(half, 2))
    added = conv(net.add[1], leaky(conv(net.add[0][0], attention)))
    return leaky(conv(net.fuse[0], together)) * torch.sigmoid(attention) * 2 + added


def edvr(net: EDVR, frames: Sequence[Tensor], around: Sequence[Sequence[int]]) -> list[Tensor]:
    h, w = frames[0].shape[-2:]
    padded = [F.pad(x, (0, -w % 4, 0, -h % 4), mode="replicate") for x in frames]
    features = []
    for x in padded:
        levels = [blocks(net.head[2:], leaky(conv(net.head[0], x)))]
        for down in net.halve:
            levels.append(leaky(conv(down[2], leaky(conv(down[0], levels[-1], stride=2)))))
        features.append(levels)
    out = []
    for n, window_of in enumerate(around):
        aligned = [features[k][0] if net.align is None else pcd(net.align, features[k], features[n]) for k in window_of]
        plain = isinstance(net.fusion, nn.Conv2d)
        x = conv(net.fusion, torch.cat(aligned, 1)) if plain else tsa(net.fusion, aligned)
        x = blocks(net.body, x)
        for stage in (0, 2):
            x = leaky(shuffled(conv(net.upsampler[stage][0], x)))
        x = conv(net.tail[2], leaky(conv(net.tail[0], x))) + enlarged(padded[n], 4)
        out.append(x[..., : 4 * h, : 4 * w])
    return out


# --- sizes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "options", "parameters"),
    [
        (EDVR, {}, 3_300_131),
        (EDVR, {"tsa": False}, 2_996_259),
        (EDVR, {"channels": 128, "num_blocks": 40}, 20_633_827),
        (EDVR, {"channels": 128, "num_blocks": 40, "frames": 7}, 20_699_363),
        (EDVR, {"channels": 128, "num_blocks": 40, "tsa": False}, 19_419_875),
        (BasicVSR, {}, 6_291_311),
        (BasicVSR, {"align": False}, 6_291_311 - 1_440_300),
        (SPyNet, {}, 1_440_300),
    ],
)
def test_parameters(network, options, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in network(**options).parameters()) == parameters


def test_what_alignment_costs_is_counted():
    net, plain = (EDVR(channels=4, num_blocks=1, groups=2, frames=3, pcd=pcd) for pcd in (True, False))
    convolutions = 0
    for name, p in net.align.named_parameters():
        if name.endswith("weight"):
            level = 0 if "last" in name else int(name.split(".")[1])
            convolutions += p.numel() * (8 >> level) * (12 >> level)
    assert cost(net, (8, 12), 4).macs - cost(plain, (8, 12), 4).macs == 3 * convolutions
    assert cost(BasicVSR(channels=4, num_blocks=1), (8, 12), 4).macs > 0


# --- equations ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_pcd():
    net = MAKERS["edvr"]().align.double()
    frame, centre = ([torch.randn(2, 4, 8 >> level, 12 >> level).double() for level in range(3)] for _ in range(2))
    torch.testing.assert_close(net(frame, centre), pcd(net, frame, centre), **EXACT)


@torch.no_grad()
@pytest.mark.parametrize("frames", [3, 5])
@pytest.mark.parametrize("size", [(8, 12), (4, 4)])
def test_tsa(frames, size):
    net = MAKERS["edvr"](frames=frames).fusion.double()
    aligned = torch.randn(2, frames, 4, *size).double()
    torch.testing.assert_close(net(aligned), tsa(net, aligned.unbind(1)), **EXACT)


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"pcd": False}, {"tsa": False}, {"edges": "replicate"}])
def test_edvr(options):
    net = MAKERS["edvr"](frames=3, **options).double()
    around = [[0, 0, 1] if "edges" in options else [2, 0, 1], [0, 1, 2], [1, 2, 2] if "edges" in options else [1, 2, 0]]
    x = clip(3, 5, 4, kind=torch.float64)
    torch.testing.assert_close(net(x), torch.stack(edvr(net, x.unbind(1), around), 1), **EXACT)


@torch.no_grad()
@pytest.mark.parametrize("size", [(20, 33), (1, 1), (32, 3)])
def test_spynet(size):
    net = stirred(SPyNet()).double()
    frame, other = torch.rand(2, 1, 3, *size).double()
    flow = net(frame, other)
    assert flow.shape == (1, 2, *size) and flow.abs().max() > 0.01
    torch.testing.assert_close(flow, flow_between(net, frame, other), **EXACT)


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 7), (31, 33), (64, 65)])
def test_spynet_takes_any_size(size):
    frame, other = torch.rand(2, 2, 3, *size)
    flow = SPyNet()(frame, other)
    assert flow.shape == (2, 2, *size) and flow.isfinite().all()


@pytest.mark.shared
@torch.no_grad()
def test_the_authors_flow_leads_from_a_frame_to_the_other(shared):
    state = torch.load(shared / "weights/basicvsr/BasicVSR_Vimeo90K_BIx4.pth", weights_only=True)["params"]
    prefix = "spynet.basic_module."
    own = {
        k.removeprefix(prefix).replace(".basic_module", ""): v for k, v in state.items() if k.startswith(prefix)
    }  # fmt: skip
    net = SPyNet()
    net.levels.load_state_dict(own)
    picture = Image.open(sorted((shared / "data/video/Vid4/GT/city").iterdir())[0]).convert("RGB")
    image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].double() / 255
    image = imresize(image, 0.5).float()
    frame = image[..., 40:104, 60:156]
    for right, down in ((3, 2), (-2, 1), (0, -4)):
        other = image[..., 40 - down : 104 - down, 60 - right : 156 - right]  # other[y + down, x + right] = frame[y, x]
        flow = net(frame, other)[..., 8:-8, 8:-8].mean((0, 2, 3))
        torch.testing.assert_close(flow, torch.tensor([right, down]).float(), rtol=0, atol=0.5)


@torch.no_grad()
@pytest.mark.parametrize(
    ("frames", "options"),
    [(1, {}), (3, {}), (3, {"align": False}), (3, {"backward": False}), (2, {"align": False, "backward": False})],
)
def test_propagation(frames, options):
    net = MAKERS["basicvsr"](**options).double()
    x = clip(frames, 6, 9, kind=torch.float64)
    torch.testing.assert_close(net(x), torch.stack(basicvsr(net, x.unbind(1)), 1), **EXACT)


@torch.no_grad()
@pytest.mark.parametrize("frames", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_mirrored_clip_takes_its_own_flows(frames):
    net = MAKERS["basicvsr"]().double()
    pairs = 0

    def count(_: nn.Module, given: tuple[Tensor, Tensor]) -> None:
        nonlocal pairs
        pairs += len(given[0])

    net.flow.register_forward_pre_hook(count)
    half = clip(frames, 5, 6, kind=torch.float64)
    mirrored = torch.cat([half, half.flip(1)], 1)
    sr = net(mirrored)
    assert pairs == 2 * frames - 1
    torch.testing.assert_close(sr, torch.stack(basicvsr(net, mirrored.unbind(1)), 1), **EXACT)
    pairs = 0
    net(clip(frames, 5, 6, kind=torch.float64))
    assert pairs == 2 * (frames - 1)


# --- the contract of clips ---------------------------------------------------------------------------------------


@torch.no_grad()
@both
@pytest.mark.parametrize(("frames", "size"), [(1, (7, 9)), (2, (7, 9)), (5, (5, 3)), (2, (1, 1))])
def test_a_stream_gives_what_forward_gives(make, frames, size):
    net, x = make(), clip(frames, *size, batch=2)
    sr = net(x)
    assert sr.shape == (2, frames, 3, 4 * size[0], 4 * size[1])
    streamed = net.stream(x.unbind(1))
    assert iter(streamed) is streamed
    torch.testing.assert_close(torch.stack(list(streamed), 1), sr, rtol=0, atol=1e-5)


@torch.no_grad()
@both
def test_an_image_is_a_clip_of_one_frame(make):
    net, x = make(), clip(1, 6, 5, batch=2)
    assert torch.equal(net(x[:, 0]), net(x)[:, 0])


@torch.no_grad()
@pytest.mark.parametrize("net", [ESPCN(4), Bicubic(4), ESPCN(4, colors=3)], ids=["espcn", "bicubic", "espcn_rgb"])
def test_a_network_on_images_takes_a_clip_frame_by_frame(net: SuperResolver):
    x = clip(3, 6, 5, batch=2)
    sr = net(x)
    assert sr.shape == (2, 3, 3, 24, 20)
    torch.testing.assert_close(sr, torch.stack([net(frame) for frame in x.unbind(1)], 1), rtol=0, atol=1e-6)


def gradients(net: ClipResolver, x: Tensor) -> dict[str, Tensor]:
    net.zero_grad()
    net(x).square().mean().backward()
    found = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    assert len(found) == len(list(net.parameters())) and all(g.isfinite().all() for g in found.values())
    return found


@both
def test_checkpointing_keeps_less_and_gives_the_same_gradients(make):
    x, kept = clip(3, 8, 8), []

    def pack(t: Tensor) -> Tensor:
        kept[-1] += t.nbytes
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        found = []
        for checkpointing in (False, True):
            kept.append(0)
            found.append(gradients(make(checkpointing=checkpointing), x))
    assert kept[1] < kept[0] / 2
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-7)


@both
@pytest.mark.parametrize("way", [*(pytest.param(w, marks=pytest.mark.slow) for w in ("bf16", "channels_last")), "both"])
def test_precision_and_memory_format(make, way):
    """A clip has five axes and no channels_last of its own: the weights have it, and the frames follow."""
    x, net = clip(3, 8, 9), make()
    with torch.no_grad():
        expected = net(x)
    exact = gradients(net, x)
    if way != "bf16":
        net.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=way != "channels_last"):
        with torch.no_grad():
            got = net(x).float()
        found = gradients(net, x)
    close = {"rtol": 1e-4, "atol": 1e-4} if way == "channels_last" else {"rtol": 0, "atol": 0.05}
    torch.testing.assert_close(got, expected, **close)
    torch.testing.assert_close(found, exact, **(close if way == "channels_last" else {"rtol": 0, "atol": 0.2}))


class Kinds(torch.overrides.TorchFunctionMode):
    """The types of the grids that are sampled."""

    def __init__(self) -> None:
        self.found: set[torch.dtype] = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is F.grid_sample:
            self.found |= {args[0].dtype, args[1].dtype}
        return func(*args, **kwargs or {})


@torch.no_grad()
@both
def test_places_are_float32_under_autocast(make):
    net = make()
    with torch.autocast("cpu", torch.bfloat16), Kinds() as kinds:
        net(clip(2, 8, 8))
    assert kinds.found == {torch.float32}


MOST_HELD = """
import re, torch
from pathlib import Path
from sr.models.basicvsr import BasicVSR
from sr.models.edvr import EDVR

class Drawn:
    def __init__(self, frames):
        self.frames = frames
    def __len__(self):
        return self.frames
    def __getitem__(self, n):
        return torch.rand(1, 3, 144, 176, generator=torch.Generator().manual_seed(n))

def held():  # kB of this process that lie in no file
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

net = {network}
with torch.no_grad():
    print(*(max(held() for _ in net.stream(Drawn(frames))) for frames in (10, 34)))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
@pytest.mark.parametrize(
    "network", ["BasicVSR(channels=32, num_blocks=1, align=False)", "EDVR(channels=16, num_blocks=1, pcd=False)"]
)
def test_a_stream_holds_as_much_for_a_long_clip_as_for_a_short_one(network):
    """24 frames of features more would be 78 MB and 39 MB, 24 enlarged frames 117 MB.

    In a process whose larger pieces of memory go back at once: what an allocator keeps for later is not held.
    """
    script = MOST_HELD.replace("{network}", network)
    settings = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"}
    done = subprocess.run([sys.executable, "-c", script], env=settings, capture_output=True, text=True, check=True)
    short, long = map(int, done.stdout.split())
    assert long - short < 20_000


def test_features_wait_in_a_file():
    values = torch.randn(5, 2, 3, 4)
    with FeatureFile() as kept:
        for n in (3, 0, 1):
            kept[n] = values[n]
        kept[0] = values[4].transpose(0, 1).contiguous().transpose(0, 1)
        assert torch.equal(kept[0], values[4])
        assert torch.equal(kept.pop(3), values[3]) and set(kept) == {0, 1}
        kept[2] = values[2]
        assert len(kept) == 3 and torch.equal(kept[2], values[2])
        assert torch.equal(kept[0], values[4]) and torch.equal(kept[1], values[1])
        with pytest.raises(KeyError):
            kept[3]
    with FeatureFile() as kept:
        kept[0] = values[0].bfloat16()
        assert torch.equal(kept[0], values[0].bfloat16())


# --- windows -----------------------------------------------------------------------------------------------------

WINDOWS: dict[str, dict[tuple[int, int, int], list[int]]] = {  # (number, length, frames)
    "replicate": {
        (0, 100, 5): [0, 0, 0, 1, 2], (1, 100, 5): [0, 0, 1, 2, 3], (50, 100, 5): [48, 49, 50, 51, 52],
        (98, 100, 5): [96, 97, 98, 99, 99], (99, 100, 5): [97, 98, 99, 99, 99],
        (0, 1, 5): [0] * 5, (1, 2, 5): [0, 0, 1, 1, 1], (1, 3, 7): [0, 0, 0, 1, 2, 2, 2],
        (0, 7, 7): [0, 0, 0, 0, 1, 2, 3],
    },
    "reflection": {
        (0, 100, 5): [2, 1, 0, 1, 2], (1, 100, 5): [1, 0, 1, 2, 3], (50, 100, 5): [48, 49, 50, 51, 52],
        (98, 100, 5): [96, 97, 98, 99, 98], (99, 100, 5): [97, 98, 99, 98, 97],
        (0, 1, 5): [0] * 5, (0, 2, 5): [0, 1, 0, 1, 0], (1, 3, 7): [2, 1, 0, 1, 2, 1, 0],
        (0, 3, 7): [1, 2, 1, 0, 1, 2, 1],
    },
    "reflection_circle": {
        (0, 100, 5): [4, 3, 0, 1, 2], (1, 100, 5): [4, 0, 1, 2, 3], (50, 100, 5): [48, 49, 50, 51, 52],
        (98, 100, 5): [96, 97, 98, 99, 95], (99, 100, 5): [97, 98, 99, 96, 95],
        (0, 1, 5): [0] * 5, (0, 5, 5): [4, 3, 0, 1, 2], (4, 5, 5): [2, 3, 4, 1, 0], (0, 100, 7): [6, 5, 4, 0, 1, 2, 3],
        (99, 100, 7): [96, 97, 98, 99, 95, 94, 93],
    },
    "circle": {
        (0, 100, 5): [3, 4, 0, 1, 2], (1, 100, 5): [4, 0, 1, 2, 3], (50, 100, 5): [48, 49, 50, 51, 52],
        (98, 100, 5): [96, 97, 98, 99, 95], (99, 100, 5): [97, 98, 99, 95, 96],
        (0, 1, 5): [0] * 5, (0, 5, 5): [3, 4, 0, 1, 2], (0, 100, 7): [4, 5, 6, 0, 1, 2, 3],
    },
}  # fmt: skip


@pytest.mark.parametrize("edges", WINDOWS)
def test_windows_at_both_ends(edges):
    for asked, expected in WINDOWS[edges].items():
        assert window(*asked, edges) == expected, (edges, *asked)
    assert window(0, 100, 5) == [4, 3, 0, 1, 2]  # as EDVR's


@pytest.mark.parametrize("edges", WINDOWS)
def test_windows_of_clips_of_every_length(edges):
    for length, frames in itertools.product(range(1, 9), (1, 3, 5, 7)):
        for n in range(length):
            found = window(n, length, frames, edges)
            assert len(found) == frames and found[frames // 2] == n and set(found) <= set(range(length))
            inside = [n + k - frames // 2 for k in range(frames)]
            assert all(a == b for a, b in zip(found, inside, strict=True) if 0 <= b < length)


def test_another_rule_is_refused():
    with pytest.raises(UserError, match="reflection_circle"):
        window(0, 5, 3, "mirror")
