"""One factor for every step count of a recipe."""

import logging

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from sr.entry import budget
from sr.losses import WeightedSum
from sr.models.edsr import EDSR


def recipe(**changes):
    cfg = {
        "steps": 1000,
        "val_every_steps": 100,
        "batch_size": 16,
        "patch_size": 48,
        "accumulate": 1,
        "budget": {"name": "test", "seconds": None, "steps": None, "max_batch": None, "smallest_patch": False}
        | {"factor": None, "validations": None},
        "scheduler": {"milestones": [250, 500, 750], "T_max": "${steps}", "gamma": 0.5},
        "stages": [{"steps": 400, "scheduler": {"step_size": 200}}, {"steps": 600, "warmup_steps": 50}],
        "data": {"steps": 5},
    }
    return OmegaConf.merge(cfg, changes)


def test_every_step_count_is_scaled_together():
    cfg = recipe()
    budget.rescale(cfg, 0.1, typed=set())
    assert (cfg.steps, cfg.val_every_steps, cfg.scheduler.T_max) == (100, 10, 100)
    assert list(cfg.scheduler.milestones) == [25, 50, 75]
    assert [s.steps for s in cfg.stages] == [40, 60]
    assert (cfg.stages[0].scheduler.step_size, cfg.stages[1].warmup_steps) == (20, 5)
    assert cfg.scheduler.gamma == 0.5 and cfg.data.steps == 5 and cfg.batch_size == 16


def test_counts_stay_positive_and_milestones_apart():
    cfg = recipe()
    budget.rescale(cfg, 0.001, typed=set())
    assert cfg.steps == 1 and cfg.val_every_steps == 1
    assert list(cfg.scheduler.milestones) == [1, 2, 3]


def test_smoke_shrinks_batch_and_patch_and_says_so(caplog):
    cfg = recipe(budget={"steps": 4, "max_batch": 2, "smallest_patch": True})
    with caplog.at_level(logging.INFO):
        budget.shrink(cfg, EDSR, typed=set())
    assert (cfg.steps, cfg.batch_size, cfg.patch_size) == (4, 2, EDSR.min_patch)
    assert "batch_size 16 -> 2" in caplog.text and "steps 1000 -> 4" in caplog.text


def test_a_short_run_validates_a_few_times_not_as_often_as_the_full_one():
    cfg = recipe(steps=100_000, val_every_steps=100, budget={"validations": 10})
    budget.rescale(cfg, 0.01, typed=set())
    assert (cfg.steps, cfg.val_every_steps) == (1000, 100)
    cfg = recipe(steps=100_000, val_every_steps=100, budget={"validations": 10})
    budget.rescale(cfg, 0.01, typed={"val_every_steps"})
    assert cfg.val_every_steps == 100


def test_typed_keys_win_over_the_budget():
    cfg = recipe(budget={"steps": 4, "max_batch": 2, "smallest_patch": True})
    budget.shrink(cfg, EDSR, typed={"steps", "batch_size"})
    assert (cfg.steps, cfg.batch_size, cfg.patch_size) == (1000, 16, EDSR.min_patch)
    assert list(cfg.scheduler.milestones) == [250, 500, 750]


def test_a_known_factor_is_used_again_without_timing():
    first = recipe(budget={"steps": 100})
    budget.shrink(first, EDSR, typed=set())
    again = recipe(budget={"steps": 100, "factor": first.budget.factor})
    budget.shrink(again, EDSR, typed=set())
    assert again.steps == first.steps == 100


def test_a_budget_in_seconds_is_set_from_timed_steps(monkeypatch):
    monkeypatch.setattr(budget, "step_seconds", lambda *_: 0.5)
    cfg = recipe(budget={"seconds": 60})
    budget.calibrate(cfg, None, None, None, None, None, typed=set())
    assert cfg.steps == int(budget.SHARE * 60 / 0.5)
    assert cfg.budget.factor == pytest.approx(cfg.steps / 1000)


def test_a_fast_machine_never_trains_longer_than_the_paper(monkeypatch):
    monkeypatch.setattr(budget, "step_seconds", lambda *_: 1e-4)
    cfg = recipe(budget={"seconds": 60})
    budget.calibrate(cfg, None, None, None, None, None, typed=set())
    assert cfg.steps == 1000 and cfg.budget.factor == 1


def test_timing_leaves_the_model_as_it_was():
    model = EDSR(scale=2, num_blocks=1, channels=8)
    before = {k: v.clone() for k, v in model.state_dict().items()}

    class Pair:
        lr, hr, scale = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 16, 16), 2

    loss = WeightedSum({"l1": {"weight": 1.0, "loss": nn.L1Loss()}})
    seconds = budget.step_seconds(model, Pair, lambda p: torch.optim.SGD(p, 0.1), loss, torch.device("cpu"))
    assert seconds > 0
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
