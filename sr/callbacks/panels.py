"""Pictures while training: the same crops at every validation, on disk and in the loggers."""

from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from sr.imaging.color import to_array
from sr.imaging.files import write_image
from sr.imaging.panel import draw_panel, panel_cells
from sr.imaging.resize import imresize


class Panels(L.Callback):
    """LR, bicubic, SR, HR and error map of the first validation images.

    Args:
        folder: where `step_<n>.png` goes.
        images: how many images are drawn.
        size: side of a crop, HR pixels.
    """

    def __init__(self, folder: str | Path = "panels", images: int = 4, size: int = 96) -> None:
        self.folder = Path(folder)
        self.images = images
        self.size = size
        self._rows: list[tuple[str, Any]] = []

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._rows = []

    @rank_zero_only
    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        if trainer.sanity_checking or len(self._rows) >= self.images:
            return
        small, output, true = (_middle_frame(x) for x in (batch.lr, outputs, batch.hr))
        lr, bicubic, sr, hr = map(to_array, (small, imresize(small, batch.scale), output, true))
        cells = panel_cells(lr, [("bicubic", bicubic), ("SR", sr)], hr, batch.scale, self.size)
        self._rows.append((batch.name[0], cells))

    @rank_zero_only
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self._rows:
            return
        step = trainer.global_step
        write_image(self.folder / f"step_{step:07d}.png", draw_panel(self._rows))
        pictures = [draw_panel([("", cells)]) for _, cells in self._rows]
        for logger in trainer.loggers:
            if hasattr(logger, "log_pictures"):  # (key, pictures (H, W, 3) uint8, captions, optimizer steps done)
                logger.log_pictures("val/panels", pictures, [name for name, _ in self._rows], step)


def _middle_frame(images: Tensor) -> Tensor:
    """(1, 3, H, W): the first image, or of the first clip the frame in the middle."""
    return images[:1] if images.ndim == 4 else images[:1, images.shape[1] // 2]
