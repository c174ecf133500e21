"""The bar of a run, where nobody watches it: some lines of a log."""

from types import SimpleNamespace

from lightning.pytorch.callbacks import TQDMProgressBar

from sr.callbacks import Progress, progress
from sr.metrics.metric import get_metrics
from sr.metrics.protocols import get_protocol


def test_a_log_without_a_terminal_holds_lines_and_no_carriage_returns(command):
    typed = ["model=ecbsr_m4c8", "scale=2", "budget=smoke", "callbacks=[]", "budget.steps=8"]
    outcome = command("train.py", *typed)
    assert outcome.code == 0 and "\r" not in outcome.out + outcome.err and "\x1b" not in outcome.out, outcome
    bar = [line for line in outcome.out.splitlines() if line.startswith("train:")]
    assert 3 <= len(bar) <= 25 and "8/8" in bar[-1] and "loss=" in bar[-1], bar


def test_the_first_share_of_waiting_is_told_as_it_is(monkeypatch):
    monkeypatch.setattr(TQDMProgressBar, "on_train_batch_end", lambda *_: None)
    monkeypatch.setattr(TQDMProgressBar, "on_train_batch_start", lambda *_: None)
    now, told = [0.0], {}
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    model = SimpleNamespace(
        stepper=SimpleNamespace(waited=0.0), log=lambda name, value, **_: told.update({name: value})
    )
    bar = Progress(batches=10)
    for waited in (0.0, 3.0, 3.0):
        bar.on_train_batch_start(None, model)
        now[0] += 4.0
        model.stepper.waited = waited
        bar.on_train_batch_end(None, model, None, None, 0)
    assert told["train/data_wait"] == 0.75


def test_a_figure_has_no_digit_that_is_none(monkeypatch):
    """32.2449 was told as 32.20, and 32.2501 as 32.30."""
    setup = SimpleNamespace(protocol=get_protocol("y"), metrics=get_metrics(["psnr", "ssim"]))
    for psnr, told in ((32.2449, "32.24"), (32.2501, "32.25")):
        logged = {"v_num": 3, "train/loss": 9.84, "val/psnr_y": psnr, "val/ssim_y": 0.81044}
        monkeypatch.setattr(TQDMProgressBar, "get_metrics", lambda *_, logged=logged: dict(logged))
        found = Progress(1).get_metrics(None, SimpleNamespace(training_setup=setup))
        assert found == {"loss": "9.84", "psnr_y": told, "ssim_y": "0.8104"}
