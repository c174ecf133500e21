"""Seconds beside validations."""

from types import SimpleNamespace

import pytest

from sr.callbacks import stopwatch as module
from sr.callbacks.stopwatch import Stopwatch


class Told(list):
    def log_metrics(self, values, step):
        self.append((step, values["time/seconds"], values["time/cpu_seconds"]))


@pytest.fixture
def passing(monkeypatch):
    """passing(seconds, cpu) lets time go by; the process is 7 CPU seconds old at first."""
    now = [100.0, 7.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0], process_time=lambda: now[1]))

    def go(seconds, cpu):
        now[:] = now[0] + seconds, now[1] + cpu

    return go


def fitting(step=10):
    return SimpleNamespace(state=SimpleNamespace(fn="fit"), sanity_checking=False, global_step=step, loggers=[Told()])


def test_start_and_steps_count_and_validations_do_not(passing):
    watch, trainer = Stopwatch(), fitting()
    watch.on_train_start(trainer, None)
    for n in range(2):
        passing(4, 2)
        if n:
            watch.on_train_end(trainer, None)  # the next stage
            passing(1, 1)
            watch.on_train_start(trainer, None)
        watch.on_validation_start(trainer, None)
        passing(30, 20)
        watch.on_validation_end(trainer, None)
    assert trainer.loggers[0] == [(9, 4.0, 9.0), (9, 8.0, 11.0)]
    state = watch.state_dict()
    passing(2, 1)
    assert watch.state_dict() == {"seconds": 10.0, "cpu_seconds": 12.0} and state["cpu_seconds"] == 11.0
    resumed, trainer = Stopwatch(), fitting(20)
    resumed.load_state_dict(state)
    passing(0, -53)  # another process, which is 0 CPU seconds old
    resumed.on_train_start(trainer, None)
    passing(1, 0.5)
    resumed.on_validation_start(trainer, None)
    resumed.on_validation_end(trainer, None)
    assert trainer.loggers[0] == [(19, 9.0, 11.5)]
