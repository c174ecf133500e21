"""A run that is stopped at the worst moments, and what a resume makes of it."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_runs import start

from sr.callbacks import Checkpoints
from sr.runs.folder import read_run
from sr.runs.lock import locked
from sr.runs.record import record

KILLS = Path(__file__).with_name("kills.py")
TINY = ["model=ecbsr_m4c8", "scale=2", "data=div2k", "batch_size=2", "patch_size=8", "callbacks=[]", "steps=6",
        "val_every_steps=3", "save_every_steps=1", "trainer.log_every_n_steps=1"]  # fmt: skip


@pytest.fixture
def typed(div2k):
    return [*TINY, f"data.root={div2k}", "benchmarks=[]"]


@pytest.fixture
def stopped(command, typed, monkeypatch):
    """stopped(hook, step, stop, *words) runs train.py, by default a new run in `cut`, and stops it in a hook of the
    checkpoints' callback at a step."""

    def run(hook, step, stop, *words):
        def stopping(self, trainer, *_, **__):
            if not trainer.sanity_checking and trainer.global_step == step:
                stop()
            return former(self, trainer, *_, **__)

        former = getattr(Checkpoints, hook)
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, hook, stopping)
            outcome = command("train.py", *(words or typed), folder="cut")
        assert outcome.code != 0, outcome
        return outcome

    return run


def die():
    raise RuntimeError("killed")


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as f:
        return [{k: v for k, v in row.items() if k != "train/data_wait"} for row in csv.DictReader(f)]


def test_a_run_stopped_at_the_worst_moments_ends_as_one_that_was_not(command, typed, stopped):
    """At the end of its first validation, then by Ctrl-C; then its last checkpoint is cut."""
    cut = stopped("on_validation_end", 3, die).folder
    assert not (cut / "checkpoints/best.ckpt").exists() and rows(cut)[2]["val/psnr_y"]

    again = stopped("on_train_batch_end", 5, press_ctrl_c, f"resume={cut}")
    assert "resuming at step 2 of 6" in again.out and "stopped at step 5. Go on with" in again.out, again
    assert [row["step"] for row in rows(cut)] == ["1", "2", "3", "4", "5"] and rows(cut)[4]["train/loss"]
    assert read_run(cut).status == json.loads((cut / "run.json").read_text())["status"] == "interrupted"

    last = cut / "checkpoints/last.ckpt"
    half = last.stat().st_size // 2
    os.truncate(last, half)
    refused = command("train.py", f"resume={cut}", "optimizer.lr=1")
    assert refused.code == 1 and last.stat().st_size == half, refused
    again = command("train.py", f"resume={cut}")
    assert again.code == 0 and re.search(r"last.ckpt cannot be read.*\n.*the one before it, of step 4", again.out), (
        again
    )
    assert (cut / "checkpoints/damaged.ckpt").stat().st_size == half

    whole = command("train.py", *typed, folder="whole").folder
    for name in ("last", "best"):
        a, b = (torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True) for folder in (whole, cut))
        assert a["global_step"] == b["global_step"]
        assert all(torch.equal(v, b["state_dict"][k]) for k, v in a["state_dict"].items())
    assert rows(whole) == rows(cut)
    assert read_run(cut).status == "finished"


def test_ctrl_c_within_a_validation_stops_after_it(stopped):
    outcome = stopped("on_validation_start", 3, press_ctrl_c)
    assert "stopped at step 3. Go on with" in outcome.out, outcome
    assert (outcome.folder / "checkpoints/best.ckpt").is_file() and rows(outcome.folder)[-1]["val/psnr_y"]


def test_a_run_that_ended_before_its_first_checkpoint_begins_anew(command, typed, stopped):
    cut = stopped("on_train_batch_start", 0, die).folder
    stopped("on_train_batch_start", 0, die, *typed)  # the same command again
    again = command("train.py", f"resume={cut}")
    assert again.code == 0 and "it begins anew" in again.out, again
    assert [row["step"] for row in rows(cut)] == ["1", "2", "3", "4", "5", "6"]
    third = command("train.py", *typed, folder="cut")
    assert third.code == 1 and f"Go on with it: sr train resume={cut}" in third.err, third


def test_a_run_killed_between_its_first_best_and_last_checkpoint_begins_anew(command, typed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "_write_last", lambda *_: die())
        cut = command("train.py", *[w for w in typed if not w.startswith("save_every")], folder="cut").folder
    (first,) = (cut / "checkpoints").iterdir()
    assert first.name == "best.ckpt"
    before = first.read_bytes()
    refused = command("train.py", *typed, folder="cut")
    assert refused.code == 1 and f"Go on with it: sr train resume={cut}" in refused.err, refused
    again = command("train.py", f"resume={cut}")
    assert again.code == 0 and "it begins anew" in again.out and "are kept in" in again.out, again
    assert ((cut / "checkpoints_before/best.ckpt").read_bytes(), len(rows(cut))) == (before, 6) and first.is_file()
    for checkpoint in first.parent.iterdir():
        checkpoint.unlink()
    ended = command("train.py", f"resume={cut}")
    assert ended.code == 1 and "last.ckpt is not there" in ended.err, ended


