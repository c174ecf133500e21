"""Batch norm that changes from the batch's statistics to the running ones late in training."""

import logging

import lightning.pytorch as L

from sr.errors import UserError
from sr.layers.statistics import batch_norms
from sr.models.hooks import EachBatch

log = logging.getLogger(__name__)


class PopulationStatistics(EachBatch):
    """Batch norm normalises with mini-batch statistics first, and with the population's from a step on.

    Wang, Dong and Shan, RepSR, ACM MM 2022 (https://arxiv.org/abs/2205.05671), section on batch norm: the network
    trains its late phase with the statistics that it is deployed with, which removes the artefacts of their
    difference. Factor and summand of each batch norm go on learning; the running statistics, which stand for the
    population's, stay as they are. Batch norms of loss networks are not touched.

    Beside a moving average of weights the change holds for the weights that train, and the average has their running
    statistics.

    Args:
        at_step: optimizer steps of the whole run, all stages counted, that are taken with mini-batch statistics;
            None: all.

    Raises:
        UserError: when the fit begins, for a model without batch norm.
    """

    def __init__(self, at_step: int | None) -> None:
        self.at_step = at_step
        self._announced = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage == "fit" and self.at_step is not None and not batch_norms(pl_module):
            raise UserError(
                f"callbacks.population_statistics: {type(pl_module).__name__} has no batch norm whose statistics could "
                "change. Leave it out: ~callbacks.population_statistics"
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._announced = False
        self._norms = list(batch_norms(pl_module).values())

    def before_batch(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        # Looked at before every batch, so that nothing that puts the model into training mode undoes it.
        if self.at_step is None or trainer.global_step < self.at_step:
            return
        for norm in self._norms:
            norm.eval()
        if not self._announced:
            self._announced = True
            if trainer.is_global_zero:
                text = f"{len(self._norms)} batch norms use the population's statistics from here on"
                log.info(f"\nstep {trainer.global_step:,}: {text}")
