"""BasicVSR and its SPyNet: their sizes, and their equations evaluated naively."""

from collections.abc import Sequence

import naive
import numpy as np
import pytest
import torch
from clip_networks import EXACT, MAKERS, blocks, clip, conv, enlarged, leaky, loops, shuffled, stirred
from PIL import Image
from torch import Tensor, nn

from sr.imaging.resize import imresize
from sr.measuring.cost import cost
from sr.models.basicvsr import BasicVSR
from sr.models.spynet import SPyNet


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


@pytest.mark.parametrize(
    ("network", "options", "parameters"),
    [(BasicVSR, {}, 6_291_311), (BasicVSR, {"align": False}, 6_291_311 - 1_440_300), (SPyNet, {}, 1_440_300)],
)
def test_parameters(network, options, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in network(**options).parameters()) == parameters


def test_its_cost_is_counted():
    assert cost(BasicVSR(channels=4, num_blocks=1), (8, 12), 4).macs > 0


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
