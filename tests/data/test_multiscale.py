from collections import Counter
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from PIL import Image

from sr.data.batch import Batch
from sr.data.folder import Folder
from sr.data.leaks import refuse_leaks
from sr.data.multiscale import MixedScales, MultiScale
from sr.degradation import Degradation, MatlabBicubic, MotionBlur
from sr.errors import UserError
from sr.imaging.files import read_image
from sr.imaging.resize import imresize

PATCH = {2: 12, 3: 8, 4: 6}  # LR pixels: the same 24 pixels of HR
Build = Callable[..., MultiScale]


@pytest.fixture
def mixed(folder: Callable[..., Folder]) -> Build:
    """mixed(accumulate, trainer, **settings) -> a MultiScale of x2, x3 and x4 on `photos`."""

    def build(accumulate: int = 1, trainer: Any = None, **settings: Any) -> MultiScale:
        data = MultiScale({s: folder(**{"scale": s, "patch_size": p, **settings}) for s, p in PATCH.items()})
        data.accumulate, data.trainer = accumulate, trainer
        return data

    return build


def take(data: MultiScale, count: int) -> list[Batch]:
    return list(islice(data.train_dataloader(), count))


def same(a: list[Batch], b: list[Batch]) -> bool:
    return len(a) == len(b) and all(
        x.scale == y.scale and torch.equal(x.lr, y.lr) and torch.equal(x.hr, y.hr) and x.name == y.name
        for x, y in zip(a, b, strict=True)
    )


class Named:
    """In place of the patches of one scale: a batch is the scale."""

    def __init__(self, scale: int) -> None:
        self.scale = scale

    def __getitem__(self, samples: list[int]) -> int:
        return self.scale


def drawn(seed: int, steps: int, batch_size: int = 1) -> list[int]:
    patches: Any = MixedScales([Named(s) for s in PATCH], batch_size=batch_size, seed=seed)  # type: ignore[misc]
    return [patches[[step * batch_size]] for step in range(steps)]


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_all_scales_and_successions_are_equally_likely(seed: int) -> None:
    def chi_square(counts: Counter[Any], cells: int) -> float:
        expected = counts.total() / cells
        return sum((n - expected) ** 2 for n in counts.values()) / expected + expected * (cells - len(counts))

    scales = drawn(seed, 3001)
    assert chi_square(Counter(scales), 3) < 13.8  # p = 0.001 at 2 degrees of freedom
    assert chi_square(Counter(pairwise(scales)), 9) < 26.1  # at 8


def test_the_draw_is_of_the_seed_and_the_step_alone() -> None:
    assert drawn(0, 50) == drawn(0, 50, batch_size=16) != drawn(1, 50)


def test_each_batch_is_the_one_scales_own(mixed: Build) -> None:
    data = mixed()
    batches = take(data, 12)
    assert {b.scale for b in batches} == set(PATCH)
    for step, batch in enumerate(batches):
        assert batch.lr.shape[2:] == (PATCH[batch.scale],) * 2 and batch.hr.shape[2:] == (24, 24)
        alone = data.modules[batch.scale].patches()[list(range(4 * step, 4 * step + 4))]
        assert same([batch], [alone])


def test_lr_is_bicubic_of_its_hr(mixed: Build) -> None:
    for batch in take(mixed(dihedral=False), 12):
        # two LR pixels from the border the kernel stays inside the crop; elsewhere it sees what was cut off
        inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))
        made, given = (v[inside].int() for v in (imresize(batch.hr, 1 / batch.scale), batch.lr))
        assert (made - given).abs().max() <= 1 and (made == given).float().mean() > 0.98


def test_processes_and_micro_batches_of_a_step_share_its_scale(mixed: Build, trainer: Callable[..., Any]) -> None:
    whole = take(mixed(batch_size=12), 6)
    shares = [take(mixed(3, trainer(2, rank), batch_size=12), 18) for rank in range(2)]
    for step, batch in enumerate(whole):
        parts = [share[3 * step + micro] for micro in range(3) for share in shares]
        assert {p.scale for p in parts} == {batch.scale}
        assert torch.equal(batch.hr, torch.cat([p.hr for p in parts]))


def test_a_resume_goes_on_anywhere(mixed: Build, trainer: Callable[..., Any]) -> None:
    whole = take(mixed(2), 12)
    for seen in range(12):
        assert same(whole[seen:], take(mixed(2, trainer(seen=seen)), 12 - seen))


def test_a_stage_of_another_batch_size_begins_with_a_whole_step(mixed: Build, trainer: Callable[..., Any]) -> None:
    scales = [b.scale for b in take(mixed(2, trainer(seen=3 * 2), batch_size=6), 20)]
    assert scales[::2] == scales[1::2] and len(set(scales)) == 3


def test_workers_do_not_change_the_data(mixed: Build) -> None:
    assert same(take(mixed(), 6), take(mixed(num_workers=2), 6))


def test_the_batch_must_divide(mixed: Build, trainer: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match=r"batch_size=4 .* 3 processes x 1 .* batch_size=3"):
        mixed(1, trainer(3)).train_dataloader()


