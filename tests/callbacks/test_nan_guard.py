"""Weights that are no numbers never replace good ones, those of a loss network neither."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from sr.callbacks import NanGuard
from sr.errors import UserError
from sr.losses import Adversarial, Vanilla, WeightedSum
from sr.metrics.protocols import get_protocol
from sr.models.srcnn import SRCNN
from sr.models.training import Training


@pytest.mark.parametrize("part", ["extract.weight", "loss.losses.gan.discriminator.bias"])
def test_no_checkpoint_is_written_of_weights_that_are_not_finite(tmp_path, part):
    model, discriminator = SRCNN(scale=2), nn.Conv2d(1, 1, 3)
    schedule = partial(torch.optim.lr_scheduler.ConstantLR, factor=1.0)
    gan = Adversarial(discriminator, Vanilla(), torch.optim.Adam, schedule)
    loss = WeightedSum({"gan": {"weight": 1.0, "loss": gan}})
    model.attach(Training(loss, torch.optim.Adam, schedule, get_protocol("y")))
    guard, trainer = NanGuard(tmp_path), SimpleNamespace(global_step=7)
    guard.on_save_checkpoint(trainer, model, {})
    broken = discriminator.bias if part.startswith("loss.") else model.extract.weight
    nn.init.constant_(broken, torch.nan)
    with pytest.raises(UserError, match=rf"no longer finite at step 7 \({part}\)"):
        guard.on_save_checkpoint(trainer, model, {})
