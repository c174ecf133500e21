import io
import math
from collections.abc import Callable, Sequence
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

from sr.data.images import packed
from sr.degradation import (
    Degradation,
    GaussianBlur,
    GaussianNoise,
    Jpeg,
    MatlabBicubic,
    MotionBlur,
    PoissonNoise,
    Step,
    matlab_bicubic,
)
from sr.degradation.filters import Chain, Filter, _words
from sr.degradation.parts import Part, cut_out
from sr.degradation.randomness import Randomness, words_of
from sr.errors import UserError
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


def spans(chain: Degradation, start: int, size: int, whole: int, together: bool) -> list[tuple[int, int]]:
    parts = chain.parts([[start], [0]], (size, 8), [[whole], [99]], [0], together)
    return [(int(p.start[0, 0]), int(p.start[0, 0]) + p.size[0]) for p in parts.given]


def test_parts_are_what_the_steps_reach() -> None:
    assert spans(matlab_bicubic(4), 10, 10, 100, True) == [(32, 88), (10, 20)]
    assert spans(matlab_bicubic(4), 0, 20, 20, False) == [(0, 80), (0, 20)]
    assert spans(matlab_bicubic(4), 0, 20, 20, True) == [(-8, 88), (0, 20)]  # of one size, and so beyond the border
    chain = Degradation(2, [GaussianBlur(2.0), MatlabBicubic(2), Jpeg(50)])
    # JPEG looks 2 pixels on and takes whole blocks of 16, one or two of them; bicubic 3 pixels of HR on, the blur 6
    assert spans(chain, 34, 12, 100, True) == [(55, 105), (32, 48), (34, 46)]
    assert spans(chain, 37, 12, 100, True) == [(55, 137), (32, 64), (37, 49)]
    assert spans(chain, 36, 12, 50, False) == [(55, 100), (32, 50), (36, 48)]


def test_crops_that_few_blocks_hold_are_made_together() -> None:
    chain = Degradation(2, [GaussianBlur(2.0), MatlabBicubic(2), Jpeg(50)])
    assert chain.groups([[34, 37, 2, 34], [34, 34, 50, 37]], (12, 12)) == [[0, 2], [1, 3]]
    assert matlab_bicubic(2).groups([[0, 5, 7], [1, 2, 3]], (12, 12)) == [[0, 1, 2]]


@pytest.mark.parametrize("step", [GaussianBlur(1.3), Chain([GaussianBlur(0.9), MatlabBicubic(3)])])
def test_pixels_of_four_bytes_are_filtered_to_the_same_bits(step: Filter) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 41, 52, 3), np.uint8)
    four = torch.from_numpy(packed(pixels)[..., None].view(np.uint8))[..., :3].permute(0, 3, 1, 2)
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    assert (packed(planes.numpy().transpose(0, 2, 3, 1)) == packed(pixels)).all()
    draws = Randomness(torch.zeros(2, 2, 4, dtype=torch.int64), Part(np.zeros((2, 2), int), (41, 52), np.ones((2, 2))))
    assert _words(four) is not None and _words(planes) is None
    assert torch.equal(step.filtered(four, draws), step.filtered(planes, draws))


CHAINS: list[list[Any]] = [
    [MatlabBicubic(2)],
    [GaussianBlur([0.2, 2.0]), MatlabBicubic(2), GaussianNoise([0, 15]), Jpeg([40, 95])],
    [GaussianNoise(9), GaussianBlur(1.0), MatlabBicubic(2, edge="replicate")],
    [Jpeg(60), MotionBlur(5, [0, 360]), MatlabBicubic(2), GaussianBlur(0.7)],
]


def made(chain: Degradation, hr: torch.Tensor, places: Sequence[tuple[int, int]], side: int) -> torch.Tensor:
    """Crops of LR, (B, 3, side, side), of one seed."""
    start, whole = np.array(places).T, np.array([hr.shape[1:]] * len(places)).T // chain.scale
    together, found = not chain.alone, []
    for some in [slice(None)] if together else [slice(n, n + 1) for n in range(len(places))]:
        parts = chain.parts(start[:, some], (side, side), whole[:, some], [7] * len(places[some]), together)
        needed = np.empty((len(places[some]), 3, *parts.given[0].size), np.uint8)
        for place, into in zip(parts.given[0].on_pictures(), needed, strict=True):
            cut_out(hr.numpy(), place, chain.edge, into)
        found.append(chain.batch(torch.from_numpy(needed), parts))
    return torch.cat(found)


