from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from sr.data.batch import Batch
from sr.data.folder import Folder
from sr.data.pairset import PairSet
from sr.data.sampling import SampleNumbers, TrainPatches


@pytest.fixture
def patches(folder: Callable[..., Folder]) -> TrainPatches:
    data = folder()
    return TrainPatches(data.pairs("train"), scale=2, patch=8, seed=5)


def take(patches: TrainPatches, sampler: SampleNumbers, count: int, workers: int = 0) -> list[Batch]:
    loader: Any = DataLoader(patches, batch_size=None, sampler=sampler, num_workers=workers, collate_fn=lambda b: b)
    return list(islice(loader, count))


def same(a: list[Batch], b: list[Batch]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(x.lr, y.lr) and torch.equal(x.hr, y.hr) and x.name == y.name for x, y in zip(a, b, strict=True)
    )


def test_batches_are_whole_and_uint8(patches: TrainPatches) -> None:
    (batch,) = take(patches, SampleNumbers(4), 1)
    assert batch.lr.shape == (4, 3, 8, 8) and batch.hr.shape == (4, 3, 16, 16)
    assert batch.lr.dtype == batch.hr.dtype == torch.uint8
    assert batch.scale == 2 and len(batch.name) == len(batch.grey) == 4


def test_workers_do_not_change_the_data(patches: TrainPatches) -> None:
    assert same(take(patches, SampleNumbers(4), 6), take(patches, SampleNumbers(4), 6, workers=2))


def test_resume_goes_on_with_the_same_data(patches: TrainPatches) -> None:
    whole = take(patches, SampleNumbers(4), 8)
    assert same(whole[5:], take(patches, SampleNumbers(4, start=5), 3))
    assert not same(whole[:3], take(patches, SampleNumbers(4, start=5), 3))


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_the_same_global_batches(patches: TrainPatches, world: int) -> None:
    whole = take(patches, SampleNumbers(6), 3)
    shares = [take(patches, SampleNumbers(6 // world, world, rank), 3) for rank in range(world)]
    for number in range(3):
        assert torch.equal(whole[number].hr, torch.cat([share[number].hr for share in shares]))


def test_the_seed_decides(patches: TrainPatches) -> None:
    other = TrainPatches(patches.pairs, scale=2, patch=8, seed=6)
    assert not same(take(patches, SampleNumbers(4), 2), take(other, SampleNumbers(4), 2))


def test_an_epoch_shows_every_image_once(patches: TrainPatches) -> None:
    n = len(patches.pairs)
    names = [patches[[i]].name[0] for i in range(3 * n)]
    assert all(sorted(names[e * n : (e + 1) * n]) == sorted(patches.pairs.names) for e in range(3))


def test_crops_reach_every_corner(patches: TrainPatches) -> None:
    assert isinstance(patches.pairs, PairSet)
    seen: set[tuple[int, int, int]] = set()

    def record(places: Any, size: int) -> Any:
        seen.update(place[:3] for place in places)
        return PairSet.crops(patches.pairs, places, size)  # type: ignore[arg-type]

    patches.pairs.crops = record  # type: ignore[method-assign]
    for i in range(4000):
        patches[[i]]
    for index, (h, w) in enumerate(patches.pairs.grids):
        found = [(y, x) for i, y, x in seen if i == index]
        assert {y for y, _ in found} == set(range(h - 7)) and {x for _, x in found} == set(range(w - 7))


def test_a_crop_is_the_images_own_pixels_turned(patches: TrainPatches) -> None:
    for sample in range(200):
        index, y, x, turn, _ = patches.draws[sample]
        lr, hr, _ = patches.pairs.whole(index)
        small, large = (
            np.ascontiguousarray(v) for v in (lr[y : y + 8, x : x + 8], hr[2 * y : 2 * y + 16, 2 * x : 2 * x + 16])
        )
        if turn & 4:
            small, large = small.transpose(1, 0, 2), large.transpose(1, 0, 2)
        if turn & 1:
            small, large = np.flipud(small), np.flipud(large)
        if turn & 2:
            small, large = np.fliplr(small), np.fliplr(large)
        batch = patches[[sample]]
        assert np.array_equal(batch.lr[0].permute(1, 2, 0), small)
        assert np.array_equal(batch.hr[0].permute(1, 2, 0), large)
