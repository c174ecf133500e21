import subprocess
import sys
from collections.abc import Callable
from typing import Any

import albumentations
import numpy as np
import pytest
from PIL import Image

from sr.data.augment import Augment, try_out, turned
from sr.errors import UserError


def pair(scale: int) -> tuple[np.ndarray, np.ndarray]:
    lr = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    return lr, lr.repeat(scale, 0).repeat(scale, 1)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lr_and_hr_stay_aligned(scale: int) -> None:
    augment = Augment([albumentations.Transpose(p=0.5), albumentations.ChannelShuffle(p=0.5)])
    lr, hr = pair(scale)
    for i in range(60):
        small, large = augment(turned(lr, i % 8), turned(hr, i % 8), i)
        assert np.array_equal(large[::scale, ::scale], small) and np.array_equal(large[1::scale, 1::scale], small)


def test_the_eight_turns_are_all_others() -> None:
    lr, _ = pair(2)
    assert len({turned(lr, turn).tobytes() for turn in range(8)}) == 8
    assert turned(lr, 0) is not None and np.array_equal(turned(lr, 3), np.rot90(lr, 2))


def test_the_sample_decides_and_nothing_else() -> None:
    augment, (lr, hr) = Augment([albumentations.RandomBrightnessContrast(p=1)]), pair(2)
    first = augment(lr, hr, 3)[1]
    assert not np.array_equal(first, augment(lr, hr, 2**62 - 1)[1])
    np.random.seed(5)
    assert np.array_equal(first, augment(lr, hr, 3)[1])
    assert np.array_equal(first, Augment([albumentations.RandomBrightnessContrast(p=1)])(lr, hr, 3)[1])


def test_transforms_that_break_the_pair_are_refused() -> None:
    with pytest.raises(UserError, match="changed the crops' sizes"):
        Augment([albumentations.RandomCrop(4, 4)])(*pair(2), 0)
    with pytest.raises(UserError, match="not an albumentations transform"):
        Augment(["HorizontalFlip"])


def crops(scale: int) -> list[np.ndarray]:
    """HR crops, 24 LR pixels a side."""
    made = []
    for seed in range(2):
        coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
        made.append(np.asarray(Image.fromarray(coarse).resize((24 * scale, 24 * scale), Image.Resampling.BICUBIC)))
    return made


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited on Linux")
def test_a_transform_that_would_fill_the_memory_is_refused_before_it_does() -> None:
    large = albumentations.Lambda(
        image=lambda image, **_: np.empty(6 << 30, np.uint8)[: image.size].reshape(image.shape)
    )
    with pytest.raises(UserError, match="Lambda cannot be applied"):
        try_out([large], crops(4), 4)


@pytest.mark.parametrize(
    "transform",
    [
        albumentations.CoarseDropout(p=0.1),
        albumentations.GridDropout(),
        albumentations.RandomGridShuffle(),
        albumentations.Perspective(),
        albumentations.ToFloat(),
        albumentations.Normalize(),
        albumentations.GaussNoise(),
        albumentations.ISONoise(),
        albumentations.Rotate(),
        albumentations.GaussianBlur(),
        albumentations.RandomCrop(4, 4),
        albumentations.OneOf([albumentations.HorizontalFlip(p=1), albumentations.CoarseDropout(p=1)]),
    ],
    ids=lambda t: type(t).__name__,
)
def test_what_breaks_the_pair_is_refused_by_name_before_training(transform: object) -> None:
    with pytest.raises(UserError, match=type(transform).__name__):
        try_out([albumentations.HorizontalFlip(), transform], crops(4), 4)


@pytest.mark.parametrize("scale", [2, 4])
def test_what_keeps_the_pair_is_accepted(scale: int) -> None:
    kept = [
        albumentations.HorizontalFlip(),
        albumentations.Transpose(),
        albumentations.D4(),
        albumentations.ColorJitter(),
        albumentations.RandomBrightnessContrast(p=0.3),
        albumentations.RandomGamma(),
        albumentations.HueSaturationValue(),
        albumentations.ChannelShuffle(),
        albumentations.ToGray(),
        albumentations.InvertImg(),
        albumentations.OneOf([albumentations.RGBShift(p=1), albumentations.RandomToneCurve(p=1)]),
    ]
    try_out(kept, crops(scale), scale)
    assert kept[4].p == 0.3


def test_a_data_module_tries_them_when_it_is_checked(folder: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match=r"data\.augment: after CoarseDropout"):
        folder(augment=[albumentations.CoarseDropout(hole_height_range=(2, 4), hole_width_range=(2, 4))]).check("fit")
    folder(augment=[albumentations.ColorJitter()]).check("fit")


def test_import_asks_no_server_and_needs_no_torchvision() -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*a): raise SystemExit(f'network: {a}')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "import sr.data.module, sr.degradation\n"
        "assert 'albumentations' not in sys.modules and 'kornia' not in sys.modules\n"
        "from sr.data.augment import Augment; Augment([])\n"
        "import kornia.filters, kornia.enhance\n"
        "assert 'torchvision' not in sys.modules\n"
    )
    import os

    env = {k: v for k, v in os.environ.items() if k != "NO_ALBUMENTATIONS_UPDATE"}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
