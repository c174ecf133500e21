"""Samples cut on a device (here the processor) are those of the host, to the last bit."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import albumentations
import pytest
import torch

from sr.data.batch import Batch
from sr.data.combined import Combined
from sr.data.device import DeviceBatches, fits
from sr.data.folder import Folder
from sr.data.loaders import Loaders
from sr.data.multiscale import MultiScale
from sr.degradation import Degradation, GaussianNoise, MatlabBicubic
from sr.errors import UserError

Build = Callable[..., Folder]


def batches(data: Loaders, count: int) -> list[Batch]:
    return list(islice(data.train_dataloader(), count))


def same(a: list[Batch], b: list[Batch]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(x.lr, y.lr) and torch.equal(x.hr, y.hr) and x[2:] == y[2:] for x, y in zip(a, b, strict=True)
    )


def both(data: Loaders, count: int) -> tuple[list[Batch], list[Batch]]:
    found = []
    for device in (False, True):
        data.device = device
        assert isinstance(data.train_dataloader(), DeviceBatches) == device
        found.append(batches(data, count))
    return found[0], found[1]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_crops_turns_names_and_lr_are_the_hosts(folder: Build, scale: int) -> None:
    host, device = both(folder(scale=scale, seed=7), 60)
    assert same(host, device) and host[0].lr.dtype == torch.uint8
    assert {grey for batch in device for grey in batch.grey} == {True, False}


def test_lr_that_is_given(folder: Build, photos: Path, write: Callable[..., Path], tmp_path: Path) -> None:
    for i in range(7):
        write(tmp_path / "lr" / f"p{i}.png", i, 20 + i % 3, 24 + 2 * (i % 2))
    data = folder(train=photos, train_lr=tmp_path / "lr", root=None, check_pairs=False, val=photos, check_leaks=False)
    assert same(*both(data, 30))


def test_several_scales_and_sets(folder: Build) -> None:
    assert same(*both(MultiScale({s: folder(scale=s, patch_size=p) for s, p in {2: 12, 3: 8, 4: 6}.items()}), 40))
    settings: Any = {"scale": 2, "patch_size": 8, "batch_size": 4, "cache_dir": folder().cache_dir}
    assert same(*both(Combined(sets={"a": folder(), "b": folder(seed=1)}, **settings), 40))


def test_shares_of_processes_and_a_resume(folder: Build, trainer: Callable[..., Any]) -> None:
    data = folder(device=True)
    whole = batches(data, 8)
    data.trainer = trainer(seen=5)
    assert same(batches(data, 3), whole[5:])
    data.trainer = trainer(world=2, rank=1)
    assert all(torch.equal(a.hr, b.hr[2:]) for a, b in zip(batches(data, 4), whole, strict=False))


def test_samples_across_tables(folder: Build, trainer: Callable[..., Any]) -> None:
    data = folder()
    data.batch_size = 3  # 4,096 samples are drawn at once: the second batch lies in two tables
    data.trainer = trainer(seen=1364)
    assert same(*both(data, 4))


def test_two_workers_give_the_same(folder: Build) -> None:
    data = folder(device=False)
    none = batches(data, 20)
    data.num_workers = 2
    assert same(none, batches(data, 20))


def test_what_needs_the_host_stays_there_and_is_refused_when_typed(folder: Build) -> None:
    noisy = Degradation(2, [MatlabBicubic(2), GaussianNoise(5)])
    for settings, told in (
        ({"degradation": noisy}, "random degradation"),
        ({"augment": [albumentations.ChannelShuffle()]}, "data.augment"),
    ):
        assert not isinstance(folder(**settings).train_dataloader(), DeviceBatches)
        with pytest.raises(UserError, match=f"data.device=true: .*{told}"):
            folder(device=True, **settings).train_dataloader()
    with pytest.raises(UserError, match=r"data.device='gpu' must be true or false, or auto"):
        folder(device="gpu")


def test_a_gpu_holds_what_takes_a_third_of_its_memory(folder: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    patches = folder().patches()
    size = 4 * sum(len(store.pixels) for part in patches.pairs.stored() or () for store in (part.hr, part.lr))
    gpu = torch.device("cuda", 0)
    for memory, answer in ((3 * size, True), (3 * size - 1, False)):
        properties = type("P", (), {"total_memory": memory})
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, found=properties: found)
        assert fits(patches, gpu) == answer
    assert not fits(patches, torch.device("cpu"))
