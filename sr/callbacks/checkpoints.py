"""last.ckpt often enough that an interruption costs minutes, best.ckpt by a validation score."""

import logging
import math
import os
import re
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.utilities.exceptions import SIGTERMException

from sr.losses.distributed import largest
from sr.models.hooks import EachBatch
from sr.runs.code import other
from sr.runs.config import LAST
from sr.runs.latest import BEFORE
from sr.runs.terminal import write_nowhere
from sr.whole import Led, copy_whole, led, refuse_elsewhere, refuse_replaced

log = logging.getLogger(__name__)
PART = re.compile(r"\.(last|best)\.[0-9a-f]{8}\.part|(last|best)\.part")  # the latter of earlier versions
HELD = Path("/proc/self/fd")  # where Linux shows open folders under a path
CTRL_C, TERM = 1, 2  # what a process was told; the greater one holds for all


class Checkpoints(EachBatch):
    """Writes `last.ckpt` and `best.ckpt` into one folder, each replaced atomically.

    `last.ckpt` is written at every validation, every `minutes`, every `every_steps` steps if given, at the end,
    and when training is interrupted. It never runs ahead of the logs: what a resume does not do again, a step's
    figures and a validation, is written before it. The one before it stays as `previous.ckpt`.

    Args:
        folder: where the files go.
        monitor: the logged score by which `best.ckpt` is chosen.
        minutes: wall-clock time between two writes of `last.ckpt`.
        every_steps: optimizer steps between two writes, or None.
        better: 1 where more is better, -1 where less is.
        code: of the score; with another one it is another score.

    Attributes:
        best: of the validations so far, times `better`.
    """

    def __init__(
        self, folder: str | Path, monitor: str, minutes: float = 5.0, every_steps: int | None = None, better: int = 1,
        code: str = "",
    ) -> None:  # fmt: skip
        self.folder = Path(folder)
        self.monitor = monitor
        self.minutes = minutes
        self.every_steps = every_steps
        self.better = better
        self.code = code
        self.best: float | None = None
        self._of_another = False  # best.ckpt was chosen by another score, before a resume
        self._begun_step = 0
        self._written_at = time.monotonic()
        self._written_step = -1
        self._captured: int | None = None  # step of what is written and not yet last.ckpt
        self._settled = False  # between two optimizer steps
        self._told = self._stopping = 0  # this process; all of them
        self._previous_handler: Any = None
        self._place: Led | None = None  # where the folder is, once the first checkpoint is written
        self._own = secrets.token_hex(4)  # who else may write in the folder puts no link where a part will be

    @property
    def last(self) -> Path:
        return self.folder / LAST

    def _part_of(self, path: Path) -> Path:
        return path.with_name(f".{path.stem}.{self._own}.part")

    def state_dict(self) -> dict[str, Any]:
        of_another = {"of_another": self._of_another} if self._of_another else {}
        return {"best": self.best, "monitor": self.monitor, "code": self.code, "better": self.better} | of_another

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        best = state_dict["best"]
        changed = other(str(state_dict.get("code", "")), self.code) or state_dict.get("of_another", False)
        now = {"monitor": self.monitor, "better": self.better}
        if changed or any(state_dict.get(key, value) != value for key, value in now.items()):
            self._of_another = True  # of which the number says nothing of this one
        elif best is not None and math.isfinite(best):  # infinity (of older files) could never be surpassed
            self.best = best

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if trainer.world_size > 1:
            # On SIGTERM Lightning speaks to the other processes in the middle of whatever this one does, which waits
            # for ever where they are at something else; and then each stops at a step of its own.
            trainer._signal_connector._sigterm_notifier_fn = (  # type: ignore[method-assign]
                lambda signum, _: self._end(trainer, signum)
            )
            trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._written_at = time.monotonic()
        self._begun_step = self._written_step = trainer.global_step
        self._captured = None
        for left in self.folder.glob("*.part") if trainer.is_global_zero else ():
            if PART.fullmatch(left.name):  # of a killed process of this run
                left.unlink()
        if threading.current_thread() is threading.main_thread():
            self._previous_handler = signal.signal(signal.SIGINT, self._ask)
            if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup ignores it
                signal.signal(signal.SIGHUP, _hang_up)

    def _ask(self, *_: Any) -> None:
        """The first Ctrl-C stops after the step, where a checkpoint is exact; the second one stops at once."""
        if self._told:
            raise KeyboardInterrupt
        self._told = CTRL_C
        log.info("\nstopping after this step, and its validation if one is due; Ctrl-C again to stop at once")

    def _end(self, trainer: L.Trainer, number: int) -> None:
        if self._told < TERM:
            self._told = TERM
            if trainer.strategy.launcher is not None:
                trainer.strategy.launcher.kill(number)  # the processes that this one has started

    def _agreed(self, trainer: L.Trainer) -> int:
        """What any process was told, known to all at the same step."""
        if trainer.world_size == 1:
            return TERM if trainer.received_sigterm else self._told
        return largest(self._told, trainer.strategy.root_device)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self._previous_handler is not None:
            signal.signal(signal.SIGINT, self._previous_handler)
            self._previous_handler = None
            if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is _hang_up:
                signal.signal(signal.SIGHUP, signal.SIG_DFL)

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any, **__: Any) -> None:
        self._publish(trainer)  # only now are the step's figures in the logs
        if self._stopping and self._settled and self._written_step == trainer.global_step:
            _stop(trainer, self._stopping)
        self._settled = False

    def room(self, step: int) -> int | None:
        return None if self.every_steps is None else self.every_steps - step % self.every_steps

    def on_validation_start(self, *_: Any, **__: Any) -> None:
        self._settled = False
        self._captured = None  # written again after the validation, with it: a resume would not do it any more

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        step = trainer.global_step
        seen = getattr(pl_module, "batches_seen", None)
        self._settled = seen == step * trainer.accumulate_grad_batches  # else in the middle of an accumulated step
        if not self._settled:
            return
        due = (self.every_steps is not None and step % self.every_steps == 0) or step >= trainer.max_steps
        self._stopping = self._agreed(trainer)
        due |= self._stopping > 0
        # All processes must agree, as saving is collective: the first one's clock decides.
        late = time.monotonic() - self._written_at > 60 * self.minutes
        asked = trainer.world_size == 1 or step % 20 == 0
        if step != self._written_step and (due or (asked and trainer.strategy.broadcast(late))):
            self._capture(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self._settled = True
        score = trainer.callback_metrics.get(self.monitor)
        if score is not None and (self.best is None or self.better * float(score) > self.best):
            self.best = self.better * float(score)
            if self._of_another and trainer.is_global_zero:
                self._keep_former()
            # Before last.ckpt, which knows of it: killed between the two, a resume validates again.
            self._save(trainer, "best.ckpt")
        self._write_last(trainer)
        self._stopping = self._agreed(trainer)  # meanwhile

    def _keep_former(self) -> None:
        """Keep what another score has chosen: nothing tells whether it is worse."""
        with self._held() as folder:
            best, kept = folder / "best.ckpt", folder / f"best_before_{self._begun_step}.ckpt"
            if best.is_file() and not kept.exists():  # else from before it was killed
                os.replace(best, kept)
                log.info(f"best.ckpt is chosen by {self.monitor} from here on; the former one is kept in {kept.name}")
        self._of_another = False

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._publish(trainer)
        if trainer.global_step != self._written_step:
            self._write_last(trainer)
        _stop(trainer, self._agreed(trainer))  # neither the next stage nor the measuring shall begin

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if self._captured is not None and trainer.fit_loop.epoch_loop._batches_that_stepped >= self._captured:
            self._publish(trainer)  # by Lightning's count that step is logged
        # Written anew only after SIGTERM between two steps: after an error, or within a step or a validation, the
        # weights may be half changed, and the last regular write must do. Several processes have written already.
        interrupted = isinstance(exception, SystemExit) and self._settled and trainer.world_size == 1
        if interrupted and trainer.global_step > self._written_step:
            self._write_last(trainer)

    def _write_last(self, trainer: L.Trainer) -> None:
        self._capture(trainer)
        self._publish(trainer)

    def _capture(self, trainer: L.Trainer) -> None:
        """Write all that a resume needs, which counts from `_publish` on: Lightning logs a step after its hooks."""
        self._captured = None
        with self._held() as folder:
            _write(trainer, self._part_of(folder / LAST))
        self._captured = trainer.global_step

    def _publish(self, trainer: L.Trainer) -> None:
        if self._captured is None:
            return
        self._written_at, self._written_step, self._captured = time.monotonic(), self._captured, None
        if trainer.is_global_zero:
            with self._held() as folder:
                _settle(part := self._part_of(last := folder / LAST))
                if last.is_file():
                    copy_whole(last, folder / BEFORE)
                os.replace(part, last)

    @contextmanager
    def _held(self) -> Iterator[Path]:
        """The folder while it is written in: a link that is put in its place meanwhile leads nowhere else.

        Raises:
            UserError: it is another one than when the run began, as others may write around it.
        """
        refuse_replaced(self.folder / LAST)
        self.folder.mkdir(parents=True, exist_ok=True)
        number = os.open(self.folder, os.O_RDONLY) if HELD.is_dir() else None
        held = self.folder if number is None else HELD / str(number)
        try:
            now = led(held)
            self._place = self._place or now
            refuse_elsewhere(self.folder, self._place, now)
            yield held
        except OSError as error:  # which names the file as it is known
            error.filename, error.filename2 = (f and os.path.realpath(f) for f in (error.filename, error.filename2))
            raise
        finally:
            if number is not None:
                os.close(number)

    def _save(self, trainer: L.Trainer, name: str) -> None:
        # In the same folder first: a move from another disk, such as that of the system's temporary files, can tear.
        with self._held() as folder:
            _write(trainer, part := self._part_of(folder / name))
            if trainer.is_global_zero:
                _settle(part)
                os.replace(part, folder / name)


def _write(trainer: L.Trainer, part: Path) -> None:
    """Write a checkpoint; of one that did not fit on the disk nothing stays, so that the run can record its end."""
    try:
        trainer.save_checkpoint(part, weights_only=False)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _stop(trainer: L.Trainer, told: int) -> None:
    """End in order, all processes at the same step."""
    if told == TERM:
        raise SIGTERMException
    if told:  # of several, Lightning kills the others on KeyboardInterrupt, and then the first
        raise KeyboardInterrupt if trainer.world_size == 1 else SystemExit(1)


def _hang_up(*_: Any) -> None:
    """The terminal was closed: as SIGTERM, with nothing printed any more into what is gone."""
    write_nowhere()
    os.kill(os.getpid(), signal.SIGTERM)


def _settle(file: Path) -> None:
    """Wait until the disk has a file: after a power cut its new name would else stand for half of it."""
    with file.open("rb+") as f:
        os.fsync(f.fileno())