def test_processes_validate_each_image_once_at_every_scale(
    mixed: Build, trainer: Callable[..., Any], photos: Path
) -> None:
    measured: list[tuple[str, int]] = []
    for rank in range(2):
        for batch in mixed(1, trainer(2, rank), root=None, train=photos, val=photos).val_dataloader():
            measured.append((batch.name[0], batch.scale))
            hr = torch.from_numpy(read_image(photos / f"{batch.name[0]}.png").pixels.copy()).permute(2, 0, 1)
            h, w = (side // batch.scale * batch.scale for side in hr.shape[1:])
            assert torch.equal(batch.hr[0], hr[:, :h, :w])
            assert torch.equal(batch.lr[0], imresize(batch.hr[0], 1 / batch.scale))
    assert sorted(measured) == [(f"p{i}", s) for i in range(7) for s in PATCH]
    with pytest.raises(UserError, match="3 images to measure on, fewer than the 4 processes"):
        mixed(1, trainer(4), val_images=1).val_dataloader()


def test_hr_is_decoded_once_for_all_scales(mixed: Build, tmp_path: Path) -> None:
    mixed().check("fit")
    stores = Counter(p.name.rsplit("-", 2)[0] for p in (tmp_path / "cache").glob("*.bin"))
    hr = {"photos-train-hr": 1, "photos-val-hr": 1}
    assert stores == {**hr, **{f"photos-{part}-lr-x{s}": 1 for part in ("train", "val") for s in PATCH}}


def test_it_says_what_it_is(mixed: Build) -> None:
    data = mixed()
    data.check("fit")
    assert data.name == "photos" and data.scales == (2, 3, 4) and data.batch_size == 4
    assert data.describe() == "photos: 6 images, validating on 1, each at x2, x3 and x4"
    assert data.symmetric and data.has("train") and len(data.pairs("train")) == 18
    assert list(data.images("train")) == ["photos train x2"]
    assert data.to_float(data.sample_batch(2)).hr.dtype == torch.float32
    data.modules[3].degradation = Degradation(3, [MotionBlur(9, angle=30), MatlabBicubic(3)])
    assert not data.symmetric


@pytest.mark.parametrize(("patch", "scale"), [({}, 2), ({"patch_size": 8}, 4)])
def test_a_step_is_timed_on_the_most_expensive_scale(mixed: Build, patch: dict[str, int], scale: int) -> None:
    batch = mixed(**patch).sample_batch(2)
    assert batch.scale == scale and len(batch.name) == 2


def test_mistakes_name_the_scale(mixed: Build, photos: Path) -> None:
    with pytest.raises(UserError, match=r"at scale 4: .*smaller than the patch, 11 LR pixels(.|\n)*patch_size=10"):
        mixed(patch_size=11).check("fit")
    with pytest.raises(UserError, match=r"at scale 2: 7 training images are also in the data to measure on"):
        mixed(root=None, train=photos, val=photos).check("fit")
    data = mixed()
    data.modules[3].patch_size = 15
    with pytest.raises(UserError, match="patch_size=13"):
        data.train_dataloader()


def test_other_sets_are_compared_once(
    mixed: Build, folder: Callable[..., Folder], photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "test").mkdir()
    leak = mixed().modules[2].train_pairs()[0].hr
    Image.fromarray(read_image(leak).pixels).save(tmp_path / "test" / "x.jpg", quality=80)
    with pytest.raises(UserError, match="1 training images are also"):
        refuse_leaks(mixed(), [folder(root=None, test=tmp_path / "test")])
    refuse_leaks(mixed(check_leaks=False), [folder(root=None, test=tmp_path / "test")])


def test_modules_that_do_not_belong_together_are_refused(folder: Callable[..., Folder]) -> None:
    with pytest.raises(UserError, match=r"scale=\[2,3,4\]"):
        MultiScale({})
    with pytest.raises(UserError, match="scale 3 is made for scale 2"):
        MultiScale({2: folder(), 3: folder()})
    with pytest.raises(UserError, match="batch_size is 8 at scale 3, but 4 at scale 2"):
        MultiScale({2: folder(), 3: folder(scale=3, batch_size=8)})
    with pytest.raises(UserError, match="seed is 1 at scale 3, but 0 at scale 2"):
        MultiScale({3: folder(scale=3, seed=1), 2: folder()})


class Tiny(L.LightningModule):
    """Remembers what it was shown; takes an optimizer step every second batch by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.batches_seen = 0
        self.shown: list[tuple[int, str]] = []
        self.measured: list[tuple[str, int]] = []

    def training_step(self, batch: Batch, _: int) -> None:
        assert batch.lr.dtype == torch.float32
        self.batches_seen += 1
        self.shown += [(batch.scale, name) for name in batch.name]
        self.manual_backward((self.weight * batch.lr).mean())
        if self.batches_seen % 2 == 0:
            self.optimizers().step()  # type: ignore[union-attr]

    def validation_step(self, batch: Batch, _: int) -> None:
        self.measured.append((batch.name[0], batch.scale))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def test_a_real_trainer_runs_and_goes_on(mixed: Build, tmp_path: Path) -> None:
    def fit(model: Tiny, steps: int) -> Tiny:
        L.Trainer(
            max_steps=steps, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, val_check_interval=16,
            check_val_every_n_epoch=None, default_root_dir=str(tmp_path),
        ).fit(model, datamodule=mixed(2))  # fmt: skip
        return model

    whole, part = fit(Tiny(), 8), fit(Tiny(), 3)
    steps = np.array([scale for scale, _ in whole.shown]).reshape(8, 4)
    assert (steps == steps[:, :1]).all() and set(steps.flat) == set(PATCH)
    assert sorted(s for _, s in whole.measured) == [2, 3, 4]
    assert fit(part, 5).shown == whole.shown
