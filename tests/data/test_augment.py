import subprocess
import sys

import albumentations
import numpy as np
import pytest

from sr.data.augment import Augment
from sr.data.sampling import sample_rng
from sr.errors import UserError


def pair(scale: int) -> tuple[np.ndarray, np.ndarray]:
    lr = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    return lr, lr.repeat(scale, 0).repeat(scale, 1)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lr_and_hr_stay_aligned(scale: int) -> None:
    augment = Augment(extra=[albumentations.Transpose(p=0.5), albumentations.ChannelShuffle(p=0.5)])
    lr, hr = pair(scale)
    for i in range(60):
        small, large = augment(lr, hr, sample_rng(0, i))
        assert np.array_equal(large[::scale, ::scale], small) and np.array_equal(large[1::scale, 1::scale], small)


def test_all_eight_are_equally_likely() -> None:
    augment, (lr, hr) = Augment(), pair(2)
    seen = [augment(lr, hr, sample_rng(1, i))[0].tobytes() for i in range(1600)]
    counts = [seen.count(v) for v in set(seen)]
    assert len(counts) == 8 and min(counts) > 150 and max(counts) < 250


def test_the_sample_decides_and_nothing_else() -> None:
    augment, (lr, hr) = Augment(extra=[albumentations.RandomBrightnessContrast(p=1)]), pair(2)
    first = augment(lr, hr, sample_rng(0, 3))[1]
    augment(lr, hr, sample_rng(0, 4))
    np.random.seed(5)
    assert np.array_equal(first, augment(lr, hr, sample_rng(0, 3))[1])
    assert np.array_equal(
        first, Augment(extra=[albumentations.RandomBrightnessContrast(p=1)])(lr, hr, sample_rng(0, 3))[1]
    )


def test_it_can_be_switched_off() -> None:
    lr, hr = pair(2)
    assert all(np.array_equal(Augment(dihedral=False)(lr, hr, sample_rng(0, i))[1], hr) for i in range(8))


def test_transforms_that_break_the_pair_are_refused() -> None:
    with pytest.raises(UserError, match="changed the crops' sizes"):
        Augment(extra=[albumentations.RandomCrop(4, 4)])(*pair(2), sample_rng(0, 0))
    with pytest.raises(UserError, match="not an albumentations transform"):
        Augment(extra=["HorizontalFlip"])


def test_import_asks_no_server_and_needs_no_torchvision() -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*a): raise SystemExit(f'network: {a}')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "import sr.data.module, sr.degradation\n"
        "assert 'albumentations' not in sys.modules and 'kornia' not in sys.modules\n"
        "from sr.data.augment import Augment; Augment()\n"
        "import kornia.filters, kornia.enhance\n"
        "assert 'torchvision' not in sys.modules\n"
    )
    import os

    env = {k: v for k, v in os.environ.items() if k != "NO_ALBUMENTATIONS_UPDATE"}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
