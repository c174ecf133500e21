"""Optimizers in the form that suits a device: fused on a GPU, with learning rates that a CUDA graph can read."""

import copy
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from sr.errors import UserError
from sr.memory import sent

AHEAD = 64  # steps whose learning rates lie on a GPU before they are taken


def suit(optimizer: Optimizer, device: torch.device, partial: bool) -> None:
    """Choose what its settings leave open: on a GPU the fused form, which a CUDA graph can hold.

    On a processor nothing is chosen. Checkpoints hold the settings (see `as_set`), so that a run goes on elsewhere.

    Args:
        optimizer: with its state loaded.
        device: that it trains on.
        partial: a step may leave parameters without a gradient.
    """
    for group in optimizer.param_groups:
        if "fused" not in group or optimizer.defaults.get("fused") is not None:
            continue  # there is none, or the user has chosen
        fused = device.type == "cuda" and _can_be_fused(optimizer, group, partial)
        group["fused"] = True if fused else None
        if "capturable" in group and not optimizer.defaults.get("capturable"):
            group["capturable"] = fused
        for state in (optimizer.state[p] for p in group["params"] if p in optimizer.state and fused):
            if isinstance(step := state.get("step"), Tensor):
                state["step"] = step.to(device, torch.float32)  # where the fused form counts
        if fused:  # else torch warns of steps that are taken while no graph is made
            optimizer._warned_capturable_if_run_uncaptured = True


def _can_be_fused(optimizer: Optimizer, group: Mapping[str, Any], partial: bool) -> bool:
    if not isinstance(optimizer, Adam | AdamW | SGD) or group.get("foreach") or group.get("differentiable"):
        return False
    if isinstance(optimizer, SGD) and group["momentum"]:  # which torch wants of all parameters of a step, or of none
        have = {optimizer.state[p].get("momentum_buffer") is not None for p in group["params"] if p.requires_grad}
        if partial or len(have) > 1:
            return False
    return all(p.device.type == "cuda" and p.is_floating_point() for p in group["params"])


def as_set(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Put into an optimizer's state, for a checkpoint, what its settings say in place of what `suit` chose."""
    for group in state["param_groups"]:
        group |= {key: optimizer.defaults[key] for key in ("fused", "capturable") if key in group}


Former = tuple[dict[str, Any], dict[str, Any] | None]


def go_on(optimizers: Sequence[Optimizer], schedules: Sequence[LRScheduler], former: Sequence[Former]) -> None:
    """Give optimizers and their schedules the states of those before, a schedule's None where it begins anew.

    Raises:
        UserError: the parameter groups are others.
    """
    for optimizer, own, (state, schedule) in zip(optimizers, schedules, former, strict=True):
        groups = optimizer.state_dict()["param_groups"] if schedule is None else state["param_groups"]
        try:
            optimizer.load_state_dict({"state": state["state"], "param_groups": groups})
        except ValueError as error:
            raise UserError(f"optimizer_state=kept: the stage's parameter groups are others ({error})") from error
        if schedule is not None:
            own.load_state_dict(schedule)


class Rates:
    """An optimizer's learning rates as tensors on a GPU: a graph reads them anew, where it would repeat a number.

    Groups have their numbers but for the time of a step, so that schedules and checkpoints know nothing of it. Within
    graphs the rates of the next steps lie on the device, and each step takes its own: the host writes once in `AHEAD`.

    Args:
        optimizer: that `suit` has seen.
        schedule: its schedule, which tells the rates of the next steps; None where nobody asks for them.
    """

    def __init__(self, optimizer: Optimizer, schedule: LRScheduler | None = None) -> None:
        self.optimizer, self.schedule = optimizer, schedule
        self._hold([g for g in optimizer.param_groups if g.get("fused") and g["params"] and g["params"][0].is_cuda])

    def _hold(self, groups: list[dict[str, Any]]) -> None:
        self.groups = groups
        self.tensors = [torch.zeros((), device=group["params"][0].device) for group in groups]
        self._filled = [0.0 for _ in groups]
        if groups:
            device = self.tensors[0].device
            self._table = torch.zeros(AHEAD, len(groups), device=device)
            self._row = torch.zeros(1, dtype=torch.int64, device=device)
        self._foreseen: deque[list[float]] = deque()  # the rates of the table's rows from `_row` on

    def fill(self) -> None:
        """Take over the groups' numbers; outside a graph."""
        for n, (group, tensor) in enumerate(zip(self.groups, self.tensors, strict=True)):
            if group["lr"] != self._filled[n]:
                self._filled[n] = float(group["lr"])
                tensor.fill_(self._filled[n])

    def foresee(self) -> None:
        """See to it that `take` takes over the groups' numbers: before each step, outside a graph."""
        if not self.groups:
            return
        if not self._foreseen or self._foreseen[0] != [group["lr"] for group in self.groups]:
            self._foreseen = deque(self._next())
            self._table[: len(self._foreseen)] = sent(torch.tensor(list(self._foreseen)), self._table.device)
            self._row.zero_()
        self._foreseen.popleft()

    def take(self) -> None:
        """Take over the next row; within a graph."""
        if self.groups:
            for tensor, rate in zip(self.tensors, self._table.index_select(0, self._row)[0].unbind(), strict=True):
                tensor.copy_(rate)
            self._row.add_(1)

    def _next(self) -> list[list[float]]:
        """The rates of this step and, if a copy of the schedule can tell, of those that follow it."""
        rows = [[float(group["lr"]) for group in self.groups]]
        places = [n for n, group in enumerate(self.optimizer.param_groups) if any(group is g for g in self.groups)]
        settings = [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]
        stand_in = SimpleNamespace(param_groups=settings, step=self.optimizer.step, _opt_called=True)
        try:
            schedule = copy.deepcopy(self.schedule, {id(self.optimizer): stand_in})
            with torch.random.fork_rng(devices=[]):  # one that draws has drawn nothing yet
                while schedule is not None and len(rows) < AHEAD:
                    schedule.step()
                    rows.append([float(settings[n]["lr"]) for n in places])
        except Exception:  # a schedule of the user's that wants more than the rates: then each step is told by itself
            return rows[:1]
        return rows

    def standing_in(self) -> AbstractContextManager[None]:
        """A context within which the groups have the tensors."""
        return self._exchanged() if self.groups else nullcontext()

    @contextmanager
    def _exchanged(self) -> Iterator[None]:
        numbers = [group["lr"] for group in self.groups]
        try:
            for group, tensor in zip(self.groups, self.tensors, strict=True):
                group["lr"] = tensor
            yield
        finally:
            for group, number in zip(self.groups, numbers, strict=True):
                group["lr"] = number
