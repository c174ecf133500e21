"""Muon against its equations one kernel at a time, on kernels of every kind, and in runs that go on."""

import math

import pytest
import torch
from small_runs import SMALL, same, saved
from torch import nn

from sr.training.muon import Muon, is_kernel, orthogonalised

SETTINGS = {"lr": 0.005, "kernel_factor": 4.0, "momentum": 0.9, "betas": (0.8, 0.99), "weight_decay": 0.1}


def network() -> nn.Sequential:
    """Wide, tall and equal kernels, one with a single row, and what is no kernel."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 40, 3), nn.PReLU(40), nn.Conv2d(40, 8, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8),
        nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1), nn.ConvTranspose2d(8, 1, 4, 2), nn.Conv2d(1, 5, 1, bias=False),
    )  # fmt: skip


def gradients(model: nn.Module, step: int) -> None:
    torch.manual_seed(step)
    model.zero_grad()
    model(torch.rand(2, 3, 9, 9)).square().mean().backward()


def naive_kernel(kernel: torch.Tensor, moving: torch.Tensor, lr: float, momentum: float, decay: float) -> None:
    """One step of one kernel, as the paper writes it, in place."""
    moving.copy_(momentum * moving + (1 - momentum) * kernel.grad)
    x = (momentum * moving + (1 - momentum) * kernel.grad).flatten(1).double()
    rows, columns = x.shape
    x = x / math.sqrt((x * x).sum())
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x @ x.T @ x + 2.0315 * x @ x.T @ x @ x.T @ x
    with torch.no_grad():
        kernel.mul_(1 - lr * decay).sub_(lr * max(1, rows / columns) ** 0.5 * x.view(kernel.shape).float())


def test_kernels_follow_the_equations_and_the_rest_is_adam_s():
    ours, naive = network(), network()
    groups = [{"params": ours[:4].parameters()}, {"params": ours[4:].parameters(), "lr": 0.00125}]
    optimizer = Muon(groups, **SETTINGS)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    kernels = [p for p in naive.parameters() if p.ndim == 4 and p[0].numel() > 1]
    late = {id(p) for p in naive[4:].parameters()}
    rest = [[p for p in naive[a:b].parameters() if all(p is not k for k in kernels)] for a, b in ((0, 4), (4, 9))]
    rates = [SETTINGS["lr"], 0.00125]
    adams = [
        torch.optim.AdamW(p, lr=lr, betas=(0.8, 0.99), weight_decay=0.1) for p, lr in zip(rest, rates, strict=True)
    ]
    moving = [torch.zeros_like(k) for k in kernels]
    assert len(kernels) == 6 and naive[8].weight.ndim == 4  # whose one weight a channel is Adam's
    for step in range(5):
        gradients(ours, step)
        for mine, theirs in zip(ours.parameters(), naive.parameters(), strict=True):
            theirs.grad = mine.grad.clone()
        assert optimizer.step(lambda: 7) == 7
        for kernel, state in zip(kernels, moving, strict=True):
            naive_kernel(kernel, state, (0.005 if id(kernel) in late else 0.02) * 0.5 ** (step // 2), 0.9, 0.1)
        for adam, rate in zip(adams, rates, strict=True):
            adam.param_groups[0]["lr"] = rate * 0.5 ** (step // 2)
            adam.step()
        schedule.step()
    for (name, mine), theirs in zip(ours.named_parameters(), naive.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6, msg=lambda m, name=name: f"{name}: {m}")
    assert {name for name, p in ours.named_parameters() if is_kernel(p)} == {f"{n}.weight" for n in (0, 2, 4, 5, 6, 7)}


@pytest.mark.parametrize("rows, columns", [(16, 144), (12, 12), (40, 9)])
def test_all_directions_of_an_update_count_alike(rows, columns):
    torch.manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(3, n, min(rows, columns)))[0] for n in (rows, columns))
    values = torch.logspace(-1, 2, min(rows, columns))  # a thousandfold apart
    found = orthogonalised(left * values @ right.mT)
    assert torch.linalg.svdvals(orthogonalised(found)).sub(1).abs().max() < 0.35
    for mine, u, v in zip(found, left, right, strict=True):  # the directions stay
        turned = u.T @ mine @ v
        assert (turned - turned.diag().diag()).abs().max() < 1e-4 and turned.diag().min() > 0


def test_a_parameter_without_a_gradient_stays_and_has_no_state():
    model = network()
    optimizer = Muon(model.parameters())
    gradients(model, 0)
    for frozen in (model[0].weight, model[1].weight):
        frozen.grad = None
    before = [model[0].weight.clone(), model[1].weight.clone(), model[2].weight.clone()]
    optimizer.step()
    assert torch.equal(before[0], model[0].weight) and torch.equal(before[1], model[1].weight)
    assert not torch.equal(before[2], model[2].weight) and model[0].weight not in optimizer.state


@pytest.mark.slow
def test_a_run_that_goes_on_ends_with_the_same_bits(command, div2k):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "optimizer=muon", "scheduler=warm_up", "callbacks=[ema]",
             "scheduler@scheduler.then=cosine", "scheduler.warm_up_steps=1", "scheduler.then.T_max=6", "trainer=cpu",
             "trainer.gradient_clip_val=1", "parameter_groups={backbone.0: {lr_factor: 0.5}}"]  # fmt: skip
    whole = command("train.py", *typed, "steps=6", "val_every_steps=6", folder="whole")
    cut = command("train.py", *typed, "steps=3", "val_every_steps=3", "steps_at_once=1", folder="cut")
    assert whole.code == cut.code == 0, whole
    again = command("train.py", f"resume={cut.folder}", "steps=6")
    assert again.code == 0, again
    a, b = saved(whole.folder), saved(cut.folder)
    assert all(same(a[key], b[key]) for key in ("state_dict", "optimizer_states", "current_model_state"))
    state = a["optimizer_states"][0]["state"].values()
    assert {tuple(s) for s in state} == {("momentum",), ("step", "exp_avg", "exp_avg_sq")}
