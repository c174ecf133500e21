"""Networks on clips, and networks on images beside them, are trained and validated on clips as users type it."""

import csv
import logging
import math
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import PACKAGE, rows, saved, start, write
from torch import nn

from sr.data.batch import Batch
from sr.errors import UserError
from sr.layers.deformable import DeformConv
from sr.metrics.protocols import get_protocol
from sr.models.base import Reads
from sr.models.basicvsr import BasicVSR
from sr.models.edvr import EDVR
from sr.models.training import Training
from sr.runs import checkpoint

NETS = {
    "basicvsr": ["model=basicvsr", "model.num_blocks=1", "model.channels=8"],
    "edvr": ["model=edvr_m", "model.num_blocks=1", "model.channels=8", "model.groups=2"],
    "espcn": ["model=espcn", "model.channels=[8,8]", "scale=4"],
}
SMALL = ["patch_size=16", "batch_size=2", "trainer.log_every_n_steps=1", "trainer.enable_progress_bar=false"]
KILL = """
import os, signal
from sr.models.stepping import EachBatch

class Kill(EachBatch):
    def before_batch(self, trainer, model):
        if str(trainer.global_step) == os.environ.get("KILL_AT"):
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def typed(clips) -> list[str]:
    """Two clips to train on, 64x64 HR, and one of two and one of four frames to validate on."""
    train = clips(count=2, frames=5, folder="train")
    val = clips(count=1, frames=2, folder="val", first=7)
    clips(count=1, frames=4, folder="val", first=8)
    return ["data=clips", f"data.train={train}", f"data.val={val}", "frames=5", "benchmarks=[]", *SMALL]


def network(model: str) -> BasicVSR | EDVR:
    torch.manual_seed(0)
    built = BasicVSR(num_blocks=1, channels=8) if model == "basicvsr" else EDVR(num_blocks=1, channels=8, groups=2)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return built


def batch(frames: int = 5) -> Batch:
    lr, hr = torch.rand(2, frames, 3, 16, 16), torch.rand(2, frames, 3, 64, 64)
    return Batch(lr, hr, 4, ["a", "b"], [False, False])


def test_the_loss_is_of_the_centre_frame_or_of_all_frames():
    one, edvr, basicvsr = batch(), network("edvr"), network("basicvsr")
    for reads in (None, Reads(gain=2.0, shift=-1.0, bgr=True)):
        edvr.reads = basicvsr.reads = reads
        with torch.no_grad():
            sr, hr, lr = edvr.training_images(one)
            torch.testing.assert_close(sr, edvr(one.lr)[:, 2])
            assert torch.equal(hr, one.hr[:, 2]) and torch.equal(lr, one.lr[:, 2])
            sr, hr, lr = basicvsr.training_images(one)
            torch.testing.assert_close(sr, basicvsr(one.lr).flatten(0, 1))
            assert torch.equal(hr, one.hr.flatten(0, 1)) and torch.equal(lr, one.lr.flatten(0, 1))


def test_a_clip_is_validated_frame_by_frame():
    """Features of all frames at once would not fit where a short training sample's do."""
    net, one, seen = network("basicvsr"), batch(4), []
    net.attach(Training(nn.L1Loss(), None, None, get_protocol("video_y")))
    net.flow.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    with torch.no_grad():
        output = net.validation_step(one._replace(hr=(one.hr * 255).byte()), 0)
        assert set(seen) == {2}, "two clips, one frame of each"
        torch.testing.assert_close(output, net(one.lr), rtol=0, atol=1e-5)


def test_offsets_are_watched_and_an_explosion_is_told_once(caplog):
    edvr = network("edvr")
    edvr.training_images(batch())
    moves = [m for m in edvr.modules() if isinstance(m, DeformConv)]
    usual = edvr.watched()["offset"]
    torch.testing.assert_close(usual, sum(m.mean_offset for m in moves) / 4)
    assert len(moves) == 4 and 0 < usual < 2
    with torch.no_grad():
        edvr.align.move[1].offset.bias.fill_(150.0)
    for _ in range(2):
        edvr.training_images(batch())
        with caplog.at_level(logging.WARNING):
            assert edvr.watched()["offset"] > 30
    (told,) = caplog.messages
    assert "align.move.1 moves" in told and "150 pixels" in told and "parameter_groups" in told
    assert EDVR(num_blocks=1, channels=8, pcd=False).watched() == {}


