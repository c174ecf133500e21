from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from sr.data.benchmarks import B100, Benchmark, Set5, Set14
from sr.data.div2k import Div2k
from sr.data.folder import Folder
from sr.data.leaks import refuse_leaks
from sr.degradation import Degradation, MatlabBicubic
from sr.errors import UserError

pytestmark = pytest.mark.shared
SETS = ("T91", "BSD200", "General100")


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    return {"scale": 2, "patch_size": 16, "batch_size": 4, "cache_dir": tmp_path / "cache"}


@pytest.mark.parametrize(("kind", "images"), [(Set5, 5), (Set14, 14), (B100, 100)])
def test_benchmarks_are_found(shared: Path, settings: dict[str, Any], kind: type[Benchmark], images: int) -> None:
    data = kind(data_dir=shared / "data", **settings)
    data.check("test")
    assert len(data.pairs("test")) == images
    grey = {b.name[0] for b in data.test_dataloader() if b.grey[0]} if kind is Set14 else set()
    assert grey == ({"bridge"} if kind is Set14 else set())


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lr_files_equal_the_lr_made_here(shared: Path, settings: dict[str, Any], scale: int) -> None:
    settings["scale"] = scale
    old = Degradation(scale, [MatlabBicubic(scale, edge="replicate")])
    for lr, degradation in (("LR_bicubic", None), ("LR_bicubic_old", old)):
        files = Set5(data_dir=shared / "data", lr=lr, **settings)
        made = Set5(data_dir=shared / "data", degradation=degradation, **settings)
        for a, b in zip(files.test_dataloader(), made.test_dataloader(), strict=True):
            assert a.name == b.name and torch.equal(a.hr, b.hr) and torch.equal(a.lr, b.lr)


def test_old_lr_pairs_where_it_is_complete(shared: Path, settings: dict[str, Any]) -> None:
    for scale in (2, 3, 4):
        assert (
            len(Set14(data_dir=shared / "data", lr="LR_bicubic_old", **{**settings, "scale": scale}).test_pairs()) == 14
        )
    assert len(B100(data_dir=shared / "data", lr="LR_bicubic_old", **{**settings, "scale": 4}).test_pairs()) == 100
    with pytest.raises(UserError, match="90 HR without LR"):
        B100(data_dir=shared / "data", lr="LR_bicubic_old", **settings).test_pairs()


def test_training_sets_load_together_and_share_nothing_with_the_benchmarks(
    shared: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    train = Folder(train=[shared / "data/train" / name for name in SETS], val_share=0.05, **settings)
    train.check("fit")
    assert len(train.pairs("train")) + len(train.pairs("val")) >= 370
    assert next(iter(train.train_dataloader())).lr.shape == (4, 3, 16, 16)
    tests = [kind(data_dir=shared / "data", **settings) for kind in (Set5, Set14, B100)]
    refuse_leaks(train, tests)
    (tmp_path / "test").mkdir()
    taken = train.pairs("train").paths
    Image.open(taken[0]).save(tmp_path / "test/exact.png")
    Image.open(taken[1]).convert("RGB").save(tmp_path / "test/encoded_again.jpg", quality=40)
    with pytest.raises(UserError) as error:
        refuse_leaks(train, [*tests, Folder(test=tmp_path / "test", **settings)])
    message = str(error.value)
    assert f"{taken[0]} " in message and f"{taken[1]} " in message
    assert "exact.png" in message and "encoded_again.jpg" in message and "2 training images" in message


def test_a_div2k_tree_of_other_photos(shared: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    for folder, source in (("DIV2K_train_HR", "train/BSD200"), ("DIV2K_valid_HR", "val/DIV2K_valid_crop256")):
        (tmp_path / folder).mkdir()
        for path in sorted((shared / "data" / source).iterdir())[:12]:
            (tmp_path / folder / path.name).symlink_to(path)
    data = Div2k(root=tmp_path, **{**settings, "scale": 4})
    data.check("fit")
    assert len(data.pairs("train")) == 12 and len(data.val_dataloader()) == 10 and len(data.pairs("test")) == 12
