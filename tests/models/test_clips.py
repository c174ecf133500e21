"""The contract of clips: streams, images and clips for each other, memory, precision, windows."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import networks as nets
import numpy as np
import pytest
import torch
from clip_networks import both, clip
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from sr.errors import UserError
from sr.imaging.resize import imresize
from sr.models.basicvsr import BasicVSR
from sr.models.clips import ClipResolver, FeatureFile, window
from sr.models.edvr import EDVR
from sr.zoo.load import load


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
    some = [n for n in (1, 3) if n < frames] or [0]
    torch.testing.assert_close(
        torch.stack(list(net.stream(x.unbind(1), wanted=some)), 1), sr[:, some], rtol=0, atol=1e-5
    )


@torch.no_grad()
def test_what_nobody_wants_is_not_made():
    edvr, vsr, x = EDVR(num_blocks=1, channels=8, frames=3, groups=2), BasicVSR(num_blocks=1, channels=8), clip(7, 8, 8)
    made: dict[str, int] = {}
    for name, part in {"features": edvr.head, "edvr": edvr.tail, "backward": vsr.backward_branch,
                       "forward": vsr.forward_branch, "basicvsr": vsr.tail}.items():  # fmt: skip
        part.register_forward_hook(lambda *_, name=name: made.update({name: made.get(name, 0) + 1}))
    for net in (edvr, vsr):
        assert len(list(net.stream(x.unbind(1), wanted=[3]))) == 1
    assert made == {"features": 3, "edvr": 1, "backward": 4, "forward": 4, "basicvsr": 1}


@torch.no_grad()
@both
def test_an_image_is_a_clip_of_one_frame(make):
    net, x = make(), clip(1, 6, 5, batch=2)
    assert torch.equal(net(x[:, 0]), net(x)[:, 0])


@torch.no_grad()
@pytest.mark.parametrize("name", [name for name in nets.architectures() if not nets.clips(name)])
def test_a_network_on_images_takes_a_clip_frame_by_frame(name: str):
    scale = nets.scales(name)[-1]
    net = nets.build(name, scale, small=True).eval()
    x = clip(3, 17, 16, batch=2)
    sr = net(x, scale)
    assert sr.shape == (2, 3, 3, scale * 17, scale * 16)
    frames = torch.stack([net(frame, scale) for frame in x.unbind(1)], 1)
    torch.testing.assert_close(sr, frames, rtol=0, atol=1e-5 * max(1.0, float(frames.abs().max())))


@pytest.mark.slow
@pytest.mark.shared
@torch.no_grad()
def test_the_authors_basicvsr_streamed_is_the_whole(shared):
    """On real frames, whose flows lead somewhere; of the 34 of city six, 32x40 LR pixels of each."""
    net = load("basicvsr_vimeo_bi", shared / "weights").model
    frames = sorted((shared / "data/video/Vid4/GT/city").iterdir())[:6]
    hr = [torch.from_numpy(np.array(Image.open(f))[100:228, 100:260]).permute(2, 0, 1)[None] for f in frames]
    x = torch.stack([imresize(one, 1 / 4).float() / 255 for one in hr], 1)
    streamed = torch.stack(list(net.stream(x.unbind(1))), 1)
    torch.testing.assert_close(streamed, net(x), rtol=0, atol=1e-5)


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
