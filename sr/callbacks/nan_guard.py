"""Stop at the first loss that is not a number, with the batch that caused it."""

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor

from sr.errors import UserError
from sr.models.base import SuperResolver

REMEDIES = "Usual remedies: a smaller optimizer.lr, trainer.gradient_clip_val=0.1, or trainer.precision=32-true"


class NanGuard(L.Callback):
    """Saves the offending batch and stops the run.

    The loss of a step is looked at one step later, so that a GPU is never waited for. No checkpoint is written
    of a step whose loss has not been looked at.

    Args:
        folder: where `nan_batch.pt` goes: {lr, hr, name, step, loss}.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._pending: tuple[Tensor, Any, int] | None = None

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        self._look()
        if loss is not None:
            self._pending = (loss.detach(), batch, trainer.global_step)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        self._look()
        # A finite loss can have gradients that are not: such weights must not replace good ones.
        assert isinstance(pl_module, SuperResolver)
        state = pl_module.state_dict() | pl_module.loss.state_dict(prefix="loss.")
        broken = [k for k, v in state.items() if v.is_floating_point() and not v.isfinite().all()]
        if broken:
            raise UserError(
                f"weights are no longer finite at step {trainer.global_step} ({', '.join(broken[:3])}); the last good "
                f"ones are in {self.folder / 'checkpoints'}. {REMEDIES}"
            )

    def _look(self, *_: Any, **__: Any) -> None:
        if self._pending is None:
            return
        (loss, batch, step), self._pending = self._pending, None
        if torch.isfinite(loss):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "nan_batch.pt"
        images = {"lr": batch.lr.cpu(), "hr": batch.hr.cpu(), "name": list(batch.name)}
        torch.save({**images, "step": step, "loss": float(loss)}, file)
        raise UserError(
            f"the loss became {float(loss)} at step {step}, on {', '.join(batch.name[:4])}. The batch is kept in "
            f"{file}; the last good weights in {self.folder / 'checkpoints'}. {REMEDIES}"
        )

    on_validation_start = on_train_end = _look
