"""last.ckpt often enough that an interruption costs minutes, best.ckpt by a validation score."""

import logging
import math
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as L

log = logging.getLogger(__name__)


class Checkpoints(L.Callback):
    """Writes `last.ckpt` and `best.ckpt` into one folder, each replaced atomically.

    `last.ckpt` is written at every validation, every `minutes`, every `every_steps` steps if given, at the end,
    and when training is interrupted or fails.

    Args:
        folder: where the files go.
        monitor: the logged score by which `best.ckpt` is chosen.
        minutes: wall-clock time between two writes of `last.ckpt`.
        every_steps: optimizer steps between two writes, or None.
        better: 1 where more is better, -1 where less is.

    Attributes:
        best: of the validations so far, times `better`.
    """

    def __init__(
        self, folder: str | Path, monitor: str, minutes: float = 5.0, every_steps: int | None = None, better: int = 1
    ) -> None:
        self.folder = Path(folder)
        self.monitor = monitor
        self.minutes = minutes
        self.every_steps = every_steps
        self.better = better
        self.best: float | None = None
        self._written_at = time.monotonic()
        self._written_step = -1
        self._settled = False  # between two optimizer steps
        self._asked = False
        self._previous_handler: Any = None

    @property
    def last(self) -> Path:
        return self.folder / "last.ckpt"

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "monitor": self.monitor}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        best = state_dict["best"]
        # Another metric's best says nothing of this one, and infinity (of older files) could never be surpassed.
        if state_dict.get("monitor", self.monitor) == self.monitor and best is not None and math.isfinite(best):
            self.best = best

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._written_at = time.monotonic()
        self._written_step = trainer.global_step
        self._asked = False
        if threading.current_thread() is threading.main_thread():
            self._previous_handler = signal.signal(signal.SIGINT, self._ask)

    def _ask(self, *_: Any) -> None:
        """The first Ctrl-C stops after the step, where a checkpoint is exact; the second one stops at once."""
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        log.info("\nstopping after this step; Ctrl-C again to stop at once")

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self._previous_handler is not None:
            signal.signal(signal.SIGINT, self._previous_handler)
            self._previous_handler = None

    def on_train_batch_start(self, *_: Any, **__: Any) -> None:
        self._settled = False

    on_validation_start = on_train_batch_start

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        step = trainer.global_step
        seen = getattr(pl_module, "batches_seen", None)
        self._settled = seen == step * trainer.accumulate_grad_batches  # else in the middle of an accumulated step
        if not self._settled:
            return
        if self._asked:
            raise KeyboardInterrupt
        due = (self.every_steps is not None and step % self.every_steps == 0) or step >= trainer.max_steps
        # All processes must agree, as saving is collective: the first one's clock decides.
        late = time.monotonic() - self._written_at > 60 * self.minutes
        if step != self._written_step and (due or (step % 20 == 0 and trainer.strategy.broadcast(late))):
            self._write_last(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self._settled = True
        score = trainer.callback_metrics.get(self.monitor)
        if score is not None and (self.best is None or self.better * float(score) > self.best):
            self.best = self.better * float(score)
            self._write(trainer, self.folder / "best.ckpt")
        self._write_last(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.global_step != self._written_step:
            self._write_last(trainer)
        if self._asked:  # during the last validation: neither the next stage nor the measuring shall begin
            raise KeyboardInterrupt

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        # Only after an interruption between two steps: after an error, or within a step or a validation, the
        # weights may be half changed. Several processes are not interrupted at the same step. In all these cases
        # the last regular write must do.
        interrupted = isinstance(exception, KeyboardInterrupt | SystemExit)
        if interrupted and self._settled and trainer.world_size == 1 and trainer.global_step > self._written_step:
            self._write_last(trainer)

    def _write_last(self, trainer: L.Trainer) -> None:
        self._written_at = time.monotonic()
        self._written_step = trainer.global_step
        self._write(trainer, self.last)

    def _write(self, trainer: L.Trainer, path: Path) -> None:
        # In the same folder first: a move from another disk, such as that of the system's temporary files, can tear.
        part = path.with_suffix(".part")
        trainer.save_checkpoint(part, weights_only=False)
        if trainer.is_global_zero:
            os.replace(part, path)
