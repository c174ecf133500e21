"""Several optimizer steps in one of Lightning's, whose hooks and counts cost as much as a small network's step."""

import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import lightning.pytorch as L
import torch
from lightning.pytorch.core.hooks import DataHooks
from lightning.pytorch.plugins.precision import MixedPrecision
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn

from sr.losses.distributed import average_gradients
from sr.models import graph
from sr.models.bookkeeping import count, log_lightly
from sr.models.hooks import EachBatch, why_no_graph
from sr.models.optimizers import Rates

if TYPE_CHECKING:
    from sr.models.loops import TrainingLoops

log = logging.getLogger(__name__)
SLICE = 0.5  # seconds after which Lightning has its turn: bars, logs, signals, clocks
TRANSFER_HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


class Stepper:
    """Takes optimizer steps until Lightning is needed: at an interval's end, at the stage's, or when time is up.

    What Lightning counts is exact at every moment, and so are checkpoints, logs and a resume, whatever the number of
    steps at once. The steps are the same to the last bit.

    Args:
        model: that is trained; its `updates` say what one batch does.
        trainer: that it is trained by.
        most: greatest number of steps at once; None for as many as `SLICE` holds.
        alone: Lightning must see each micro-batch, and the optimizers are stepped through it.
        graphs: whether a step is one CUDA graph; "auto" where it can be.
    """

    def __init__(
        self, model: "TrainingLoops", trainer: L.Trainer, most: int | None, alone: bool, graphs: bool | str = "auto"
    ) -> None:
        self.model, self.trainer, self.most, self.alone = model, trainer, most, alone
        setup = model.training_setup
        self.accumulate, self.adversary = setup.accumulate, setup.adversary
        optimizers: Any = model.optimizers(use_pl_optimizer=alone)
        self.optimizers: list[Any] = optimizers if isinstance(optimizers, list) else [optimizers]
        self.schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        self.callbacks = [c for c in trainer.callbacks if isinstance(c, EachBatch)]  # type: ignore[attr-defined]
        self.before_batch, self.within_step, self.after_batch = (
            [c for c in self.callbacks if is_overridden(name, c, EachBatch)]
            for name in ("before_batch", "within_step", "after_batch")
        )
        self.before_step = [
            c
            for c in trainer.callbacks  # type: ignore[attr-defined]
            if is_overridden("on_before_optimizer_step", c, L.Callback)
        ]
        mixed = isinstance(trainer.precision_plugin, MixedPrecision)
        self.device_type = trainer.strategy.root_device.type if mixed else None
        self.transfer = [self._batch_hook(name) for name in TRANSFER_HOOKS]
        if getattr(self.transfer[0], "__func__", None) is DataHooks.on_before_batch_transfer:
            self.transfer[0] = None  # Lightning's own does nothing
        self.waited = 0.0  # seconds for data, since they were last taken note of
        self.rates = [Rates(*both) for both in zip(trainer.optimizers, self.schedulers, strict=True)]
        self.graphs = self._graphs(graphs)

    def _graphs(self, wanted: bool | str) -> graph.Graphs | None:
        """What takes steps as graphs; None, and a word in the log where one may wonder, where nothing does."""
        device = self.trainer.strategy.root_device
        if wanted is False or self.alone:
            return None
        if why := why_no_graph(self.trainer, self.model, self.trainer.optimizers):
            if wanted is True or device.type == "cuda":
                log.info(f"no CUDA graph: {why}")
            return None
        made = graph.capture_for(device)
        assert made is not None
        capture = made(device)
        if "network" in vars(self.model):
            capture.watched = ""  # torch would take a compiled network for one that cannot be compiled
        return graph.Graphs(self._compute, self._modules, self.optimizers, capture)

    def _modules(self) -> list[nn.Module]:
        """All that take part in a step: not the metrics."""
        own = [module for name, module in self.model.named_modules() if name.partition(".")[0] != "metrics"]
        return [*own, *self.model.loss.modules()]

    def take(self, batch: Any) -> Tensor:
        """Train on a micro-batch and, where Lightning need not see them, on those that follow.

        Returns:
            The loss of the last one, without gradients.
        """
        until, room, steps, seen = time.perf_counter() + SLICE, self._room(), 0, 0
        if self.graphs is not None:
            self.graphs.check()
        more: Any = batch
        while more is not None:
            batches = [more]
            while self.graphs is not None and (self.model.batches_seen + len(batches)) % self.accumulate:
                if (more := self._next()) is None:
                    break
                batches.append(more)
            loss = self._train(batches)
            seen += len(batches)
            if self.alone:
                break
            if self.model.batches_seen % self.accumulate == 0:
                steps += 1
                if steps >= room or (self.most is None and time.perf_counter() > until):
                    break
            more = self._next()
        if seen > 1:
            count(self.trainer, seen - 1, steps - 1)
        log_lightly(self.trainer)
        return loss if self.graphs is None else loss.clone()  # which the next step writes over

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
        batch = batch if before is None else before(batch, 0)
        return after(to_device(batch, self.trainer.strategy.root_device, 0), 0)

    def _batch_hook(self, name: str) -> Any:
        """The data module's, if it has one of its own, else the model's: as Lightning chooses, each time anew."""
        data = getattr(self.trainer, "datamodule", None)
        own = data is not None and is_overridden(name, data, L.LightningDataModule)
        return getattr(data if own else self.model, name)

    def _train(self, batches: Sequence[Any]) -> Tensor:
        """One micro-batch, the last one of a step with the step, or all of a step."""
        model = self.model
        for callback in self.before_batch * len(batches):
            callback.before_batch(self.trainer, model)
        for rates in self.rates:
            if self.graphs is None:
                rates.fill()
            elif (model.batches_seen + len(batches)) % self.accumulate == 0:
                rates.foresee()
        if self.graphs is None or len(batches) < self.accumulate:
            found = self._compute(batches)
        else:
            if self.before_batch:  # which may change the network
                self.graphs.check()
            found = self.graphs.take(batches)
        for batch, losses in zip(batches, found, strict=True):
            model.batches_seen += 1
            model.batch_losses = losses
            model.take_in()
            if model.batches_seen % self.accumulate == 0:
                self._stepped()
            for callback in self.after_batch:
                callback.after_batch(self.trainer, model, batch)
        return model.batch_losses["loss"]

    def _compute(self, batches: Sequence[Any]) -> graph.Losses:
        """All that is done on the device: the losses of each micro-batch, and the step where it is due."""
        model, found = self.model, []
        for number, batch in enumerate(batches, model.batches_seen + 1):
            model.batch_losses = {}
            due = number % self.accumulate == 0
            for rates in self.rates if due and self.graphs is not None else ():
                rates.take()
            for player, terms in model.updates(batch):
                values = list(terms.values())
                total = values[0] if len(values) == 1 else torch.stack(values).sum()
                model.remember(player, total, terms)
                with self._backward():
                    if self.alone:
                        model.manual_backward(total / self.accumulate)
                    else:
                        (total / self.accumulate if self.accumulate > 1 else total).backward()
                if player != 0:
                    average_gradients(self.adversary.discriminator)
                if due:
                    self._step(player)
            for callback in self.within_step if due and self.graphs is not None else ():
                callback.within_step()
            found.append(model.batch_losses)
        return found

    def _stepped(self) -> None:
        """The step is counted, which Lightning does itself for an optimizer of its own."""
        if not self.alone:
            progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
            progress.increment_ready()
            progress.increment_completed()
        for scheduler in self.schedulers:
            scheduler.step()

    def _backward(self) -> Any:
        """Autocast is for the forward pass: Lightning leaves it before it goes backward."""
        return nullcontext() if self.device_type is None else torch.autocast(self.device_type, enabled=False)

    def _step(self, player: int) -> None:
        model, optimizer = self.model, self.optimizers[player]
        if self.alone:
            if player != 0:  # Lightning would take it for a step of the run, which is one of the network's
                optimizer._on_before_step = optimizer._on_after_step = lambda: None
            optimizer.step()
            optimizer.zero_grad()
            return
        with self.rates[player].standing_in():
            for callback in self.before_step:
                callback.on_before_optimizer_step(self.trainer, model, optimizer)
            model.on_before_optimizer_step(optimizer)
            with self._backward():
                optimizer.step()
        optimizer.zero_grad()
        if self.device_type is not None:
            torch.clear_autocast_cache()  # of the weights as they were before the step
