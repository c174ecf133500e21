"""Learning-rate schedules of the papers that torch does not have.

A rate depends on the step and on its parameter group's own full rate alone, so a resumed run goes on with the same
ones. Steps are optimizer steps, counted from 0 in each stage.
"""

import math
from collections.abc import Callable, Sequence
from itertools import accumulate

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LinearLR, LRScheduler, SequentialLR

from sr.errors import UserError


class CosineRestarts(LRScheduler):
    """Half a cosine over each period, from a share of the full rate down to `eta_min`.

    t steps into period i: eta_min + w_i (lr - eta_min) (1 + cos(pi t / T_i)) / 2; eta_min after the last period.
    The restarts are those of Loshchilov and Hutter, "SGDR" (https://arxiv.org/abs/1608.03983), equation 5; EDVR
    (https://arxiv.org/abs/1905.02716) and MSRResNet were trained with periods and weights given one by one.

    Args:
        periods: T, steps.
        restart_weights: w, one for each period; None for 1 each.
        eta_min: the least learning rate, of every parameter group.

    Raises:
        UserError: a period of no steps, or another number of weights than of periods.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        periods: Sequence[int],
        restart_weights: Sequence[float] | None = None,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.periods = list(periods)
        self.restart_weights = [1.0] * len(self.periods) if restart_weights is None else list(restart_weights)
        self.eta_min = eta_min
        if not self.periods or min(self.periods) < 1:
            raise UserError(f"scheduler.periods={self.periods}: type at least one period, each of 1 step or more")
        if len(self.restart_weights) != len(self.periods):
            raise UserError(
                f"scheduler.restart_weights={self.restart_weights} and scheduler.periods={self.periods} differ in "
                "number: type one weight for each period"
            )
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        share = 0.0
        for end, period, weight in zip(accumulate(self.periods), self.periods, self.restart_weights, strict=True):
            if self.last_epoch < end:
                done = (self.last_epoch - (end - period)) / period
                share = weight * (1 + math.cos(math.pi * done)) / 2
                break
        return [self.eta_min + share * (lr - self.eta_min) for lr in self.base_lrs]


class Cyclical(LRScheduler):
    """The full rate times `gamma` every `step_size` steps, and the full rate again every `period` steps.

    The rates of several warm-started stages in one run that keeps the optimizer's state: the arm "clr" of the
    ablation of warm starts in RLFN (Kong et al., CVPRW 2022, https://arxiv.org/abs/2205.07514).

    Args:
        period: steps of a cycle.
        step_size: steps between two reductions within a cycle.
        gamma: factor of a reduction.

    Raises:
        UserError: a period or a step size of no steps.
    """

    def __init__(
        self, optimizer: Optimizer, period: int, step_size: int, gamma: float = 0.5, last_epoch: int = -1
    ) -> None:
        if period < 1 or step_size < 1:
            raise UserError(f"scheduler.period={period}, scheduler.step_size={step_size}: both count steps, from 1 up")
        self.period, self.step_size, self.gamma = period, step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        factor = self.gamma ** (self.last_epoch % self.period // self.step_size)
        return [factor * lr for lr in self.base_lrs]


def warm_up(
    optimizer: Optimizer, then: Callable[[Optimizer], LRScheduler], warm_up_steps: int, start_factor: float = 1e-3
) -> LRScheduler:
    """A straight line from `start_factor` times the full rate to the full rate, then another schedule.

    Args:
        optimizer: whose learning rates change.
        then: makes the schedule that begins, with its step 0, after the warm-up.
        warm_up_steps: steps before the full rate is reached; 0 for `then` alone.
        start_factor: of the first step, above 0 and up to 1.
    """
    if warm_up_steps < 0 or not 0 < start_factor <= 1:
        raise UserError(
            f"scheduler.warm_up_steps={warm_up_steps}, scheduler.start_factor={start_factor}: the steps are 0 or more, "
            "the factor is above 0 and at most 1"
        )
    if warm_up_steps == 0:
        return then(optimizer)
    ramp = LinearLR(optimizer, start_factor, total_iters=warm_up_steps)
    return SequentialLR(optimizer, [ramp, then(optimizer)], [warm_up_steps])
