"""What may hang into a training step, and whether that keeps it from being taken in its quickest form."""

from collections.abc import Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

import lightning.pytorch as L
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden

from sr.models import graph

if TYPE_CHECKING:
    from sr.models.loops import TrainingLoops

# What others may hang into a step, and is not called here.
CALLBACK_HOOKS = (
    "on_train_batch_start", "on_train_batch_end", "on_before_backward", "on_after_backward", "on_before_zero_grad",
)  # fmt: skip
MODEL_HOOKS = (
    *CALLBACK_HOOKS, "on_before_optimizer_step", "optimizer_step", "optimizer_zero_grad", "backward", "manual_backward",
    "configure_gradient_clipping", "lr_scheduler_step",
)  # fmt: skip


class EachBatch(L.Callback):
    """A callback that acts on every micro-batch, also where Lightning sees only every so many."""

    def before_batch(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        """Called before each."""

    def within_step(self) -> None:
        """Called at the end of each optimizer step that may be a CUDA graph: work on the device, none of Python's."""

    def after_batch(self, trainer: L.Trainer, model: L.LightningModule, batch: Any) -> None:
        """Called after each, and after the optimizer step if it was the last one of a step."""

    def room(self, step: int) -> int | None:
        """Optimizer steps until this callback's own Lightning hooks are wanted; None: no matter."""
        return None

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        if not steps_itself(pl_module):
            self.before_batch(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        if not steps_itself(pl_module):
            self.after_batch(trainer, pl_module, batch)


def steps_itself(model: Any) -> bool:
    """Whether a model calls `EachBatch` callbacks by itself."""
    return getattr(model, "stepper", None) is not None


def one_at_a_time(trainer: L.Trainer, model: "TrainingLoops") -> str:
    """Why Lightning must see each step; empty where it need not."""
    if not isinstance(trainer.strategy, SingleDeviceStrategy) or trainer.world_size > 1:
        return "several processes"
    if getattr(trainer.precision_plugin, "scaler", None) is not None:
        return "16-bit gradients are scaled"
    if found := _strange(trainer, CALLBACK_HOOKS):
        return found
    optimizer = getattr(model.training_setup.optimizer, "func", model.training_setup.optimizer)
    if needs_closure(optimizer):
        return f"{getattr(optimizer, '__name__', optimizer)} computes the loss again within its step"
    from sr.models.loops import TrainingLoops

    if hook := next((h for h in (*MODEL_HOOKS, "training_step") if _changed(h, model, TrainingLoops)), None):
        return f"{type(model).__name__} has a {hook} of its own"
    return ""


def needs_closure(optimizer: Any) -> bool:
    """Whether an optimizer, or a class of such, says that it computes the loss again within its step."""
    closure = signature(optimizer.step).parameters.get("closure") if hasattr(optimizer, "step") else None
    return closure is not None and closure.default is closure.empty


def _changed(hook: str, model: Any, base: type) -> bool:
    return getattr(type(model), hook) is not getattr(base, hook)


def why_no_graph(trainer: L.Trainer, model: "TrainingLoops", optimizers: Sequence[torch.optim.Optimizer]) -> str:
    """Why a whole step, taken by the model itself, cannot be one CUDA graph; empty as far as nothing speaks against it.

    A graph repeats what was done on the device, and no Python.
    """
    device = trainer.strategy.root_device
    if graph.capture_for(device) is None:
        return f"the device is {device.type}"
    if reason := model.no_graph or _strange(trainer, ("on_before_optimizer_step",)):
        return reason
    modules = [*model.modules(), *model.loss.modules()]
    if found := next((m for m in modules if m._forward_hooks or m._forward_pre_hooks or m._backward_hooks), None):
        return f"{type(found).__name__} has hooks of its own"
    for optimizer in optimizers:
        if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
            return f"{type(optimizer).__name__} has hooks of its own"
        if device.type == "cuda" and not all(group.get("fused") for group in optimizer.param_groups):
            return f"{type(optimizer).__name__} is not fused"
    return ""


def _strange(trainer: L.Trainer, hooks: Sequence[str]) -> str:
    """The first of some hooks that a callback of somebody else's has."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        base = EachBatch if isinstance(callback, EachBatch) else L.Callback
        ours = type(callback).__module__.startswith("sr.")
        if not ours and (hook := next((h for h in hooks if is_overridden(h, callback, base)), None)):
            return f"{type(callback).__name__} has the hook {hook}"
    return ""
