"""Networks that the house does not have: known operations in other uses, and unknown ones, which take the whole."""

import logging

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sr.deploy.tiles import enlarge
from sr.deploy.tiling.nodes import Whole
from sr.models.base import SuperResolver


class ChannelAttention(nn.Module):
    """As RCAN's and SENet's: a mean, linear layers, a factor a channel."""

    def __init__(self, pool):
        super().__init__()
        self.pool, self.linear = pool, nn.Sequential(nn.Linear(8, 4), nn.ReLU(inplace=True), nn.Linear(4, 8))

    def forward(self, x):
        b, c, _, _ = x.shape
        gate = torch.sigmoid(self.linear(self.pool(x).view(b, c))).view(b, c, 1, 1)
        return x * gate.expand_as(x)


class Shuffled(nn.Module):
    """Strides without a common one, channels regrouped, the picture enlarged again in several ways."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(32, 8, 5, stride=3, padding=1, dilation=2)
        self.up = nn.ConvTranspose2d(8, 8, 4, stride=2, padding=1)

    def forward(self, x):
        h, w = x.shape[2:]
        y = F.pad(x, (0, w % 2, 0, h % 2), mode="replicate")
        y = F.leaky_relu(self.down(F.pixel_unshuffle(y, 2)), 0.1, inplace=True)
        y = y.view(1, 2, 4, *y.shape[2:]).transpose(1, 2).reshape(1, 8, *y.shape[2:])
        y = y + F.max_pool2d(y, 3, stride=1, padding=1)
        y += 0.1
        y = F.interpolate(self.up(y), size=(h, w), mode="nearest")
        return x + torch.roll(y, 1, dims=1)


class Windows(nn.Module):
    """A frame that mirrors, and a mean over rows alone: nothing that is known."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3)

    def forward(self, x):
        y = self.conv(F.pad(x, (1, 1, 1, 1), mode="reflect"))
        return x + y * torch.sigmoid(x.mean(dim=2, keepdim=True))


class OfPlaces(nn.Module):
    """A value for each column, learned or not, made where the picture is or not, and a group norm."""

    def __init__(self):
        super().__init__()
        self.norm = nn.GroupNorm(2, 8)

    def forward(self, x):
        columns = torch.linspace(-1, 1, x.shape[-1])
        first, second = x.chunk(2, dim=1)
        x = torch.cat([first * columns, second.clamp(min=-0.5) + columns[None, None, None]], 1)
        return self.norm(x + torch.arange(x.shape[-2], device=x.device)[:, None] / 50)


class Net(SuperResolver):
    def __init__(self, *blocks):
        super().__init__(2)
        self.head = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.Sequential(*blocks)
        self.tail = nn.Sequential(nn.Conv2d(8, 12, 3, padding=1), nn.PixelShuffle(2))

    def network(self, x, scale):
        features = self.head(x)
        return self.tail(features + self.blocks(features))


BLOCKS = {
    "attention": lambda: [ChannelAttention(nn.AdaptiveAvgPool2d(1)), ChannelAttention(nn.AdaptiveMaxPool2d(1))],
    "shuffled": lambda: [Shuffled(), Shuffled()],
    "unknown": lambda: [Windows(), nn.Conv2d(8, 8, 3, padding="same"), Windows()],
    "places": lambda: [OfPlaces()],
    "own statistics": lambda: [nn.InstanceNorm2d(8, affine=True), nn.ReLU6(), nn.Hardswish(), nn.Softmax(dim=1)],
    "no running statistics": lambda: [nn.BatchNorm2d(8, track_running_stats=False), nn.ReLU(), nn.BatchNorm2d(8)],
}


@pytest.mark.parametrize("name", BLOCKS)
def test_tiles_are_the_whole(name, caplog):
    torch.manual_seed(0)
    model, lr = Net(*BLOCKS[name]()).eval(), torch.rand(1, 3, 35, 46)
    with torch.no_grad():
        whole = model(lr)
    with caplog.at_level(logging.INFO, "sr"):
        tiled = enlarge(model, lr, tile=13)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-5)
    assert ("made of the whole picture at once" in caplog.text) == (name in ("unknown", "places"))


def test_what_looks_at_the_whole_is_made_once(monkeypatch):
    """However small the tiles are: each of its parts takes the whole of what it is made of."""
    made, make = [], Whole.make
    monkeypatch.setattr(Whole, "make", lambda rule, *given: made.append(rule.name) or make(rule, *given))
    enlarge(Net(OfPlaces()).eval(), torch.rand(1, 3, 35, 46), tile=13)
    assert made.count("group_norm") == 1


class InPlace(nn.Module):
    """An activation that changes its input, which is used again."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.act = nn.LeakyReLU(0.2, inplace=True)

    def forward(self, x):
        y = self.conv(x)
        return self.act(y) + y


class ThroughAView(nn.Module):
    """Changes a part of its input in place."""

    def forward(self, x):
        first, _ = x.chunk(2, dim=1)
        first.clamp_(min=0)
        return 2 * x


class Assigned(nn.Module):
    def forward(self, x):
        y = x.clone()
        y[:, 2:, ::2] = 0
        return y


class Deciding(nn.Module):
    def forward(self, x):
        return x if x.mean() > 0 else -x


class Moved(nn.Module):
    """Features from other places: walked, it would keep a map of the whole for each step on the way there."""

    def forward(self, x):
        places = torch.stack(torch.meshgrid(*(torch.linspace(-1, 1, n) for n in x.shape[-2:]), indexing="ij")[::-1], -1)
        return F.grid_sample(x, places[None] + x[:, :2].movedim(1, -1) / 9, align_corners=True)


@pytest.mark.parametrize("block", [InPlace, ThroughAView, Assigned, Deciding, Moved])
def test_what_cannot_be_recorded_is_made_whole(block, caplog):
    torch.manual_seed(0)
    model, lr = Net(block()).eval(), torch.rand(1, 3, 35, 46)
    with torch.no_grad():
        whole = model(lr)
    torch.testing.assert_close(enlarge(model, lr, tile=13), whole, rtol=0, atol=1e-5)
    assert ("cannot be followed" in caplog.text) == (block is not InPlace)
