"""Several optimizer steps in one of Lightning's, whose hooks and counts cost as much as a small network's step."""

import time
from contextlib import nullcontext
from inspect import signature
from typing import TYPE_CHECKING, Any

import lightning.pytorch as L
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor

from sr.losses.distributed import average_gradients

if TYPE_CHECKING:
    from sr.models.loops import TrainingLoops

SLICE = 0.5  # seconds after which Lightning has its turn: bars, logs, signals, clocks
# What others may hang into a step, and is not called here.
CALLBACK_HOOKS = (
    "on_train_batch_start", "on_train_batch_end", "on_before_backward", "on_after_backward", "on_before_zero_grad",
)  # fmt: skip
MODEL_HOOKS = (
    *CALLBACK_HOOKS, "on_before_optimizer_step", "optimizer_step", "optimizer_zero_grad", "backward", "manual_backward",
    "configure_gradient_clipping", "lr_scheduler_step",
)  # fmt: skip

TRANSFER_HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


class EachBatch(L.Callback):
    """A callback that acts on every micro-batch, also where Lightning sees only every so many."""

    def before_batch(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        """Called before each."""

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
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        ours = isinstance(callback, EachBatch) or type(callback).__module__.startswith("sr.")
        if not ours and (hook := next((h for h in CALLBACK_HOOKS if is_overridden(h, callback, L.Callback)), None)):
            return f"{type(callback).__name__} has the hook {hook}"
    optimizer = getattr(model.training_setup.optimizer, "func", model.training_setup.optimizer)
    closure = signature(optimizer.step).parameters.get("closure") if hasattr(optimizer, "step") else None
    if closure is not None and closure.default is closure.empty:
        return f"{getattr(optimizer, '__name__', optimizer)} computes the loss again within its step"
    from sr.models.loops import TrainingLoops

    if hook := next((h for h in (*MODEL_HOOKS, "training_step") if _changed(h, model, TrainingLoops)), None):
        return f"{type(model).__name__} has a {hook} of its own"
    return ""


def _changed(hook: str, model: Any, base: type) -> bool:
    return getattr(type(model), hook) is not getattr(base, hook)


def count_alike(checkpoint: dict[str, Any]) -> None:
    """Lightning counts automatic and manual optimization's steps apart, and a run may go on with the other."""
    loop = checkpoint["loops"]["fit_loop"]
    automatic = loop["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"]
    for count in (automatic, loop["epoch_loop.manual_optimization.optim_step_progress"]):
        count["total"]["completed"] = checkpoint["global_step"]


class Stepper:
    """Takes optimizer steps until Lightning is needed: at an interval's end, at the stage's, or when time is up.

    What Lightning counts is exact at every moment, and so are checkpoints, logs and a resume, whatever the number of
    steps at once. The steps are the same to the last bit.

    Args:
        model: that is trained; its `updates` say what one batch does.
        trainer: that it is trained by.
        most: greatest number of steps at once; None for as many as `SLICE` holds.
        alone: Lightning must see each micro-batch, and the optimizers are stepped through it.
    """

    def __init__(self, model: "TrainingLoops", trainer: L.Trainer, most: int | None, alone: bool) -> None:
        self.model, self.trainer, self.most, self.alone = model, trainer, most, alone
        setup = model.training_setup
        self.accumulate, self.adversary = setup.accumulate, setup.adversary
        optimizers: Any = model.optimizers(use_pl_optimizer=alone)
        self.optimizers: list[Any] = optimizers if isinstance(optimizers, list) else [optimizers]
        self.schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        self.callbacks = [c for c in trainer.callbacks if isinstance(c, EachBatch)]  # type: ignore[attr-defined]
        self.before_step = [
            c
            for c in trainer.callbacks  # type: ignore[attr-defined]
            if is_overridden("on_before_optimizer_step", c, L.Callback)
        ]
        mixed = isinstance(trainer.precision_plugin, MixedPrecision)
        self.device_type = trainer.strategy.root_device.type if mixed else None
        self.transfer = [self._batch_hook(name) for name in TRANSFER_HOOKS]
        self.waited = 0.0  # seconds for data, since they were last taken note of

    def take(self, batch: Any) -> Tensor:
        """Train on a micro-batch and, where Lightning need not see them, on those that follow.

        Returns:
            The loss of the last one, without gradients.
        """
        until, room, steps = time.perf_counter() + SLICE, self._room(), 0
        loss = self._train(batch)
        seen = 1
        while not self.alone:
            if self.model.batches_seen % self.accumulate == 0:
                steps += 1
                if steps >= room or (self.most is None and time.perf_counter() > until):
                    break
            if (more := self._next()) is None:
                break
            loss = self._train(more)
            seen += 1
        if seen > 1:
            self._count(seen - 1, steps - 1)
        if (results := self.trainer._results) is not None:
            results.batch = None  # else each value that is logged looks at each name of it
        return loss

    def _room(self) -> int:
        """Optimizer steps, at least one, until something is due that Lightning does."""
        if self.alone:
            return 1
        trainer, loop = self.trainer, self.trainer.fit_loop.epoch_loop
        step, every = trainer.global_step, trainer.log_every_n_steps  # type: ignore[attr-defined]
        rooms = [trainer.max_steps - step if trainer.max_steps >= 0 else None, self.most]
        rooms += [c.room(step) for c in self.callbacks]
        rooms.append(every - loop._batches_that_stepped % every if every else None)
        interval = trainer.val_check_batch
        if isinstance(interval, int):  # of micro-batches, this one counted as ready already
            rooms.append((interval - loop.total_batch_idx % interval) // self.accumulate)
        return max(1, min((room for room in rooms if room is not None), default=1))

    def _next(self) -> Any:
        """The next micro-batch on the device, or None where the data end."""
        fetcher = self.trainer.fit_loop._data_fetcher
        assert fetcher is not None
        if fetcher.done:
            return None
        began = time.perf_counter()
        try:
            batch, _, _ = next(fetcher)
        except StopIteration:
            return None
        self.waited += time.perf_counter() - began
        self.trainer.fit_loop.epoch_loop.batch_progress.is_last_batch = fetcher.done
        if getattr(getattr(batch, "lr", None), "dtype", None) != torch.uint8:  # bytes are no floats to convert
            batch = self.trainer.precision_plugin.convert_input(batch)
        before, to_device, after = self.transfer
        return after(to_device(before(batch, 0), self.trainer.strategy.root_device, 0), 0)

    def _batch_hook(self, name: str) -> Any:
        """The data module's, if it has one of its own, else the model's: as Lightning chooses, each time anew."""
        data = getattr(self.trainer, "datamodule", None)
        own = data is not None and is_overridden(name, data, L.LightningDataModule)
        return getattr(data if own else self.model, name)

    def _count(self, batches: int, steps: int) -> None:
        """Tell Lightning of the micro-batches and steps that it has not seen."""
        loop = self.trainer.fit_loop.epoch_loop
        loop._batches_that_stepped += steps
        for tracker in (loop.batch_progress.total, loop.batch_progress.current):
            for name in ("ready", "started", "processed", "completed"):
                setattr(tracker, name, getattr(tracker, name) + batches)

    def _train(self, batch: Any) -> Tensor:
        """One micro-batch; the last one of a step takes the step."""
        model = self.model
        for callback in self.callbacks:
            callback.before_batch(self.trainer, model)
        model.batches_seen += 1
        model.batch_losses = {}
        step_now = model.batches_seen % self.accumulate == 0
        loss = torch.zeros(())
        for player, terms in model.updates(batch):
            total = torch.stack(list(terms.values())).sum()
            model.remember(player, total, terms)
            if player == 0:
                loss = total.detach()
            with self._backward():
                if self.alone:
                    model.manual_backward(total / self.accumulate)
                else:
                    (total / self.accumulate if self.accumulate > 1 else total).backward()
            if player != 0:
                average_gradients(self.adversary.discriminator)
            if step_now:
                self._step(self.optimizers[player], counts=player == 0)
        if step_now:
            for scheduler in self.schedulers:
                scheduler.step()
        for callback in self.callbacks:
            callback.after_batch(self.trainer, model, batch)
        return loss

    def _backward(self) -> Any:
        """Autocast is for the forward pass: Lightning leaves it before it goes backward."""
        return nullcontext() if self.device_type is None else torch.autocast(self.device_type, enabled=False)

    def _step(self, optimizer: Any, counts: bool) -> None:
        model = self.model
        if self.alone:
            if not counts:  # Lightning would take it for a step of the run, which is one of the network's
                optimizer._on_before_step = optimizer._on_after_step = lambda: None
            optimizer.step()
            optimizer.zero_grad()
            return
        for callback in self.before_step:
            callback.on_before_optimizer_step(self.trainer, model, optimizer)
        model.on_before_optimizer_step(optimizer)
        with self._backward():
            optimizer.step()
        optimizer.zero_grad()
        if self.device_type is not None:
            torch.clear_autocast_cache()  # of the weights as they were before the step
        if counts:
            progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
            progress.increment_ready()
            progress.increment_completed()
