"""Real-ESRGAN's degradation: its kernels, what it draws, and what it does to a picture."""

import math
from collections import Counter

import numpy as np
import pytest
import scipy.ndimage
import torch

from sr.degradation import Degradation, Round, SecondOrder, UnsharpMask
from sr.degradation.kernels import KINDS, SIZES, Kernel
from sr.degradation.second_order import SECOND, Dice, Drawn, _noise
from sr.errors import UserError
from sr.imaging.sharpen import unsharp

DRAWS = 2000


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def shares(found):
    return {key: count / len(found) for key, count in Counter(found).items()}


@pytest.mark.parametrize(("own", "sigma", "factor", "up_down", "noise", "poisson", "blur"), [
    (Round(), (0.2, 3), (0.15, 1.5), (0.2, 0.7), (1, 30), (0.05, 3), 1.0),
    (SECOND, (0.2, 1.5), (0.3, 1.2), (0.3, 0.4), (1, 25), (0.05, 2.5), 0.8),
])  # fmt: skip
def test_what_is_drawn_is_as_published(own, sigma, factor, up_down, noise, poisson, blur):
    """Shares within 4 standard deviations, ranges met nearly to their ends and evenly."""
    dice = Dice(seeded(0))
    drawn = [own.drawn(dice) for _ in range(DRAWS)]

    def as_often(share, wanted, n=DRAWS):
        assert abs(share - wanted) < 4 * math.sqrt(wanted * (1 - wanted) / n) + 1e-9

    def evenly(values, low, high):
        assert low <= min(values) < low + 0.05 * (high - low) and high - 0.05 * (high - low) < max(values) <= high
        assert abs(np.mean(values) - (low + high) / 2) < 4 * (high - low) / math.sqrt(12 * len(values))

    kernels = [d.kernel for d in drawn if d.kernel is not None]
    as_often(len(kernels) / DRAWS, blur)
    as_often(sum(k.kind == "sinc" for k in kernels) / len(kernels), 0.1, len(kernels))
    others = [k for k in kernels if k.kind != "sinc"]
    for kind, wanted in zip(KINDS, (0.45, 0.25, 0.12, 0.03, 0.12, 0.03), strict=True):
        as_often(sum(k.kind == kind for k in others) / len(others), wanted, len(others))
    for size in SIZES:
        as_often(sum(k.size == size for k in kernels) / len(kernels), 1 / 8, len(kernels))
    evenly([k.sigma[0] for k in others], *sigma)
    assert all(k.sigma[0] == k.sigma[1] for k in others if k.kind == "iso" or k.kind.endswith("_iso"))
    evenly([k.sigma[1] for k in others if k.kind == "aniso"], *sigma)
    assert all(k.beta == 1 for k in others if k.kind in KINDS[:2])
    general = [k.beta for k in others if k.kind.startswith("generalized")]
    assert 0.5 <= min(general) < 0.6 and 3.7 < max(general) <= 4
    as_often(sum(beta < 1 for beta in general) / len(general), 0.5, len(general))
    assert all(1 <= k.beta <= 2 for k in others if k.kind.startswith("plateau"))
    for k in kernels:
        if k.kind == "sinc":
            assert math.pi / (3 if k.size < 13 else 5) <= k.cutoff <= math.pi
    as_often(sum(d.factor > 1 for d in drawn) / DRAWS, up_down[0])
    as_often(sum(d.factor < 1 for d in drawn) / DRAWS, up_down[1])
    evenly([d.factor for d in drawn if d.factor > 1], 1, factor[1])
    evenly([d.factor for d in drawn if d.factor < 1], factor[0], 1)
    assert {round(share, 1) for share in shares([d.mode for d in drawn]).values()} == {0.3}
    as_often(shares([d.noise for d in drawn])["gaussian"], 0.5)
    evenly([d.strength for d in drawn if d.noise == "gaussian"], *noise)
    evenly([d.strength for d in drawn if d.noise == "poisson"], *poisson)
    as_often(sum(d.grey for d in drawn) / DRAWS, 0.4)
    evenly([d.quality for d in drawn], 30, 95)


def test_kernels_are_their_formulas():
    for kernel in (
        Kernel("aniso", 9, (1.0, 2.5), 0.4),
        Kernel("generalized_aniso", 7, (1.2, 2.0), -1.0, 0.6),
        Kernel("plateau_iso", 11, (1.5, 1.5), 2.0, 1.7),
    ):
        weights = kernel.weights()
        turn = np.array(
            [[math.cos(kernel.angle), -math.sin(kernel.angle)], [math.sin(kernel.angle), math.cos(kernel.angle)]]
        )
        inverse = np.linalg.inv(turn @ np.diag(np.square(kernel.sigma)) @ turn.T)
        naive, half = np.zeros((kernel.size, kernel.size)), kernel.size // 2
        for row in range(kernel.size):
            for column in range(kernel.size):
                at = np.array([column - half, row - half])
                form = (at @ inverse @ at) ** kernel.beta
                naive[row, column] = 1 / (1 + form) if "plateau" in kernel.kind else math.exp(-form / 2)
        np.testing.assert_allclose(weights, naive / naive.sum(), atol=1e-7)
    wide = Kernel("iso", 21, (2.0, 2.0)).weights().double()
    at = torch.arange(-10.0, 11)
    assert float((wide.sum(0) * at**2).sum()) == pytest.approx(4, rel=1e-3)  # the deviation that was asked for


