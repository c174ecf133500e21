"""Gradients clipped to theta over the present learning rate, against steps computed by hand."""

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from sr.callbacks.adjustable_clipping import AdjustableClipping
from sr.errors import UserError
from sr.models.vdsr import VDSR

RATES = (0.5, 0.02)  # of a network's weights and of its biases
THETA = 0.01


class Run(L.LightningModule):
    """A small VDSR trained by SGD with two rates, both halved after every second step."""

    def __init__(self, gain: float = 30.0, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = VDSR(2, num_layers=3, channels=4)
        self.gain, self.options = gain, options
        self.lrs: list[tuple[float, ...]] = []
        self.gradients: list[list[torch.Tensor]] = []  # as the optimizer got them

    def error(self, n: int) -> torch.Tensor:
        hr = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(n))
        return self.gain * F.mse_loss(self.net(F.avg_pool2d(hr, 2)), hr)

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return self.error(int(batch))

    def groups(self) -> list[list[nn.Parameter]]:
        named = dict(self.net.named_parameters())
        return [[p for n, p in named.items() if n.endswith("bias") is bias] for bias in (False, True)]

    def configure_optimizers(self) -> Any:
        groups = [{"params": p, "lr": lr} for p, lr in zip(self.groups(), RATES, strict=True)]
        optimizer = torch.optim.SGD(groups, **self.options)
        optimizer.register_step_post_hook(self.record)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def record(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        self.lrs.append(tuple(group["lr"] for group in optimizer.param_groups))
        self.gradients.append([p.grad.clone() for group in optimizer.param_groups for p in group["params"]])


def fit(folder: Path, run: Run, steps: int, *callbacks: L.Callback, **options: Any) -> Run:
    L.Trainer(
        accelerator="cpu", max_steps=steps, callbacks=list(callbacks), logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder, **options,
    ).fit(run, DataLoader(torch.arange(60)))  # fmt: skip
    return run


def by_hand(run: Run, steps: int, micro: int = 1) -> list[torch.Tensor]:
    """The weights after `steps` steps of SGD on gradients clipped value by value; counts what was clipped."""
    run.clipped = [0, 0]
    for step in range(steps):
        run.zero_grad()
        (sum(run.error(step * micro + n) for n in range(micro)) / micro).backward()
        for group, (parameters, lr) in enumerate(zip(run.groups(), RATES, strict=True)):
            now = lr * 0.5 ** (step // 2)
            with torch.no_grad():
                for p in parameters:
                    run.clipped[group] += int((p.grad.abs() > THETA / now).sum())
                    p -= now * p.grad.clamp(-THETA / now, THETA / now)
    return [p for group in run.groups() for p in group]


def test_each_groups_bound_follows_its_rate(tmp_path):
    run = fit(tmp_path, Run(), 6, AdjustableClipping(THETA))
    assert run.lrs[0] == RATES and run.lrs[-1] == tuple(lr / 4 for lr in RATES)
    apart = Run()
    expected = by_hand(apart, 6)
    assert min(apart.clipped) > 0  # else nothing is tested
    ours = [p for group in run.groups() for p in group]
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-7) for a, b in zip(ours, expected, strict=True))
    weights = len(run.groups()[0])
    for lrs, gradients in zip(run.lrs, run.gradients, strict=True):
        for n, gradient in enumerate(gradients):
            assert gradient.abs().max() <= THETA / lrs[n >= weights] * (1 + 1e-6)
    unclipped = fit(tmp_path, Run(), 1).gradients[0]
    assert max(g.abs().max() for g in unclipped[:weights]) > THETA / RATES[0]


def test_no_step_of_sgd_moves_a_weight_by_more_than_theta(tmp_path):
    before = [p.clone() for p in Run().net.parameters()]
    run = fit(tmp_path, Run(gain=1000.0), 1, AdjustableClipping(THETA))
    moved = torch.cat([(a - b).detach().abs().flatten() for a, b in zip(run.net.parameters(), before, strict=True)])
    assert float(moved.max()) == pytest.approx(THETA, rel=1e-4)


def test_the_gradient_of_a_whole_accumulated_step_is_clipped(tmp_path):
    run = fit(tmp_path, Run(), 4, AdjustableClipping(THETA), accumulate_grad_batches=3)
    assert len(run.lrs) == 4
    ours = [p for group in run.groups() for p in group]
    expected = by_hand(Run(), 4, micro=3)
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-7) for a, b in zip(ours, expected, strict=True))


def scaled() -> MixedPrecision:
    """16-bit precision with loss scaling, which Lightning has on GPUs only, on a processor."""
    return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**10))


def test_16_bit_gradients_are_clipped_after_they_are_unscaled(tmp_path):
    """Against the same step without the callback; gradients still 2^10 times too large would be cut elsewhere."""
    run = fit(tmp_path, Run(), 1, AdjustableClipping(THETA), plugins=[scaled()])
    plain = fit(tmp_path, Run(), 1, plugins=[scaled()])
    weights, cut, kept = len(run.groups()[0]), 0, 0
    for n, (ours, theirs) in enumerate(zip(run.gradients[0], plain.gradients[0], strict=True)):
        bound = THETA / RATES[n >= weights]
        assert torch.equal(ours, theirs.clamp(-bound, bound))
        cut += int((theirs.abs() > bound).sum())
        kept += int(((theirs.abs() < bound) & (theirs.abs() > bound / 2**10)).sum())
    assert cut > 0 and kept > 0


def test_a_fused_optimizer_under_16_bit_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"optimizer\.fused=false"):
        fit(tmp_path, Run(fused=True), 2, AdjustableClipping(THETA), plugins=[scaled()])
    assert len(fit(tmp_path, Run(fused=True), 2, AdjustableClipping(THETA)).lrs) == 2  # nothing is scaled in float32


def test_a_rate_of_zero_sets_no_bound(tmp_path):
    class Idle(L.Callback):
        def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
            trainer.optimizers[0].param_groups[1]["lr"] = 0.0

    run = fit(tmp_path, Run(), 1, Idle(), AdjustableClipping(THETA))
    weights = len(run.groups()[0])
    assert run.lrs[0][1] == 0 and all(g.isfinite().all() for g in run.gradients[0])
    plain = fit(tmp_path, Run(), 1).gradients[0]
    assert all(torch.equal(a, b) for a, b in zip(run.gradients[0][weights:], plain[weights:], strict=True))


@pytest.mark.parametrize("theta", [0.0, -1.0, float("nan")])
def test_theta_is_positive(theta):
    with pytest.raises(UserError, match="theta"):
        AdjustableClipping(theta)