@pytest.mark.parametrize("steps", CHAINS)
def test_parts_are_those_of_the_whole_image_in_any_company(steps: list[Any]) -> None:
    hr = torch.from_numpy(skimage.data.astronaut()[:200, :180].copy()).permute(2, 0, 1)
    chain, places = Degradation(2, steps), [(0, 0), (76, 66), (40, 17), (33, 66), (16, 32)]
    parts = chain.parts([[0], [0]], (100, 90), [[100], [90]], [7], False)
    whole, together = chain.batch(hr[None], parts)[0].int(), made(chain, hr, places, 24)
    for (y, x), part in zip(places, together, strict=True):
        assert torch.equal(part, made(chain, hr, [(y, x)], 24)[0])
        # floats are summed in another order at another place: a level may round the other way, before JPEG a step
        apart = (part.int() - whole[:, y : y + 24, x : x + 24]).abs()
        assert (apart == 0).float().mean() > 0.99


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

    class Levels(Step):
        def __call__(self, x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
            return x * 0.9

    with pytest.raises(UserError, match=r"step Levels returns floats up to .*Divide them by 255"):
        Degradation(2, [MatlabBicubic(2), Levels()])(hr)
    salted = Degradation(2, [MatlabBicubic(2), Salt()])(hr, seeded(1))
    assert 0.05 < (salted == 255).float().mean() < 0.15
    assert Degradation(2, [MatlabBicubic(2), Stronger(10)])(hr, seeded(1)).max() == 0
    square = Degradation(2, [Square(1), MatlabBicubic(2)])
    assert made(square, hr, [(0, 0), (3, 4)], 28).min() == 255

    class Mine(Degradation):
        def __call__(self, hr: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
            return super().__call__(hr, generator) * 0 + 5

    mine = Mine(2, [MatlabBicubic(2)])
    found = made(mine, hr, [(9, 4)], 10)
    assert found.shape == (1, 3, 10, 10) and (found == 5).all()


def test_noise_is_normal_and_independent() -> None:
    def normal(seeds: list[int], step: int, corner: tuple[int, int] = (0, 0), side: int = 300) -> torch.Tensor:
        at = Part(np.repeat([[corner[0]], [corner[1]]], len(seeds), 1), (side, side), None)
        drawn = torch.from_numpy(words_of(seeds, 4))[step:]
        return Randomness(drawn, at).normal(torch.zeros(len(seeds), 3, side, side))

    x = normal([5, 6], 2)
    assert x.mean().abs() < 0.01 and abs(x.var() - 1) < 0.01 and x.abs().max() > 4
    assert abs((x**3).mean()) < 0.02 and abs((x**4).mean() - 3) < 0.05
    placed = (x < torch.distributions.Normal(0, 1).icdf(torch.linspace(0.1, 0.9, 9)).view(-1, 1, 1, 1, 1)).float()
    assert (placed.mean((1, 2, 3, 4)) - torch.linspace(0.1, 0.9, 9)).abs().max() < 0.003
    pairs = {
        "channels": (x[:, 0], x[:, 1]), "others": (x[:, 0], x[:, 2]), "images": (x[0], x[1]),
        "rows": (x[..., 1:, :], x[..., :-1, :]), "columns": (x[..., 1:], x[..., :-1]),
        "steps": (x, normal([5, 6], 3)), "seeds": (x, normal([7, 5 + 2**40], 2)),
    }  # fmt: skip
    for name, (a, b) in pairs.items():
        assert abs(float((a * b).mean())) < 0.01 and abs(float((a**2 * b**2).mean()) - 1) < 0.03, name
    assert torch.equal(normal([6], 2, (40, 70), 50)[0], x[1, :, 40:90, 70:120])


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.0, 9.0])
def test_blur_is_scipys(hr: torch.Tensor, sigma: float) -> None:
    reach = math.ceil(3 * sigma)
    for image in (hr, hr[:, :20, :30]):
        levels = image.numpy().astype(np.float64)
        expected = scipy.ndimage.gaussian_filter(levels, (0, sigma, sigma), mode="reflect", radius=(0, reach, reach))
        np.testing.assert_allclose(GaussianBlur(sigma)(image, None).numpy(), expected / 255, atol=1e-6)


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
        lambda: Degradation(1, [MotionBlur(60_001)]),  # a kernel of 14 GB
        lambda: Degradation(1, [GaussianBlur(3e5)]),
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
