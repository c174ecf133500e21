"""Which parameters learn, at which rate, and what a discriminator's turn leaves alone."""

from functools import partial

import pytest
import torch
from torch import nn

from sr.data.batch import Batch
from sr.errors import UserError
from sr.losses import Adversarial, SRGANDiscriminator, Vanilla, WeightedSum
from sr.metrics.protocols import get_protocol
from sr.models.base import Training
from sr.models.fsrcnn import FSRCNN
from sr.models.srcnn import SRCNN
from sr.models.srresnet import SRResNet

CONSTANT = partial(torch.optim.lr_scheduler.ConstantLR, factor=1.0, total_iters=1)


def training(terms=None, **changes) -> Training:
    loss = WeightedSum(terms or {"l1": {"weight": 1.0, "loss": nn.L1Loss()}})
    return Training(loss, partial(torch.optim.Adam, lr=1e-3), CONSTANT, get_protocol("y"), **changes)


def test_srcnn_s_last_layer_learns_ten_times_slower():
    model = SRCNN(scale=3)
    model.attach(training(groups={"reconstruct": {"lr_factor": 0.1}}))
    (optimizer,) = model.training_setup.build_optimizers(model.learnable())
    rest, last = optimizer.param_groups
    assert (rest["lr"], last["lr"]) == (1e-3, pytest.approx(1e-4))
    assert {id(p) for p in last["params"]} == {id(p) for p in model.reconstruct.parameters()}
    assert len(rest["params"]) + len(last["params"]) == len(list(model.parameters()))


def test_fsrcnn_s_deconvolution_has_options_of_its_own():
    model = FSRCNN(scale=2)
    model.attach(training(groups={"deconv": {"lr_factor": 0.1}, "features.0": {"weight_decay": 0.5}}))
    groups = model.training_setup.build_optimizers(model.learnable())[0].param_groups
    assert [g["weight_decay"] for g in groups] == [0.0, 0.0, 0.5]
    assert {id(p) for p in groups[1]["params"]} == {id(p) for p in model.deconv.parameters()}


def test_a_stage_freezes_and_the_next_one_frees():
    model = SRCNN(scale=2)
    model.attach(training(frozen=["extract", "*.bias"]))
    assert [n for n, p in model.named_parameters() if p.requires_grad] == ["map.weight", "reconstruct.weight"]
    (optimizer,) = model.training_setup.build_optimizers(model.learnable())
    assert sum(len(g["params"]) for g in optimizer.param_groups) == 6
    model.attach(training(trained=["reconstruct"]))
    assert [n for n, p in model.named_parameters() if p.requires_grad] == ["reconstruct.weight", "reconstruct.bias"]
    model.attach(training())
    assert all(p.requires_grad for p in model.parameters())


def test_a_frozen_part_keeps_its_batch_statistics():
    model = SRResNet(scale=2, num_blocks=1, channels=4)
    model.attach(training(frozen=["body.0"]))
    modes = {n: m.training for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert modes == {"body.0.body.1": False, "body.0.body.4": False, "body.2": True}


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"frozen": ["tial"]}, "frozen: the model has nothing named 'tial'. Its parts: extract, map, reconstruct"),
        ({"trained": ["extract"], "frozen": ["extract"]}, "leave nothing to train"),
        ({"groups": {"deconv": {"lr_factor": 0.1}}}, "parameter_groups: the model has nothing named 'deconv'"),
    ],
)
def test_patterns_that_mean_nothing_are_refused(changes, told):
    model = SRCNN(scale=2)
    with pytest.raises(UserError, match=told):
        model.attach(setup := training(**changes))
        setup.grouped(model.learnable())


def test_each_player_s_update_reaches_its_own_parameters_only():
    model = SRResNet(scale=2, num_blocks=1, channels=4)
    discriminator = SRGANDiscriminator(channels=4, pooled=1, dense=4)
    adversary = Adversarial(discriminator, Vanilla(), partial(torch.optim.Adam, lr=1e-3), CONSTANT)
    model.attach(training({"adversarial": {"weight": 1e-3, "loss": adversary}}))
    optimizers = model.training_setup.build_optimizers(model.learnable())
    assert not model.automatic_optimization and len(optimizers) == 2
    batch = Batch(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16), 2, ["a", "b"], [False, False])
    generator = dict(model.learnable())
    assert not {id(p) for p in model.parameters()} & {id(p) for p in discriminator.parameters()}

    def moved(parameters):
        return [p.grad is not None and bool(p.grad.any()) for p in parameters]

    for player, terms in model.updates(batch):
        for optimizer in optimizers:
            optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        if player == 1:
            assert any(moved(discriminator.parameters())) and not any(moved(generator.values()))
        else:
            assert any(moved(generator.values())) and not any(moved(discriminator.parameters()))
    deployed = model.merged()
    assert sum(p.numel() for p in deployed.parameters()) == sum(p.numel() for p in generator.values())
