"""A word at the first validation where a checkpoint does not hold all that a network has learned."""

from collections.abc import Callable

import lightning.pytorch as L
from torch import Tensor

from sr.models.base import SuperResolver
from sr.models.unsaved import back_to_training, tell_lost


class Lost(L.Callback):
    """Compares a network with the one that its checkpoint gives (`tell_lost`), once a stage.

    Attributes:
        read: makes the network of a state; None once it was compared.
    """

    read: Callable[[dict[str, Tensor]], SuperResolver] | None = None

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.read is not None and trainer.is_global_zero and not trainer.sanity_checking:
            assert isinstance(pl_module, SuperResolver)
            tell_lost(pl_module, self.read, training=True)
            self.read = None


class BackToTraining(L.Callback):
    """Ends a validation for modules with a `train` of their own: see `back_to_training`.

    After all other callbacks, which see the network as it was measured, and before `Checkpoints` writes it.
    """

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        back_to_training(pl_module, trainer.fit_loop.epoch_loop.val_loop._module_mode.mode)
