"""The moving average of the weights: its value, when it begins, what is saved, validated and gone on with."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from sr.callbacks import EMA, Checkpoints
from sr.errors import UserError
from sr.models.watch import Watch


class Net(L.LightningModule):
    """Two convolutions that share their weights, and a batch norm between them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.second = self.first
        self.trained: list[dict[str, torch.Tensor]] = [self.copy()]  # before the first step, then after each
        self.validated: list[dict[str, torch.Tensor]] = []

    def copy(self) -> dict[str, torch.Tensor]:
        return {k: v.clone() for k, v in self.state_dict().items()}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.norm(self.first(x)))

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return (self(batch) - batch).square().mean()

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        self.trained.append(self.copy())

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.validated.append(self.copy())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 1e-2)

    def train_dataloader(self) -> DataLoader:
        batches = torch.rand(60, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]

    val_dataloader = train_dataloader


def fitted(folder: Path, ema: EMA, steps: int, run: Net | None = None, accumulate: int = 1) -> tuple[Net, dict]:
    """A net trained for some steps, validated at the last one, and its last checkpoint."""
    run = run or Net()
    L.Trainer(
        accelerator="cpu", max_steps=steps, callbacks=[ema, Checkpoints(folder, "none")], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
        check_val_every_n_epoch=None, val_check_interval=steps * accumulate, limit_val_batches=1,
        num_sanity_val_steps=0, accumulate_grad_batches=accumulate,
    ).fit(run)  # fmt: skip
    return run, torch.load(folder / "last.ckpt", weights_only=True)


def average(run: Net, decay: float, begin: int = 0) -> torch.Tensor:
    """Of the first weight after all steps, by the formula."""
    mean = run.trained[begin]["first.weight"].double()
    for n, state in enumerate(run.trained[begin + 1 :]):
        d = min(decay, (1 + n) / (10 + n))
        mean = d * mean + (1 - d) * state["first.weight"].double()
    return mean


@pytest.mark.parametrize(("decay", "begin", "accumulate"), [(0.999, 0, 1), (0.3, 0, 1), (0.999, 8, 1), (0.999, 0, 2)])
def test_it_averages_from_the_initial_weights_on_with_a_warm_up(tmp_path, decay, begin, accumulate):
    run, saved = fitted(tmp_path, EMA(decay, begin or None), 20, accumulate=accumulate)
    expected = average(run, decay, begin)
    assert len(run.trained) == 21 and not torch.allclose(expected.float(), run.trained[-1]["first.weight"], atol=1e-4)
    for found in (saved["state_dict"], run.validated[0], run.copy()):
        assert torch.allclose(found["first.weight"].double(), expected, atol=1e-6)
        assert torch.equal(found["second.weight"], found["first.weight"])  # one parameter of two names
        for name in ("norm.running_mean", "norm.running_var"):  # of what trains, not averaged
            assert torch.equal(found[name], run.trained[-1][name])
    assert all(torch.equal(v, saved["current_model_state"][k]) for k, v in run.trained[-1].items())
    assert int(saved["averaging_state"]["n_averaged"]) == 20 - begin


def test_before_it_begins_the_weights_themselves_are_validated_and_saved(tmp_path):
    run, saved = fitted(tmp_path, EMA(update_starting_at_step=100), 3)
    assert not torch.equal(run.trained[0]["first.weight"], run.trained[-1]["first.weight"])
    for found in (saved["state_dict"], run.validated[0], run.copy()):
        assert all(torch.equal(v, found[k]) for k, v in run.trained[-1].items())


def test_a_graph_averages_as_the_host_does_and_waits_for_nothing():
    host, device, moved = EMA(0.4, 3), EMA(0.4, 3), Net()
    trainer = SimpleNamespace(global_step=0)
    for ema in (host, device):
        ema.on_train_start(trainer, moved)
    for step in range(1, 30):
        trainer.global_step = step
        with torch.no_grad():
            moved.first.weight.add_(torch.randn(3, 3, 3, 3))
        with Watch("cpu") as watch:
            device.within_step()
        assert watch.found == ""
        for ema in (host, device):
            ema.after_batch(trainer)
        theirs, ours = host._averages[0], device._averages[0]
        assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6) and device.updates == host.updates
        assert torch.equal(ours, moved.first.weight) == (step <= 3)


@pytest.mark.parametrize("resumed", [2, 12])
def test_a_graph_goes_on_with_the_average_of_before(resumed):
    ema, run, trainer = EMA(0.9, 3), Net(), SimpleNamespace(global_step=resumed)
    ema.updates = max(0, resumed - 3)
    ema.on_train_start(trainer, run)
    assert float(ema._number) == resumed - 3


@pytest.mark.parametrize("decay", [0, 1, 1.5])
def test_a_decay_that_is_none_is_refused(decay):
    with pytest.raises(UserError, match=r"callbacks\.ema\.decay"):
        EMA(decay)
