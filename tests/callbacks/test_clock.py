"""How long a run trained, and what run.json says of its end."""

from types import SimpleNamespace

import pytest
import torch

import sr
from sr.callbacks import clock as module
from sr.callbacks.clock import Clock
from sr.runs.folder import recorded
from sr.runs.version import told

FITTING = SimpleNamespace(
    state=SimpleNamespace(fn="fit"), sanity_checking=False, is_global_zero=True, global_step=7,
    strategy=SimpleNamespace(root_device=torch.device("cpu")),
)  # fmt: skip


@pytest.fixture
def passing(monkeypatch):
    """passing(seconds) lets time go by."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def test_training_counts_and_validation_does_not(passing):
    clock = Clock()
    passing(50)
    clock.on_train_start(FITTING, None)
    passing(3)
    clock.on_validation_start(FITTING, None)
    passing(20)
    clock.on_validation_end(FITTING, None)
    passing(2)
    assert clock.seconds == 5 and clock.state_dict() == {"seconds": 5}
    clock.on_train_end(FITTING, None)
    passing(9)
    clock.on_validation_end(SimpleNamespace(state=SimpleNamespace(fn="validate"), sanity_checking=False), None)
    passing(9)
    assert clock.seconds == 5
    clock.on_train_start(FITTING, None)  # the next stage
    passing(1)
    assert clock.seconds == 6


def test_a_resumed_run_goes_on_from_its_checkpoints_time(passing):
    clock = Clock()
    clock.load_state_dict({"seconds": 40.0})
    clock.on_train_start(FITTING, None)
    passing(2)
    assert clock.seconds == 42


def test_the_record_follows_the_run(passing, tmp_path):
    clock = Clock()
    with clock.recording(tmp_path, FITTING) as facts:
        assert recorded(tmp_path)["status"] == "running"
        clock.on_train_start(FITTING, None)
        passing(4)
        clock.on_train_end(FITTING, None)
        facts["objective"] = 31.5
    end = {"status": "finished", "seconds": 4.0, "steps": 7, "device": "cpu", "error": None, "objective": 31.5}
    assert recorded(tmp_path) == end | {"code": [told()]}
    with Clock().recording(tmp_path, FITTING):
        pass  # measured again: what it trained before stays
    assert recorded(tmp_path)["seconds"] == 4.0 and recorded(tmp_path)["steps"] == 7


@pytest.mark.parametrize(("error", "status"), [(ValueError("boom"), "failed"), (SystemExit(143), "interrupted")])
def test_an_error_is_recorded_and_an_interrupted_run_may_go_on(tmp_path, error, status):
    with pytest.raises(type(error)), Clock().recording(tmp_path, FITTING):
        raise error
    assert recorded(tmp_path)["status"] == status
    assert recorded(tmp_path)["error"] == ("ValueError: boom" if status == "failed" else None)


def test_each_code_that_a_run_was_trained_with_is_recorded_once(tmp_path, monkeypatch):
    for code in ("sr 1", "sr 1", "sr 2", "sr 1"):
        monkeypatch.setattr(module, "told", lambda code=code: code)
        with Clock().recording(tmp_path, FITTING):
            pass
    assert recorded(tmp_path)["code"] == ["sr 1", "sr 2"]
    monkeypatch.setattr(module, "told", lambda: "sr 3")
    with Clock().recording(tmp_path, FITTING, {"global_step": 7}):
        pass  # measured again, not trained
    assert recorded(tmp_path)["code"] == ["sr 1", "sr 2"]
    assert told().startswith(f"sr {sr.__version__}") and f"torch {torch.__version__.partition('+')[0]}" in told()


def test_a_finished_run_stays_so_where_no_step_is_done(tmp_path):
    with Clock().recording(tmp_path, FITTING) as facts:
        facts["objective"] = 31.5
    before = (tmp_path / "run.json").read_text()
    for error in (ValueError("refused"), KeyboardInterrupt()):
        with pytest.raises(type(error)), Clock().recording(tmp_path, FITTING, {"global_step": 7}):
            raise error
        assert (tmp_path / "run.json").read_text() == before
    with pytest.raises(ValueError), Clock().recording(tmp_path, FITTING, {"global_step": 6}):
        raise ValueError("boom")
    assert recorded(tmp_path)["status"] == "failed"


def test_where_the_end_cannot_be_recorded_the_error_is_that_of_the_run(tmp_path, monkeypatch, caplog):
    """Whoever reads the run sees by its lock that nothing runs it."""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with pytest.raises(ValueError, match="boom"), Clock().recording(tmp_path, FITTING):
        monkeypatch.setattr(module, "record", full)
        raise ValueError("boom")
    assert recorded(tmp_path)["status"] == "running" and "run.json still says running: [Errno 28]" in caplog.text
