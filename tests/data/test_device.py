"""Samples cut on a device (here the processor) are those of the host, to the last bit.

A processor copies views where a GPU gathers: each test of equality does both.
"""

from collections.abc import Callable
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

import albumentations
import pytest
import torch
from recorder import NoNumbers
from torch.utils._python_dispatch import TorchDispatchMode

from sr.data import device
from sr.data.batch import Batch
from sr.data.combined import Combined
from sr.data.device import DeviceBatches, fits
from sr.data.folder import Folder
from sr.data.loaders import Loaders
from sr.data.multiscale import MultiScale
from sr.degradation import (
    Degradation,
    GaussianBlur,
    GaussianNoise,
    Jpeg,
    MatlabBicubic,
    PoissonNoise,
    SecondOrder,
    UnsharpMask,
    base,
    filters,
    jpeg,
    parts,
)
from sr.errors import UserError
from sr.imaging import resize
from sr.models.watch import Watch

Build = Callable[..., Folder]


def batches(data: Loaders, count: int) -> list[Batch]:
    return list(islice(data.train_dataloader(), count))


def same(first: list[Batch], *others: list[Batch]) -> bool:
    return all(
        len(first) == len(other)
        and all(
            torch.equal(x.lr, y.lr) and torch.equal(x.hr, y.hr) and x[2:] == y[2:]
            for x, y in zip(first, other, strict=True)
        )
        for other in others
    )


def gathering() -> Any:
    """As if the pixels were not the processor's."""
    return mock.patch.object(device, "plain", lambda x: None)


def all_ways(data: Loaders, count: int) -> list[list[Batch]]:
    """By the host, on the device by views, and on the device as a GPU does it."""
    found = []
    for on_device, way in ((False, nullcontext()), (True, nullcontext()), (True, gathering())):
        data.device = on_device
        with way:
            assert isinstance(data.train_dataloader(), DeviceBatches) == on_device
            found.append(batches(data, count))
    return found


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_crops_turns_names_and_lr_are_the_hosts(folder: Build, scale: int) -> None:
    host, *others = all_ways(folder(scale=scale, seed=7), 60)
    assert same(host, *others) and host[0].lr.dtype == torch.uint8
    assert {grey for batch in host for grey in batch.grey} == {True, False}


def test_lr_that_is_given(folder: Build, photos: Path, write: Callable[..., Path], tmp_path: Path) -> None:
    for i in range(7):
        write(tmp_path / "lr" / f"p{i}.png", i, 20 + i % 3, 24 + 2 * (i % 2))
    data = folder(train=photos, train_lr=tmp_path / "lr", root=None, check_pairs=False, val=photos, check_leaks=False)
    assert same(*all_ways(data, 30))


def test_several_scales_and_sets(folder: Build) -> None:
    assert same(*all_ways(MultiScale({s: folder(scale=s, patch_size=p) for s, p in {2: 12, 3: 8, 4: 6}.items()}), 40))
    settings: Any = {"scale": 2, "patch_size": 8, "batch_size": 4, "cache_dir": folder().cache_dir}
    assert same(*all_ways(Combined(sets={"a": folder(), "b": folder(seed=1)}, **settings), 40))


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
    assert same(*all_ways(data, 4))


@pytest.mark.parametrize("steps", [[MatlabBicubic(2)], [UnsharpMask(), SecondOrder(2, margin=4)]])
def test_two_workers_give_the_same(folder: Build, steps: list[Any]) -> None:
    data = folder(device=False, degradation=Degradation(2, steps))
    none = batches(data, 6)
    data.num_workers = 2
    assert same(none, batches(data, 6))


STEPS: dict[str, Callable[[int], list[Any]]] = {
    "blur_noise_jpeg": lambda s: [GaussianBlur([0.2, 2]), MatlabBicubic(s), GaussianNoise([0, 15]), Jpeg([40, 95])],
    "noise first": lambda s: [GaussianNoise([0, 9]), GaussianBlur(1), MatlabBicubic(s, edge="replicate"), Jpeg(60)],
    "jpeg first": lambda s: [Jpeg([40, 95]), MatlabBicubic(s), GaussianBlur([0.3, 1])],
    "bicubic first": lambda s: [MatlabBicubic(s), GaussianNoise(5)],
}


@pytest.mark.parametrize(("scale", "steps"), [(3, "blur_noise_jpeg"), (4, "blur_noise_jpeg"), *((2, k) for k in STEPS)])
def test_lr_of_a_random_degradation_is_the_hosts(folder: Build, scale: int, steps: str) -> None:
    # images of 20 LR pixels: every part looks beyond a border
    host, *others = all_ways(folder(scale=scale, seed=7, degradation=Degradation(scale, STEPS[steps](scale))), 12)
    assert same(host, *others) and len({batch.lr.float().mean() for batch in host}) == 12
    assert not same(host, batches(folder(scale=scale, seed=7), 12))


@pytest.mark.parametrize("steps", [None, *STEPS])
def test_no_batch_waits_for_its_device_or_its_host(folder: Build, steps: str | None) -> None:
    settings = {} if steps is None else {"degradation": Degradation(2, STEPS[steps](2))}
    patches = device.on_device(folder(seed=7, **settings).patches(), torch.device("meta"))
    first: Batch = patches[[0, 1, 2, 3]]  # draws the samples that follow, too
    with Watch("meta") as watch, NoNumbers():
        batch: Batch = patches[[4, 5, 6, 7]]
    assert watch.found == "" and batch.lr.shape == first.lr.shape and batch.lr.device.type == "meta"


