"""The perceptual loss against numpy, and where its gradient goes."""

import numpy as np
import pytest
import torch
from torch import nn

from sr.errors import UserError
from sr.losses import Perceptual


@pytest.mark.parametrize("channels", [1, 3])
def test_srgans_content_loss(images, vgg, vgg_file, channels):
    sr, hr = images(2, channels, 16, 18, seed=1), images(2, channels, 16, 18, seed=2)
    loss = Perceptual({"relu5_4": 1.0}, nn.MSELoss(), str(vgg_file), feature_scale=1 / 12.75).double()
    a, b = (vgg(x.numpy(), 16)[15][1] for x in (sr, hr))
    assert float(loss(sr, hr)) == pytest.approx(np.mean((a - b) ** 2) / 12.75**2, rel=1e-9)


def test_layers_are_weighted_and_null_ones_left_out(images, vgg, vgg_file):
    sr, hr = images(1, 3, 9, 8, seed=1), images(1, 3, 9, 8, seed=2)
    layers = {"conv1_2": 0.5, "relu2_1": 2.0, "relu5_4": None}
    loss = Perceptual(layers, nn.L1Loss(), str(vgg_file), normalize=False).double()
    a, b = (vgg(x.numpy(), 3, normalize=False) for x in (sr, hr))
    expected = 0.5 * np.abs(a[1][0] - b[1][0]).mean() + 2 * np.abs(a[2][1] - b[2][1]).mean()
    assert float(loss(sr, hr)) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(UserError, match="names none"):
        Perceptual({"relu5_4": None}, nn.L1Loss(), str(vgg_file))


def test_the_gradient_reaches_the_output_alone(images, vgg_file):
    sr, hr = (images(1, 3, 16, 16, seed=n).float().requires_grad_() for n in (1, 2))
    loss = Perceptual({"relu5_4": 1.0}, nn.MSELoss(), str(vgg_file))
    loss(sr, hr).backward()
    assert sr.grad.abs().sum() > 0 and hr.grad is None
    assert not list(loss.parameters()) and not loss.state_dict()
    assert float(loss(hr, hr).detach()) == 0


def test_it_stays_in_eval_mode(vgg_file):
    loss = Perceptual({"relu1_1": 1.0}, nn.MSELoss(), str(vgg_file))
    assert not nn.ModuleList([loss]).train()[0].features.training


def test_half_precision_of_the_network_gives_a_finite_loss(images, vgg_file):
    sr, hr = (images(1, 3, 16, 16, seed=n).float().requires_grad_() for n in (1, 2))
    loss = Perceptual({"relu5_4": 1.0}, nn.MSELoss(), str(vgg_file))
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(sr, hr)
    value.backward()
    assert value.dtype == torch.float32 and torch.isfinite(value) and sr.grad.isfinite().all()
    torch.testing.assert_close(value, loss(sr, hr), rtol=0.05, atol=0)
