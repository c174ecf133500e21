"""What a row decides for itself, in whatever process it runs."""

import pytest
from omegaconf import OmegaConf

from sr.compose.words import Job, Words
from sr.metrics.metric import declared
from sr.runs import own
from sr.runs.config import RECORD
from sr.runs.latest import set_aside
from sr.runs.record import record
from sr.sweeps.row import run_row


@pytest.mark.parametrize("of_sweep", [True, False], ids=["a sweep's row", "a job that was put back"])
def test_processes_of_a_row_decide_as_the_first_did_before_it_changed_the_folder(monkeypatch, tmp_path, of_sweep):
    folder = tmp_path / "sweep" / "row"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "best.ckpt").touch()  # of a run that was killed before its first whole checkpoint
    (folder / RECORD).touch()
    monkeypatch.chdir(tmp_path)
    for name, value in {"JOB_ID": 7, "STEP_NUM_TASKS": 2, "STEP_NUM_NODES": 1, "RESTART_COUNT": 1}.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    monkeypatch.setattr(Job, "current", lambda: Job(Words(), folder, {}, folder.parent if of_sweep else None))
    monkeypatch.setattr("sr.sweeps.row.refuse_apart", lambda: None)
    cfg, resumed = OmegaConf.create({"resume": None, "trainer": {"strategy": "auto", "devices": 1}}), []

    def task(_cfg, job, resume):
        resumed.append(resume)
        set_aside(folder)

    for rank in (0, 1):
        monkeypatch.setenv("SLURM_PROCID", str(rank))
        run_row(cfg, task)
        record(folder, "finished", objective=3.0)  # the first has ended before the other one looks
    assert resumed == [folder, folder]
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    for rank in (0, 1):
        monkeypatch.setenv("SLURM_PROCID", str(rank))
        assert run_row(cfg, task) == 3.0
        record(folder, "failed", objective=3.0)
    assert len(resumed) == 2


@pytest.mark.parametrize("status", ["finished", "interrupted"])
def test_a_row_that_somebody_else_began_is_told(monkeypatch, tmp_path, caplog, status):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder, cfg = tmp_path / "sweep" / "row", {"resume": None, "trainer": {"strategy": "auto", "devices": 1}}
    record(folder, status, objective=3.0)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").touch()
    (folder / RECORD).write_text("config: {}\n")
    monkeypatch.setattr(Job, "current", lambda: Job(Words(), folder, {}, folder.parent))
    assert run_row(OmegaConf.create(cfg), lambda *_: 3.0) == 3.0
    assert "was not begun by you on this machine" in caplog.text
    caplog.clear()
    (folder / RECORD).write_text(own.signed("config: {}\n"))
    run_row(OmegaConf.create(cfg), lambda *_: 3.0)
    assert "begun by you" not in caplog.text


def test_a_row_that_is_skipped_tells_the_sweeps_table_what_its_own_metric_is(monkeypatch, tmp_path):
    """Else the largest error was the best of a sweep that was typed again."""
    folder, metric = tmp_path / "sweep" / "row", tmp_path / "skipped.py"
    metric.write_text("from sr.metrics.metric import Metric\nMETRIC = Metric('skipped', None, better=-1)\n")
    record(folder, "finished", objective=3.0)
    monkeypatch.setattr(Job, "current", lambda: Job(Words(), folder, {}, folder.parent))
    for files in ([str(metric)], [str(tmp_path / "gone.py")]):
        assert run_row(OmegaConf.create({"resume": None, "metrics": ["psnr", *files]}), lambda *_: 3.0) == 3.0
    assert declared("skipped").better == -1


def test_a_row_that_is_skipped_tells_what_was_changed_in_its_configs_since(monkeypatch, tmp_path, caplog):
    """`channels: 32` in a model of one's own, which was 16: the sweep that was typed again had the former figures."""
    folder = tmp_path / "sweep" / "row"
    record(folder, "finished", objective=3.0)
    then = {"model": {"channels": 16, "scale": "${scale}"}, "budget": {"factor": 0.1}, "scale": 2, "data_dir": "a"}
    (folder / RECORD).write_text(own.signed(OmegaConf.to_yaml(OmegaConf.create({"config": then}))))
    monkeypatch.setattr(Job, "current", lambda: Job(Words(), folder, {}, folder.parent))
    now = then | {"budget": {"factor": None}, "data_dir": "b", "resume": None}
    assert run_row(OmegaConf.create(now), lambda *_: 0.0) == 3.0 and "warning" not in caplog.text
    run_row(OmegaConf.create(now | {"model": {"channels": 32, "scale": "${scale}"}}), lambda *_: 0.0)
    assert "row was trained with other settings than its configs say now: model.channels was 16, is 32" in caplog.text
