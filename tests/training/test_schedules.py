"""Schedules against closed forms written here, resumed in the middle, and as their configs make them."""

import io
import math
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, MultiStepLR, StepLR

from sr.compose import schema
from sr.errors import UserError
from sr.models.optimizers import AHEAD, Rates
from sr.models.watch import Watch
from sr.training.schedules import CosineRestarts, Cyclical, warm_up

CONF = Path(__file__).resolve().parents[2] / "conf"
RATES = (1e-3, 2e-5)  # of the two parameter groups


def optimizer() -> torch.optim.Adam:
    return torch.optim.Adam([{"params": [nn.Parameter(torch.ones(1))], "lr": lr} for lr in RATES])


def rates(schedule, steps: int, opt: torch.optim.Optimizer | None = None) -> list[tuple[float, ...]]:
    """What each group's step is taken with, for `steps` steps; `schedule` takes the optimizer."""
    opt = opt or optimizer()
    scheduler = schedule(opt)
    seen = []
    for _ in range(steps):
        seen.append(tuple(group["lr"] for group in opt.param_groups))
        opt.step()
        scheduler.step()
    return seen


def restarting(optimizer):
    return CosineRestarts(optimizer, [4, 6], [1, 0.5], eta_min=1e-7)


def cycling(optimizer):
    return Cyclical(optimizer, period=7, step_size=3, gamma=0.5)


def warmed(optimizer):
    return warm_up(optimizer, partial(StepLR, step_size=4, gamma=0.1), warm_up_steps=5, start_factor=0.2)


def test_cosine_with_restarts_by_hand():
    """Starts, middles and ends of both periods, and what follows the last one."""
    seen = rates(restarting, 13)
    for group, lr in enumerate(RATES):
        low = 1e-7
        by_hand = {
            0: lr,
            2: low + (lr - low) / 2,
            3: low + (lr - low) * (1 - math.sqrt(0.5)) / 2,
            4: low + 0.5 * (lr - low),  # restarts at half the rate
            7: low + 0.25 * (lr - low),
            10: low,
            12: low,
        }
        assert {n: seen[n][group] for n in by_hand} == pytest.approx(by_hand, rel=1e-12)


def test_one_period_is_torchs_cosine():
    ours = rates(lambda o: CosineRestarts(o, [9], eta_min=1e-6), 9)
    theirs = rates(lambda o: CosineAnnealingLR(o, 9, eta_min=1e-6), 9)
    for a, b in zip(ours, theirs, strict=True):
        assert a == pytest.approx(b, rel=1e-9)


def test_the_cycle_repeats_the_rates_of_one_stage():
    stage = rates(lambda o: StepLR(o, 3, 0.5), 7)
    seen = rates(cycling, 16)
    for n, now in enumerate(seen):
        assert now == pytest.approx(stage[n % 7], rel=1e-12)
    assert [r[0] for r in seen[:8]] == [1e-3, 1e-3, 1e-3, 5e-4, 5e-4, 5e-4, 2.5e-4, 1e-3]


def test_warm_up_rises_in_a_straight_line_and_then_the_other_schedule_begins():
    seen = rates(warmed, 16)
    for group, lr in enumerate(RATES):
        rising = [lr * (0.2 + 0.8 * n / 5) for n in range(5)]
        falling = [lr * 0.1 ** (n // 4) for n in range(11)]
        assert [r[group] for r in seen] == pytest.approx(rising + falling, rel=1e-12)


@pytest.mark.parametrize(
    "then",
    [
        restarting,
        cycling,
        partial(CosineAnnealingLR, T_max=8),
        partial(MultiStepLR, milestones=[2, 5]),
        partial(LambdaLR, lr_lambda=lambda n: 0.9**n),
    ],
)
def test_any_schedule_may_follow_the_warm_up(then):
    after = rates(lambda o: warm_up(o, then, 3), 12)[3:]
    for a, b in zip(after, rates(then, 9), strict=True):
        assert a == pytest.approx(b, rel=1e-9)


def test_no_warm_up_is_the_other_schedule_alone():
    assert rates(lambda o: warm_up(o, cycling, 0), 9) == rates(cycling, 9)


@pytest.mark.parametrize("schedule", [restarting, cycling, warmed, lambda o: warm_up(o, restarting, 6)])
@pytest.mark.parametrize("stop", [1, 4, 5, 6, 8])
def test_a_resumed_schedule_goes_on_with_the_same_rates(schedule, stop):
    whole = rates(schedule, 14)
    opt = optimizer()
    scheduler = schedule(opt)
    for _ in range(stop):
        opt.step()
        scheduler.step()
    file = io.BytesIO()
    torch.save({"optimizer": opt.state_dict(), "scheduler": scheduler.state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)  # as checkpoints are read: plain values only

    opt = optimizer()
    scheduler = schedule(opt)
    opt.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    assert rates(lambda _: scheduler, 14 - stop, opt) == whole[stop:]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda o: CosineRestarts(o, []), "periods"),
        (lambda o: CosineRestarts(o, [4, 0]), "periods"),
        (lambda o: CosineRestarts(o, [4, 4], [1.0]), "one weight for each period"),
        (lambda o: Cyclical(o, 0, 3), "period"),
        (lambda o: Cyclical(o, 3, 0), "step_size"),
        (lambda o: warm_up(o, cycling, -1), "warm_up_steps"),
        (lambda o: warm_up(o, cycling, 3, 0.0), "start_factor"),
    ],
)
def test_wrong_numbers_are_refused(make, word):
    with pytest.raises(UserError, match=word):
        make(optimizer())


