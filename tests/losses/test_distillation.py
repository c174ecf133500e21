"""A trained network as the teacher of another."""

import copy
import csv

import pytest
import torch
from small_runs import SMALL, saved, write
from torch import nn

from sr.errors import UserError
from sr.losses import Distillation
from sr.models.bsrn import BSRN
from sr.models.ecbsr import ECBSR
from sr.models.edsr import EDSR
from sr.models.srresnet import SRResNet
from sr.zoo.teacher import teacher

ZOO = {"dir": "nowhere", "download": False, "range": None, "order": None}


def test_its_targets_are_what_the_teacher_makes():
    torch.manual_seed(0)
    net = SRResNet(2, num_blocks=1, channels=4).eval()
    lr, hr, sr = torch.rand(2, 3, 6, 5), torch.rand(2, 3, 12, 10), torch.rand(2, 3, 12, 10, requires_grad=True)
    with torch.no_grad():
        wanted = 255 * (sr - net(lr)).abs().mean()
    loss = Distillation(net, nn.L1Loss(), value_range=255.0).train()
    found = loss(sr, hr, lr)
    torch.testing.assert_close(found.detach(), wanted)
    found.backward()
    assert sr.grad.any() and not list(loss.parameters()) and list(loss.state_dict()) == ["mark"]
    assert not any(module.training for module in loss.modules()), "its batch norms keep their statistics"
    luma = ECBSR(2, num_blocks=1, channels=4).eval()
    y = torch.rand(1, 1, 6, 5)
    with torch.no_grad():
        made = luma.network(y, 2)
    torch.testing.assert_close(Distillation(luma, nn.MSELoss())(made, made, y), torch.tensor(0.0))


def test_a_run_goes_on_with_the_teacher_that_it_began_with():
    torch.manual_seed(0)
    net = SRResNet(2, num_blocks=1, channels=4).eval()
    net.metadata = {"model": {"res_scale": 1.0}}
    state = Distillation(copy.deepcopy(net), nn.L1Loss()).state_dict()
    Distillation(copy.deepcopy(net), nn.L1Loss()).load_state_dict(state)
    for told in ({"model": {"res_scale": 0.1}}, net.metadata | {"reads": {"bgr": True}}):  # which teach something else
        (other := copy.deepcopy(net)).metadata = told
        with pytest.raises(UserError, match="other weights or settings than the one that this run began with"):
            Distillation(other, nn.L1Loss()).load_state_dict(state)
    with torch.no_grad():
        next(net.parameters())[0] += 1e-3
    with pytest.raises(UserError, match="other weights or settings than the one that this run began with"):
        Distillation(net, nn.L1Loss()).load_state_dict(state)


def test_a_teacher_that_nothing_looks_at_and_a_module_without_a_class_are_refused(command):
    for words, told in (
        (["loss=l1", "teacher=plain_m10c32_x4"], "Type loss=distillation too"),
        (["model=module"], "model.network._target_ names no class"),
        (["budget=minutes", "budget.short.taken=maybe"], "true, false or auto is wanted"),
    ):
        outcome = command("train.py", *words, "trainer=cpu", "steps=4")
        assert outcome.code == 1 and told in outcome.err, outcome


def test_a_teacher_that_cannot_teach_is_refused():
    with pytest.raises(UserError, match="sees RGB, and ECBSR sees Y alone"):
        Distillation(EDSR(2, 1, 4), nn.L1Loss()).refuse_for(ECBSR(2, num_blocks=1, channels=4))
    with pytest.raises(UserError, match="enlarges by 2, not by 4"):
        Distillation(EDSR(2, 1, 4), nn.L1Loss()).refuse_for(EDSR(4, 1, 4))
    with pytest.raises(UserError, match="no network x8 travels"):
        teacher(None, 8, ZOO)
    with pytest.raises(UserError, match=r"teacher=rlfn_x5: neither a run.*Did you mean"):
        teacher("rlfn_x5", 4, ZOO)
    assert type(teacher(None, 3, ZOO)).__name__ == "PlainVGG"


@pytest.mark.slow
def test_a_network_is_trained_with_a_teacher_that_no_checkpoint_holds(command, div2k, tmp_path):
    typed = [a for a in SMALL if a != "loss=l1"] + ["data=div2k", f"data.root={div2k}", "loss=distillation"]
    typed += ["model=bsrn", "model.channels=8", "model.num_blocks=1", f"teacher={write(tmp_path / 'teacher.ckpt')}"]
    typed += ["model.reduction=2", "model.esa_channels=2", "val_every_steps=1", "loss.value_range=255"]
    typed += ["trainer.log_every_n_steps=1", "scheduler=halve"]
    done = command("train.py", *typed, "steps=2")
    assert done.code == 0, done
    content = saved(done.folder)
    assert [*content["loss_state_dict"]] == ["losses.distillation.mark"] and content["sr"]["config"][
        "teacher"
    ].endswith("teacher.ckpt")
    assert content["state_dict"].keys() == BSRN(2, 1, 8, 2, 2).state_dict().keys()
    with (done.folder / "metrics.csv").open(newline="") as file:
        assert {"train/l1", "train/distillation"} <= set(next(csv.reader(file)))
    again = command("train.py", f"resume={done.folder}", "steps=3")
    assert again.code == 0 and saved(done.folder)["global_step"] == 3, again
    wrong = command("train.py", *typed, "steps=2", "scale=4", folder="wrong")
    assert wrong.code == 1 and "enlarges by 2, not by 4" in wrong.err, wrong
