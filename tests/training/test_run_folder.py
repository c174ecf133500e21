"""What a run leaves in its folder, what it begins from, and what it never writes over."""

import csv
import re
import shutil
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
from omegaconf import OmegaConf
from small_runs import SMALL, rows, saved

from sr.callbacks import Panels
from sr.errors import UserError
from sr.layers.identity import identity
from sr.runs import composed
from sr.runs.folder import read_run
from sr.runs.latest import latest
from sr.runs.record import recorded
from sr.runs.together import doubts
from sr.training.trainer import trainer

ROOT = Path(__file__).resolve().parents[2]


def test_a_run_folder_holds_config_metrics_checkpoints_panels_and_log(command, div2k):
    outcome = command(
        "train.py", "model=bsrn", "data=div2k", f"data.root={div2k}", "budget=smoke", "scale=2", "model.num_blocks=1"
    )
    assert outcome.code == 0, outcome
    folder = outcome.folder
    for name in (
        ".hydra/config.yaml", "train.log", "metrics.csv", "checkpoints/last.ckpt", "checkpoints/best.ckpt",
        "results.csv", "results_per_image.csv", "panels/step_0000004.png", "panels/DIV2K_x2.png",
    ):  # fmt: skip
        assert (folder / name).is_file(), name
    with (folder / "results.csv").open() as f:
        figures = list(csv.DictReader(f))
    assert {(f["model"], f["protocol"]) for f in figures} == {
        ("bicubic", "y"), ("bicubic", "rgb"), ("bsrn", "y"), ("bsrn", "rgb")
    }  # fmt: skip
    assert all(f["images"] == "3" and 5 < float(f["psnr"]) < 60 for f in figures)
    assert "budget=smoke: steps 1000000 -> 4 steps" in outcome.out
    assert float(rows(folder)[-1]["val/psnr_y"]) > 5
    assert recorded(folder)["settings"] == identity({}, saved(folder)["sr"]["config"])
    # the checkpoint alone is enough to measure
    again = command("evaluate.py", f"checkpoint={folder}", "data=[div2k]", f"data.root={div2k}", folder="measured")
    assert again.code == 0, again
    with (again.folder / "results.csv").open() as f:
        assert list(csv.DictReader(f)) == figures