# ---- as configs ---------------------------------------------------------------------------------------------


def configured(*typed: str):
    schema.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(overrides=["+steps=40", *typed])
    return instantiate(cfg.scheduler, _convert_="all")


@pytest.mark.parametrize("name", sorted(p.stem for p in (CONF / "scheduler").glob("*.yaml")))
def test_every_config_makes_a_schedule(name):
    seen = rates(configured(f"+scheduler={name}"), 3)
    assert all(0 <= rate <= lr * (1 + 1e-9) for step in seen for rate, lr in zip(step, RATES, strict=True))


def test_a_schedule_begins_with_the_full_rate_unless_it_warms_up():
    for name in ("constant", "cosine", "cosine_restarts", "cyclical", "halve", "multistep", "warm_up"):
        begin = rates(configured(f"+scheduler={name}"), 3)[0]
        assert begin == pytest.approx([1e-3 * lr for lr in RATES] if name == "warm_up" else RATES)


def test_what_follows_the_warm_up_is_chosen_by_name():
    made = configured("+scheduler=warm_up", "scheduler@scheduler.then=cosine", "scheduler.warm_up_steps=2")
    after = rates(made, 8)[2:]
    for a, b in zip(after, rates(lambda o: CosineAnnealingLR(o, 40, eta_min=1e-7), 6), strict=True):
        assert a == pytest.approx(b, rel=1e-9)


def test_edvrs_schedule_with_tsa():
    """Periods of 50k, 100k and three times 150k, weights 1 and then 0.5; shortened 10,000 times."""
    made = configured(
        "+scheduler=cosine_restarts", "scheduler.periods=[5,10,15,15,15]", "scheduler.restart_weights=[1,.5,.5,.5,.5]"
    )
    seen = [r[0] for r in rates(made, 60)]
    assert [seen[n] for n in (0, 5, 15, 30, 45)] == pytest.approx([1e-3, *[5.0005e-4] * 4], rel=1e-9)
    assert all(a >= b for n, (a, b) in enumerate(pairwise(seen), 1) if n not in (5, 15, 30, 45))


# ---- on a device, where a CUDA graph reads them -------------------------------------------------------------


class Odd(LRScheduler):
    """A schedule that wants more of its optimizer than rates."""

    def get_lr(self):
        return [1 / (1 + self.last_epoch + len(group["params"])) for group in self.optimizer.param_groups]


def test_rates_that_are_foreseen_draw_nothing():
    opt = optimizer()
    rates = Rates(opt, LambdaLR(opt, lambda _: float(torch.rand(()))))
    rates._hold(opt.param_groups)
    torch.manual_seed(0)
    rates.foresee()
    assert float(torch.rand(())) == float(torch.manual_seed(0) and torch.rand(()))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", [*(p.stem for p in (CONF / "scheduler").glob("*.yaml")), "odd"])
def test_the_rates_of_a_graph_are_those_of_the_schedule(name, monkeypatch):
    opt = optimizer()
    schedule = (Odd if name == "odd" else configured(f"+scheduler={name}"))(opt)
    given = Rates(opt, schedule)
    given._hold(opt.param_groups)
    written, ahead = [], given._next
    monkeypatch.setattr(given, "_next", lambda: written.append(made := ahead()) or made)
    for step in range(150):
        given.foresee()
        with Watch("cpu") as watch:
            given.take()
        assert watch.found == ""
        assert [float(x) for x in given.tensors] == pytest.approx([g["lr"] for g in opt.param_groups], rel=1e-6)
        opt.step()
        schedule.step()
        if step == 99:  # what somebody sets counts
            opt.param_groups[1]["lr"] = 0.5
    assert len(written) == (150 if name == "odd" else 3) and all(len(rows) <= AHEAD for rows in written)
