import logging
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from PIL import Image

from sr.data.batch import Batch
from sr.data.folder import Folder
from sr.data.images import unpacked
from sr.degradation import Degradation, GaussianBlur, GaussianNoise, Jpeg, MatlabBicubic
from sr.errors import UserError
from sr.imaging.files import read_image
from sr.imaging.resize import imresize


def tensor(path: Path) -> torch.Tensor:
    return torch.from_numpy(read_image(path).pixels.copy()).permute(2, 0, 1)


def test_lr_is_matlab_bicubic_of_hr_cropped_to_the_multiple(folder: Callable[..., Folder], photos: Path) -> None:
    data = folder(scale=3, root=photos)
    for batch in data.test_dataloader():
        hr = tensor(photos / f"{batch.name[0]}.png")
        h, w = (side // 3 * 3 for side in hr.shape[1:])
        assert torch.equal(batch.hr[0], hr[:, :h, :w])
        assert torch.equal(batch.lr[0], imresize(hr[:, :h, :w], 1 / 3))
        assert batch.grey == [batch.name == ["p3"]] and batch.scale == 3


def test_batches_become_floats_on_the_device(folder: Callable[..., Folder]) -> None:
    data = folder()
    batch = next(iter(data.train_dataloader()))
    ready = data.on_after_batch_transfer(batch, 0)
    assert ready.lr.dtype == torch.float32 and ready.hr.is_contiguous() and ready.name == batch.name
    assert torch.equal(ready.hr, batch.hr.float() / 255)
    assert torch.equal(data.to_float(batch).hr, ready.hr) and data.on_after_batch_transfer("x", 0) == "x"


def test_training_crops_are_cut_from_the_pairs(folder: Callable[..., Folder], photos: Path) -> None:
    data = folder(dihedral=False)
    pairs = data.pairs("train")
    for batch in islice(data.train_dataloader(), 5):
        for name, lr, hr in zip(batch.name, batch.lr, batch.hr, strict=True):
            small, large, _ = pairs.whole(pairs.names.index(name))
            places = np.argwhere(
                np.lib.stride_tricks.sliding_window_view(small, (8, 8, 3))[:, :, 0]
                .__eq__(lr.permute(1, 2, 0).numpy())
                .all((2, 3, 4))
            )
            assert any(
                np.array_equal(large[2 * y : 2 * y + 16, 2 * x : 2 * x + 16].transpose(2, 0, 1), hr) for y, x in places
            )


def test_resume_reads_the_models_count(folder: Callable[..., Folder], trainer: Callable[..., Any]) -> None:
    fresh, resumed = folder(), folder()
    fresh.trainer, resumed.trainer = trainer(), trainer(seen=3)
    whole = list(islice(fresh.train_dataloader(), 5))
    assert torch.equal(whole[3].hr, next(iter(resumed.train_dataloader())).hr)


def test_the_batch_is_shared_among_processes_and_micro_batches(
    folder: Callable[..., Folder], trainer: Callable[..., Any]
) -> None:
    data = folder(batch_size=12)
    data.trainer, data.accumulate = trainer(world=2), 3
    assert data.micro_batch == 2 and next(iter(data.train_dataloader())).lr.shape[0] == 2
    data.trainer, data.accumulate = trainer(world=5), 1
    with pytest.raises(UserError, match="batch_size=10"):
        data.train_dataloader()


def test_patch_and_batch_may_change_between_stages(folder: Callable[..., Folder]) -> None:
    data = folder()
    data.check("fit")
    data.patch_size, data.batch_size = 12, 2
    assert next(iter(data.train_dataloader())).hr.shape == (2, 3, 24, 24)


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_measure_each_image_once(folder: Callable[..., Folder], world: int, trainer: Callable[..., Any]) -> None:
    names = []
    for rank in range(world):
        data = folder()
        data.trainer = trainer(world, rank)
        names += [batch.name[0] for batch in data.test_dataloader()]
    assert sorted(names) == [f"p{i}" for i in range(7)]


def test_distribution_mistakes_are_refused(folder: Callable[..., Folder], trainer: Callable[..., Any]) -> None:
    data = folder(val_images=2)
    data.trainer = trainer(world=2, own=True)
    with pytest.raises(UserError, match="use_distributed_sampler=false"):
        data.test_dataloader()
    data.trainer = trainer(world=8)
    with pytest.raises(UserError, match="fewer than the 8 processes"):
        data.test_dataloader()


def test_an_image_under_a_second_name_is_told(
    folder: Callable[..., Folder], photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where it is measured as a warning; LR that differs makes another pair of it."""
    caplog.set_level(logging.INFO)
    (photos / "q0.png").hardlink_to(photos / "p0.png")
    data = folder(val=photos, check_leaks=False)
    for stage in ("fit", "test"):
        data.setup(stage)
    told = [record for record in caplog.records if "1 of the 8 images of photos are others" in record.message]
    assert [record.levelname for record in told] == ["INFO", "WARNING"]
    assert all(f"{photos / 'q0.png'} is {photos / 'p0.png'}" in record.message for record in told)
    caplog.clear()
    lr = photos.with_name("lr")
    lr.mkdir()
    for number, file in enumerate(sorted(photos.iterdir())):
        small = Image.open(file).resize(tuple(side // 2 for side in Image.open(file).size))
        (small.point(lambda level: level // 2) if number == 0 else small).save(lr / file.name)
    folder(test=photos, test_lr=lr, check_pairs=False).setup("test")
    assert "under a second name" not in caplog.text


def test_val_images_limits_validation_only(folder: Callable[..., Folder], photos: Path) -> None:
    data = folder(root=None, train=photos, val=photos, val_images=3, check_leaks=False)
    data.check("fit")
    assert len(data.val_dataloader()) == 3 and len(data.test_dataloader()) == 7


def test_patches_that_do_not_fit_are_refused_before_training(folder: Callable[..., Folder]) -> None:
    with pytest.raises(UserError, match=r"smaller than the patch, 22 LR pixels(.|\n)*p\d\.png(.|\n)*patch_size=20"):
        folder(patch_size=22).check("fit")
    data = folder()
    data.check("fit")
    with pytest.raises(UserError, match="patch_size=20"):
        data.check_patch(30)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch_size": 0}, "patch_size=0"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"scale": "2"}, "scale='2'"),
        ({"val_images": 0}, "val_images=0"),
        ({"num_workers": 9999}, r"data\.num_workers=9999 must be from 0 to"),
        ({"num_workers": -1}, r"data\.num_workers=-1"),
        ({"seed": "x"}, "seed='x'"),
        ({"download": "yes"}, "download='yes'"),
        ({"val_share": 1.5}, "val_share=1.5"),
        ({"degradation": Degradation(3, [MatlabBicubic(3)])}, "shrinks by 3"),
    ],
)
def test_wrong_settings_are_refused(folder: Callable[..., Folder], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        folder(**settings)


@pytest.mark.parametrize("mode", ["RGBA", "I;16"])
def test_unreadable_images_are_refused_before_training(folder: Callable[..., Folder], photos: Path, mode: str) -> None:
    image = Image.open(photos / "p0.png")
    clear = image.convert("RGBA")
    clear.putalpha(128)
    (Image.new("I;16", (48, 40)) if mode == "I;16" else clear).save(photos / "p0.png")
    with pytest.raises(UserError, match=r"p0\.png"):
        folder().check("fit")


def test_random_degradations_are_drawn_anew_for_crops_and_once_for_measuring(folder: Callable[..., Folder]) -> None:
    def data() -> Folder:
        steps = [GaussianBlur([0.3, 1.5]), MatlabBicubic(2), GaussianNoise([5, 20]), Jpeg([40, 90])]
        return folder(degradation=Degradation(2, steps), dihedral=False)

    a, b = data(), data()
    first, again = ([*islice(d.train_dataloader(), 4)] for d in (a, b))
    assert all(torch.equal(x.lr, y.lr) for x, y in zip(first, again, strict=True))
    for x, y in zip(a.test_dataloader(), b.test_dataloader(), strict=True):
        assert torch.equal(x.lr, y.lr)
    val, test = ({batch.name[0]: batch.lr for batch in loader} for loader in (a.val_dataloader(), a.test_dataloader()))
    assert all(torch.equal(lr, test[name]) for name, lr in val.items())


@pytest.mark.parametrize("after", [[], [Jpeg(60)]])
def test_crops_made_on_the_fly_equal_those_of_the_whole_image(
    folder: Callable[..., Folder], tmp_path: Path, write: Callable[..., Path], after: list[Any]
) -> None:
    for i in range(2):
        write(tmp_path / "large" / f"l{i}.png", i, 301, 260)
    degradation = Degradation(2, [GaussianBlur(1.2), MatlabBicubic(2), *after])
    pairs = folder(root=tmp_path / "large", degradation=degradation, patch_size=16).pairs("test")
    whole, target, _ = pairs.whole(0)
    pairs.lr = None  # type: ignore[attr-defined]
    for y, x in [(0, 0), (134, 114), (50, 37), (3, 114)]:
        lr, hr = map(unpacked, pairs.crops([(0, y, x, 0)], 16)[0][:2])
        # floats are summed in another order on another size: a level may round the other way
        expected = whole[y : y + 16, x : x + 16].astype(int)
        assert np.abs(lr - expected).max() <= 1 and (lr == expected).mean() > 0.98
        assert np.array_equal(hr, target[2 * y : 2 * y + 32, 2 * x : 2 * x + 32])


class Tiny(L.LightningModule):
    """Learns nothing; remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.batches_seen = 0
        self.shown: list[str] = []
        self.measured: list[str] = []

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        assert batch.lr.dtype == torch.float32 and batch.lr.min() >= 0 and batch.lr.max() <= 1
        self.batches_seen += 1
        self.shown += batch.name
        return (self.weight * batch.lr).mean()

    def validation_step(self, batch: Batch, _: int) -> None:
        assert batch.lr.dtype == torch.float32 and batch.hr.dtype == torch.uint8  # as metrics compare it
        self.measured += batch.name

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def test_a_real_trainer_runs_and_goes_on(folder: Callable[..., Folder], tmp_path: Path) -> None:
    def fit(model: Tiny, steps: int) -> Tiny:
        data = folder()
        data.accumulate = 2
        L.Trainer(
            max_steps=steps, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, val_check_interval=2,
            check_val_every_n_epoch=None, accumulate_grad_batches=2, default_root_dir=str(tmp_path),
        ).fit(model, datamodule=data)  # fmt: skip
        return model

    whole, part = fit(Tiny(), 5), fit(Tiny(), 2)
    assert len(whole.shown) == 20 and whole.measured
    assert fit(part, 3).shown == whole.shown


def test_an_empty_cache_dir_is_refused(folder: Callable[..., Folder]) -> None:
    """As by SR_CACHE_DIR= in the environment: decoded images lay where the user stood."""
    with pytest.raises(UserError, match="cache_dir is empty, in SR_CACHE_DIR, perhaps"):
        folder(cache_dir="")
