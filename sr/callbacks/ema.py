"""An exponential moving average of the weights: what is validated, saved and measured."""

from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor

from sr.errors import UserError
from sr.models.hooks import EachBatch


class EMA(EachBatch):
    """Averages the parameters from the initial ones on: average = d * average + (1 - d) * weights after each step.

    The n-th update (from 0 on) forgets by d = min(decay, (1 + n) / (10 + n)), as TensorFlow's ExponentialMovingAverage
    with `num_updates`, so that a short run is not an average of its beginning. Buffers, batch norm's statistics among
    them, are those of the weights that train. Each stage has an average of its own, which is what it ends with.

    A checkpoint holds the average as `state_dict`, what trains as `current_model_state`, and the number of updates in
    `averaging_state`; under the same names Lightning's WeightAveraging keeps them.

    Args:
        decay: greatest share of the average that an update keeps, above 0 and below 1.
        update_starting_at_step: optimizer steps of the whole run, all stages counted, during which the average is the
            weights themselves; None: averaging begins with the first step.

    Raises:
        UserError: the decay is none.
    """

    def __init__(self, decay: float = 0.999, update_starting_at_step: int | None = None) -> None:
        if not 0 < decay < 1:
            raise UserError(f"callbacks.ema.decay={decay}: must lie between 0 and 1, for example 0.999")
        self.decay = decay
        self.begin = update_starting_at_step or 0
        self._forget()

    def _forget(self) -> None:
        self.updates = 0
        self._step = 0  # optimizer steps of the run when the average was last updated
        self._loaded: dict[str, Tensor] = {}  # the average in the checkpoint that is gone on with
        self._names: dict[str, int] = {}  # of parameters, of shared ones every name -> place in the lists below
        self._weights: list[Tensor] = []
        self._averages: list[Tensor] = []
        self._in_step = False  # whether the step itself updates the average

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage == "fit":
            self._forget()

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        if "current_model_state" in checkpoint:
            self._loaded = checkpoint["state_dict"]
            self.updates = int(checkpoint["averaging_state"]["n_averaged"])
            pl_module.load_state_dict(checkpoint["current_model_state"])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Gather what is averaged, once: the weights are where they train by now, and a checkpoint is loaded."""
        self._step = trainer.global_step
        places: dict[int, int] = {}
        for name, parameter in pl_module.named_parameters(remove_duplicate=False):
            if (place := places.setdefault(id(parameter), len(self._weights))) == len(self._weights):
                self._weights.append(parameter.data)
                self._averages.append(parameter.detach().clone())
                if name in self._loaded:
                    self._averages[-1].copy_(self._loaded[name])
            self._names[name] = place
        self._loaded = {}
        # Of the next update; below 0 before averaging begins.
        number = self.updates or min(0, self._step - self.begin)
        self._number = torch.tensor(float(number), device=pl_module.device)

    @torch.no_grad()
    def within_step(self) -> None:
        """The update as part of a CUDA graph: its number, and so its decay, are counted on the device."""
        self._in_step = True
        number = self._number.clamp(min=0)
        kept = ((1 + number) / (10 + number)).clamp(max=self.decay) * (self._number >= 0)
        torch._foreach_sub_(self._averages, self._weights)
        torch._foreach_mul_(self._averages, kept)
        torch._foreach_add_(self._averages, self._weights)
        self._number.add_(1)

    def after_batch(self, trainer: L.Trainer, *_: Any) -> None:
        if (step := trainer.global_step) == self._step:
            return  # in the middle of an accumulated step
        self._step = step
        averages = self._step > self.begin
        if not self._in_step:
            kept = min(self.decay, (1 + self.updates) / (10 + self.updates)) if averages else 0.0
            torch._foreach_lerp_(self._averages, self._weights, 1 - kept)
        self.updates += averages

    @torch.no_grad()
    def _swap(self, *_: Any, **__: Any) -> None:
        if self._weights:  # else before the first step, where the average is the weights
            trained = [weight.clone() for weight in self._weights]
            torch._foreach_copy_(self._weights, self._averages)
            torch._foreach_copy_(self._averages, trained)

    on_validation_epoch_start = on_validation_epoch_end = _swap

    @torch.no_grad()
    def on_train_end(self, *_: Any) -> None:
        torch._foreach_copy_(self._weights, self._averages)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        trained = checkpoint["state_dict"]
        averaged = {name: self._averages[place] for name, place in self._names.items() if name in trained}
        checkpoint |= {
            "state_dict": {**trained, **averaged},
            "current_model_state": trained,
            "averaging_state": {"n_averaged": torch.tensor(self.updates)},
        }
