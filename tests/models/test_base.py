"""What every architecture gets from the base class."""

import copy

import pytest
import torch
from torch import Tensor, nn

from sr.data.batch import Batch
from sr.errors import UserError
from sr.imaging.color import rgb_to_ycbcr
from sr.imaging.resize import imresize
from sr.losses import WeightedSum
from sr.metrics.protocols import get_protocol
from sr.models.base import SuperResolver, Training
from sr.models.bicubic import Bicubic
from sr.models.edsr import EDSR


class Nearest(SuperResolver):
    """Repeats pixels; needs five a side."""

    min_size = 5

    def __init__(self, scale: int, colors: int = 3) -> None:
        super().__init__(scale, colors)
        self.gain = nn.Parameter(torch.ones(1))

    def network(self, x: Tensor, scale: int) -> Tensor:
        assert min(x.shape[-2:]) >= 5 and x.shape[1] == self.colors
        return x.repeat_interleave(scale, -1).repeat_interleave(scale, -2) * self.gain


def training(loss: nn.Module) -> Training:
    return Training(
        WeightedSum({"l": {"weight": 1.0, "loss": loss}}),
        lambda p: torch.optim.Adam(p, 1e-3),
        lambda o: torch.optim.lr_scheduler.ConstantLR(o, 1.0, 1),
        get_protocol("y"),
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (4, 5), (7, 3)])
def test_small_inputs_are_padded_and_cropped(size):
    lr = torch.rand(2, 3, *size)
    sr = Nearest(3)(lr)
    assert torch.equal(sr, lr.repeat_interleave(3, -1).repeat_interleave(3, -2))


class Kept(Nearest):
    """Returns what it was given."""

    def network(self, x: Tensor, scale: int) -> Tensor:
        return x


@pytest.mark.parametrize("colors", [1, 3])
def test_a_network_that_does_not_enlarge_is_told_what_it_returned(colors):
    """In training, too: losses of sizes that fit each other by chance told nothing."""
    told = (
        rf"Kept.network returned \(2, {colors}, 6, 7\) for LR of .* at scale=3, and expected is .* 18, 21\): .*Shuffle"
    )
    with pytest.raises(UserError, match=told):
        Kept(3, colors)(torch.rand(2, 3, 6, 7))
    with pytest.raises(UserError, match=r"Kept\.network returned"):
        Kept(3, colors).training_images(Batch(torch.rand(1, 3, 6, 7), torch.rand(1, 3, 18, 21), 3, ["a"], [False]))


def test_a_luma_network_leaves_the_chroma_to_bicubic():
    lr = torch.rand(1, 3, 8, 9, dtype=torch.float64)
    out = rgb_to_ycbcr(Nearest(2, colors=1).double()(lr))
    y = rgb_to_ycbcr(lr)
    assert torch.allclose(out[:, :1], y[:, :1].repeat_interleave(2, -1).repeat_interleave(2, -2))
    assert torch.allclose(out[:, 1:], imresize(y[:, 1:], 2))


def test_a_luma_network_is_trained_on_luma():
    batch = Batch(torch.rand(1, 3, 6, 6), torch.rand(1, 3, 12, 12), 2, ["a"], [False])
    sr, hr, lr = Nearest(2, colors=1).training_images(batch)
    assert sr.shape == hr.shape == (1, 1, 12, 12) and lr.shape == (1, 1, 6, 6)
    assert torch.allclose(hr, rgb_to_ycbcr(batch.hr)[:, :1])


@pytest.mark.parametrize(("arguments", "word"), [((7,), "has no scale 7"), ((2, 2), "colors=2")])
def test_wrong_scale_or_colours_are_refused(arguments, word):
    with pytest.raises(UserError, match=word):
        Nearest(*arguments)


def test_loss_networks_are_apart_from_the_model_but_follow_it():
    class Learned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
            return ((sr - hr) * self.weight).abs().mean()

    model = EDSR(2, num_blocks=1, channels=4)
    network, parameters = set(model.state_dict()), len(list(model.parameters()))
    model.attach(training(learned := Learned()))
    assert set(model.state_dict()) == network and len(list(model.parameters())) == parameters
    model.double().to("meta")
    assert (learned.weight.dtype, learned.weight.device.type) == (torch.float64, "meta")
    with pytest.raises(UserError, match="nothing to train with"):
        _ = copy.deepcopy(model).loss


def test_a_stage_replaces_what_the_model_is_trained_with():
    model = EDSR(2, num_blocks=1, channels=4)
    model.attach(training(nn.L1Loss()))
    model.attach(training(nn.MSELoss()))
    assert isinstance(model.loss.losses["l"], nn.MSELoss)


def test_merging_replaces_blocks_in_a_copy():
    class Double(nn.Conv2d):
        def merge(self) -> nn.Module:
            merged = nn.Conv2d(3, 3, 1)
            merged.load_state_dict(self.state_dict())
            return merged

    model = Nearest(2)
    model.inner = nn.Sequential(Double(3, 3, 1))
    merged = model.merged()
    assert type(merged.inner[0]) is nn.Conv2d and type(model.inner[0]) is Double and not merged.training


def test_bicubic_has_nothing_to_train():
    with pytest.raises(UserError, match="no parameters to train"):
        Bicubic(2).learnable()
