"""Real processes that are killed or interrupted, and what a resume makes of them."""

import os
import re
import signal
from pathlib import Path

import pytest
import torch
from small_runs import SMALL, rows, saved, start, wait_for


def figures(folder: Path, without: int) -> list[dict[str, str]]:
    """All rows less timings, and less the step at which the run was killed: its row may not have been written."""
    kept = [r for r in rows(folder) if int(r["step"]) != without]
    return [{k: v for k, v in r.items() if k != "train/data_wait"} for r in kept]


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param([], id="plain"),
        pytest.param(["callbacks=[ema]"], id="ema", marks=pytest.mark.slow),
        pytest.param(["callbacks=[ema]", "accumulate=2"], id="ema-accumulated", marks=pytest.mark.slow),
        pytest.param(
            ["callbacks=[ema]", "callbacks.ema._target_=lightning.pytorch.callbacks.EMAWeightAveraging"],
            id="ema of earlier versions",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_killed_run_resumes_to_the_weights_of_one_that_was_not(command, div2k, tmp_path, extra):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "steps=200", "val_every_steps=75", "save_every_steps=20",
             "scheduler=cosine", *extra]  # fmt: skip
    whole = command("train.py", *typed, folder="whole")
    assert whole.code == 0, whole
    cut = tmp_path / "cut"
    process = start(cut, *typed)
    wait_for((cut / "checkpoints/last.ckpt").is_file, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = saved(cut)["global_step"]
    assert 0 < reached < 200
    resumed = command("train.py", f"resume={cut}")
    assert resumed.code == 0 and f"resuming at step {reached}" in resumed.out, resumed
    a, b = saved(whole.folder), saved(cut)
    assert a["global_step"] == b["global_step"] == 200
    assert a["state_dict"].keys() == b["state_dict"].keys()
    assert all(torch.equal(v, b["state_dict"][k]) for k, v in a["state_dict"].items())
    if "callbacks=[ema]" in extra:  # the average is what is saved; here are the weights that were trained
        assert all(torch.equal(v, b["current_model_state"][k]) for k, v in a["current_model_state"].items())
        assert a["averaging_state"]["n_averaged"] == b["averaging_state"]["n_averaged"] == 200
    assert figures(whole.folder, without=reached) == figures(cut, without=reached)
    again = command("train.py", f"resume={cut}")
    assert again.code == 0 and "this run is complete" in again.out


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGHUP, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_run_loses_nothing_and_says_how_to_go_on(div2k, tmp_path, how):
    if how == signal.SIGHUP and signal.getsignal(how) is signal.SIG_IGN:
        pytest.skip("these tests were started by nohup, and so is the run")
    folder = tmp_path / "run"
    process = start(folder, *SMALL, "data=div2k", f"data.root={div2k}", "steps=100000", "save_every_steps=50")
    wait_for((folder / "checkpoints/last.ckpt").is_file, process)
    process.send_signal(how)
    assert process.wait(60) != 0
    printed = (tmp_path / "run.out").read_text()
    assert f"Go on with: sr train resume={folder}" in printed
    stopped = int(re.search(r"stopped at step ([\d,]+)", printed)[1].replace(",", ""))
    assert saved(folder)["global_step"] == saved(folder)["sr"]["batches_seen"] == stopped


def test_ctrl_c_in_the_last_validation_of_a_stage_stops_before_the_next(command, div2k, monkeypatch, tmp_path):
    from sr.callbacks import Checkpoints

    def interrupted(self, trainer, *_):
        if not trainer.sanity_checking and trainer.global_step == at:
            os.kill(os.getpid(), signal.SIGINT)

    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "steps=2", "val_every_steps=2", "+stages={a: {}, b: {}}"]
    for at in (2, 4):  # the step after which Ctrl-C is pressed: of the first stage's end, of the whole run's
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "on_validation_start", interrupted)
            cut = command("train.py", *(typed if at == 2 else [f"resume={tmp_path / 'run'}"]))
        assert cut.code != 0 and f"stopped at step {at}. Go on with" in cut.out, cut
        assert saved(tmp_path / "run")["global_step"] == at
    end = command("train.py", f"resume={tmp_path / 'run'}")
    assert end.code == 0 and "this run is complete: 4 steps" in end.out, end
