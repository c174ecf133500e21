"""last.ckpt often enough that an interruption costs minutes, best.ckpt by the validation figure."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning.pytorch as L


class Checkpoints(L.Callback):
    """Writes `last.ckpt` and `best.ckpt` into one folder, each replaced atomically.

    `last.ckpt` is written at every validation, every `minutes`, every `every_steps` steps if given, at the end,
    and when training is interrupted or fails.

    Args:
        folder: where the files go.
        monitor: the logged figure, higher is better, by which `best.ckpt` is chosen.
        minutes: wall-clock time between two writes of `last.ckpt`.
        every_steps: optimizer steps between two writes, or None.
    """

    def __init__(self, folder: str | Path, monitor: str, minutes: float = 5.0, every_steps: int | None = None) -> None:
        self.folder = Path(folder)
        self.monitor = monitor
        self.minutes = minutes
        self.every_steps = every_steps
        self.best: float | None = None
        self._written_at = time.monotonic()
        self._written_step = -1

    @property
    def last(self) -> Path:
        return self.folder / "last.ckpt"

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._written_at = time.monotonic()
        self._written_step = trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        step = trainer.global_step
        if step == self._written_step:
            return  # in the middle of an accumulated step
        due = self.every_steps is not None and step % self.every_steps == 0
        # All processes must agree, as saving is collective: the first one's clock decides.
        late = time.monotonic() - self._written_at > 60 * self.minutes
        if due or (step % 20 == 0 and trainer.strategy.broadcast(late)):
            self._write_last(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        figure = trainer.callback_metrics.get(self.monitor)
        if figure is not None and (self.best is None or float(figure) > self.best):
            self.best = float(figure)
            trainer.save_checkpoint(self.folder / "best.ckpt", weights_only=False)
        self._write_last(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.global_step != self._written_step:
            self._write_last(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        # Only after an interruption: after an error the weights may be what is wrong. Several processes are
        # not interrupted at the same step, so there the last regular write must do.
        interrupted = isinstance(exception, KeyboardInterrupt | SystemExit)
        if interrupted and trainer.world_size == 1 and trainer.global_step > max(self._written_step, 0):
            self._write_last(trainer)

    def _write_last(self, trainer: L.Trainer) -> None:
        self._written_at = time.monotonic()
        self._written_step = trainer.global_step
        trainer.save_checkpoint(self.last, weights_only=False)
