"""The checkpoints of a run, and which of them stay."""

from types import SimpleNamespace

import pytest

from sr.callbacks import Checkpoints, checkpoints
from sr.errors import UserError
from sr.runs.code import PYTHON


@pytest.mark.parametrize(
    "former",
    [
        {"monitor": "val/psnr_y"},
        {"monitor": "val/ssim_y", "code": f"{PYTHON} 0"},
        {"monitor": "val/ssim_y", "better": -1},  # which was mended since
    ],
)
def test_what_another_metric_chose_before_a_resume_is_kept(tmp_path, monkeypatch, former):
    """With `resume=RUN metrics=[ssim]` the first validation took the place of the best one by PSNR.

    So did a metric of one's own whose code was changed since.
    """
    monkeypatch.setattr(checkpoints, "_write", lambda trainer, part: part.write_text(f"step {trainer.global_step}"))
    trainer = SimpleNamespace(
        sanity_checking=False, state=SimpleNamespace(fn="fit"), is_global_zero=True, world_size=1, global_step=20,
        received_sigterm=False, callback_metrics={"val/ssim_y": 0.5},
    )  # fmt: skip
    for attempt in ("resumed", "killed before last.ckpt and resumed again"):
        (tmp_path / "best.ckpt").write_text(f"by PSNR, {attempt}")
        keeper = Checkpoints(tmp_path, "val/ssim_y", code=f"{PYTHON} 1")
        stopped = Checkpoints(tmp_path, "val/ssim_y", code=f"{PYTHON} 1")
        stopped.load_state_dict({"best": 30.0, **former})
        keeper.load_state_dict(stopped.state_dict())  # which was stopped before its first validation
        keeper.on_train_start(trainer, None)
        keeper.on_validation_end(trainer, None)
        keeper.teardown(trainer, None, "fit")
        assert (tmp_path / "best.ckpt").read_text() == "step 20"
        assert (tmp_path / "best_before_20.ckpt").read_text() == "by PSNR, resumed"
    again = Checkpoints(tmp_path, "val/ssim_y", code=f"{PYTHON} 1")
    again.load_state_dict(keeper.state_dict())
    again.on_validation_end(trainer, None)
    assert sorted(p.name for p in tmp_path.glob("best*")) == ["best.ckpt", "best_before_20.ckpt"]


def test_a_link_where_a_checkpoint_would_be_written_is_not_followed(tmp_path, monkeypatch):
    """In a folder that others may write in, or on a scratch disk: a file of the user's was overwritten."""
    monkeypatch.setattr(checkpoints, "_write", lambda trainer, part: part.write_text("weights"))
    (precious := tmp_path / "precious").write_text("mine")
    (folder := tmp_path / "checkpoints").mkdir()
    trainer = SimpleNamespace(
        sanity_checking=False, state=SimpleNamespace(fn="fit"), is_global_zero=True, world_size=1, global_step=2,
        received_sigterm=False, callback_metrics={"val/psnr_y": 30.0},
    )  # fmt: skip
    keeper = Checkpoints(folder, "val/psnr_y")
    for when in ("before", "while it trains"):
        for name in ("last.part", "best.part"):
            (folder / name).symlink_to(precious)
        if when == "before":
            (folder / "notes.part").write_text("mine")
            keeper.on_train_start(trainer, None)
            assert [p.name for p in folder.iterdir()] == ["notes.part"], "what a killed process left is removed"
    keeper.on_validation_end(trainer, None)
    keeper.teardown(trainer, None, "fit")
    assert precious.read_text() == "mine" and (folder / "last.ckpt").read_text() == "weights"
    assert not (folder / "last.ckpt").is_symlink() and not (folder / "best.ckpt").is_symlink()


def test_a_folder_that_is_put_elsewhere_while_it_trains_is_not_written_in(tmp_path, monkeypatch):
    """Its owner put a link in its place: the weights went over those of another run of the user's."""
    monkeypatch.setattr(checkpoints, "_write", lambda trainer, part: part.write_text("weights"))
    trainer = SimpleNamespace(is_global_zero=True, world_size=1, global_step=2)
    (folder := tmp_path / "checkpoints").mkdir()
    (tmp_path / "mine").mkdir()
    keeper = Checkpoints(folder, "val/psnr_y")
    keeper._write_last(trainer)
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match="mine now"):
        keeper._write_last(trainer)
    assert not [*(tmp_path / "mine").iterdir()] and (tmp_path / "moved/last.ckpt").is_file()


@pytest.mark.skipif(not checkpoints.HELD.is_dir(), reason="a system whose open folders have no path")
def test_a_folder_that_is_put_elsewhere_while_a_checkpoint_is_written_is_held(tmp_path, monkeypatch):
    """It was looked at, and then written to by its name: what takes seconds of a large network."""
    trainer = SimpleNamespace(is_global_zero=True, world_size=1, global_step=2)
    (folder := tmp_path / "checkpoints").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/last.ckpt").write_text("mine")

    def swapped(trainer, part):
        folder.rename(tmp_path / "moved")
        folder.symlink_to(tmp_path / "mine")
        part.write_text("weights")

    monkeypatch.setattr(checkpoints, "_write", swapped)
    with pytest.raises(UserError, match="mine now"):
        Checkpoints(folder, "val/psnr_y")._write_last(trainer)
    (own,) = (tmp_path / "mine").iterdir()
    assert own.read_text() == "mine" and len([*(tmp_path / "moved").iterdir()]) == 1

    folder.unlink()
    (tmp_path / "moved").rename(folder)
    monkeypatch.setattr(checkpoints, "_write", lambda trainer, part: (part.parent / "nowhere/x").write_text("weights"))
    with pytest.raises(FileNotFoundError) as told:
        Checkpoints(folder, "val/psnr_y")._save(trainer, "best.ckpt")
    assert told.value.filename == str(folder / "nowhere/x")
