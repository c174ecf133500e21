import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pytest
import scipy.ndimage
import skimage.data
import torch
from omegaconf import OmegaConf
from PIL import Image

from sr.degradation import (
    Degradation,
    GaussianBlur,
    GaussianNoise,
    Jpeg,
    MatlabBicubic,
    MotionBlur,
    PoissonNoise,
    Step,
    jpeg,
    matlab_bicubic,
)
from sr.degradation.randomness import Randomness
from sr.errors import UserError
from sr.imaging import resize
from sr.imaging.resize import imresize


@pytest.fixture
def hr() -> torch.Tensor:
    coarse = torch.rand(1, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    fine = torch.nn.functional.interpolate(coarse, (64, 72), mode="bicubic").clamp(0, 1)[0]
    return (fine * 255).to(torch.uint8)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(10 * torch.log10(255**2 / (a.double() - b.double()).square().mean()))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_alone_is_matlabs_on_uint8(hr: torch.Tensor, scale: int) -> None:
    hr = hr[:, : 64 // scale * scale, : 72 // scale * scale]
    assert torch.equal(matlab_bicubic(scale)(hr), imresize(hr, 1 / scale))
    old = Degradation(scale, [MatlabBicubic(scale, edge="replicate")])
    assert torch.equal(old(hr), imresize(hr, 1 / scale, edge="replicate")) and old.key != matlab_bicubic(scale).key


STEPS: list[tuple[Callable[[], Any], bool, bool]] = [  # step, deterministic, symmetric
    (lambda: GaussianBlur(1.0), True, True),
    (lambda: GaussianBlur([0.5, 2]), False, True),
    (lambda: MotionBlur(5, 30), True, False),
    (lambda: MotionBlur(5, [0, 360]), False, True),
    (lambda: GaussianNoise(10), False, True),
    (lambda: PoissonNoise([50, 100]), False, True),
    (lambda: Jpeg(50), True, True),
    (lambda: Jpeg([30, 90]), False, True),
]


@pytest.mark.parametrize(("make", "deterministic", "symmetric"), STEPS)
@pytest.mark.parametrize("before", [True, False])
def test_steps_are_seeded(
    hr: torch.Tensor, make: Callable[[], Any], deterministic: bool, symmetric: bool, before: bool
) -> None:
    step, shrink = make(), MatlabBicubic(2)
    chain = Degradation(2, [step, shrink] if before else [shrink, step])
    assert (chain.deterministic, chain.symmetric) == (deterministic, symmetric)
    first = chain(hr, seeded(1))
    assert first.dtype == torch.uint8 and first.shape == (3, 32, 36)
    assert torch.equal(first, chain(hr, seeded(1)))
    assert torch.equal(first, chain(hr, seeded(2))) == deterministic
    assert not torch.equal(first, matlab_bicubic(2)(hr)) and psnr(first, matlab_bicubic(2)(hr)) > 12
    if deterministic:
        assert torch.equal(first, chain(hr))


def test_noise_has_the_strength_asked_for() -> None:
    flat = torch.full((3, 200, 200), 128, dtype=torch.uint8)
    noisy = Degradation(1, [GaussianNoise(10)])(flat, seeded(0)).double()
    assert abs(float(noisy.std()) - 10) < 0.2 and abs(float(noisy.mean()) - 128) < 0.3
    shot = Degradation(1, [PoissonNoise(100)])(flat, seeded(0)).double()
    assert abs(float(shot.std()) - 255 * (0.502 / 100) ** 0.5) < 0.5


def test_jpeg_gets_worse_with_lower_quality(hr: torch.Tensor) -> None:
    figures = [psnr(Degradation(1, [Jpeg(q)])(hr), hr) for q in (10, 50, 90)]
    assert figures == sorted(figures) and figures[2] > 33


def test_the_order_of_steps_matters(hr: torch.Tensor) -> None:
    noise, shrink = GaussianNoise(20), MatlabBicubic(2)
    assert not torch.equal(
        Degradation(2, [noise, shrink])(hr, seeded(0)), Degradation(2, [shrink, noise])(hr, seeded(0))
    )


def test_keys_tell_settings_apart() -> None:
    keys = {Degradation(2, [s, MatlabBicubic(2)]).key for s in (GaussianBlur(1), GaussianBlur(2), MotionBlur(5, 0))}
    assert len(keys) == 3 and matlab_bicubic(2).key == Degradation(2, [MatlabBicubic(2)]).key != matlab_bicubic(3).key


def test_spans_are_what_the_steps_reach() -> None:
    assert matlab_bicubic(4).spans(10, 20, 100) == [(32, 88), (10, 20)]
    assert matlab_bicubic(4).spans(0, 20, 20) == [(0, 80), (0, 20)]
    chain = Degradation(2, [GaussianBlur(2.0), MatlabBicubic(2), Jpeg(50)])
    # JPEG looks 2 pixels on and takes whole blocks of 16; bicubic 4 pixels of HR on, the blur 6
    assert chain.spans(34, 46, 100) == [(54, 106), (60, 100), (32, 48), (34, 46)]
    assert chain.spans(33, 46, 50) == [(22, 100), (28, 100), (16, 48), (33, 46)]
    assert Degradation(2, [Jpeg(50), MatlabBicubic(2)]).spans(20, 30, 99) == [(32, 80), (36, 64), (20, 30)]


CHAINS: list[list[Any]] = [
    [MatlabBicubic(2)],
    [GaussianBlur([0.2, 2.0]), MatlabBicubic(2), GaussianNoise([0, 15]), Jpeg([40, 95])],
    [GaussianNoise(9), GaussianBlur(1.0), MatlabBicubic(2, edge="replicate")],
    [Jpeg(60), MotionBlur(5, [0, 360]), MatlabBicubic(2), GaussianBlur(0.7)],
]


def cut(chain: Degradation, hr: torch.Tensor, y: int, x: int, side: int) -> tuple[torch.Tensor, Any, Any]:
    rows, columns = chain.spans(y, y + side, hr.shape[1] // 2), chain.spans(x, x + side, hr.shape[2] // 2)
    return hr[:, slice(*rows[0]), slice(*columns[0])], rows, columns


@pytest.mark.parametrize("steps", CHAINS)
def test_parts_are_those_of_the_whole_image_in_any_company(steps: list[Any]) -> None:
    hr = torch.from_numpy(skimage.data.astronaut()[:200, :180].copy()).permute(2, 0, 1)
    chain, places = Degradation(2, steps), [(0, 0), (76, 66), (40, 17), (33, 66), (16, 32)]
    whole = chain.parts([hr], [7], [chain.spans(0, 100, 100)], [chain.spans(0, 90, 90)])[0].int()
    hrs, rows, columns = zip(*(cut(chain, hr, y, x, 24) for y, x in places), strict=True)
    together = chain.parts(hrs, [7] * 5, rows, columns)
    for i, ((y, x), part) in enumerate(zip(places, together, strict=True)):
        assert torch.equal(part, chain.parts([hrs[i]], [7], [rows[i]], [columns[i]])[0])
        # floats are summed in another order at another place: a level may round the other way, before JPEG a step
        apart = (part.int() - whole[:, y : y + 24, x : x + 24]).abs()
        assert (apart == 0).float().mean() > 0.99


@pytest.mark.parametrize("steps", CHAINS)
def test_a_batch_as_on_a_device_is_what_its_parts_are(steps: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    hr = torch.from_numpy(skimage.data.astronaut().copy()).permute(2, 0, 1)
    chain = Degradation(2, steps)
    hrs, rows, columns = zip(*(cut(chain, hr, y, x, 24) for y, x in [(48, 64), (80, 128), (112, 96)]), strict=True)
    expected = torch.stack(chain.parts(hrs, [1, 2, 3], rows, columns)).int()
    for module in (resize, jpeg):
        monkeypatch.setattr(module, "plain", lambda x: None)
    apart = (chain.batch(torch.stack(hrs), [1, 2, 3], rows, columns).int() - expected).abs()
    assert (apart == 0).float().mean() > 0.99 and (apart <= 1).float().mean() > 0.999


def test_steps_of_ones_own_need_call_alone(hr: torch.Tensor) -> None:
    class Salt(Step):
        deterministic = False

        def __call__(self, x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
            return torch.where(torch.rand(x.shape, generator=generator) < 0.1, 255, x)

    class Stronger(GaussianNoise):
        def __call__(self, x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
            return super().__call__(x, generator) * 0

    class Square(GaussianBlur):
        __qualname__ = "GaussianBlur"  # as another module may call its own

        def batch(self, x: torch.Tensor, draws: Any) -> torch.Tensor:
            return x / 255 * 0 + 1

    salted = Degradation(2, [MatlabBicubic(2), Salt()])(hr, seeded(1))
    assert 0.05 < (salted == 255).float().mean() < 0.15
    assert Degradation(2, [MatlabBicubic(2), Stronger(10)])(hr, seeded(1)).max() == 0
    square = Degradation(2, [Square(1), MatlabBicubic(2)])
    assert square.parts([hr], [0], [square.spans(0, 32, 32)], [square.spans(0, 36, 36)])[0].min() == 255

    class Mine(Degradation):
        def __call__(self, hr: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
            return super().__call__(hr, generator) * 0 + 5

    mine = Mine(2, [MatlabBicubic(2)])
    part, rows, columns = cut(mine, hr, 8, 4, 10)
    (made,) = mine.parts([part], [0], [rows], [columns])
    assert made.shape == (3, 10, 10) and (made == 5).all()


def test_noise_is_normal_and_independent() -> None:
    like = torch.zeros(2, 3, 300, 300)
    x = Randomness([5, 6], 2).normal(like)
    assert x.mean().abs() < 0.01 and abs(x.var() - 1) < 0.01 and x.abs().max() > 4
    assert abs((x**3).mean()) < 0.02 and abs((x**4).mean() - 3) < 0.05
    placed = (x < torch.distributions.Normal(0, 1).icdf(torch.linspace(0.1, 0.9, 9)).view(-1, 1, 1, 1, 1)).float()
    assert (placed.mean((1, 2, 3, 4)) - torch.linspace(0.1, 0.9, 9)).abs().max() < 0.003
    pairs = {
        "channels": (x[:, 0], x[:, 1]), "others": (x[:, 0], x[:, 2]), "images": (x[0], x[1]),
        "rows": (x[..., 1:, :], x[..., :-1, :]), "columns": (x[..., 1:], x[..., :-1]),
        "steps": (x, Randomness([5, 6], 3).normal(like)), "seeds": (x, Randomness([7, 5 + 2**40], 2).normal(like)),
    }  # fmt: skip
    for name, (a, b) in pairs.items():
        assert abs(float((a * b).mean())) < 0.01 and abs(float((a**2 * b**2).mean()) - 1) < 0.03, name
    part = Randomness([6], 2, [(40, 70)]).normal(like[:1, :, :50, :60])
    torch.testing.assert_close(part[0], x[1, :, 40:90, 70:130], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.0, 9.0])
def test_blur_is_scipys(hr: torch.Tensor, sigma: float) -> None:
    levels = hr.numpy().astype(np.float64)
    reach, step = math.ceil(3 * sigma), GaussianBlur(sigma)
    expected = scipy.ndimage.gaussian_filter(levels, (0, sigma, sigma), mode="mirror", radius=(0, reach, reach)) / 255
    np.testing.assert_allclose(step(hr, None).numpy(), expected, atol=1e-6)
    for n in (64, 20):
        line = levels[0, 0, :n]
        expected = scipy.ndimage.gaussian_filter1d(line, sigma, mode="mirror", radius=reach)
        np.testing.assert_allclose(step.line(n, Randomness([0])) @ line, expected, atol=1e-4)


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 95])
def test_jpeg_loses_what_libjpeg_does(quality: int) -> None:
    picture = skimage.data.astronaut()[:240, :250]
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=2)
    theirs, hr = (torch.from_numpy(np.array(v)).permute(2, 0, 1) for v in (Image.open(file), picture))
    ours = Degradation(1, [Jpeg(quality)])(hr)
    assert psnr(ours, theirs) > 40 and psnr(ours, hr) == pytest.approx(psnr(theirs, hr), abs=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Degradation(2, [GaussianBlur(1)]),
        lambda: Degradation(2, [MatlabBicubic(3)]),
        lambda: GaussianBlur(0),
        lambda: GaussianBlur([2, 1]),
        lambda: Jpeg(0),
        lambda: Jpeg([50, 101]),
        lambda: MotionBlur(4),
        lambda: PoissonNoise(0),
    ],
)
def test_wrong_settings_are_refused(wrong: Callable[[], Any]) -> None:
    with pytest.raises(UserError):
        wrong()


def test_every_config_builds_and_runs(root: Path, hr: torch.Tensor) -> None:
    configs = sorted((root / "conf/degradation").glob("*.yaml"))
    plain = {"bicubic": True, "bicubic_old": False, "blur_noise_jpeg": False}
    assert set(plain) <= {c.stem for c in configs}
    for config in configs:
        tree = OmegaConf.create({"scale": 2, "degradation": OmegaConf.load(config)})
        chain = hydra.utils.instantiate(tree.degradation)
        assert chain(hr, seeded(0)).shape == (3, 32, 36), config.stem
        if config.stem in plain:
            assert (chain.key == matlab_bicubic(2).key) == plain[config.stem]
