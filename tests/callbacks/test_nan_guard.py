"""A loss that is not finite stops the run; weights that are not never replace good ones, of a loss network neither."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from sr.callbacks import NanGuard, nan_guard
from sr.callbacks.nan_guard import BEHIND
from sr.data.batch import Batch
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
    guard, trainer = NanGuard(tmp_path), SimpleNamespace(global_step=7, world_size=1)
    guard.on_save_checkpoint(trainer, model, {})
    broken = discriminator.bias if part.startswith("loss.") else model.extract.weight
    nn.init.constant_(broken, torch.nan)
    told = rf"no longer finite at step 7 \({part}\). "
    with pytest.raises(UserError, match=told + "There are no weights from before"):
        guard.on_save_checkpoint(trainer, model, {})
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/best.ckpt").touch()
    with pytest.raises(UserError, match=told + f"The last good weights are in {tmp_path / 'checkpoints'}"):
        guard.on_save_checkpoint(trainer, model, {})


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_loss_that_is_not_finite_is_told_with_its_term_and_its_batch(tmp_path, value, ranks):
    model, guard = SRCNN(scale=2), NanGuard(tmp_path)
    trainer = SimpleNamespace(global_step=3, world_size=ranks, global_rank=ranks - 1)
    batch = Batch(torch.rand(1, 3, 4, 4), torch.rand(1, 3, 8, 8), 2, ["0001"], [False])
    good, bad = ({"loss": torch.tensor(v), "l1": torch.tensor(0.5), "gan": torch.tensor(v)} for v in (1.0, value))
    model.batch_losses = good
    guard.on_train_batch_end(trainer, model, None, batch, 0)
    model.batch_losses = bad
    with pytest.raises(UserError, match=rf"{value} at step 3, in gan, on 0001.*no weights from before"):
        guard.on_train_batch_end(trainer, model, None, batch, 0)
    kept = torch.load(tmp_path / ("nan_batch.pt" if ranks == 1 else "nan_batch_rank1.pt"), weights_only=True)
    assert torch.equal(kept["lr"], batch.lr) and kept["step"] == 3 and kept["losses"]["l1"] == 0.5


class Late:
    """A copy from a GPU that arrives when it is waited for, or told to."""

    waited = there = False

    def query(self) -> bool:
        return self.there

    def synchronize(self) -> None:
        self.waited = True


def test_a_gpu_is_waited_for_only_where_many_losses_have_not_arrived(tmp_path, monkeypatch):
    late = [Late() for _ in range(BEHIND + 2)]
    arrivals = iter(late)
    monkeypatch.setattr(nan_guard, "_copied", lambda values: ([value.clone() for value in values], next(arrivals)))
    model, guard = SRCNN(scale=2), NanGuard(tmp_path)
    trainer = SimpleNamespace(global_step=3, world_size=1)
    batches = [Batch(torch.rand(1, 3, 4, 4), torch.rand(1, 3, 8, 8), 2, [str(n)], [False]) for n in range(BEHIND + 2)]
    for n, batch in enumerate(batches[:BEHIND]):
        model.batch_losses = {"loss": torch.tensor(float("nan") if n == 2 else 1.0), "l1": torch.tensor(1.0)}
        guard.on_train_batch_end(trainer, model, None, batch, 0)
    assert not any(each.waited for each in late)
    late[0].there = True
    guard.on_train_batch_end(trainer, model, None, batches[BEHIND], 0)
    assert not any(each.waited for each in late)
    late[1].there = True
    with pytest.raises(UserError, match="the loss became nan at step 3, in the sum of its terms, on 2"):
        guard.on_validation_start(trainer, model)
    assert late[2].waited and not late[1].waited
    assert torch.equal(torch.load(tmp_path / "nan_batch.pt", weights_only=True)["lr"], batches[2].lr)


def test_no_validation_and_no_checkpoint_follows_a_loss_that_is_not_finite(tmp_path, monkeypatch):
    monkeypatch.setattr(nan_guard, "_copied", lambda values: (values, Late()))
    model, guard = SRCNN(scale=2), NanGuard(tmp_path)
    trainer = SimpleNamespace(global_step=3, world_size=1)
    batch = Batch(torch.rand(1, 3, 4, 4), torch.rand(1, 3, 8, 8), 2, ["0001"], [False])
    for hook in (guard.on_validation_start, guard.on_train_end, partial(guard.on_save_checkpoint, checkpoint={})):
        model.batch_losses = {"loss": torch.tensor(float("inf")), "l1": torch.tensor(1.0)}
        guard.on_train_batch_end(trainer, model, None, batch, 0)
        with pytest.raises(UserError, match=r"the loss became inf at step 3, in the sum of its terms"):
            hook(trainer, model)
