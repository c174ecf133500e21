"""The papers' two blur-downsamplings: against loops, beside each other, and of crops."""

from itertools import product
from pathlib import Path

import hydra
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from sr.data.pairs import ImagePair
from sr.data.pairset import PairSet
from sr.degradation import BlurDown, Degradation
from sr.errors import UserError

DUF = {"taps": 13, "first": 0, "edge": "reflect"}
BOTH = pytest.mark.parametrize("settings", [{}, DUF], ids=["bd", "bd_duf"])


def picture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def naive(hr: np.ndarray, scale: int, taps: int, first: float, edge: str) -> np.ndarray:
    """Each pixel by itself, (3, H, W) in float64: a sum of weighted neighbours around its place."""
    _, height, width = hr.shape
    weights = np.exp(-((np.arange(taps) - (taps - 1) / 2) ** 2) / (2 * 1.6**2))
    weights /= weights.sum()

    def inside(n: int, side: int) -> int:
        while edge == "reflect" and not 0 <= n < side:
            n = -n if n < 0 else 2 * (side - 1) - n
        return min(max(n, 0), side - 1)

    found = np.zeros((3, height // scale, width // scale))
    for y, x in product(range(height // scale), range(width // scale)):
        top, left = (int(first + scale * n - (taps - 1) / 2) for n in (y, x))
        for i, j in product(range(taps), range(taps)):
            pixel = hr[:, inside(top + i, height), inside(left + j, width)]
            found[:, y, x] += weights[i] * weights[j] * pixel
    return found


@BOTH
@pytest.mark.parametrize(("scale", "size"), [(4, (24, 32)), (2, (18, 16)), (3, (18, 21)), (4, (4, 8))])
def test_is_what_a_loop_gives(settings: dict, scale: int, size: tuple[int, int]) -> None:
    step, hr = BlurDown(scale, **settings), picture(*size)
    told = {"taps": 12 + scale % 2, "first": (scale - 1) / 2, "edge": "replicate"} | settings
    found = step(hr.double() / 255, None)
    assert np.abs(found.numpy() - naive(hr.numpy() / 255, scale, **told)).max() < 1e-9
    lr = Degradation(scale, [step])(hr).int().numpy()
    assert np.abs(lr - naive(hr.numpy(), scale, **told)).max() < 0.501


def test_the_two_lie_one_and_a_half_pixels_apart() -> None:
    """On a slope LR tells where its pixels lie."""
    slope = (torch.arange(64.0) / 100).expand(3, 64, 64)
    ours, duf = (BlurDown(4, **settings)(slope, None)[0, 8] * 100 for settings in ({}, DUF))
    assert torch.allclose(ours[3:13], torch.arange(13.5, 53, 4), atol=1e-4)
    assert torch.allclose((ours - duf)[3:13], torch.tensor(1.5), atol=1e-4)


class Drawn(BlurDown):
    """Made for each crop anew, as what is random is."""

    deterministic = False


@BOTH
@pytest.mark.parametrize("scale", [2, 4])
def test_crops_are_those_of_the_whole_image(tmp_path: Path, settings: dict, scale: int) -> None:
    hr = picture(12 * scale, 14 * scale)
    Image.fromarray(hr.permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    whole = Degradation(scale, [BlurDown(scale, **settings)])(hr)
    pairs = PairSet(
        [ImagePair("a", tmp_path / "a.png")], scale=scale, degradation=Degradation(scale, [Drawn(scale, **settings)]),
        cache_dir=tmp_path / "cache", label="a", fixed=False,
    )  # fmt: skip
    for size in (1, 8):
        places = [(0, y, x, 0) for y, x in product(range(13 - size), range(15 - size))]
        for (_, y, x, _), (lr, _, _) in zip(places, pairs.crops(places, size), strict=True):
            made = lr[..., None].view(np.uint8)[..., :3]
            assert np.array_equal(made, whole[:, y : y + size, x : x + size].permute(1, 2, 0)), (size, y, x)


def test_only_the_one_in_the_middle_is_symmetric() -> None:
    assert BlurDown(4).symmetric and not BlurDown(4, **DUF).symmetric
    hr = picture(24, 24)
    step = Degradation(4, [BlurDown(4)])
    assert torch.equal(step(hr.flip(-1)), step(hr).flip(-1)) and torch.equal(step(hr.mT), step(hr).mT)


def test_their_configs_are_theirs_and_caches_tell_them_apart(root: Path) -> None:
    made = {}
    for name in ("bd", "bd_duf"):
        node = OmegaConf.load(root / f"conf/degradation/{name}.yaml")
        node.steps[0].scale = node.scale = 4
        made[name] = hydra.utils.instantiate(node)
    assert made["bd"].key == Degradation(4, [BlurDown(4)]).key != made["bd_duf"].key
    assert made["bd_duf"].key == Degradation(4, [BlurDown(4, **DUF)]).key


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sigma": 0}, "sigma=0 must be above 0"),
        ({"sigma": -1}, "sigma=-1 must be a number from 0"),
        ({"taps": 0}, "taps=0 must be a whole number from 1"),
        ({"taps": 12.0}, "taps=12.0 must be a whole"),
        ({"taps": 13}, r"first=1.5 a whole number \(and a half where taps=13 is even\)"),
        ({"taps": 12, "first": 0}, "first=0 a whole number"),
        ({"edge": "wrap"}, "edge=wrap one of replicate, reflect"),
        ({"sigma": "wide"}, "sigma='wide' must be a number"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        BlurDown(4, **wrong)
