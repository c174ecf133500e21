"""Optimizers on a GPU that is not there: torch's fake tensors tell what would be called, with what, and where."""

import copy
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from sr.callbacks.adjustable_clipping import AdjustableClipping
from sr.models.optimizers import Rates, as_set, suit
from sr.models.watch import Watch

GPU = torch.device("cuda:0")


def parameters(device="cuda", number=2) -> list[nn.Parameter]:
    made = [nn.Parameter(torch.zeros(3, device=device)) for _ in range(number)]
    for parameter in made:
        parameter.grad = torch.zeros(3, device=device)
    return made


@pytest.mark.parametrize("kind, kernel", [(torch.optim.Adam, "_fused_adam_"), (torch.optim.SGD, "_fused_sgd_")])
def test_on_a_gpu_a_step_is_one_kernel_that_reads_its_rate_there(monkeypatch, kind, kernel):
    monkeypatch.setattr(torch, kernel, called := Mock())
    with FakeTensorMode():
        optimizer = kind([{"params": parameters()}, {"params": parameters(), "lr": 0.5}], lr=0.1)
        suit(optimizer, GPU, partial=True)
        rates = Rates(optimizer)
        rates.fill()
        with Watch("cuda") as watch, rates.standing_in():
            optimizer.step()
        assert watch.found == ""
        given = [call.kwargs["lr"] for call in called.call_args_list]
        assert [x.device.type for x in given] == ["cuda", "cuda"]
        assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5]  # schedules see numbers
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
        schedule.step()
        assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.25]


def test_rates_are_filled_where_they_have_changed():
    optimizer = torch.optim.Adam([{"params": parameters("cpu")}, {"params": parameters("cpu"), "lr": 0.5}], lr=0.1)
    rates = Rates(optimizer)
    assert rates.groups == []  # of a processor's nothing is filled
    rates._hold(optimizer.param_groups)
    rates.fill()
    optimizer.param_groups[1]["lr"] = 0.25
    rates.fill()
    with pytest.raises(ZeroDivisionError), rates.standing_in():
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.25])
        raise ZeroDivisionError
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.25]


def test_a_checkpoint_of_a_gpu_goes_on_on_a_processor_and_back():
    plain = torch.optim.Adam(parameters("cpu"), lr=0.1)
    plain.step()
    settings = plain.state_dict()
    with FakeTensorMode(allow_non_fake_inputs=True):
        on_gpu = torch.optim.Adam(parameters(), lr=0.1)
        on_gpu.load_state_dict(settings)
        suit(on_gpu, GPU, partial=False)
        assert all(group["fused"] and group["capturable"] for group in on_gpu.param_groups)
        assert all(state["step"].device.type == "cuda" for state in on_gpu.state.values())
        saved = copy.copy(on_gpu.state_dict())
        as_set(on_gpu, saved)
    assert saved["param_groups"] == settings["param_groups"]
    suit(plain, torch.device("cpu"), partial=False)
    assert plain.state_dict()["param_groups"] == settings["param_groups"]


@pytest.mark.parametrize("settings", [{"fused": False}, {"foreach": True}, {"differentiable": True}])
def test_what_the_user_chose_stays(settings):
    with FakeTensorMode():
        optimizer = torch.optim.Adam(parameters(), lr=0.1, **settings)
        suit(optimizer, GPU, partial=False)
        assert not optimizer.param_groups[0]["fused"] and not optimizer.param_groups[0]["capturable"]


def test_an_optimizer_whose_defaults_do_not_tell_all_that_its_groups_have():
    """As one that takes the groups of another one within it."""
    optimizer = torch.optim.Adam(parameters("cpu"), lr=0.1)
    del optimizer.defaults["capturable"]
    suit(optimizer, torch.device("cpu"), partial=False)
    assert not optimizer.param_groups[0]["capturable"]


def test_momentum_of_some_parameters_alone_is_not_fused():
    with FakeTensorMode():
        for partial in (True, False):
            optimizer = torch.optim.SGD(parameters(), lr=0.1, momentum=0.9)
            suit(optimizer, GPU, partial)
            assert bool(optimizer.param_groups[0]["fused"]) is not partial
        optimizer.state[optimizer.param_groups[0]["params"][0]]["momentum_buffer"] = torch.zeros(3)
        suit(optimizer, GPU, partial=False)
        assert not optimizer.param_groups[0]["fused"]


def test_a_bound_that_follows_the_rate_on_a_gpu_and_on_a_processor():
    bounds = []
    for rate in (0.5, torch.tensor(0.5)):
        (parameter,) = parameters("cpu", 1)
        parameter.grad = torch.tensor([-3.0, 0.1, 3.0])
        optimizer = SimpleNamespace(param_groups=[{"lr": rate, "params": [parameter]}])
        AdjustableClipping(0.25).on_before_optimizer_step(SimpleNamespace(precision_plugin=None), None, optimizer)
        bounds.append(parameter.grad)
    assert torch.equal(*bounds) and bounds[0].tolist() == pytest.approx([-0.5, 0.1, 0.5])
    optimizer.param_groups[0]["lr"] = torch.tensor(0.0)
    parameter.grad = torch.tensor([-3.0, 0.1, 3.0])
    AdjustableClipping(0.25).on_before_optimizer_step(SimpleNamespace(precision_plugin=None), None, optimizer)
    assert parameter.grad.tolist() == pytest.approx([-3.0, 0.1, 3.0])
