"""Both forms of the contrastive loss against numpy, and where their gradient goes."""

from functools import partial

import numpy as np
import pytest
import torch

from sr.errors import UserError
from sr.losses import Contrastive, RandomFeatures, VGG19Features

LAMBDAS = {"relu1_1": 1 / 32, "relu2_1": 1 / 16, "relu3_1": 1 / 8, "relu4_1": 1 / 4, "relu5_1": 1.0}


def bicubic(x, scale):
    """Keys' kernel (a = -0.5) at half-pixel centres, mirrored edges; (..., h, w) -> (..., s*h, s*w), by loops."""

    def kernel(t):
        t = abs(t)
        return 1.5 * t**3 - 2.5 * t**2 + 1 if t <= 1 else -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0

    def along_last(a):
        n = a.shape[-1]
        out = np.zeros((*a.shape[:-1], n * scale))
        for j in range(n * scale):
            u = (j + 0.5) / scale - 0.5
            for k in range(int(np.floor(u)) - 1, int(np.floor(u)) + 3):
                out[..., j] += kernel(u - k) * a[..., -1 - k if k < 0 else 2 * n - 1 - k if k >= n else k]
        return out

    return np.swapaxes(along_last(np.swapaxes(along_last(x), -1, -2)), -1, -2)


def ratio(anchor, positive, negatives, eps=1e-7):
    return np.abs(anchor - positive).mean() / (sum(np.abs(anchor - n).mean() for n in negatives) + eps)


@pytest.mark.parametrize("channels", [1, 3])
def test_rlfns_form(images, conv, channels):
    sr, hr, lr = (images(2, channels, *size, seed=n) for n, size in enumerate([(12, 15), (12, 15), (4, 5)]))
    loss = Contrastive(partial(RandomFeatures, width=6, seed=3), {"tanh": 0.5, "conv2": 2.0}).double()
    first, second = (getattr(loss.extractor, name).numpy() for name in ("first", "second"))
    assert first.shape == (6, 3, 3, 3) and second.shape == (6, 6, 3, 3)

    def features(x):
        hidden = np.tanh(conv(np.broadcast_to(x, (2, 3, 12, 15)), first))
        return hidden, conv(hidden, second)

    a, p, n = (features(x) for x in (sr.numpy(), hr.numpy(), bicubic(lr.numpy(), 3)))
    expected = 0.5 * ratio(a[0], p[0], [n[0]]) + 2 * ratio(a[1], p[1], [n[1]])
    assert float(loss(sr, hr, lr)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("negatives", [0, 1, 3])
def test_the_form_of_aecr_and_csd(images, vgg, vgg_file, negatives):
    sr, hr, lr = (images(4, 3, *size, seed=n) for n, size in enumerate([(16, 20), (16, 20), (8, 10)]))
    extractor = partial(VGG19Features, weights=str(vgg_file), normalize=False)
    loss = Contrastive(extractor, LAMBDAS, negatives=negatives).double()
    a, p, n = (vgg(x, 13, normalize=False) for x in (sr.numpy(), hr.numpy(), bicubic(lr.numpy(), 2)))
    expected = 0.0
    for number, weight in zip((1, 3, 5, 9, 13), LAMBDAS.values(), strict=True):  # convolutions, counted from 1
        anchor, positive, other = (f[number - 1][1] for f in (a, p, n))
        others = [np.stack([other[i - k] for i in range(4)]) for k in range(1, negatives + 1)] or [other]
        expected += weight * ratio(anchor, positive, others)
    assert float(loss(sr, hr, lr)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("form", ["random", "vgg"])
def test_the_gradient_reaches_the_output_alone(images, vgg_file, form):
    sr, hr, lr = (images(2, 3, *size, seed=n).float() for n, size in enumerate([(16, 16), (16, 16), (8, 8)]))
    for x in (sr, hr, lr):
        x.requires_grad_()
    builders = {"random": (RandomFeatures, {"conv2": 1.0}), "vgg": (partial(VGG19Features, weights=vgg_file), LAMBDAS)}
    loss = Contrastive(*builders[form])
    loss(sr, hr, lr).backward()
    assert sr.grad.abs().sum() > 0 and hr.grad is None and lr.grad is None
    assert not list(loss.parameters()) and not any(b.requires_grad for b in loss.buffers())
    assert not torch.nn.ModuleList([loss]).train()[0].extractor.training


def test_its_gradient_is_right(images):
    sr, hr, lr = (images(1, 1, *size, seed=n) for n, size in enumerate([(4, 6), (4, 6), (2, 3)]))
    loss = Contrastive(partial(RandomFeatures, width=2), {"tanh": 1.0, "conv2": 1.0}).double()
    assert torch.autograd.gradcheck(lambda x: loss(x, hr, lr), sr.requires_grad_())


def test_the_random_extractor_follows_from_its_seed_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = RandomFeatures(seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    two, other = RandomFeatures(seed=5), RandomFeatures(seed=6)
    assert torch.equal(one.first, two.first) and torch.equal(one.second, two.second)
    assert not torch.equal(one.first, other.first)
    assert float(one.first.std()) == pytest.approx(5 / 3 / 27**0.5, rel=0.05)
    assert float(one.second.std()) == pytest.approx(1 / (9 * 64) ** 0.5, rel=0.05)


def test_the_random_extractor_is_in_the_checkpoint(images, tmp_path):
    sr, hr, lr = (images(1, 3, *size, seed=n).float() for n, size in enumerate([(8, 8), (8, 8), (4, 4)]))
    kept = Contrastive(partial(RandomFeatures, seed=1), {"conv2": 1.0})
    torch.save(kept.state_dict(), tmp_path / "state.pt")
    assert sorted(kept.state_dict()) == ["extractor.first", "extractor.second"]
    loaded = Contrastive(partial(RandomFeatures, seed=2), {"conv2": 1.0})
    assert float(loaded(sr, hr, lr)) != float(kept(sr, hr, lr))
    loaded.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert float(loaded(sr, hr, lr)) == float(kept(sr, hr, lr))


def test_too_few_images_or_wrong_layers_are_refused(images):
    with pytest.raises(UserError, match="3 or more"):
        Contrastive(RandomFeatures, {"conv2": 1.0}, negatives=2)(*[images(2, 3, 4, 4).float()] * 3)
    with pytest.raises(UserError, match="negatives=-1"):
        Contrastive(RandomFeatures, {"conv2": 1.0}, negatives=-1)
    with pytest.raises(UserError, match="has the layers tanh, conv2"):
        Contrastive(RandomFeatures, {"relu1_1": 1.0})


def test_an_output_equal_to_the_negative_is_finite(images):
    sr, hr = images(1, 3, 8, 8, seed=1).float().requires_grad_(), images(1, 3, 8, 8, seed=2).float()
    value = Contrastive(RandomFeatures, {"conv2": 1.0})(sr, hr, sr.detach())
    value.backward()
    assert value > 1e5 and value.isfinite() and sr.grad.isfinite().all()