def test_edvr_starts_from_its_weights_without_tsa_and_from_no_other_network():
    node = {"_target_": "sr.models.edvr.EDVR", "scale": 4, "num_blocks": 1, "channels": 8, "groups": 2, "tsa": True}
    without = EDVR(num_blocks=1, channels=8, groups=2, tsa=False).state_dict()
    content = {"state_dict": without, "sr": {"model": {**node, "tsa": False}}}
    edvr = network("edvr")
    told = checkpoint.warm_start(edvr, content, node, "W")
    assert all(torch.equal(v, without[k]) for k, v in edvr.state_dict().items() if not k.startswith("fusion."))
    taken, fresh = re.search(r"(\d+) of \d+ tensors; begun afresh: (.*)\. Not as", told).groups()
    assert int(taken) == len(without) - 2 and all(name.startswith("fusion.") for name in fresh.split(", "))
    assert "tsa was False, is True" in told
    content["sr"]["model"]["num_blocks"] = 2
    with pytest.raises(UserError, match=r"does not fit EDVR[\s\S]*fusion\.weight"):
        checkpoint.warm_start(edvr, content, node, "W")


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("data.device=true", "data.device=true: clips are cut on the host. Type data.device=auto"),
        ("trainer.compile=true", "basicvsr takes clips, and a compiler would unroll all of their frames"),
    ],
)
def test_what_clips_cannot_do_is_refused_in_a_sentence(command, typed, word, told):
    outcome = command("train.py", *NETS["basicvsr"], *typed, "budget=smoke", word)
    assert outcome.code == 1 and told in outcome.err and "Traceback" not in outcome.err, outcome


@pytest.mark.parametrize("model", [pytest.param("basicvsr", marks=pytest.mark.slow), "edvr",
                                   pytest.param("espcn", marks=pytest.mark.slow)])  # fmt: skip
def test_validation_and_evaluate_agree_and_panels_are_drawn(command, typed, model):
    """Of two clips of two and of four frames: the mean over frames, then over clips."""
    outcome = command("train.py", *NETS[model], *typed, "budget=smoke", "protocol=video_y", "callbacks=[panels]")
    assert outcome.code == 0, outcome
    clips = typed[2].replace("data.val", "data.test")
    one = command("evaluate.py", f"checkpoint={outcome.folder}", "benchmarks=[clips]", clips, "protocol=video_y",
                  folder="measured")  # fmt: skip
    assert one.code == 0, one
    with (one.folder / "results.csv").open(newline="") as f:
        (mine,) = [r for r in csv.DictReader(f) if r["model"] == NETS[model][0][6:]]
    with (one.folder / "results_per_clip.csv").open(newline="") as f:
        each = [float(r["psnr"]) for r in csv.DictReader(f) if r["model"] == mine["model"]]
    last = [r for r in rows(outcome.folder) if r["val/psnr_video_y"]][-1]
    assert float(last["val/psnr_video_y"]) == pytest.approx(float(mine["psnr"]), abs=1e-4)
    assert float(last["val/ssim_video_y"]) == pytest.approx(float(mine["ssim"]), abs=1e-6)
    assert len(each) == 2 and sum(each) / 2 == pytest.approx(float(mine["psnr"]), abs=1e-6)
    pictures = sorted((outcome.folder / "panels").glob("step_*.png"))
    picture = np.asarray(Image.open(pictures[-1]))
    assert picture.shape[0] > 128 and picture.std() > 20  # a row for each clip
    if model == "edvr":
        assert all(float(r["train/offset"]) >= 0 for r in rows(outcome.folder) if r["train/loss"])


