"""After a validation: whether a checkpoint holds all that a network has learned, and back to training."""

from collections.abc import Callable

import lightning.pytorch as L
from torch import Tensor

from sr.models.base import SuperResolver
from sr.models.unsaved import back_to_training, tell_lost


class Lost(L.Callback):
    """Compares a network with the one that its checkpoint gives (`tell_lost`), once a stage.

    Attributes:
        read: makes the network of a state; None where there is nothing to compare.
    """

    read: Callable[[dict[str, Tensor]], SuperResolver] | None = None

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        modes = trainer.fit_loop.epoch_loop.val_loop._module_mode.mode
        if self.read is not None and trainer.is_global_zero and not trainer.sanity_checking:
            assert isinstance(pl_module, SuperResolver)
            tell_lost(pl_module, self.read, modes)
            self.read = None
        back_to_training(pl_module, modes)