def test_a_row_killed_between_its_first_best_and_last_checkpoint_begins_anew(command, typed):
    words = ["-m", *[w for w in typed if not w.startswith("save_every")], "seed=3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "_write_last", lambda *_: die())
        assert command("train.py", *words, folder="sweep").code == 1
    again = command("train.py", *words, folder="sweep")
    (kept,) = again.folder.glob("*/checkpoints_before/best.ckpt")
    assert again.code == 0 and (kept.parents[1] / "checkpoints/last.ckpt").is_file(), again


def test_a_run_stopped_in_its_final_measuring_is_measured(command, div2k):
    typed = [*TINY, f"data.root={div2k}", "+stages={a: {steps: 2}, b: {}}"]
    whole = command("train.py", *typed)
    assert whole.code == 0, whole
    cut = whole.folder
    results, ended = (cut / "results.csv").read_text(), json.loads((cut / "run.json").read_text())
    assert "ecbsr_m4c8 (a)" in results
    for name in ("results.csv", "results_per_image.csv"):
        (cut / name).unlink()
    left = {"status": "running", "seconds": None, "steps": 0} | {k: ended[k] for k in ("code", "digests", "settings")}
    (cut / "run.json").write_text(json.dumps(left))
    assert read_run(cut).status == "interrupted"
    again = command("train.py", f"resume={cut}")
    assert again.code == 0 and "this run is complete: 8 steps" in again.out, again
    assert (cut / "results.csv").read_text() == results
    told = json.loads((cut / "run.json").read_text())
    assert told == ended | {"seconds": pytest.approx(ended["seconds"], abs=0.5)}  # as the checkpoint has them
    # A finished run may be measured in another way.
    other = command("train.py", f"resume={cut}", "protocols=[rgb]")
    assert other.code == 0 and ",rgb," in (cut / "results.csv").read_text(), other
    assert json.loads((cut / "run.json").read_text())["seconds"] == told["seconds"]


def test_only_a_run_that_a_process_holds_is_running(tmp_path):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra/config.yaml").write_text("seed: 0")
    record(tmp_path, "running")  # as SIGKILL leaves it
    with locked(tmp_path):
        assert read_run(tmp_path).status == "running"
    assert read_run(tmp_path).status == "interrupted"


STRUCK = """
import os, signal
from lightning.pytorch import Callback

class Struck(Callback):
    def __init__(self, signal): self.signal = signal
    def on_before_backward(self, trainer, *_):
        if trainer.is_global_zero and trainer.global_step == 2:
            os.kill(os.getpid(), getattr(signal, self.signal))
"""


@pytest.mark.slow
@pytest.mark.parametrize("sent", ["SIGTERM", "SIGINT"])
def test_processes_stop_at_one_step_whichever_was_told(command, typed, tmp_path, sent):
    """In the middle of a step, of which the other process knows nothing."""
    (tmp_path / "struck.py").write_text(STRUCK)
    words = [w for w in typed if w not in ("callbacks=[]", "save_every_steps=1")]
    words += ["callbacks=[]", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).resolve().parents[2])])
    own = ["+callbacks.struck._target_=struck.Struck", f"+callbacks.struck.signal={sent}"]
    process = start(tmp_path / "two", *words, *own, OMP_NUM_THREADS="1", PYTHONPATH=paths)
    assert process.wait(120) == (143 if sent == "SIGTERM" else 1), (tmp_path / "two.out").read_text()
    out = (tmp_path / "two.out").read_text()
    assert "stopped at step 3. Go on with" in out and "Traceback" not in out and "zombies" not in out, out
    assert read_run(tmp_path / "two").status == "interrupted"
    kept = torch.load(tmp_path / "two/checkpoints/last.ckpt", weights_only=True)
    assert kept["global_step"] == 3 and [row["step"] for row in rows(tmp_path / "two")] == ["1", "2", "3"]


@pytest.mark.slow
def test_a_sweeps_row_stopped_in_its_final_measuring_is_measured(command, div2k):
    typed = ["-m", *TINY, f"data.root={div2k}", "seed=0,1"]
    assert command("train.py", *typed, folder="sweep").code == 0
    row = next((div2k.parent / "sweep").glob("seed1_*"))
    results = (row / "results.csv").read_text()
    (row / "results.csv").unlink()
    record(row, "running")
    again = command("train.py", *typed, folder="sweep")
    assert again.code == 0 and again.out.count("is finished and is skipped") == 1, again
    assert "this run is complete: 6 steps" in again.out and (row / "results.csv").read_text() == results
    assert read_run(row).status == "finished"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("case", ["plain", "accumulated", "rlfn", "two processes with ema"])
def test_killed_runs_end_as_those_that_nobody_killed(case, tmp_path):
    words = ["--kills", "2", "--seed", "1", "--cases", case, "--output", str(tmp_path / "kills.csv")]
    done = subprocess.run(
        [sys.executable, str(KILLS), *words, "--folder", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with (tmp_path / "kills.csv").open(newline="") as f:
        found = [row["identical"] for row in csv.DictReader(f)]
    assert len(found) >= 2 and set(found) == {"True"}