@pytest.mark.slow
@pytest.mark.parametrize("model", ["basicvsr", "edvr_m", "edvr_l"])
def test_every_video_config_takes_real_steps_on_clips(command, typed, model):
    outcome = command("train.py", f"model={model}", *typed, "budget=smoke", "batch_size=1")
    assert outcome.code == 0, outcome
    assert all(math.isfinite(float(r["train/loss"])) for r in rows(outcome.folder) if r["train/loss"])
    assert saved(outcome.folder)["global_step"] == saved(outcome.folder)["sr"]["stage"]["end"]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["basicvsr", "edvr"])
def test_the_ways_of_taking_a_step(command, typed, model):
    """Other precisions and layouts run; parts of a batch, single steps and checkpointing end with the same weights."""
    typed = [*NETS[model], *typed, "budget=smoke", "callbacks=[ema]", "seed=1"]
    usual = command("train.py", *typed, folder="usual")
    assert usual.code == 0, usual
    expected = saved(usual.folder)
    for name, words, close in (
        ("bf16", ["trainer.precision=bf16-mixed"], 1e-3),
        ("last", ["trainer.channels_last=true"], 1e-5),
        ("single", ["steps_at_once=1"], 0.0),
        ("parts", ["accumulate=2"], 1e-5),
        ("less", ["model.checkpointing=true"], 1e-5),
    ):
        outcome = command("train.py", *typed, *words, folder=name)
        assert outcome.code == 0, (name, outcome)
        found = saved(outcome.folder)
        for state in ("state_dict", "current_model_state"):
            assert found[state].keys() == expected[state].keys()
            # In the mean: Adam makes whole steps of the sign of a gradient that is 0 but for rounding.
            apart = (
                torch.cat([(v - expected[state][k]).flatten().float() for k, v in found[state].items()]).abs().mean()
            )
            assert float(apart) <= close, (name, apart)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_the_flow_is_frozen_up_to_its_stages_end_and_not_beyond(typed, tmp_path, killed):
    """Also of a run that is killed in either stage."""
    first = network("basicvsr")
    node = {"_target_": "sr.models.basicvsr.BasicVSR", "scale": 4, "num_blocks": 1, "channels": 8}
    write(tmp_path / "first.ckpt", node, first.state_dict())
    (tmp_path / "killing.py").write_text(KILL)
    words = [*NETS["basicvsr"], *typed, f"init_from={tmp_path / 'first.ckpt'}", "stages.flow_frozen.steps=3",
             "stages.everything.steps=3", "scheduler.T_max=6", "save_every_steps=1", "val_every_steps=3",
             "callbacks=[]", "+callbacks.kill._target_=killing.Kill"]  # fmt: skip
    end_of(tmp_path / "run", words, kill_at=(2, 4) if killed else ())
    frozen, ended = (saved(tmp_path / "run", name)["state_dict"] for name in ("stage1_flow_frozen", "last"))
    for name, value in first.state_dict().items():
        flow = name.startswith("flow.")
        assert torch.equal(value, frozen[name]) == flow, name
        assert not flow or not torch.equal(value, ended[name]), name


def end_of(folder: Path, words: list[str], kill_at: tuple[int, ...] = ()) -> None:
    """Train in a process of its own, killed before these steps and gone on with."""
    for step in kill_at:
        process = start(folder, *words, by=PACKAGE, OMP_NUM_THREADS="1", KILL_AT=str(step), **found(folder))
        assert process.wait(300) == -signal.SIGKILL, (folder.parent / f"{folder.name}.out").read_text()
        words = [f"resume={folder}"]
    process = start(folder, *words, by=PACKAGE, OMP_NUM_THREADS="1", KILL_AT="", **found(folder))
    assert process.wait(300) == 0, (folder.parent / f"{folder.name}.out").read_text()


