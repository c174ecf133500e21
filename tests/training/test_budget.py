"""One factor for every step count of a recipe."""

import logging

import torch
from omegaconf import OmegaConf
from torch import nn

from sr.data.batch import Batch
from sr.losses import WeightedSum
from sr.metrics.protocols import get_protocol
from sr.models.base import Training
from sr.models.edsr import EDSR
from sr.training import budget


def recipe(**changes):
    cfg = {
        "steps": 1000,
        "val_every_steps": 100,
        "batch_size": 16,
        "patch_size": 48,
        "accumulate": 1,
        "scale": 2,
        "hr_patch_size": None,
        "init_from": None,
        "optimizer_state": "fresh",
        "budget": {"name": "test", "seconds": None, "steps": None, "max_batch": None, "smallest_patch": False}
        | {"factor": None, "validations": None},
        "scheduler": {"milestones": [250, 500, 750], "T_max": "${steps}", "gamma": 0.5},
        "callbacks": {"ema": {"decay": 0.999, "update_starting_at_step": 200}, "off": {"at_step": 0}},
        "stages": {},
        "data": {"steps": 5},
    }
    return OmegaConf.merge(cfg, changes)


TWO = {
    "first": {"steps": 400, "batch_size": 8, "scheduler": {"step_size": 200}},
    "second": {"steps": 600, "patch_size": 96, "scheduler": {"periods": [300, 150, 150]}},
}


def test_every_step_count_is_scaled_together():
    cfg = recipe(stages=TWO)
    cfg = budget.rescaled(cfg, 0.1, typed=set())
    assert (cfg.steps, cfg.val_every_steps, cfg.scheduler.T_max) == (100, 10, 100)
    assert list(cfg.scheduler.milestones) == [25, 50, 75]
    assert [s.steps for s in cfg.stages.values()] == [40, 60]
    assert cfg.stages.first.scheduler.step_size == 20 and cfg.stages.second.scheduler.periods == [30, 15, 15]
    assert cfg.callbacks.ema.update_starting_at_step == 20 and cfg.callbacks.off.at_step == 0
    assert cfg.scheduler.gamma == 0.5 and cfg.data.steps == 5 and cfg.batch_size == 16


def test_counts_stay_positive_and_milestones_apart():
    cfg = recipe()
    cfg = budget.rescaled(cfg, 0.001, typed=set())
    assert cfg.steps == 1 and cfg.val_every_steps == 1
    assert list(cfg.scheduler.milestones) == [1, 2, 3]


def test_smoke_shrinks_batch_and_patch_and_says_so(caplog):
    cfg = recipe(budget={"steps": 4, "max_batch": 2, "smallest_patch": True})
    with caplog.at_level(logging.INFO):
        cfg = budget.shrunk(cfg, EDSR, typed=set())
    assert (cfg.steps, cfg.batch_size, cfg.patch_size) == (4, 2, EDSR.min_patch)
    assert "batch_size 16 -> 2" in caplog.text and "steps 1000 -> 4" in caplog.text


def test_a_budget_is_of_all_stages_together_and_reaches_into_them():
    cfg = recipe(stages=TWO, budget={"steps": 10, "max_batch": 2, "smallest_patch": True})
    cfg = budget.shrunk(cfg, EDSR, typed=set())
    assert [s.steps for s in cfg.stages.values()] == [4, 6] and cfg.val_every_steps == 1
    assert (cfg.stages.first.batch_size, cfg.stages.second.patch_size) == (2, EDSR.min_patch)


def test_a_short_run_validates_a_few_times_not_as_often_as_the_full_one():
    cfg = recipe(steps=100_000, val_every_steps=100, budget={"validations": 10})
    cfg = budget.rescaled(cfg, 0.01, typed=set())
    assert (cfg.steps, cfg.val_every_steps) == (1000, 100)
    cfg = recipe(steps=100_000, val_every_steps=100, budget={"validations": 10})
    cfg = budget.rescaled(cfg, 0.01, typed={"val_every_steps"})
    assert cfg.val_every_steps == 100


def test_typed_keys_win_over_the_budget():
    cfg = recipe(budget={"steps": 4, "max_batch": 2, "smallest_patch": True})
    cfg = budget.shrunk(cfg, EDSR, typed={"steps", "batch_size"})
    assert (cfg.steps, cfg.batch_size, cfg.patch_size) == (1000, 16, EDSR.min_patch)
    assert list(cfg.scheduler.milestones) == [250, 500, 750]


def test_a_known_factor_is_used_again_without_timing():
    first = recipe(budget={"steps": 100})
    first = budget.shrunk(first, EDSR, typed=set())
    again = recipe(budget={"steps": 100, "factor": first.budget.factor})
    again = budget.shrunk(again, EDSR, typed=set())
    assert again.steps == first.steps == 100


def test_a_budget_in_seconds_is_set_from_timed_steps():
    cfg = recipe(budget={"seconds": 60})
    cfg = budget.rescaled(cfg, budget.factor_of_seconds(cfg.budget, [(1000, 0.5)]), typed=set())
    assert cfg.steps == int(budget.SHARE * 60 / 0.5)
    assert int(cfg.budget.factor * 1000) == cfg.steps


def test_stages_that_take_longer_count_for_more():
    cfg = recipe(stages=TWO, budget={"seconds": 100})
    cfg = budget.rescaled(cfg, budget.factor_of_seconds(cfg.budget, [(400, 0.1), (600, 0.4)]), typed=set())
    taken = cfg.stages.first.steps * 0.1 + cfg.stages.second.steps * 0.4
    assert 100 * budget.SHARE - 0.5 < taken <= 100 * budget.SHARE


def test_a_fast_machine_never_trains_longer_than_the_paper():
    cfg = recipe(budget={"seconds": 60})
    cfg = budget.rescaled(cfg, budget.factor_of_seconds(cfg.budget, [(1000, 1e-4)]), typed=set())
    assert cfg.steps == 1000 and cfg.budget.factor == 1


def test_timing_leaves_the_model_as_it_was():
    model = EDSR(scale=2, num_blocks=1, channels=8)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    batch = Batch(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 16, 16), 2, ["a"], [False])
    setup = Training(
        WeightedSum({"l1": {"weight": 1.0, "loss": nn.L1Loss()}}),
        lambda p: torch.optim.SGD(p, 0.1),
        lambda o: torch.optim.lr_scheduler.ConstantLR(o, 1.0, 1),
        get_protocol("y"),
    )
    seconds = budget.step_seconds(model, batch, setup, torch.device("cpu"))
    assert seconds > 0
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
