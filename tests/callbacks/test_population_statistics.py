"""Batch norm that changes its statistics: when, for what, and after resumes, validation, stages and averaging."""

import copy
import logging
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from sr.callbacks import EMA
from sr.callbacks.population_statistics import PopulationStatistics
from sr.errors import UserError
from sr.models.edsr import EDSR
from sr.models.repsr import RepSR
from sr.models.srresnet import SRResNet


class Patches(IterableDataset):
    """The same endless row of generated (lr, hr) batches each time, from the one that `run` has come to."""

    def __init__(self, run: "Run") -> None:
        self.run = run

    def __iter__(self):
        n = int(self.run.seen)
        while True:
            hr = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(n))
            yield F.avg_pool2d(hr, self.run.net.scale), hr
            n += 1


class Run(L.LightningModule):
    """A network with the loops that the tests need and a record of every training step."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("seen", torch.tensor(0))
        self.steps: list[tuple[int, list[bool], torch.Tensor]] = []  # global step, modes, first running mean

    def norms(self) -> list[nn.BatchNorm2d]:
        return [m for m in self.net.modules() if isinstance(m, nn.BatchNorm2d)]

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        lr, hr = batch
        self.seen += 1
        sr = self.net(lr)
        norms = self.norms()
        if norms:
            step = self.trainer.global_step
            self.steps.append((step, [m.training for m in norms], norms[0].running_mean.clone()))
        return (sr - hr).abs().mean()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        assert not any(m.training for m in self.modules())
        self.net(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 1e-2)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(Patches(self), batch_size=None)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(Patches(self), batch_size=None)


def fresh(build=RepSR, **settings) -> Run:
    torch.manual_seed(0)
    return Run(build(**({"scale": 2, "num_blocks": 2, "channels": 4} | settings)))


def trainer(folder: Path, steps: int, *callbacks: L.Callback, **options: Any) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu", max_steps=steps, callbacks=list(callbacks), logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder, check_val_every_n_epoch=None,
        **{"limit_val_batches": 1, "val_check_interval": 2} | options,
    )  # fmt: skip


def changes(run: Run) -> list[bool]:
    """Of each training step: whether every norm used the batch's statistics; never some of them only."""
    assert all(len(set(modes)) == 1 for _, modes, _ in run.steps)
    return [modes[0] for _, modes, _ in run.steps]


@pytest.mark.parametrize(("build", "settings"), [(RepSR, {}), (SRResNet, {"scale": 4, "num_blocks": 1, "channels": 8})])
def test_the_running_statistics_are_used_from_the_given_step_on_and_stay(tmp_path, build, settings):
    """Validation every second step puts the model into eval mode and back in between."""
    run = fresh(build, **settings)
    trainer(tmp_path, 7, PopulationStatistics(3)).fit(run)
    assert changes(run) == [True] * 3 + [False] * 4
    means = [mean for *_, mean in run.steps]
    assert not torch.equal(means[0], means[2])
    assert all(torch.equal(m, means[2]) for m in means[3:])
    assert all(int(norm.num_batches_tracked) == 3 for norm in run.norms())


def test_factors_go_on_learning(tmp_path):
    run = fresh()
    watched: list[list[torch.Tensor]] = []

    class Watch(L.Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            watched.append([p.detach().clone() for norm in run.norms() for p in (norm.weight, norm.bias)])

    trainer(tmp_path, 6, PopulationStatistics(3), Watch()).fit(run)
    assert not any(torch.equal(a, b) for a, b in zip(watched[2], watched[5], strict=True))


def test_the_step_after_the_change_is_torchs_eval_mode(tmp_path):
    """The loss and gradients of a step on running statistics, computed apart from Lightning."""
    run = fresh()
    trainer(tmp_path, 3, PopulationStatistics(None)).fit(run)
    ours, apart = copy.deepcopy(run), copy.deepcopy(run)
    trainer(tmp_path, 1, PopulationStatistics(0)).fit(ours)

    optimizer = apart.configure_optimizers()
    for norm in apart.norms():
        norm.eval()
    lr, hr = next(iter(Patches(apart)))
    sr = apart.net(lr)
    (sr - hr).abs().mean().backward()
    optimizer.step()
    expected = apart.net.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in ours.net.state_dict().items())


def test_it_counts_optimizer_steps_not_batches(tmp_path):
    run = fresh()
    trainer(tmp_path, 4, PopulationStatistics(2), accumulate_grad_batches=3, val_check_interval=6).fit(run)
    assert changes(run) == [True] * 6 + [False] * 6


def test_null_is_never_and_asks_for_nothing(tmp_path):
    run = fresh()
    trainer(tmp_path, 3, PopulationStatistics(None)).fit(run)
    assert changes(run) == [True] * 3
    trainer(tmp_path, 1, PopulationStatistics(None)).fit(fresh(EDSR))


def test_a_model_without_batch_norm_is_refused_before_the_first_step(tmp_path):
    run = fresh(EDSR)
    with pytest.raises(UserError, match=r"no batch norm.*~callbacks\.population_statistics"):
        trainer(tmp_path, 3, PopulationStatistics(1)).fit(run)
    assert int(run.seen) == 0


def test_it_says_when_it_changes_and_says_it_once(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "sr"):
        trainer(tmp_path, 8, PopulationStatistics(3)).fit(fresh())
    told = [r.getMessage().strip() for r in caplog.records if r.name.startswith("sr.callbacks")]
    assert told == ["step 3: 4 batch norms use the population's statistics from here on"]


def test_a_later_stage_of_the_same_run_keeps_to_it(tmp_path):
    """A second fit of the same trainer, the model put into training mode in between; steps count on."""
    run = fresh()
    one = trainer(tmp_path, 3, PopulationStatistics(5))
    one.fit(run)
    one.fit_loop.epoch_loop.max_steps = 7
    run.train()
    one.fit(run)
    one.fit_loop.epoch_loop.max_steps = 9
    run.train()
    one.fit(run)
    assert [step for step, *_ in run.steps] == list(range(9))
    assert changes(run) == [True] * 5 + [False] * 4


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("stop", [2, 4, 5])
def test_a_run_resumed_around_the_change_equals_one_that_was_not_interrupted(tmp_path, stop, average):
    def callbacks() -> list[L.Callback]:
        extra = [EMA(0.9)] if average else []
        return [*extra, PopulationStatistics(4)]

    whole = fresh()
    trainer(tmp_path, 8, *callbacks()).fit(whole)

    class Stop(L.Callback):
        """Writes a checkpoint in the middle of training and ends it as an interruption would."""

        def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
            if trainer.global_step == stop:
                trainer.save_checkpoint(tmp_path / "last.ckpt")
                raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        trainer(tmp_path, 8, *callbacks(), Stop()).fit(fresh())
    again = fresh()
    again.seen += stop  # known to the data before the weights are loaded
    trainer(tmp_path, 8, *callbacks()).fit(again, ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert [step for step, *_ in again.steps] == list(range(stop, 8))
    assert changes(again) == [step < 4 for step in range(stop, 8)]
    expected = whole.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in again.state_dict().items())


def test_beside_an_average_of_weights_the_change_holds_and_the_average_has_the_same_statistics(tmp_path):
    """What is validated is the average: in eval mode, and swapped back afterwards."""
    run = fresh()
    trainer(tmp_path, 9, EMA(0.5), PopulationStatistics(4)).fit(run)
    assert changes(run) == [True] * 4 + [False] * 5
    means = [mean for *_, mean in run.steps]
    assert all(torch.equal(m, means[3]) for m in [*means[4:], run.norms()[0].running_mean])
