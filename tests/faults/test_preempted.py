"""Jobs of a real Slurm, where there is one: taken away, of several tasks, and sweeps that no shell waits for."""

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_runs import ROOT, SMALL, rows, saved

from sr.runs.record import recorded
from sr.sweeps.slurm import SUBMITTED

PREEMPTIONS = Path(__file__).with_name("preemptions.py")
LIMIT = 300.0  # seconds


def slurm_answers() -> bool:
    if shutil.which("sbatch") is None:
        return False
    asked = subprocess.run(["sinfo", "-h", "-o", "%t"], capture_output=True, text=True, check=False)
    return asked.returncode == 0 and any(state in asked.stdout for state in ("idle", "mix", "alloc"))


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not slurm_answers(), reason="there is no Slurm here"),
]


@pytest.fixture
def environment(tmp_path):
    return {**os.environ, "PYTHONPATH": str(ROOT), "SR_CACHE_DIR": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}


def test_runs_that_slurm_takes_away_end_as_those_that_it_leaves_alone(tmp_path):
    words = ["--times", "2", "--steps", "600", "--seed", "1", "--output", str(tmp_path / "preemptions.csv")]
    done = subprocess.run(
        [sys.executable, str(PREEMPTIONS), *words, "--folder", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with (tmp_path / "preemptions.csv").open(newline="") as f:
        found = [row["identical"] for row in csv.DictReader(f)]
    assert len(found) >= 2 and set(found) == {"True"}


def test_two_tasks_of_a_job_train_as_one_process_does(command, div2k, tmp_path, environment):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "steps=5", "val_every_steps=5", "batch_size=4"]
    typed += ["trainer.log_every_n_steps=1", "logger=csv"]
    one = command("train.py", *typed, folder="one")
    assert one.code == 0, one
    (tmp_path / "job").mkdir()
    job = ["srun", "--ntasks=2", "--overcommit", sys.executable, "-m", "sr", "train", *typed]
    done = subprocess.run(job, cwd=tmp_path / "job", env=environment, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a batch of 4 over all, 2 processes x 2; learning rate" in done.stdout + done.stderr
    (two,) = (tmp_path / "job/outputs").glob("*/*/")
    a, b = (saved(folder)["state_dict"] for folder in (one.folder, two))
    assert max(float((a[k] - b[k]).abs().max()) for k in a) < 1e-4
    ours, theirs = ([float(r["train/loss"]) for r in rows(f)] for f in (one.folder, two))
    assert ours == pytest.approx(theirs, rel=1e-3)


@pytest.mark.timeout(900)
def test_a_sweep_is_submitted_and_its_shell_ends(div2k, tmp_path, environment):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    sweep = ["-m", *SMALL, "data=div2k", f"data.root={div2k}", "steps=6", "val_every_steps=6", "logger=csv"]
    sweep += ["seed=0,1", "hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=20", "hydra.sweep.dir=sweep"]
    sweep += ["+hydra.launcher.additional_parameters.hold=true"]  # a short row would end before the command has
    typed = [sys.executable, "-m", "sr", "train", *sweep]

    def type_it() -> str:
        done = subprocess.run(typed, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LIMIT)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    first, second = type_it(), type_it()  # at once: nothing is submitted a second time
    assert "2 rows are with Slurm" in first and "with Slurm" in second, first + second
    jobs = json.loads((tmp_path / "sweep" / SUBMITTED).read_text())
    subprocess.run(["scontrol", "release", next(iter(jobs.values())).partition("_")[0]], check=True)
    end = time.monotonic() + LIMIT
    while {recorded(tmp_path / "sweep" / row).get("status") for row in jobs} != {"finished"}:
        assert time.monotonic() < end
        time.sleep(1)
    written = {p: p.stat().st_mtime_ns for p in tmp_path.glob("sweep/*/checkpoints/last.ckpt")}
    report = type_it()
    assert "ecbsr_m4c8" in report and "with Slurm" not in report, report
    assert written == {p: p.stat().st_mtime_ns for p in tmp_path.glob("sweep/*/checkpoints/last.ckpt")}
