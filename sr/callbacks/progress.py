"""One bar for the whole run: loss, PSNR, share of time spent waiting for data, remaining time."""

import sys
import time
from contextlib import redirect_stdout
from typing import Any, TextIO

import lightning.pytorch as L
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

SMOOTHING = 0.05  # weight of the newest step in the data-wait share


class Lines:
    """Where a bar goes that nobody watches: each state of it is a line of a log, without carriage returns."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.encoding, self._last = stream, stream.encoding, ""

    def write(self, text: str) -> None:
        if (line := text.strip()) and line != self._last:
            self._last = line
            self.stream.write(f"{line}\n")

    def flush(self) -> None:
        self.stream.flush()


class Progress(TQDMProgressBar):
    """Counts to the run's last batch (the data stream itself has no end) and logs `train/data_wait`.

    Without a terminal it is some lines of the log, and validation has none.

    Args:
        batches: micro-batches in the whole run.
        refresh_rate: batches between two redraws; by default 10 on a terminal, and 20 redraws a run in a file.
    """

    def __init__(self, batches: int, refresh_rate: int | None = None) -> None:
        often = 10 if sys.stdout.isatty() else max(1, batches // 20)
        super().__init__(refresh_rate=refresh_rate or often)
        self.batches = batches
        self._ended: float | None = None
        self._wait = 0.0
        self._share: float | None = None
        self._drawn = 0

    def init_train_tqdm(self) -> Tqdm:
        if sys.stdout.isatty():
            return super().init_train_tqdm()
        with redirect_stdout(Lines(sys.stdout)):  # type: ignore[type-var]
            return super().init_train_tqdm()

    def init_validation_tqdm(self) -> Tqdm:
        return super().init_validation_tqdm() if sys.stdout.isatty() else Tqdm(disable=True)

    def init_sanity_tqdm(self) -> Tqdm:
        return super().init_sanity_tqdm() if sys.stdout.isatty() else Tqdm(disable=True)

    @property
    def total_train_batches(self) -> int:
        return self.batches

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Short names: 'loss', 'psnr_y', 'wait'; no version number."""
        items = super().get_metrics(trainer, pl_module)
        items.pop("v_num", None)
        setup = getattr(pl_module, "training_setup", None)
        text = {f"val/{m.name}_{setup.protocol.name}": m.text for m in setup.metrics} if setup else {}
        # With its metric's digits: Lightning rounds to three, and fills up with a 0 that reads as a hundredth.
        told = {k: text.get(k, "{:.4g}".format)(v) if isinstance(v, float) else v for k, v in items.items()}
        return {key.rpartition("/")[2]: value for key, value in told.items()}

    def on_train_start(self, trainer: L.Trainer, *args: Any) -> None:
        super().on_train_start(trainer, *args)
        self._begin(trainer)  # a resumed run does not get to on_train_epoch_start

    def on_train_epoch_start(self, trainer: L.Trainer, *args: Any) -> None:
        self.train_progress_bar.initial = 0  # Lightning draws it at 0, from where it would seem to have gone backwards
        super().on_train_epoch_start(trainer, *args)
        self._begin(trainer)

    def _begin(self, trainer: L.Trainer) -> None:
        bar = self.train_progress_bar
        stage = getattr(trainer.lightning_module, "metadata", {}).get("stage")
        done = getattr(trainer.lightning_module, "batches_seen", 0)
        bar.initial = 0
        bar.reset(self.batches)
        bar.set_description(f"stage {stage['number']}/{stage['of']} {stage['name']}" if stage else "train")
        bar.initial = bar.n = bar.last_print_n = done

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        self._wait = time.perf_counter() - self._ended if self._ended is not None else 0.0
        super().on_train_batch_start(trainer, pl_module, *args)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        seen = getattr(pl_module, "batches_seen", batch_idx + 1)  # in the whole run; Lightning counts each stage's anew
        super().on_train_batch_end(trainer, pl_module, outputs, batch, seen - 1)
        if (stepper := getattr(pl_module, "stepper", None)) is not None:
            self._wait, stepper.waited = self._wait + stepper.waited, 0.0
        if self._ended is not None:
            share = self._wait / max(time.perf_counter() - self._ended, 1e-9)
            self._share = share if self._share is None else self._share + SMOOTHING * (share - self._share)
            pl_module.log("train/data_wait", self._share, prog_bar=True)
        self._ended = time.perf_counter()

    def _should_update(self, current: int, total: int | float) -> bool:
        """Where a multiple of `refresh_rate` lies behind the last redraw: several steps may come at once."""
        passed = current // self.refresh_rate != self._drawn // self.refresh_rate
        self._drawn = current
        return self.is_enabled and (passed or current == total)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        self._ended = None  # validation is no waiting for data
