"""Wrong input is refused before the first step, and a run that stops early is not finished."""

import json
import os
from importlib.util import find_spec

import pytest
import torch
from PIL import Image
from small_runs import SMALL, pasted, saved
from torch import nn

from sr.compose.words import quoted
from sr.loggers import mlflow_logger
from sr.losses import Charbonnier


def refused(command, *typed: str) -> str:
    outcome = command("train.py", "model=ecbsr_m4c8", "scale=2", "budget=smoke", "benchmarks=[]", *typed)
    assert outcome.code == 1 and "error: " in outcome.err and "Traceback" not in outcome.err, outcome
    assert not (outcome.folder / "metrics.csv").exists(), "it had begun"
    return outcome.err


def test_a_batch_that_the_data_alone_has_is_refused(command, tmp_path):
    """Plans, budgets and curves by images read the run's: they told of batches of 4, trained on were 8."""
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("# @package _global_\ndata: {batch_size: 8}\n")
    err = refused(command, "data=bundled", f"--config-dir={tmp_path}", "experiment=mine")
    assert "data.batch_size=8: batch_size is a key of the run" in err


def test_a_missing_root_says_what_was_looked_for_and_what_to_type(command, tmp_path):
    err = refused(command, "data=div2k", f"data.root={tmp_path}/nowhere")
    assert "nowhere" in err and "DIV2K_train_HR" in err and "data.root=" in err and "data.download=true" in err


def test_an_empty_root_is_refused(command, tmp_path):
    (tmp_path / "DIV2K/DIV2K_train_HR").mkdir(parents=True)
    assert "DIV2K_train_HR" in refused(command, "data=div2k", f"data.root={tmp_path}/DIV2K")


def test_lr_of_another_size_is_refused(command, div2k):
    folder = div2k / "DIV2K_train_LR_bicubic/X2"
    folder.mkdir(parents=True)
    for path in sorted((div2k / "DIV2K_train_HR").iterdir()):
        Image.open(path).resize((30, 30)).save(folder / f"{path.stem}x2.png")
    err = refused(command, "data=div2k", f"data.root={div2k}")
    assert "0001x2.png" in err and "30x30" in err.replace(" ", "")


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:400]), "truncated"),
        (lambda p: Image.new("I;16", (96, 72)).save(p), "16"),
        (lambda p: p.write_text("not an image"), "0002.png"),
    ],
    ids=["truncated", "16-bit", "text"],
)
def test_a_bad_image_is_refused_by_name(command, div2k, damage, word):
    path = div2k / "DIV2K_train_HR/0002.png"
    damage(path)
    err = refused(command, "data=div2k", f"data.root={div2k}")
    assert "0002.png" in err and word in err


def test_an_image_smaller_than_the_patch_is_refused(command, div2k):
    err = refused(command, "data=div2k", f"data.root={div2k}", "patch_size=48")
    assert "smaller than the patch" in err and "patch_size=36" in err


@pytest.mark.parametrize(
    ("typed", "instead"),
    [
        ("max_time=00:00:00:03", "budget.seconds="),
        ("fast_dev_run=true", "budget=smoke"),
        ("max_epochs=3", "steps="),
        ("limit_train_batches=0", "steps="),
        ("enable_checkpointing=false", "save_every_minutes="),
    ],
)
def test_the_trainer_does_not_end_a_run_before_its_steps(command, tmp_path, typed, instead):
    """Which is told before images are looked for: there are none."""
    error = refused(command, *SMALL, "data=div2k", f"data.root={tmp_path}", "steps=4", f"+trainer.{typed!s}")
    assert f"instead of trainer.{typed.partition('=')[0]}=" in error and instead in error


@pytest.mark.parametrize(
    "strategy", ["ddp_spawn", pytest.param("ddp_fork_find_unused_parameters_true", marks=pytest.mark.slow)]
)
def test_processes_that_are_copies_of_one_are_refused(command, tmp_path, strategy):
    """They trained to the end, and Lightning's way of bringing the weights back then failed."""
    error = refused(command, *SMALL, "data=div2k", f"data.root={tmp_path}", "steps=4", f"trainer.strategy={strategy}")
    assert f"trainer.strategy={strategy}: " in error and "trainer.strategy=ddp\n" in error


