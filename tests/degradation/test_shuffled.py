"""BSRGAN's degradation: what it draws, in which order, and what it does to a picture."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import torch

from sr.degradation import Degradation, Shuffled
from sr.degradation.shuffled import SIZES, Blurred, Compressed, Noisy, Shrunk, mixing
from sr.degradation.wild import Dice
from sr.errors import UserError

DRAWS = 2000


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def as_often(found, wanted):
    """Within 4 standard deviations."""
    found = list(found)
    assert abs(sum(found) / len(found) - wanted) < 4 * math.sqrt(wanted * (1 - wanted) / len(found))


def evenly(values, low, high):
    assert low <= min(values) < low + 0.05 * (high - low) and high - 0.05 * (high - low) < max(values) <= high
    assert abs(np.mean(values) - (low + high) / 2) < 4 * (high - low) / math.sqrt(12 * len(values))


def test_what_is_drawn_is_as_published():
    """Over 2,000 pictures at x4: shares within 4 standard deviations, ranges met nearly to their ends and evenly."""
    step, dice = Shuffled(4), Dice(seeded(0))
    drawn = [step.drawn(dice) for _ in range(DRAWS)]
    # what is first halved is left with x2, and its first resize is one of two that have a factor
    halved = [sum(isinstance(o, Shrunk) and o.factor is not None for o in own) == 2 for own in drawn]
    as_often(halved, 0.25)
    as_often((own[0].mode == "matlab" for own, half in zip(drawn, halved, strict=True) if half), 0.5)
    for left in (4, 2):
        own = [o for o, half in zip(drawn, halved, strict=True) if half == (left == 2)]
        kernels = [o.kernel for row in own for o in row if isinstance(o, Blurred)]
        assert len(kernels) == 2 * len(own)
        as_often((k.kind == "aniso" for k in kernels), 0.5)
        evenly([k.sigma[0] for k in kernels if k.kind == "iso"], 0, 2 + 0.2 * left)
        evenly([s**2 for k in kernels if k.kind == "aniso" for s in k.sigma], 0, 4 + left)
        evenly([k.angle for k in kernels if k.kind == "aniso"], 0, math.pi)
        first = [[o for o in row if isinstance(o, Shrunk) and o.factor is not None][-1] for row in own]
        as_often((o.mode == "blur" for o in first), 0.25)
        assert {o.factor for o in first if o.mode == "blur"} == {float(left)}
        evenly([o.sigma for o in first if o.mode == "blur"], 0.1, 0.6 * left)
        evenly([o.factor for o in first if o.mode != "blur"], 1, 2 * left)
    sizes = [o.kernel.size for own in drawn for o in own if isinstance(o, Blurred)]
    for size in SIZES:
        as_often((s == size for s in sizes), 1 / len(SIZES))
    noises = [o for own in drawn for o in own if isinstance(o, Noisy)]
    for kind, wanted in (("white", 0.4), ("grey", 0.4), ("mixed", 0.2)):
        as_often((o.kind == kind for o in noises), wanted)
    evenly([o.levels for o in noises if o.kind != "mixed"], 2, 25)
    assert {o.levels for o in noises if o.kind == "mixed"} == {25}
    as_often((sum(isinstance(o, Compressed) for o in own) == 2 for own in drawn), 0.9)
    evenly([o.quality for own in drawn for o in own if isinstance(o, Compressed)], 30, 95)
    assert all(isinstance(own[-1], Compressed) for own in drawn)


def test_the_order_is_drawn_and_lrs_size_comes_after_the_other_shrinking():
    step, dice = Shuffled(2), Dice(seeded(1))
    drawn = [step.drawn(dice)[:-1] for _ in range(DRAWS)]  # at x2 nothing is halved first
    full = [own for own in drawn if len(own) == 6]
    for own in full:
        factors = [o.factor for o in own if isinstance(o, Shrunk)]
        assert factors[0] is not None and factors[1] is None
    for kind in (Noisy, Compressed):
        for place in range(6):
            as_often((isinstance(own[place], kind) for own in full), 1 / 6)
    for place in range(6):
        as_often((isinstance(own[place], Blurred) for own in full), 1 / 3)


def test_mixed_noise_has_the_covariance_of_the_authors_formula():
    dice = Dice(seeded(3))
    found = torch.stack([mixing(dice) for _ in range(DRAWS)]).double()
    covariances = found @ found.transpose(1, 2)
    random = np.random.default_rng(0)
    naive = []
    for _ in range(DRAWS):
        turn = scipy.linalg.orth(random.random((3, 3)))
        naive.append(np.abs(turn.T @ np.diag(random.random(3)) @ turn))
    expected, deviation = np.mean(naive, 0), np.std(naive, 0)
    assert (np.abs(covariances.mean(0).numpy() - expected) < 6 * deviation / math.sqrt(DRAWS) + 0.01).all()


def test_each_operation_does_what_it_says():
    random = np.random.default_rng(0)
    image = torch.from_numpy(scipy.ndimage.zoom(random.random((3, 12, 14)), (1, 8, 8), order=1)).float()[None]
    dice, wanted = Dice(seeded(0)), [24, 28]
    kernel = next(o for o in Shuffled(4, aniso=1.0).drawn(dice) if isinstance(o, Blurred))
    expected = scipy.ndimage.convolve(image[0, 1].numpy(), kernel.kernel.weights().numpy(), mode="mirror")
    np.testing.assert_allclose(kernel(image, wanted, dice)[0, 1], expected, atol=1e-5)
    assert Shrunk("area")(image, wanted, dice).shape[-2:] == (24, 28)
    assert Shrunk("bilinear", 2.7)(image, wanted, dice).shape[-2:] == (35, 41)
    assert Shrunk("matlab", 2.0)(image, wanted, dice).shape[-2:] == (48, 56)
    kept = Shrunk("blur", 4.0, 1.8)(image, wanted, dice)
    smooth = scipy.ndimage.gaussian_filter(image[0, 0].numpy(), 1.8, mode="mirror")
    middles = (smooth[1::4, 1::4] + smooth[2::4, 1::4] + smooth[1::4, 2::4] + smooth[2::4, 2::4]) / 4
    assert np.abs(kept[0, 0].numpy() - middles)[4:-4, 4:-4].max() < 0.03  # single pixels, aligned with LR
    flat = torch.full((1, 3, 200, 200), 0.5)
    for kind, levels in (("white", 20), ("grey", 20)):
        noise = (Noisy(levels, kind)(flat, wanted, dice) - 0.5) * 255
        assert float(noise.std()) == pytest.approx(levels, rel=0.03)
        assert bool((noise[:, 0] == noise[:, 1]).all()) == (kind == "grey")


def test_a_picture_gets_small_and_worse_by_its_seed():
    random = np.random.default_rng(0)
    hr = torch.from_numpy(scipy.ndimage.zoom(random.random((3, 12, 14)), (1, 8, 8)).clip(0, 1) * 255).to(torch.uint8)
    for scale in (2, 4):
        chain = Degradation(scale, [Shuffled(scale)])
        assert not chain.deterministic and chain.alone
        made = [chain(hr, seeded(seed)) for seed in (1, 1, 2, 3, 4, 5)]
        assert {tuple(lr.shape) for lr in made} == {(3, 96 // scale, 112 // scale)} and torch.equal(made[0], made[1])
        assert len({lr.numpy().tobytes() for lr in made}) == 5
        whole = torch.nn.functional.interpolate(hr[None].float(), made[0].shape[1:], mode="area")[0]
        assert all(2 < float((lr - whole).abs().mean()) < 60 for lr in made)
        for tiny in (4, 8):
            for seed in range(20):
                assert chain(hr[:, :tiny, :tiny], seeded(seed)).shape == (3, tiny // scale, tiny // scale)


def test_ranges_that_are_none_are_refused():
    with pytest.raises(UserError, match=r"noise=\[2.5,25\]: whole numbers"):
        Shuffled(4, noise=(2.5, 25))
    with pytest.raises(UserError, match=r"noises=.*3 shares"):
        Shuffled(4, noises=(1, 1))
    with pytest.raises(UserError, match="jpeg=2: how often"):
        Shuffled(4, jpeg=2)
    with pytest.raises(UserError, match="must lie between 1 and 100"):
        Shuffled(4, quality=(30, 101))
