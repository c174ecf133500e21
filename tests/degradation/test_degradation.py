from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
from omegaconf import OmegaConf

from sr.degradation import (
    Degradation,
    GaussianBlur,
    GaussianNoise,
    Jpeg,
    MatlabBicubic,
    MotionBlur,
    PoissonNoise,
    matlab_bicubic,
)
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


def test_margin_and_grid_are_in_lr_pixels() -> None:
    assert (matlab_bicubic(4).margin, matlab_bicubic(4).grid) == (2, 1)
    chain = Degradation(2, [GaussianBlur(2.0), MatlabBicubic(2), Jpeg(50)])
    assert (chain.margin, chain.grid) == ((6 + 4) // 2 + 16, 16)
    assert Degradation(2, [Jpeg(50), MatlabBicubic(2)]).grid == 8
    assert Degradation(3, [Jpeg(50), MatlabBicubic(3)]).grid == 16


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
