"""Sweeps that are left with Slurm; a real one is asked in tests/faults/test_preempted.py."""

import os
from importlib.util import find_spec

import pytest
from small_runs import SMALL

from sr.errors import UserError
from sr.runs.record import record
from sr.sweeps.command import Sweep
from sr.sweeps.slurm import SUBMITTED, queued
from sr.whole import write_whole


@pytest.fixture
def slurm(monkeypatch, tmp_path):
    """A Slurm that takes jobs and runs none; what is written into the file queue is in its queue."""
    place = tmp_path / "bin"
    place.mkdir()
    for name, does in {
        "sbatch": "echo $* >> sbatched; echo Submitted batch job 9",
        "srun": "",
        "squeue": '[ "$SQUEUE_STATES" ] || cat queue',
    }.items():
        (place / name).write_text(f"#!/bin/sh\ncd {place}\n{does}\n")
        (place / name).chmod(0o755)
    for file in ("queue", "sbatched"):
        (place / file).touch()
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    return place


def test_rows_in_the_queue_are_those_that_slurm_has_and_that_are_not_finished(slurm, tmp_path, monkeypatch):
    assert queued(tmp_path) == {}
    write_whole(tmp_path / SUBMITTED, {"a": "9_0", "b": "9_1", "c": "9_2"})
    (slurm / "queue").write_text("9_1\n9_2\n12\n")
    monkeypatch.setenv("SQUEUE_STATES", "R")  # as some like to look at the queue: what waited was submitted again
    (tmp_path / "c").mkdir()
    record(tmp_path / "c", "finished")  # its job has not ended yet
    assert queued(tmp_path) == {"b": "9_1"}
    monkeypatch.setenv("PATH", "")  # the sweep was brought to another machine
    with pytest.raises(UserError, match=rf"none of its jobs is left, remove .*{SUBMITTED}"):
        queued(tmp_path)
    for damaged in ("{", "[" * 100_000, "[1]", '{"a": [1]}'):
        (tmp_path / "slurm.json").write_text(damaged)
        with pytest.raises(UserError, match="damaged"):
            queued(tmp_path)
    write_whole(tmp_path / SUBMITTED, {"a": "9_0", "b": "9_1", "c": "9_2"})
    for row in "ab":
        (tmp_path / row).mkdir()
        record(tmp_path / row, "finished")
    assert queued(tmp_path) == {}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("submitit") is None, reason="submitit is not installed")
def test_rows_are_submitted_once_and_those_that_left_the_queue_again(command, div2k, slurm):
    typed = ["-m", *SMALL, "data=div2k", f"data.root={div2k}", "seed=0,1", "hydra/launcher=submitit_slurm"]
    (slurm / "queue").write_text("9_0\n9_1\n")
    first = command("train.py", *typed, folder="sweep")
    assert first.code == 0 and "2 rows are with Slurm" in first.out, first
    second = command("train.py", *typed, folder="sweep")
    assert second.code == 0 and len((slurm / "sbatched").read_text().splitlines()) == 1, second
    (slurm / "queue").write_text("9_0\n")
    command("train.py", *typed, folder="sweep")
    assert len((slurm / "sbatched").read_text().splitlines()) == 2


def test_a_slurm_that_does_not_answer_hides_nothing_of_what_ended_the_sweep(tmp_path, monkeypatch, capsys):
    write_whole(tmp_path / SUBMITTED, {"a": "9_0"})
    monkeypatch.setenv("PATH", "")
    sweep = Sweep(["-m"], [], tmp_path)
    with pytest.raises(ZeroDivisionError), sweep.concluding():
        raise ZeroDivisionError
    with pytest.raises(SystemExit), sweep.concluding():
        pass
    assert capsys.readouterr().err.count("squeue cannot be run here") == 2


def test_what_a_row_says_of_itself_moves_no_cursor(tmp_path, capsys):
    write_whole(tmp_path / "row/.hydra/config.yaml", "seed: 0\n")
    record(tmp_path / "row", "failed", error="\x1b[2J\x1b]0;a title\x07")
    with pytest.raises(SystemExit), Sweep(["-m"], [], tmp_path).concluding():
        pass
    told = capsys.readouterr()
    assert "\\x1b[2J" in told.err and "\x1b" not in told.err + told.out
