"""Small synthetic photos, each unlike the others, and trees of them."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sr.data.folder import Folder


def photo(seed: int, height: int = 40, width: int = 48, grey: bool = False) -> np.ndarray:
    """(H, W, 3) uint8, or (H, W) if grey: a coarse pattern with fine detail on it."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    noisy = np.clip(np.asarray(coarse).astype(int) + rng.integers(-20, 21, (height, width, 3)), 0, 255)
    return (noisy.mean(2) if grey else noisy).astype(np.uint8)


@pytest.fixture
def make_photo() -> Callable[..., np.ndarray]:
    return photo


@pytest.fixture
def write() -> Callable[..., Path]:
    """write(path, seed, height, width, grey) -> path of a new image file."""

    def save(path: Path, seed: int, height: int = 40, width: int = 48, grey: bool = False) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(seed, height, width, grey)).save(path)
        return path

    return save


@pytest.fixture
def photos(tmp_path: Path, write: Callable[..., Path]) -> Path:
    """A folder of seven photos of three sizes, one of them grey."""
    for i in range(7):
        write(tmp_path / "photos" / f"p{i}.png", i, 40 + 2 * (i % 3), 48 + 4 * (i % 2), grey=i == 3)
    return tmp_path / "photos"


@pytest.fixture
def folder(tmp_path: Path, photos: Path) -> Callable[..., Folder]:
    """folder(**settings) -> a Folder on `photos` with small patches."""

    def build(**settings: Any) -> Folder:
        given = {"root": photos, "scale": 2, "patch_size": 8, "batch_size": 4, "cache_dir": tmp_path / "cache"}
        return Folder(**{**given, **settings})

    return build


@pytest.fixture
def trainer() -> Callable[..., Any]:
    """trainer(world, rank, seen, own) -> as much of a Trainer as the data modules look at."""

    def build(world: int = 1, rank: int = 0, seen: int = 0, own: bool = False) -> Any:
        return SimpleNamespace(
            world_size=world,
            global_rank=rank,
            lightning_module=SimpleNamespace(batches_seen=seen),
            strategy=SimpleNamespace(root_device=torch.device("cpu")),
            _accelerator_connector=SimpleNamespace(use_distributed_sampler=own),
        )

    return build


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    return {"scale": 2, "patch_size": 8, "batch_size": 2, "cache_dir": tmp_path / "cache"}