def test_a_run_goes_on_from_the_contents_that_were_looked_at(command, div2k, monkeypatch):
    """Lightning read the file once more: exchanged between, an optimizer went on that nobody had looked at."""
    first = command("train.py", *SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke")

    def exchanged(folder):
        source, content = latest(folder)
        torch.save(content | {"optimizer_states": [], "global_step": 99}, source)
        return source, content

    monkeypatch.setattr("sr.training.train.latest", exchanged)
    again = command("train.py", f"resume={first.folder}", "steps=6")
    assert again.code == 0 and saved(first.folder)["global_step"] == 6, again
    assert len(saved(first.folder)["optimizer_states"]) == 1


def test_resume_last_finds_the_newest_run(command, div2k, tmp_path):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke"]
    assert command("train.py", *typed, folder="outputs/a").code == 0
    assert command("train.py", *typed, "seed=1", folder="outputs/b").code == 0
    outcome = command("train.py", "resume=last", "steps=6")
    assert outcome.code == 0, outcome
    assert saved(tmp_path / "outputs/b")["global_step"] == 6
    assert saved(tmp_path / "outputs/a")["global_step"] == 4


def test_init_from_starts_from_another_runs_weights(command, div2k):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke"]
    first = command("train.py", *typed, folder="first")
    second = command("train.py", *typed, f"init_from={first.folder}", "optimizer.lr=0.0", folder="second")
    assert second.code == 0, second
    a, b = saved(first.folder)["state_dict"], saved(second.folder)["state_dict"]
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_checkpoint_that_a_full_disk_cut_leaves_room_to_say_so(command, div2k, monkeypatch):
    def full(trainer, path, **_):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_bytes(b"torn")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(L.Trainer, "save_checkpoint", full)
    done = command("train.py", *SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke")
    assert done.code == 1 and "No space left on device. Free some room" in done.err, done
    assert recorded(done.folder)["status"] == "failed" and "No space left" in recorded(done.folder)["error"]
    assert not any((done.folder / "checkpoints").iterdir())


def test_a_run_is_never_written_over(command, div2k):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke"]
    assert command("train.py", *typed, "data.root=nowhere").code == 1  # nothing began: the folder is still free
    assert command("train.py", *typed).code == 0
    outcome = command("train.py", *typed, "seed=1")
    assert outcome.code == 1 and "holds a run already" in outcome.err and "resume=" in outcome.err, outcome
    shutil.rmtree(outcome.folder / "checkpoints")  # to save space: its figures are still worth something
    figures = (outcome.folder / "metrics.csv").read_text()
    assert command("train.py", *typed, "seed=1").code == 1
    (outcome.folder / "run.json").unlink()
    assert command("train.py", *typed, "seed=1").code == 1
    assert (outcome.folder / "metrics.csv").read_text() == figures


def test_a_resume_remembers_interpolations_and_the_config_dir(command, div2k, tmp_path):
    (tmp_path / "more/model").mkdir(parents=True)
    source = (ROOT / "conf/model/ecbsr_m4c8.yaml").read_text()
    (tmp_path / "more/model/mine.yaml").write_text(source)
    first = command(
        "train.py", "--config-dir", str(tmp_path / "more"), *SMALL[1:], "model=mine", "data=div2k",
        f"data.root={div2k}", "steps=4", "val_every_steps=${steps}",
    )  # fmt: skip
    assert first.code == 0, first
    refused = command("train.py", f"resume={first.folder}", "seed=7")
    assert refused.code == 1 and f"sr train --config-dir={tmp_path}/more" in refused.err, refused
    again = command("train.py", f"resume={first.folder}", "steps=6")
    assert again.code == 0 and saved(first.folder)["global_step"] == 6, again


def test_a_path_with_an_apostrophe_is_a_path(command, div2k, monkeypatch, tmp_path):
    monkeypatch.setenv("SR_CACHE_DIR", str(tmp_path / "o'clock"))
    typed = [a for a in SMALL if a != "benchmarks=[]"]
    outcome = command("train.py", *typed, "data=div2k", f"data.root={div2k}", "budget=smoke")
    assert outcome.code == 0 and (tmp_path / "o'clock").is_dir(), outcome


def test_images_that_were_replaced_before_a_resume_are_told(command, photos, tmp_path):
    train, val = photos(tmp_path / "train", 3), photos(tmp_path / "val", 2, first=50)
    typed = [*SMALL, "data=folder", f"data.train={tmp_path}/train", f"data.val={tmp_path}/val", "val_every_steps=2"]
    assert command("train.py", *typed, "steps=2").code == 0
    shutil.copy(photos(tmp_path / "other", 1, first=90)[0], train[1])
    done = command("train.py", f"resume={tmp_path}/run", "steps=3")
    assert done.code == 0 and f"1 training images are not what the run was begun with: {train[1].stem}" in re.sub(
        r"folder train x2: |train train x2: ", "", done.err + done.out
    ), done
    former = val[0].read_bytes()
    shutil.copy(photos(tmp_path / "other", 1, first=91)[0], val[0])
    done = command("train.py", f"resume={tmp_path}/run", "steps=4")
    assert done.code == 1 and val[0].stem in done.err and val[1].stem not in done.err, done
    assert "init_from=" in done.err and saved(tmp_path / "run")["global_step"] == 3
    val[0].write_bytes(former)
    done = command("train.py", f"resume={tmp_path}/run", "steps=4")
    assert done.code == 0 and "begun with" not in done.err + done.out, done
    (told,) = doubts([read_run(tmp_path / "run")])
    assert "run: from step 2 on 1 training images are not what the run was begun with" in told, told


def test_panels_under_another_key_are_drawn_in_the_run_s_folder(command, div2k, tmp_path, monkeypatch):
    """They were drawn in ./panels of where one stands, over what was there."""
    monkeypatch.chdir(tmp_path)
    typed = [*SMALL[1:], "model=espcn", "data=div2k", f"data.root={div2k}", "steps=1", "val_every_steps=1"]
    done = command("train.py", *typed, "+callbacks.more._target_=sr.callbacks.Panels")
    assert done.code == 0 and not (tmp_path / "panels").exists(), done
    assert (done.folder / "more/step_0000001.png").is_file()
    cfg = composed.read(done.folder).config
    made = trainer(cfg, [1], tmp_path / "other", "x", False, None)
    assert [type(callback) for callback in made.callbacks].count(Panels) == 1, "each is there once"
    config = {"callbacks": {"../../victim": {"_target_": "sr.callbacks.Panels"}}}  # of a stranger's run, or one's own
    with pytest.raises(UserError, match="named by letters"):
        trainer(OmegaConf.merge(cfg, config), [1], done.folder, "x", False, None)