def test_a_sweep_with_a_key_that_nobody_reads_leaves_no_folder(command):
    done = command("train.py", "-m", *SMALL, "seed=0,1", "+step=3")
    assert done.code == 1 and done.err == "error: step: there is no such key. Did you mean steps?\n", done
    assert not done.folder.exists()


STOPPING = """
from lightning.pytorch import Callback


class Stop(Callback):
    def on_train_batch_end(self, trainer, *_):
        trainer.should_stop = trainer.global_step == 3
"""


def test_a_run_that_a_callback_stops_is_not_finished(command, div2k, tmp_path, monkeypatch):
    (tmp_path / "stopping.py").write_text(STOPPING)
    monkeypatch.syspath_prepend(str(tmp_path))
    typed = [*SMALL[:-2], "data=div2k", f"data.root={div2k}", "steps=40", "val_every_steps=40"]
    folder = tmp_path / "it's a run"
    done = command("train.py", *typed, "+callbacks.stop._target_=stopping.Stop", f"hydra.run.dir={quoted(folder)}")
    assert done.code == 1 and "stopped at step 3 of 40" in done.err, done
    for name, key in (("train", "resume"), ("evaluate", "checkpoint")):
        line = done.err[done.err.index(f"sr {name}") :].partition("\n")[0]
        assert pasted(line) == [name, f"{key}={quoted(folder)}"]
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"
    assert not (folder / "results.csv").exists() and saved(folder)["global_step"] == 3


KEEPING = """
import numpy as np
from torch.optim.lr_scheduler import LambdaLR, LRScheduler


def numpys(optimizer):
    return LambdaLR(optimizer, lambda step: np.cos(step / 10))


class Table(LRScheduler):
    def __init__(self, optimizer):
        self.table = np.linspace(1, 0)
        super().__init__(optimizer)

    def get_lr(self):
        return [float(rate * self.table[self.last_epoch]) for rate in self.base_lrs]
"""


def test_a_schedule_of_ones_own_that_could_not_go_on_is_refused_and_numpys_numbers_go_on(
    command, div2k, tmp_path, monkeypatch
):
    (tmp_path / "keeping.py").write_text(KEEPING)
    monkeypatch.syspath_prepend(str(tmp_path))
    typed = ["~scheduler.factor", "~scheduler.total_iters", "data=div2k", f"data.root={div2k}"]
    err = refused(command, *typed, "scheduler._target_=keeping.Table")
    assert "scheduler: its state_dict() does not come back from a checkpoint (table is a numpy.ndarray)" in err
    err = refused(command, *typed, "scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau")
    assert "ReduceLROnPlateau changes the rate by a figure" in err
    cycle = ["scheduler._target_=torch.optim.lr_scheduler.OneCycleLR", "+scheduler.max_lr=0.01"]
    err = refused(command, *typed, *cycle, "+scheduler.total_steps=6", "steps=12")
    assert "OneCycleLR ends after total_steps=6, and is asked for 12 steps" in err, "it ended in a traceback there"
    cut = command("train.py", *SMALL, *typed, "scheduler._target_=keeping.numpys", "steps=2", folder="cut")
    again = command("train.py", f"resume={cut.folder}", "steps=4")
    assert again.code == 0 and saved(cut.folder)["lr_schedulers"][0]["last_epoch"] == 4, again


def test_a_scale_that_the_model_lacks_is_refused(command, div2k):
    err = refused(command, "data=div2k", f"data.root={div2k}", "scale=7")
    assert "has no scale 7" in err


def test_a_model_without_parameters_is_not_trained(command, div2k):
    err = refused(command, "model=bicubic", "data=div2k", f"data.root={div2k}")
    assert "no parameters to train" in err