def found(folder: Path) -> dict[str, str]:
    return {"PYTHONPATH": f"{folder.parent}:{Path(__file__).resolve().parents[2]}"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "stages", "at"),
    [
        ("basicvsr", ["stages.flow_frozen.steps=2", "stages.everything.steps=4", "scheduler.T_max=6"], 4),
        ("edvr", ["stages.without_tsa.steps=2", "stages.tsa_alone.steps=4", "stages.everything.steps=2"], 4),
    ],
)
def test_a_run_killed_in_its_second_stage_ends_with_the_same_weights(typed, tmp_path, model, stages, at):
    (tmp_path / "killing.py").write_text(KILL)
    words = [*NETS[model], *typed, *stages, "save_every_steps=1", "val_every_steps=2",
             "+callbacks.kill._target_=killing.Kill"]  # fmt: skip
    end_of(tmp_path / "whole", words)
    end_of(tmp_path / "cut", words, kill_at=(at,))
    a, b = saved(tmp_path / "whole"), saved(tmp_path / "cut")
    for state in {"state_dict", "current_model_state"} & a.keys():
        assert a[state].keys() == b[state].keys() and all(torch.equal(v, b[state][k]) for k, v in a[state].items())
    assert a["global_step"] == b["global_step"] and a["optimizer_states"][0]["state"].keys()
    if model == "edvr":
        printed = (tmp_path / "whole.out").read_text()
        assert "stage 1" in printed and "fusion.fuse" in printed  # what begins afresh is told by name
        # A stage begins from the average of the one before it, and trains weights of its own.
        without = saved(tmp_path / "whole", "stage1_without_tsa")["state_dict"]
        alone = saved(tmp_path / "whole", "stage2_tsa_alone")["current_model_state"]
        rest = [k for k in alone if not k.startswith("fusion.")]
        assert "fusion.weight" in without and all(torch.equal(without[k], alone[k]) for k in rest)
        assert all(not torch.equal(alone[k], a["current_model_state"][k]) for k in rest if k.endswith("weight"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "stages"),
    [
        ("basicvsr", ["stages.flow_frozen.steps=2", "stages.everything.steps=2", "scheduler.T_max=4"]),
        ("edvr", ["stages.without_tsa.steps=1", "stages.tsa_alone.steps=2", "stages.everything.steps=1"]),
    ],
)
def test_two_processes_train_on_clips_as_one_does(command, typed, tmp_path, model, stages):
    words = [*NETS[model], *typed, *stages, "val_every_steps=1", "callbacks=[]"]
    one = command("train.py", *words, folder="one")
    assert one.code == 0, one
    ddp = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    process = start(tmp_path / "two", *words, *ddp, by=PACKAGE, OMP_NUM_THREADS="1")
    assert process.wait(400) == 0, (tmp_path / "two.out").read_text()
    a, b = (saved(folder)["state_dict"] for folder in (one.folder, tmp_path / "two"))
    # But for a few whose gradients are rounding alone (5e-11 and the like), of which Adam makes steps of whole size.
    apart = torch.cat([(a[k] - b[k]).abs().flatten().float() for k in a])
    assert int((apart > 1e-5).sum()) <= 20 and float(apart.max()) < 3e-4
    ours, theirs = ([(float(r["train/loss"]), float(r["val/psnr_video_rgb"])) for r in rows(f)]
                    for f in (one.folder, tmp_path / "two"))  # fmt: skip
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(other, rel=1e-3)


@pytest.mark.slow
def test_offsets_take_a_rate_of_their_own(command, typed):
    outcome = command("train.py", *NETS["edvr"], *typed, "recipe=edvr_stage", "budget=smoke", "optimizer.lr=1e-3",
                      "parameter_groups={*.offset: {lr_factor: 0.1}}", "callbacks=[]")  # fmt: skip
    assert outcome.code == 0, outcome
    rest, offsets = saved(outcome.folder)["optimizer_states"][0]["param_groups"]
    assert (rest["initial_lr"], offsets["initial_lr"]) == (1e-3, pytest.approx(1e-4)) and len(offsets["params"]) == 8