def test_sinc_lets_low_frequencies_through():
    spectrum = torch.fft.fft2(Kernel("sinc", 21, cutoff=math.pi / 2).weights(), (64, 64)).abs()
    assert abs(float(spectrum[0, 0]) - 1) < 1e-5
    assert abs(float(spectrum[8, 0]) - 1) < 0.15 and float(spectrum[28, 0]) < 0.15  # pi / 4, 7 pi / 8


@pytest.mark.parametrize("grey", [False, True])
def test_noise_has_the_strength_that_was_drawn(grey):
    flat = torch.full((1, 3, 300, 300), 128 / 255)
    flat[..., :16] = (torch.arange(16) / 255).expand(1, 3, 300, 16)  # with this, 17 levels: 32 photons
    for kind, strength, expected in (("gaussian", 20, 20), ("poisson", 2, 2 * 255 * math.sqrt(128 / 255 / 32))):
        noise = _noise(flat, Drawn(None, 1, "area", kind, strength, grey, 50), Dice(seeded(0)))[..., 16:] * 255
        assert noise.shape[1] == (1 if grey else 3)
        assert float(noise.std()) == pytest.approx(expected, rel=0.02) and abs(float(noise.mean())) < 0.02 * expected


def test_a_picture_gets_small_and_worse_by_its_seed():
    random = np.random.default_rng(0)
    hr = torch.from_numpy(scipy.ndimage.zoom(random.random((3, 12, 14)), (1, 8, 8)).clip(0, 1) * 255).to(torch.uint8)
    chain = Degradation(4, [UnsharpMask(), SecondOrder(4)])
    assert not chain.deterministic and chain.alone
    made = [chain(hr, seeded(seed)) for seed in (1, 1, 2, 3, 4, 5, 6, 7)]
    assert {tuple(lr.shape) for lr in made} == {(3, 24, 28)} and torch.equal(made[0], made[1])
    assert len({lr.numpy().tobytes() for lr in made}) == 7
    whole = torch.nn.functional.interpolate(hr[None].float(), (24, 28), mode="area")[0]
    assert all(2 < float((lr - whole).abs().mean()) < 60 for lr in made)  # another picture, and still this one
    assert chain.key != Degradation(4, [UnsharpMask(), SecondOrder(4, final_sinc=0.5)]).key
    for tiny in (4, 8, 12):
        assert chain(hr[:, :tiny, :tiny], seeded(9)).shape == (3, tiny // 4, tiny // 4)


def test_ranges_that_are_none_are_refused():
    with pytest.raises(UserError, match=r"noise=\[5, 2\]: give \[low, high\]"):
        Round(noise=(5, 2))
    with pytest.raises(UserError, match=r"sigma=\[0,2\]: both must be above 0"):
        Round(sigma=(0, 2))
    with pytest.raises(UserError, match=r"resize=\[0.5, 0.5\]: 3 shares"):
        Round(resize=(0.5, 0.5))
    with pytest.raises(UserError, match="grey=40: how often lies between 0 and 1"):
        Round(grey=40)
    with pytest.raises(UserError, match="final_sinc=-1"):
        SecondOrder(4, final_sinc=-1)
    with pytest.raises(UserError, match="1 must lie between"):
        Round(factor=(1.2, 1.5))
    with pytest.raises(UserError, match="16 times at most"):
        Round(factor=(0.15, 300))


def test_sharpening_is_its_formula():
    random = np.random.default_rng(0)
    image = scipy.ndimage.zoom(random.random((9, 11)), 8, order=1)

    def blurred(x):
        return scipy.ndimage.gaussian_filter(x, 8.0, mode="mirror", radius=25)

    residual = image - blurred(image)
    soft = blurred((np.abs(residual) * 255 > 10).astype(float))
    expected = soft * np.clip(image + 0.5 * residual, 0, 1) + (1 - soft) * image
    found = unsharp(torch.from_numpy(image)[None, None])[0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    single = unsharp(torch.from_numpy(image).float()[None, None])[0, 0]  # by another way
    np.testing.assert_allclose(single, expected, atol=2e-3)  # where the threshold lies decides by a last bit
    assert float((single - found).abs().median()) < 1e-6
    flat = torch.full((1, 3, 9, 9), 0.3)
    torch.testing.assert_close(unsharp(flat), flat)
    assert UnsharpMask()((flat[0] * 255).to(torch.uint8), None).shape == (3, 9, 9)
