"""Which batch norms are found, and a model under its images' own statistics against torch's training mode."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from sr.layers.statistics import batch_norms, with_own_statistics
from sr.models.edsr import EDSR
from sr.models.repsr import RepSR
from sr.models.srresnet import SRResNet
from sr.models.vgg import ACNet, DBBNet, RepVGGNet


def trained(build, **settings) -> nn.Module:
    """A model whose running statistics and factors are those of no image in particular."""
    torch.manual_seed(0)
    model = build(**settings).double().eval()
    for norm in batch_norms(model).values():
        nn.init.normal_(norm.running_mean, std=0.3)
        nn.init.uniform_(norm.running_var, 0.5, 2.0)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.1)
    return model


BUILDS = [
    (RepSR, {"scale": 2, "num_blocks": 2, "channels": 4}),
    (SRResNet, {"scale": 4, "num_blocks": 2, "channels": 8}),
    (RepVGGNet, {"scale": 3, "num_blocks": 1, "channels": 4}),
    (ACNet, {"scale": 2, "num_blocks": 1, "channels": 4}),
    (DBBNet, {"scale": 2, "num_blocks": 1, "channels": 4}),
]


def test_the_batch_norms_of_a_network_are_found():
    model = RepSR(2, num_blocks=3, channels=4)
    found = batch_norms(model)
    assert len(found) == 3 * 2
    assert all(model.get_submodule(name) is norm for name, norm in found.items())
    assert len(batch_norms(SRResNet(4, num_blocks=2, channels=8))) == 2 * 2 + 1
    assert not batch_norms(EDSR(2, num_blocks=1, channels=4))


def test_one_norm_by_hand():
    norm = nn.BatchNorm2d(3, eps=1e-3).double().eval()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.rand(2, 3, 7, 5, dtype=torch.float64)
    a = x.numpy()
    mean, var = a.mean((2, 3), keepdims=True), a.var((2, 3), keepdims=True)
    gain, shift = (v.detach().numpy()[:, None, None] for v in (norm.weight, norm.bias))
    by_hand = gain * (a - mean) / np.sqrt(var + 1e-3) + shift
    with torch.no_grad():
        assert np.allclose(with_own_statistics(norm)(x).numpy(), by_hand, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("build", "settings"), BUILDS)
@torch.no_grad()
def test_one_image_gets_what_torchs_training_mode_makes_of_it(build, settings):
    model = trained(build, **settings)
    lr = torch.rand(1, 3, 17, 14, dtype=torch.float64)
    training = copy.deepcopy(model).train()
    for norm in batch_norms(training).values():
        norm.momentum = 0.0
    own = with_own_statistics(model)
    assert torch.allclose(own(lr), training(lr), rtol=1e-9, atol=1e-10)
    assert not torch.allclose(own(lr), model(lr), atol=1e-3)


@pytest.mark.parametrize(("build", "settings"), BUILDS)
@torch.no_grad()
def test_every_image_of_a_batch_has_its_own(build, settings):
    own = with_own_statistics(trained(build, **settings))
    lr = torch.rand(3, 3, 12, 12, dtype=torch.float64) * torch.tensor([0.1, 0.5, 1.0]).reshape(3, 1, 1, 1)
    assert torch.allclose(own(lr), torch.cat([own(x[None]) for x in lr]), rtol=1e-9, atol=1e-10)


@torch.no_grad()
def test_the_model_itself_and_the_running_statistics_are_left_alone():
    model = trained(RepSR, scale=2, num_blocks=2, channels=4)
    lr = torch.rand(1, 3, 12, 12, dtype=torch.float64)
    before, state = model(lr), copy.deepcopy(model.state_dict())
    own = with_own_statistics(model)
    first = own(lr)
    assert torch.equal(own.eval().to("cpu")(lr), first)
    assert torch.equal(model(lr), before)
    for now in (model.state_dict(), own.state_dict()):
        assert list(now) == list(state) and all(torch.equal(now[k], v) for k, v in state.items())