def test_random_degradations_of_several_sets_and_scales(folder: Build) -> None:
    def chain(scale: int) -> Degradation:
        return Degradation(scale, STEPS["blur_noise_jpeg"](scale))

    sets = {s: folder(scale=s, patch_size=p, degradation=chain(s)) for s, p in {2: 12, 3: 8, 4: 6}.items()}
    assert same(*all_ways(MultiScale(sets), 8))
    settings: Any = {"scale": 2, "patch_size": 8, "batch_size": 4, "cache_dir": folder().cache_dir}
    two = {"a": folder(degradation=chain(2)), "b": folder(degradation=chain(2))}
    assert same(*all_ways(Combined(sets=two, **settings), 6))
    mixed = Combined(sets={"a": folder(degradation=chain(2)), "b": folder()}, device=True, **settings)
    with pytest.raises(UserError, match="sets that are degraded differently"):
        mixed.train_dataloader()


def test_neither_company_nor_workers_nor_a_resume_change_a_degraded_sample(
    folder: Build, trainer: Callable[..., Any]
) -> None:
    data = folder(seed=3, degradation=Degradation(2, STEPS["blur_noise_jpeg"](2)))
    whole = batches(data, 8)
    patches = data.patches()
    for number in range(8):
        alone = [patches[[sample]].lr for sample in range(4 * number, 4 * number + 4)]
        assert torch.equal(torch.cat(alone), whole[number].lr)
    data.num_workers = 2
    assert same(batches(data, 8), whole)
    for on_device in (False, True):
        data.num_workers, data.device, data.trainer = 0, on_device, trainer(seen=5)
        assert same(batches(data, 3), whole[5:])


@pytest.fixture
def levels_apart(folder: Build, monkeypatch: pytest.MonkeyPatch) -> Callable[..., torch.Tensor]:
    """levels_apart(*steps): how far each value of x2 LR on a device, without doubles, is from the host's."""

    class NoDoubles(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            assert not isinstance(made, torch.Tensor) or made.dtype != torch.float64, func
            return made

    def run(*steps: Any) -> torch.Tensor:
        data = folder(seed=7, degradation=Degradation(2, steps))
        host = batches(data, 8)
        with monkeypatch.context() as patched:
            for module in (device, filters, jpeg, parts, resize, base):
                patched.setattr(module, "plain", lambda x: None)  # as if the tensors were not the processor's
            data.device = True
            with NoDoubles():
                other = batches(data, 8)
        assert all(torch.equal(a.hr, b.hr) for a, b in zip(host, other, strict=True))
        return torch.cat([(a.lr.int() - b.lr.int()).abs().flatten() for a, b in zip(host, other, strict=True)])

    return run


@pytest.mark.parametrize("steps", ["blur_noise_jpeg", "noise first"])
def test_on_a_device_a_degradation_is_the_hosts_to_a_level_and_has_no_doubles(
    levels_apart: Callable[..., torch.Tensor], steps: str
) -> None:
    apart = levels_apart(*STEPS[steps](2))  # one of JPEG's coefficients that rounds otherwise is several levels
    assert (apart == 0).float().mean() > 0.99 and (apart <= 1).float().mean() > 0.999


@pytest.mark.parametrize(
    "steps",
    [
        [MatlabBicubic(2), GaussianNoise([0, 15])],
        [GaussianNoise([0, 15]), MatlabBicubic(2)],
        [GaussianBlur([0.2, 2]), MatlabBicubic(2), GaussianNoise(30)],
    ],
)
def test_noise_is_the_hosts_to_a_level_in_every_value(
    levels_apart: Callable[..., torch.Tensor], steps: list[Any]
) -> None:
    apart = levels_apart(*steps)
    assert apart.max() <= 1 and (apart == 0).float().mean() > 0.99


def test_what_needs_the_host_stays_there_and_is_refused_when_typed(folder: Build) -> None:
    class Own(Degradation):
        def __call__(self, hr: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
            return super().__call__(hr, generator)

    random: list[Any] = [MatlabBicubic(2), GaussianNoise(5)]
    for settings, told in (
        ({"degradation": Degradation(2, [*random, PoissonNoise(99)])}, "PoissonNoise degrades one image at a time"),
        ({"degradation": Own(2, random)}, "Own degrades one image at a time"),
        ({"augment": [albumentations.ChannelShuffle()]}, "data.augment"),
    ):
        assert not isinstance(folder(**settings).train_dataloader(), DeviceBatches)
        with pytest.raises(UserError, match=f"data.device=true: .*{told}"):
            folder(device=True, **settings).train_dataloader()
    with pytest.raises(UserError, match=r"data.device='gpu' must be true or false, or auto"):
        folder(device="gpu")


def test_a_gpu_holds_what_takes_a_third_of_its_memory(folder: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    patches = folder().patches()
    size = 4 * sum(len(store.pixels) for part in patches.pairs.stored() or () for store in (part.hr, part.lr) if store)
    gpu = torch.device("cuda", 0)
    for memory, answer in ((3 * size, True), (3 * size - 1, False)):
        properties = type("P", (), {"total_memory": memory})
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, found=properties: found)
        assert fits(patches, gpu) == answer
    assert not fits(patches, torch.device("cpu"))
