"""One process at a time in a run folder, and rows that run as commands of their own."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sr.errors import UserError
from sr.runs.config import RECORD
from sr.runs.latest import run_folder
from sr.runs.lock import BusyError, claim, first_process, held, locked, refuse_alone
from sr.runs.record import record
from sr.runs.started import started
from sr.sweeps.row import _ended, surroundings

ROOT = Path(__file__).resolve().parents[2]


def test_a_folder_is_one_processes_and_free_again_afterwards(tmp_path):
    told = "run is being run by another process.*name another folder"
    with locked(tmp_path / "run"), pytest.raises(BusyError, match=told), locked(tmp_path / "run"):
        pass
    with pytest.raises(ValueError), locked(tmp_path / "run"):
        raise ValueError
    with locked(tmp_path / "run"):
        pass


@pytest.mark.parametrize("rank", ["LOCAL_RANK", "RANK", "SLURM_PROCID"])
def test_the_other_processes_of_a_run_go_with_the_first(tmp_path, monkeypatch, rank):
    with locked(tmp_path):
        monkeypatch.setenv(rank, "1")
        with locked(tmp_path):
            pass


def test_an_empty_number_is_none_and_another_word_is_said(monkeypatch):
    monkeypatch.setenv("RANK", "")
    assert first_process()
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "")
    assert started() is None
    monkeypatch.setenv("LOCAL_RANK", "x")
    with pytest.raises(UserError, match="LOCAL_RANK=x in the environment is no number of processes"):
        first_process()


def test_the_only_process_that_is_called_a_later_one_is_refused(monkeypatch):
    monkeypatch.setenv("RANK", "1")  # left over in a shell: it trained, and wrote nothing down
    with pytest.raises(UserError, match=r"RANK=1 in the environment says .* If it is the only one: unset RANK"):
        refuse_alone()
    for name in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"):
        with monkeypatch.context() as more:
            more.setenv(name, "2")
            refuse_alone()


@pytest.mark.parametrize("typed", [["evaluate", "model=bicubic"], ["train", "-m", "seed=0,1"]])
def test_a_number_that_is_none_ends_a_command_in_one_line(tmp_path, typed):
    env = os.environ | {"LOCAL_RANK": "x"}
    done = subprocess.run([sys.executable, "-m", "sr", *typed], cwd=tmp_path, env=env, capture_output=True, text=True)
    wanted = "error: LOCAL_RANK=x in the environment is no number of processes. Type: unset LOCAL_RANK"
    assert done.returncode == 1 and done.stderr.strip() == wanted, done
    assert not list(tmp_path.iterdir())


def test_a_row_does_not_take_itself_for_one_of_slurms_tasks(tmp_path, monkeypatch):
    from lightning.pytorch.plugins.environments import SLURMEnvironment

    for name, value in {"NTASKS": "1", "NTASKS_PER_NODE": "1", "PROCID": "0", "JOB_ID": "7"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SR_BUDGET_FACTOR", "0.5")
    assert SLURMEnvironment.detect()
    here = surroundings(tmp_path)
    assert here["SR_SWEEP"] == str(tmp_path) and "SR_BUDGET_FACTOR" not in here and here["SLURM_JOB_ID"] == "7"
    for name in set(os.environ) - set(here):
        monkeypatch.delenv(name)
    assert not SLURMEnvironment.detect()


def test_who_is_told_to_end_tells_the_row(tmp_path):
    """The row ends in its own way first, here by writing a file."""
    ready, ended = tmp_path / "ready", tmp_path / "ended"
    script = (
        "import pathlib, signal, sys, time\n"
        "def end(*_): pathlib.Path(sys.argv[2]).touch(); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    )

    def tell():
        while not ready.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    former = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=tell, daemon=True).start()
    with pytest.raises(SystemExit) as stop:
        _ended([sys.executable, "-c", script, str(ready), str(ended)], dict(os.environ))
    assert stop.value.code == 128 + signal.SIGTERM and ended.exists()
    assert signal.getsignal(signal.SIGTERM) == former
    assert _ended([sys.executable, "-c", "raise SystemExit(3)"], dict(os.environ)) == 3


def test_the_curve_of_a_run_whose_checkpoints_were_moved_away_is_kept(tmp_path):
    for curve in ("step,val/psnr_y\n500,30\n", "step,val/psnr_y\n700,31\n"):
        record(tmp_path, "interrupted", steps=900)
        (tmp_path / "metrics.csv").write_text(curve)
        claim(tmp_path)
        assert not (tmp_path / "metrics.csv").exists() and not (tmp_path / "run.json").exists()
    assert [file.read_text()[16:19] for file in sorted(tmp_path.glob("metrics_?.csv"))] == ["500", "700"]


@pytest.mark.parametrize("left", ["results.csv", "metrics.csv", "checkpoints/best.ckpt"])
@pytest.mark.parametrize("known", [True, False], ids=["with its record", "without"])
def test_what_a_taken_folder_names_is_what_works_there(tmp_path, left, known):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / left).touch()
    if known:
        (tmp_path / RECORD).touch()
    with pytest.raises(UserError) as refused:
        claim(tmp_path)
    try:  # resume=
        run_folder(tmp_path)
        claim(tmp_path, anew=True)
    except UserError:
        assert "resume=" not in str(refused.value) and "once you have moved that away" in str(refused.value)
    else:
        assert "resume=" in str(refused.value)


def test_a_lock_that_is_a_link_empties_no_file(tmp_path):
    """Filelock opened what a link leads to, and emptied it, before 3.20.1."""
    (tmp_path / "run").mkdir()
    (tmp_path / "mine.txt").write_text("precious")
    (tmp_path / "run/.lock").symlink_to(tmp_path / "mine.txt")
    with pytest.raises(OSError), locked(tmp_path / "run"):
        pass
    held(tmp_path / "run")
    assert (tmp_path / "mine.txt").read_text() == "precious"
    wanted = next(line for line in (ROOT / "pyproject.toml").read_text().splitlines() if '"filelock' in line)
    assert tuple(map(int, re.search(r">=([\d.]+)", wanted)[1].split("."))) >= (3, 20, 1)
