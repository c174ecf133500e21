"""Adversarial criteria against numpy, and which player's parameters each loss moves."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from sr.losses import Adversarial, Hinge, LeastSquares, Relativistic, SRGANDiscriminator, Vanilla

CRITERIA = [Vanilla, LeastSquares, Hinge, Relativistic]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def expected(criterion, fake, real):
    """(generator's, discriminator's) loss as the papers write them."""
    if criterion is Vanilla:
        return -np.log(sigmoid(fake)).mean(), (-np.log(sigmoid(real))).mean() - np.log(1 - sigmoid(fake)).mean()
    if criterion is LeastSquares:
        return 0.5 * ((fake - 1) ** 2).mean(), 0.5 * ((real - 1) ** 2).mean() + 0.5 * (fake**2).mean()
    if criterion is Hinge:
        return -fake.mean(), np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()
    real_to_fake, fake_to_real = sigmoid(real - fake.mean()), sigmoid(fake - real.mean())
    generator = -np.log(1 - real_to_fake).mean() - np.log(fake_to_real).mean()
    return generator, -np.log(real_to_fake).mean() - np.log(1 - fake_to_real).mean()


@pytest.mark.parametrize("criterion", CRITERIA)
def test_criteria(criterion):
    rng = np.random.default_rng(0)
    fake, real = 2 * rng.standard_normal((6, 1)), 2 * rng.standard_normal((6, 1)) + 0.5
    fakes, reals = torch.from_numpy(fake), torch.from_numpy(real)
    generator, discriminator = expected(criterion, fake, real)
    given = reals if criterion().needs_real else None
    assert float(criterion().generator(fakes, given)) == pytest.approx(generator, rel=1e-12)
    assert float(criterion().discriminator(fakes, reals)) == pytest.approx(discriminator, rel=1e-12)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_generator_gains_where_the_fakes_look_more_real(criterion):
    fake, real = torch.zeros(4, 1, requires_grad=True), torch.ones(4, 1)
    criterion().generator(fake, real).backward()
    assert (fake.grad < 0).all()


class Watched(nn.Module):
    """A small discriminator with batch norm that counts its calls."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 2))
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.net(x).mean((2, 3))


@pytest.fixture
def players(images):
    torch.manual_seed(0)
    sr, hr = (images(3, 3, 8, 8, seed=n).float().requires_grad_() for n in (1, 2))
    return sr, hr, Watched()


def adversarial(discriminator, criterion):
    optimizer = partial(torch.optim.Adam, lr=1e-2)
    return Adversarial(discriminator, criterion, optimizer, partial(torch.optim.lr_scheduler.StepLR, step_size=5))


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_generators_loss_moves_the_output_alone(players, criterion):
    sr, hr, discriminator = players
    loss = adversarial(discriminator, criterion())
    value = loss(sr, hr)
    value.backward()
    assert discriminator.calls == (2 if criterion is Relativistic else 1)
    assert hr.grad is None and all(p.grad is None and p.requires_grad for p in discriminator.parameters())
    naive = criterion().generator(discriminator(sr), discriminator(hr))
    torch.testing.assert_close(value, naive)
    torch.testing.assert_close(sr.grad, torch.autograd.grad(naive, sr)[0])
    assert sr.grad.abs().sum() > 0


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_discriminators_loss_moves_the_discriminator_alone(players, criterion):
    sr, hr, discriminator = players
    value = adversarial(discriminator, criterion()).discriminator_loss(sr, hr)
    value.backward()
    assert sr.grad is None and hr.grad is None
    assert all(p.grad is not None for p in discriminator.parameters())
    assert all(p.grad.abs().sum() > 0 for n, p in discriminator.named_parameters() if n == "net.0.weight")
    torch.testing.assert_close(value, criterion().discriminator(discriminator(sr), discriminator(hr)))


def test_a_discriminator_learns_to_tell_flat_images_from_rough_ones(images):
    torch.manual_seed(0)
    hr = images(4, 3, 32, 32).float()
    sr = nn.functional.interpolate(images(4, 3, 4, 4, seed=1).float(), scale_factor=8, mode="bilinear")
    loss = adversarial(SRGANDiscriminator(channels=4, dense=8), Vanilla())
    optimizer = loss.optimizer(loss.discriminator.parameters())
    scheduler = loss.scheduler(optimizer)
    before = loss.discriminator_loss(sr, hr).detach()
    for _ in range(20):
        optimizer.zero_grad()
        loss.discriminator_loss(sr, hr).backward()
        optimizer.step()
        scheduler.step()
    assert loss.discriminator_loss(sr, hr).detach() < 0.5 * before
    assert loss(sr, hr).detach() > np.log(2)  # what is seen through costs the generator


def test_the_discriminator_is_in_the_checkpoint(players):
    loss = adversarial(SRGANDiscriminator(channels=2, dense=4), Vanilla())
    assert sum(k.startswith("discriminator.") for k in loss.state_dict()) == len(loss.state_dict()) > 0
    assert {id(p) for p in loss.parameters()} == {id(p) for p in loss.discriminator.parameters()}
    assert nn.ModuleList([loss]).train()[0].discriminator.training


def test_half_precision(players):
    sr, hr, discriminator = players
    loss = adversarial(discriminator, Vanilla())
    with torch.autocast("cpu", torch.bfloat16):
        values = loss.discriminator_loss(sr, hr), loss(sr, hr)
    assert all(v.dtype == torch.float32 and v.isfinite() for v in values)
    values[1].backward()
    assert sr.grad.abs().sum() > 0 and all(p.grad is None for p in discriminator.parameters())
