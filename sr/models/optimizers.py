"""Optimizers in the form that suits a device: fused on a GPU, with learning rates that a CUDA graph can read."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from sr.errors import UserError


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
        if "capturable" in group and not optimizer.defaults["capturable"]:
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

    Groups have their numbers but for the time of a step, so that schedules and checkpoints know nothing of it.

    Args:
        optimizer: that `suit` has seen.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.groups = [
            group
            for group in optimizer.param_groups
            if group.get("fused") and group["params"] and group["params"][0].device.type == "cuda"
        ]
        self.tensors = [torch.zeros((), device=group["params"][0].device) for group in self.groups]
        self._filled = [0.0 for _ in self.groups]

    def fill(self) -> None:
        """Take over the groups' numbers; outside a graph."""
        for n, (group, tensor) in enumerate(zip(self.groups, self.tensors, strict=True)):
            if group["lr"] != self._filled[n]:
                self._filled[n] = float(group["lr"])
                tensor.fill_(self._filled[n])

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