def test_a_checkpoint_of_another_architecture_is_refused(command, div2k):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke"]
    first = command("train.py", *typed, folder="first")
    assert first.code == 0, first
    err = refused(command, "model=edsr_baseline", "data=div2k", f"data.root={div2k}", f"init_from={first.folder}")
    assert "does not fit EDSR" in err and "Missing" in err


def test_a_training_image_in_the_test_set_is_refused(command, div2k):
    source = div2k / "DIV2K_train_HR/0002.png"
    Image.open(source).save(div2k / "DIV2K_valid_HR/0802.png")
    err = refused(command, "data=div2k", f"data.root={div2k}")
    assert "0002.png" in err and "0802.png" in err and "check_leaks=false" in err


def test_an_absent_benchmark_is_refused_before_training(command, div2k):
    err = refused(command, "data=div2k", f"data.root={div2k}", "benchmarks=[set5]")
    assert "Set5" in err


def test_a_password_gets_into_no_file(command, monkeypatch):
    """Of a tracking server: it stood in composed.yaml, in each checkpoint, in TensorBoard's events and in W&B's run."""
    address = "http://alice:S3cret@localhost:1"
    err = refused(command, "data=bundled", "logger=mlflow", f"logger.mlflow.tracking_uri={address}")
    assert "logger.mlflow.tracking_uri holds a password" in err and "MLFLOW_TRACKING_PASSWORD" in err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    shown = command("train.py", "model=ecbsr_m4c8", "logger=mlflow", "--cfg", "job", "--resolve")
    assert shown.code == 0 and "tracking_uri: null" in shown.out and "S3cret" not in shown.out
    logger = mlflow_logger(facts={"folder": "."}) if find_spec("mlflow") else None
    assert logger is None or (logger.uri == "http://localhost:1" and os.environ["MLFLOW_TRACKING_PASSWORD"] == "S3cret")


def test_parameters_of_a_loss_that_nothing_trains_are_told(command, div2k, monkeypatch):
    """A loss with weights of its own was accepted, and they never learned."""
    typed = ["data=div2k", f"data.root={div2k}", "steps=1", *SMALL[1:], "model=espcn"]
    assert "nothing trains" not in command("train.py", *typed, folder="plain").out

    class Learned(Charbonnier):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.scale = nn.Parameter(torch.ones(()))

    monkeypatch.setattr("sr.losses.Charbonnier", Learned)
    done = command("train.py", *[w for w in typed if w != "loss=l1"], "loss=charbonnier")
    assert done.code == 0 and "nothing trains" in done.out and "scale. If they are meant to learn" in done.out, done


def test_stages_of_a_recipe_stand_not_behind_those_of_warm_start(command):
    """Three whole trainings at x4 came before x2's, of whose weights a part was taken."""
    typed = ["scale=4", "model=edsr_baseline", "recipe=edsr_baseline_x2_first", "callbacks=[panels,warm_start]"]
    assert "recipe=edsr_baseline_x2_first has its own: x2, final. Leave warm_start out" in refused(command, *typed)
    shown = command(
        "train.py", "model=rlfn_s", "callbacks=[panels,warm_start]", "--cfg", "job"
    )  # whose are these three
    assert shown.code == 0


def test_a_discriminator_of_ones_own_may_read_the_image_as_it_likes(command, monkeypatch):
    """One of 12 channels, after PixelUnshuffle, was told to take 3; one without a Conv2d ended in a traceback."""

    class Own(nn.Module):
        def __init__(self, **_):
            super().__init__()
            self.score = nn.Linear(3, 1)

        def forward(self, image):
            return self.score(image.mean((-1, -2)))

    Own.__module__ = "mine"
    monkeypatch.setattr("sr.losses.SRGANDiscriminator", Own)
    typed = ["model=srresnet", "model.num_blocks=1", "model.channels=4", "scale=2", "loss=adversarial", "steps=1"]
    done = command("train.py", *typed, "data=bundled", "patch_size=8", "batch_size=1", "benchmarks=[]", "callbacks=[]")
    assert done.code == 0, done
