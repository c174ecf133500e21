"""EDVR: its size, and its parts against their equations evaluated naively."""

import itertools
from collections.abc import Sequence

import naive
import pytest
import torch
from clip_networks import EXACT, MAKERS, blocks, clip, conv, enlarged, leaky, loops, shuffled
from torch import Tensor, nn
from torch.nn import functional as F

from sr.layers.deformable import DeformConv
from sr.measuring.cost import cost
from sr.models.edvr import EDVR


def deformed(layer: DeformConv, features: Tensor, guide: Tensor) -> Tensor:
    offset, mask = conv(layer.offset, guide).tensor_split([len(layer.offset.weight) * 2 // 3], 1)
    return loops(naive.deform_conv, features, offset, mask.sigmoid(), layer.weight, layer.bias, padding=1)


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


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({}, 3_300_131),
        ({"tsa": False}, 2_996_259),
        ({"channels": 128, "num_blocks": 40}, 20_633_827),
        ({"channels": 128, "num_blocks": 40, "frames": 7}, 20_699_363),
        ({"channels": 128, "num_blocks": 40, "tsa": False}, 19_419_875),
    ],
)
def test_parameters(options, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in EDVR(**options).parameters()) == parameters


def test_what_alignment_costs_is_counted():
    net, plain = (EDVR(channels=4, num_blocks=1, groups=2, frames=3, pcd=pcd) for pcd in (True, False))
    convolutions = 0
    for name, p in net.align.named_parameters():
        if name.endswith("weight"):
            level = 0 if "last" in name else int(name.split(".")[1])
            convolutions += p.numel() * (8 >> level) * (12 >> level)
    assert cost(net, (8, 12), 4).macs - cost(plain, (8, 12), 4).macs == 3 * convolutions


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
