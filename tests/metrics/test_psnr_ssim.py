"""PSNR and SSIM against loops written out, scikit-image, SciPy and torchmetrics."""

import math

import numpy as np
import pytest
import scipy.ndimage
import skimage.metrics
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

import sr
from sr.errors import UserError
from sr.metrics.protocols import get_protocol
from sr.metrics.psnr import psnr
from sr.metrics.ssim import ssim, ssim_replicate, ssim_volumetric


def pair(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth pictures with noise, as 8-bit values, so that SSIM is neither 0 nor 1."""
    generator = np.random.default_rng(0)
    a = scipy.ndimage.gaussian_filter(generator.random(shape) * 255, (0, 0, 2, 2))
    a = (a - a.min()) / (a.max() - a.min()) * 255
    b = a + generator.normal(0, 12, shape)
    return torch.from_numpy(a.round()), torch.from_numpy(b.clip(0, 255).round())


def test_psnr_equals_a_loop_and_scikit_image():
    a, b = pair(3, 2, 9, 7)
    for one_a, one_b, value in zip(a.numpy(), b.numpy(), psnr(a, b).tolist(), strict=True):
        total = sum((float(p) - float(q)) ** 2 for p, q in zip(one_a.flat, one_b.flat, strict=True))
        assert value == pytest.approx(10 * math.log10(255**2 * one_a.size / total), abs=1e-10)
        assert value == pytest.approx(skimage.metrics.peak_signal_noise_ratio(one_a, one_b, data_range=255), abs=1e-10)


def test_psnr_of_bytes_is_exact() -> None:
    generator = np.random.default_rng(0)
    a, b = (generator.integers(0, 256, (1, 3, 120, 700), np.uint8) for _ in range(2))
    mean = int(((a.astype(int) - b) ** 2).sum()) / a.size
    assert psnr(torch.from_numpy(a), torch.from_numpy(b)).item() == pytest.approx(10 * math.log10(255**2 / mean), 1e-14)


def test_psnr_is_per_image_and_infinite_for_equal_ones():
    a = torch.zeros(2, 1, 4, 4)
    b = a.clone()
    b[1] = 255
    assert psnr(a, b).tolist() == [math.inf, 0.0]
    assert psnr(a[:1] / 255, a[:1] / 255 + 0.1, data_range=1.0).item() == pytest.approx(20)


def test_float32_input_is_computed_in_float64():
    a = torch.full((1, 1, 64, 64), 200.0)
    assert psnr(a, a + 2**-10).item() == pytest.approx(20 * math.log10(255 * 2**10), abs=1e-9)


def test_ssim_equals_a_loop():
    a, b = pair(1, 1, 13, 12)
    g = [math.exp(-(k**2) / (2 * 1.5**2)) for k in range(-5, 6)]
    window = np.outer(g, g) / sum(g) ** 2
    x, y = a.numpy()[0, 0], b.numpy()[0, 0]
    values = []
    for i in range(3):
        for j in range(2):
            p, q = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            cov = (window * (p - mp) * (q - mq)).sum()
            c1, c2 = 2.55**2, 7.65**2
            values.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    assert ssim(a, b).item() == pytest.approx(np.mean(values), abs=1e-8)


def test_ssim_equals_torchmetrics_and_scikit_image():
    a, b = pair(2, 3, 30, 41)
    ours = ssim(a, b)
    _, full = structural_similarity_index_measure(
        b, a, sigma=1.5, kernel_size=11, data_range=255.0, k1=0.01, k2=0.03, return_full_image=True
    )
    for k in range(2):
        # torchmetrics' border is padded: only where the whole window fits do the two agree
        assert ours[k].item() == pytest.approx(full[k, :, 5:-5, 5:-5].mean().item(), abs=1e-8)
        options = {"data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        theirs = skimage.metrics.structural_similarity(a[k].numpy(), b[k].numpy(), channel_axis=0, **options)
        assert ours[k].item() == pytest.approx(theirs, abs=1e-8)


def naive_map(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """SSIM map with edge values carried on in every dimension, by SciPy (truncate gives 11 taps)."""

    def blur(v: np.ndarray) -> np.ndarray:
        return scipy.ndimage.gaussian_filter(v, 1.5, mode="nearest", truncate=3.4)

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = 2.55**2, 7.65**2
    return (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))


def test_replicated_edges_equal_scipy():
    a, b = pair(2, 2, 14, 9)
    expected = [
        np.mean([naive_map(p, q) for p, q in zip(x, y, strict=True)]) for x, y in zip(a.numpy(), b.numpy(), strict=True)
    ]
    np.testing.assert_allclose(ssim_replicate(a, b).numpy(), expected, atol=1e-8)


def test_volumetric_equals_scipy_on_the_volume():
    a, b = pair(2, 3, 14, 9)
    expected = [naive_map(x, y).mean() for x, y in zip(a.numpy(), b.numpy(), strict=True)]
    result = ssim_volumetric(a, b)
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-8)
    assert (result > ssim_replicate(a, b)).all()  # averaging noise over channels flatters


@pytest.mark.parametrize("kind", ["white", "halves", "faint", "noise", "far"])
def test_float32_serves_where_it_is_hardest(kind: str) -> None:
    """Bright, flat and hard-edged pictures, where E[x^2] - E[x]^2 of plain float32 would be all error."""
    generator = np.random.default_rng(1)
    shape = (70, 61)
    a = {
        "white": np.full(shape, 254.0),
        "halves": np.where(np.arange(61) < 30, 0.0, 255.0) + np.zeros(shape),
        "faint": np.full(shape, 235.0) + generator.integers(0, 2, shape),
        "noise": generator.integers(0, 256, shape).astype(float),
        "far": generator.integers(0, 2, shape) * 255.0,
    }[kind]
    b = 255 - a if kind == "far" else (a + generator.normal(0, 1, shape)).clip(0, 255)
    expected = naive_map(a, b)[5:-5, 5:-5].mean()
    x, y = (torch.from_numpy(v)[None, None] for v in (a, b))
    assert ssim(x, y).item() == pytest.approx(expected, abs=2e-7)
    for found in (ssim(x.float().requires_grad_(), y), ssim(x.to("meta"), y.to("meta"))):  # as on a device
        assert found.shape == (1,) and found.dtype == torch.float64
    assert ssim(x.float().requires_grad_(), y).item() == pytest.approx(expected, abs=5e-6)


def test_a_batch_gives_what_its_images_give_alone() -> None:
    a, b = pair(3, 3, 40, 33)
    for measure in (psnr, ssim, ssim_replicate, ssim_volumetric):
        alone = torch.cat([measure(x, y) for x, y in zip(a.split(1), b.split(1), strict=True)])
        assert torch.equal(measure(a, b), alone) and torch.equal(measure(a.byte(), b.byte()), measure(a, b))


@pytest.mark.parametrize("measure", [ssim, ssim_replicate, ssim_volumetric])
def test_equal_images_give_one(measure):
    a, _ = pair(2, 3, 16, 16)
    assert measure(a, a).tolist() == pytest.approx([1, 1])
    assert measure(a * 0, a * 0).tolist() == [1, 1]


def test_wrong_shapes():
    a, b = pair(1, 3, 16, 16)
    with pytest.raises(ValueError, match="one shape"):
        psnr(a, b[:, :1])
    with pytest.raises(ValueError, match="one shape"):
        ssim(a, b[:, :1])
    with pytest.raises(ValueError, match="at least 11"):
        ssim(a[..., :10], b[..., :10])


def test_ranges_that_are_mistaken_are_told(caplog):
    hr = torch.rand(1, 3, 48, 48)
    near = (hr + 0.02).clamp(0, 1)
    for function, name in ((sr.psnr, "psnr"), (sr.ssim, "ssim")):
        caplog.clear()
        function(255 * near, 255 * hr), function(near, hr, data_range=1.0)
        assert not caplog.records
        function(near, hr)
        assert f"{name} of values up to 1, where white is 255: for images in [0, 1] say data_range=1.0" in caplog.text
    compare, caplog.handler.records = get_protocol("y").compare, []
    compare(near, hr, 2)
    assert not caplog.records
    compare(255 * near, (255 * hr).byte(), 2)
    assert "an output reaches 255, and is clipped to [0, 1]: is it in 0 to 255?" in caplog.text
    with pytest.raises(UserError, match=r"HR's floats are in \[0, 1\], and these reach 2"):
        compare(near, 255 * hr, 2)
    with pytest.raises(ValueError, match=r"\(B, C, H, W\)"):
        sr.psnr(hr[0], hr[0])


@pytest.mark.parametrize(
    "function",
    [sr.psnr, sr.ssim, lambda a, b: get_protocol("y").compare(a, b, 2), lambda a, b: sr.imresize(a, 0.5)],
)
def test_arrays_are_told_how_they_become_tensors(function):
    array = np.zeros((24, 24, 3), np.uint8)
    with pytest.raises(UserError, match=r"takes tensors \(B, C, H, W\), not ndarray: .*torch\.from_numpy"):
        function(array, array)
