"""Stop at the first loss that is not finite, with the batch that caused it."""

import math
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor

from sr.errors import UserError, some
from sr.models.base import SuperResolver
from sr.models.hooks import EachBatch
from sr.whole import replacing

REMEDIES = "Usual remedies: a smaller optimizer.lr, trainer.gradient_clip_val=0.1, or trainer.precision=32-true"
BEHIND = 8  # micro-batches, at most, whose losses have not arrived from a GPU yet


class NanGuard(EachBatch):
    """Saves the batch whose loss is NaN or infinite, and stops the run.

    The losses are copied from a GPU without waiting, and looked at when they have arrived, so that it always has its
    next step. No checkpoint is written of a step whose losses have not been looked at.

    Args:
        folder: where `nan_batch.pt` goes: {lr, hr, name, step, losses}; of several processes each has its own,
            `nan_batch_rank1.pt`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._masks: set[str] = set()
        self._pending: deque[tuple[list[str], Sequence[Tensor], Any, Any, int]] = deque()

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Masks hold infinity from the beginning."""
        floats = {n: x for n, x in pl_module.named_buffers() if x.is_floating_point() and x.layout == torch.strided}
        self._masks = {name for name, x in floats.items() if not bool(x.isfinite().all())}

    def after_batch(self, trainer: L.Trainer, model: L.LightningModule, batch: Any) -> None:
        assert isinstance(model, SuperResolver)
        losses = model.batch_losses
        values, arrived = _copied(list(losses.values()))
        if arrived is None:
            self._judge(trainer, list(losses), values, batch)
            return
        self._pending.append((list(losses), values, arrived, batch, trainer.global_step))
        self._look(trainer, BEHIND)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        self._look(trainer)
        # A finite loss can have gradients that are not: such weights must not replace good ones.
        assert isinstance(pl_module, SuperResolver)
        state = pl_module.state_dict() | pl_module.loss.state_dict(prefix="loss.")
        state = {k: v for k, v in state.items() if v.is_floating_point() and k not in self._masks}
        good = torch.stack([v.isfinite().all() for v in state.values()]).tolist()  # waits for the device once
        if not all(good):
            broken = [k for k, fine in zip(state, good, strict=True) if not fine]
            raise UserError(
                f"weights are no longer finite at step {trainer.global_step} ({some(broken, 3)}). {self._good()}. "
                f"{REMEDIES}"
            )

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._look(trainer)

    on_train_end = on_validation_start

    def _look(self, trainer: L.Trainer, behind: int = 0) -> None:
        while self._pending:
            names, values, arrived, batch, step = self._pending[0]
            if not arrived.query():
                if len(self._pending) <= behind:
                    return
                arrived.synchronize()
            self._pending.popleft()
            self._judge(trainer, names, values, batch, step)

    def _judge(
        self, trainer: L.Trainer, names: list[str], values: Sequence[Tensor], batch: Any, step: int | None = None
    ) -> None:
        numbers = list(map(float, values))
        if not all(map(math.isfinite, numbers)):
            step = trainer.global_step if step is None else step  # which takes as long as all the rest
            raise self._kept(trainer, dict(zip(names, numbers, strict=True)), batch, step)

    def _kept(self, trainer: L.Trainer, losses: dict[str, float], batch: Any, step: int) -> UserError:
        """Keep the batch; what to say."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"nan_batch{f'_rank{trainer.global_rank}' if trainer.world_size > 1 else ''}.pt"
        images = {"lr": batch.lr.cpu(), "hr": batch.hr.cpu(), "name": list(batch.name)}
        with replacing(file) as part:
            torch.save({**images, "step": step, "losses": losses}, part)
        wrong = {name: value for name, value in losses.items() if not math.isfinite(value)}
        terms = " and ".join(name for name in wrong if name != "loss") or "the sum of its terms"
        return UserError(
            f"the loss became {next(iter(wrong.values()))} at step {step}, in {terms}, on {some(batch.name, 4)}. The "
            f"batch is kept in {file}. {self._good()}. {REMEDIES}"
        )

    def _good(self) -> str:
        folder = self.folder / "checkpoints"
        if any(folder.glob("*.ckpt")):
            return f"The last good weights are in {folder}"
        return "There are no weights from before: the run had not come to its first checkpoint"


def _copied(values: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
    """Numbers on the host, and what tells when they have arrived there; None if they have."""
    if not values[0].is_cuda:
        return values, None
    on_host = torch.stack(list(values)).to("cpu", non_blocking=True).unbind()  # into pinned memory
    arrived = torch.cuda.Event()
    arrived.record()
    return on_host, arrived
