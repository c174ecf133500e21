"""Budgets as users type them: real runs that are timed, or cut to a few steps."""

import csv
import time

import pytest
import torch
from small_runs import SMALL, saved


def test_a_seconds_budget_keeps_its_factor_across_a_resume(command, div2k, tmp_path, monkeypatch):
    from sr.training import budget, timing

    monkeypatch.setattr(timing, "step_seconds", lambda *_: 30.0)
    typed = ["model=ecbsr_m4c8", "data=div2k", f"data.root={div2k}", "scale=2", "budget=minutes", "benchmarks=[]",
             "callbacks=[]", "patch_size=8", "batch_size=2"]  # fmt: skip
    first = command("train.py", *typed)
    assert first.code == 0, first
    steps = saved(first.folder)["global_step"]
    assert steps == int(budget.SHARE * 300 / 30)
    monkeypatch.setattr(timing, "step_seconds", lambda *_: pytest.fail("timed again"))
    again = command("train.py", f"resume={first.folder}")
    assert again.code == 0 and f"this run is complete: {steps} steps" in again.out, again


def test_steps_are_timed_as_they_are_taken_and_nothing_is_left_of_it(command, div2k, tmp_path, monkeypatch):
    from sr.models.stepping import Stepper
    from sr.training import timing

    monkeypatch.setattr(timing, "LEAST", 0.1)
    timed, take, found = timing.step_seconds, Stepper.take, []

    def watched(cfg, model, data):
        steps, batches = [], []
        monkeypatch.setattr(
            Stepper, "take", lambda self, b: (take(self, b), batches.append(self.model.batches_seen))[0]
        )
        monkeypatch.setattr(timing.Pace, "after_batch", lambda self, trainer, *a: (steps.append(trainer.global_step),
                                                                                 after(self, trainer, *a)))  # fmt: skip
        found.append(timed(cfg, model, data))
        assert len(set(steps)) >= 8 and len(batches) < len(steps) == batches[-1], "several at once"
        assert data.trainer is None and model.batches_seen == 0
        return found[0]

    after = timing.Pace.after_batch
    monkeypatch.setattr(timing, "step_seconds", watched)
    typed = ["train.py", "model=ecbsr_m4c8", "data=div2k", f"data.root={div2k}", "scale=2", "budget=minutes",
             "budget.seconds=0.2", "benchmarks=[]", "patch_size=8", "batch_size=4", "accumulate=2"]  # fmt: skip
    first = command(*typed, folder="first")
    assert first.code == 0 and 0 < found[0] < 5, first
    monkeypatch.setattr(timing, "step_seconds", lambda *_: found[0])
    again = command(*typed, folder="again")
    assert again.code == 0, again
    one, other = (saved(run.folder)["state_dict"] for run in (first, again))
    assert all(torch.equal(value, other[key]) for key, value in one.items())


def test_each_run_of_a_sweep_is_timed_for_itself(command, div2k, monkeypatch):
    from sr.training import budget, timing

    seconds = iter([30.0, 15.0])
    monkeypatch.setattr(timing, "step_seconds", lambda *_: next(seconds))
    outcome = command("train.py", "-m", "model=ecbsr_m4c8,ecbsr_m4c16", "data=div2k", f"data.root={div2k}", "scale=2",
                      "budget=minutes", "benchmarks=[]", "callbacks=[]", "patch_size=8", "batch_size=2")  # fmt: skip
    assert outcome.code == 0, outcome
    steps = [saved(next(outcome.folder.glob(f"{model}_????????")))["global_step"] for model in
             ("ecbsr_m4c8", "ecbsr_m4c16")]  # fmt: skip
    assert steps == [int(budget.SHARE * 300 / s) for s in (30, 15)]


@pytest.mark.slow
def test_the_timed_budget_ends_near_its_time(command, div2k):
    began = time.monotonic()
    outcome = command("train.py", "model=ecbsr_m4c8", "data=div2k", f"data.root={div2k}", "scale=2", "budget=minutes",
                      "budget.seconds=30", "benchmarks=[]", "callbacks=[]", "patch_size=32")  # fmt: skip
    assert outcome.code == 0, outcome
    assert 15 < time.monotonic() - began < 90


def test_a_smoke_run_measures_a_few_images_and_their_middle(command, div2k, photos):
    photos(div2k / "DIV2K_valid_HR", 2, height=300, width=280, first=890)
    typed = ["train.py", *SMALL[:-2], "data=div2k", f"data.root={div2k}", "budget=smoke", "callbacks=[]"]
    few = command(*typed, "benchmarks=null", "budget.test_images=4")
    assert few.code == 0, few
    with (few.folder / "results.csv").open(newline="") as f:
        found = {(r["dataset"], r["images"]) for r in csv.DictReader(f)}
    assert found == {("DIV2K middle 256", "4")}
    none = command(*typed, "benchmarks=[]", folder="none")
    assert none.code == 0 and "no test set was found" not in none.out + none.err, none
