"""Recipes of several stages as users type them: one command, one folder, killed and resumed in the middle."""

import csv
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from small_runs import same, saved

from sr.models.drcn import DRCN
from sr.runs.folder import read_run
from sr.runs.together import doubts

TINY = ["batch_size=2", "patch_size=8", "benchmarks=[]", "callbacks=[]", "val_every_steps=4", "save_every_steps=1"]
KILL = """
import os
from sr.models.hooks import EachBatch

class Kill(EachBatch):
    def before_batch(self, trainer, model):
        if str(trainer.global_step) == os.environ.get("KILL_AT"):
            raise RuntimeError("killed")
"""


@pytest.fixture
def train(command, div2k, tmp_path, monkeypatch):
    """train(*typed, folder, kill_at=None): train.py on a small DIV2K; dies without a word before step `kill_at`."""
    (tmp_path / "killing.py").write_text(KILL)
    monkeypatch.syspath_prepend(tmp_path)

    def run(*typed, folder="run", kill_at=None):
        monkeypatch.setenv("KILL_AT", str(kill_at))
        arguments = [] if typed[0].startswith("resume=") else ["data=div2k", f"data.root={div2k}", *TINY]
        if not typed[0].startswith("resume="):
            arguments.append("+callbacks.kill._target_=killing.Kill")
        return command("train.py", *arguments, *typed, folder=folder)

    return run


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as f:
        return [{k: v for k, v in row.items() if v and k != "train/data_wait"} for row in csv.DictReader(f)]


def write_in_format_1(file: Path) -> None:
    """Put the loss's networks back into the model's state, where they were at first."""
    content = torch.load(file, weights_only=True)
    loss = {f"loss.{k}": v for k, v in content.pop("loss_state_dict").items()}
    for key in {"state_dict", "current_model_state"} & content.keys():
        content[key] |= loss
    torch.save(content, file)


SMALL = ["model=ecbsr_m4c8", "scale=2", "recipe=ecbsr"]
CASES = {
    "fresh optimizers": [*SMALL, "callbacks=[warm_start]", "steps=6"],
    "from the best": [*SMALL, "+stages={a: {}, b: {init_from: best, batch_size: 4, patch_size: 12}, c: {}}", "steps=6"],
    "kept optimizer": [*SMALL, "+stages={a: {frozen: [backbone.0]}, b: {optimizer_state: kept}, c: {}}", "steps=6"],
    "kept with its own rate": [
        *SMALL, "steps=6",
        "+stages={a: {}, b: {optimizer_state: kept, optimizer: {lr: 1e-4}, trained: [backbone.4]}, c: {}}",
    ],
    "another scale": ["model=edsr_baseline", "model.num_blocks=1", "model.channels=8", "scale=4",
                      "+stages={a: {scale: 2}, b: {}, c: {}}", "steps=6"],
    "ema": [*SMALL, "callbacks=[warm_start,ema]", "steps=6"],
    "accumulated": [*SMALL, "callbacks=[warm_start]", "steps=6", "accumulate=2"],
}  # fmt: skip


QUICK = ("kept optimizer",)


@pytest.mark.parametrize(
    "typed", [pytest.param(v, id=k, marks=() if k in QUICK else pytest.mark.slow) for k, v in CASES.items()]
)
def test_a_run_killed_in_any_stage_ends_as_one_that_was_not(train, typed):
    typed = [*typed, "save_every_steps=3"]  # up to so many steps are taken at once
    whole = train(*typed, folder="whole")
    assert whole.code == 0, whole
    assert train(*typed, folder="cut", kill_at=9).code == 1  # in the middle of the second stage of 6 steps each
    cut = whole.folder.parent / "cut"
    assert saved(cut)["sr"]["stage"]["number"] == 2 and saved(cut)["global_step"] == 9
    assert train(f"resume={cut}", kill_at=12).code == 1  # the first step of the third one
    assert saved(cut)["sr"]["stage"]["number"] == 2 and saved(cut)["global_step"] == 12
    resumed = train(f"resume={cut}")
    assert resumed.code == 0, resumed
    a, b = saved(whole.folder), saved(cut)
    assert a["global_step"] == b["global_step"] == 18
    assert same(a["state_dict"], b["state_dict"]) and same(a["optimizer_states"], b["optimizer_states"])
    assert rows(whole.folder) == rows(cut)
    for folder in (whole.folder, cut):
        assert {"stage1_a.ckpt", "stage2_b.ckpt"} <= {p.name for p in (folder / "checkpoints").glob("*")} or (
            folder / "checkpoints/stage2_second.ckpt"
        ).is_file()


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        ("{a: {scale: 3}, b: {optimizer_state: kept}}", "has a network of other sizes"),
        (
            "{a: {}, b: {optimizer_state: kept, optimizer: {_target_: torch.optim.SGD, _partial_: true, lr: 0.1}}}",
            "is trained by torch.optim.Adam",
        ),
    ],
)
def test_an_optimizers_state_that_does_not_fit_the_next_stage_is_refused_before_the_first_step(train, stages, told):
    done = train(*SMALL, f"+stages={stages}", "steps=2")
    assert done.code == 1 and f"b.optimizer_state=kept: the stage before it {told}" in done.err, done
    assert not (done.folder / "checkpoints").exists()


def test_the_best_of_a_stage_is_that_of_its_whole_name(train):
    done = train(*SMALL, "+stages={a_best: {}, b: {init_from: best}}", "steps=2", "val_every_steps=1")
    assert done.code == 0 and "checkpoints/stage1_a_best_best.ckpt" in done.out, done


DRAWING = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 12, 3, padding=1), nn.Dropout(), nn.PixelShuffle(2))
"""


def test_a_network_that_draws_draws_on_after_a_resume(train, tmp_path, monkeypatch):
    (tmp_path / "drawing.py").write_text(DRAWING)
    monkeypatch.delitem(sys.modules, "drawing", raising=False)
    typed = ["model=module", "model.network._target_=drawing.Net", "scale=2", "steps=5", "callbacks=[warm_start]"]
    whole = train(*typed, "optimizer.lr=1e-2", folder="whole")
    assert whole.code == 0, whole
    cut = whole.folder.parent / "cut"
    assert train(*typed, "optimizer.lr=1e-2", folder="cut", kill_at=3).code == 1
    for step in (5, 9, None):  # the second stage's beginning, and the middle of it
        assert train(f"resume={cut}", kill_at=step).code == (step is not None)
    assert same(saved(whole.folder)["state_dict"], saved(cut)["state_dict"])


def log_every_step(*typed: str) -> list[str]:
    return [*typed, "trainer.log_every_n_steps=1"]


def test_rlfn_runs_three_stages_with_the_contrastive_loss_in_the_last(train):
    outcome = train("model=rlfn", "model.num_blocks=1", *log_every_step("steps=3", "patch_size=24", "scale=2"))
    assert outcome.code == 0, outcome
    logged = rows(outcome.folder)
    contrastive = [int(r["step"]) for r in logged if "train/contrastive" in r]
    assert contrastive == [7, 8, 9]
    stages = {int(r["step"]): float(r["stage"]) for r in logged if "stage" in r}
    assert stages == {n + 1: n // 3 + 1 for n in range(9)}
    assert {k.rpartition(".")[2] for k in saved(outcome.folder)["loss_state_dict"]} == {"first", "second"}
    again = train(f"resume={outcome.folder}")
    assert "this run is complete: 9 steps" in again.out


@pytest.mark.parametrize(
    "extra",
    [
        [],
        pytest.param(["accumulate=2"], marks=pytest.mark.slow),
        pytest.param(["callbacks=[ema]"], marks=pytest.mark.slow),
        pytest.param(["trainer.precision=bf16-mixed"], marks=pytest.mark.slow),
    ],
)
def test_srgan_pretrains_then_plays_and_resumes_within_the_game(train, vgg_file, extra):
    player = "losses.adversarial.terms.adversarial.loss.discriminator"
    typed = log_every_step("model=srgan", "model.num_blocks=1", "model.channels=8", "steps=3", "patch_size=8",
                           f"+{player}.channels=8", f"{player}.pooled=1", f"vgg_weights={vgg_file}",
                           *extra)  # fmt: skip
    whole = train(*typed, folder="whole")
    assert whole.code == 0, whole
    assert train(*typed, folder="cut", kill_at=5).code == 1
    cut = whole.folder.parent / "cut"
    assert saved(cut)["global_step"] == 5 and saved(cut)["sr"]["stage"]["name"] == "adversarial"
    old = shutil.copytree(cut, cut.with_name("old"))
    write_in_format_1(old / "checkpoints/last.ckpt")
    for folder in (cut, old):
        resumed = train(f"resume={folder}")
        assert resumed.code == 0, resumed
    a, b, c = saved(whole.folder), saved(cut), saved(old)
    assert same(c["state_dict"], a["state_dict"]) and same(c["loss_state_dict"], a["loss_state_dict"])
    assert a["global_step"] == b["global_step"] == 6  # the discriminator's steps do not count
    assert len(a["optimizer_states"]) == len(a["lr_schedulers"]) == 2
    assert same(a["state_dict"], b["state_dict"]) and same(a["optimizer_states"], b["optimizer_states"])
    assert a["sr"]["batches_seen"] == (12 if extra == ["accumulate=2"] else 6)
    steps = [s["step"] for s in a["optimizer_states"][1]["state"].values()]
    assert steps and all(int(s) == 3 for s in steps)
    game = [r for r in rows(whole.folder) if "train/discriminator" in r]
    assert [int(r["step"]) for r in game] == [4, 5, 6] and all("train/adversarial" in r for r in game)
    assert any("discriminator" in k for k in a["loss_state_dict"]) and same(a["loss_state_dict"], b["loss_state_dict"])
    from sr.runs import checkpoint

    assert checkpoint.load(cut).state_dict().keys() == a["state_dict"].keys()


def test_srgan_without_vgg_weights_is_refused_before_the_first_step(train, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    outcome = train("model=srgan", "budget=smoke")
    assert outcome.code == 1 and "vgg19-dcbb9e9d.pth" in outcome.err and "vgg_weights=" in outcome.err, outcome
    assert not (outcome.folder / "checkpoints").exists()


def test_runs_that_saw_other_vgg_weights_are_told_apart(train, vgg_file, vgg_state, tmp_path):
    """Exchanged between two seeds it was told at the training alone, and their mean stood without a word."""
    torch.save({key: value * 1.1 for key, value in vgg_state.items()}, other := tmp_path / "other.pth")
    typed = ["model=espcn", "model.colors=3", "loss=vgg22", "scale=2", "budget=smoke", "benchmarks=[]"]
    for number, file in enumerate((vgg_file, other, vgg_file)):
        shutil.copyfile(file, tmp_path / "vgg.pth")
        outcome = train(*typed, f"seed={number}", f"vgg_weights={tmp_path / 'vgg.pth'}", folder=f"seed_{number}")
        assert outcome.code == 0, outcome
    runs = [read_run(outcome.folder.parent / f"seed_{number}") for number in range(3)]
    assert doubts(runs[::2]) == []
    assert doubts(runs)[-1].startswith("note: VGG-19 was changed between the trainings of these runs")


def test_repsr_switches_its_statistics_late_and_goes_on_learning(train):
    typed = ["model=repsr", "model.num_blocks=1", "scale=2", "budget=smoke", "budget.steps=10"]
    whole = train(*typed, folder="whole")
    assert whole.code == 0 and "step 9: 2 batch norms use the population's statistics" in whole.out, whole
    assert train(*typed, folder="cut", kill_at=9).code == 1
    assert train(f"resume={whole.folder.parent / 'cut'}").code == 0
    a, b = saved(whole.folder), saved(whole.folder.parent / "cut")
    assert same(a["state_dict"], b["state_dict"])
    counts = [v for k, v in a["state_dict"].items() if k.endswith("num_batches_tracked")]
    assert counts and all(int(v) == 9 for v in counts)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mdsr_baseline", "vdsr"])
def test_several_scales_are_trained_and_measured_in_one_run(train, model):
    small = {"mdsr_baseline": ["model.num_blocks=1", "model.channels=8"], "vdsr": ["model.num_layers=3"]}[model]
    typed = [f"model={model}", *small, "budget=smoke", "budget.steps=12", "benchmarks=null"]
    whole = train(*typed, folder="whole")
    assert whole.code == 0, whole
    for scale in (2, 3, 4):
        with (whole.folder / f"x{scale}/results.csv").open() as f:
            assert {(r["scale"], r["model"]) for r in csv.DictReader(f)} == {
                (str(scale), "bicubic"),
                (str(scale), model),
            }
    last = rows(whole.folder)[-1]
    for scale in (2, 3, 4):
        assert f"val/x{scale}/psnr_y" in last
    mean = sum(float(last[f"val/x{s}/psnr_y"]) for s in (2, 3, 4)) / 3
    assert float(last["val/psnr_y"]) == pytest.approx(mean, abs=1e-3)
    assert train(*typed, folder="cut", kill_at=7).code == 1
    assert train(f"resume={whole.folder.parent / 'cut'}").code == 0
    assert same(saved(whole.folder)["state_dict"], saved(whole.folder.parent / "cut")["state_dict"])


def test_a_step_of_mdsr_changes_only_its_scales_branch(train):
    outcome = train("model=mdsr_baseline", "model.num_blocks=1", "model.channels=8", "steps=1", "val_every_steps=1")
    assert outcome.code == 0, outcome
    state = saved(outcome.folder)["optimizer_states"][0]["state"]
    from sr.runs import checkpoint

    names = list(checkpoint.load(outcome.folder).learnable())
    touched = {names[i] for i in state}
    branches = {re.search(r"x\d", n)[0] for n in touched if n.startswith(("entrances", "upsamplers"))}
    assert len(branches) == 1 and any(n.startswith("body") for n in touched)


@pytest.mark.parametrize("typed", [["scale=4"], ["scale=3"]])
def test_edsr_starts_from_x2(train, typed):
    tiny = ["model=edsr_baseline", "model.num_blocks=1", "model.channels=8", "steps=2", "val_every_steps=2"]
    x2 = train(*tiny, "scale=2", folder="x2")
    assert x2.code == 0, x2
    outcome = train(*tiny, *typed, f"init_from={x2.folder}", "optimizer.lr=0.0", folder="larger")
    assert outcome.code == 0 and "begun afresh: upsampler" in outcome.out, outcome
    a, b = saved(x2.folder)["state_dict"], saved(outcome.folder)["state_dict"]
    shared = [k for k in b if k in a and a[k].shape == b[k].shape]
    assert len(shared) > 5 and all(torch.equal(a[k], b[k]) for k in shared)
    whole = train(*tiny, *typed, "recipe=edsr_x2_first", "benchmarks=null", folder="whole")
    assert whole.code == 0 and "weights from stage 1 (scale 2)" in whole.out, whole
    assert {p.parent.name for p in whole.folder.glob("x*/results.csv")} == {"x2", typed[0].replace("scale=", "x")}


def test_weights_of_another_size_are_refused(train):
    tiny = ["model=edsr_baseline", "model.num_blocks=1", "steps=2"]
    first = train(*tiny, "model.channels=8", "scale=2", folder="first")
    outcome = train(*tiny, "model.channels=16", "scale=4", f"init_from={first.folder}", folder="second")
    assert outcome.code == 1 and "does not fit EDSR x4" in outcome.err, outcome
    assert not (outcome.folder / "composed.yaml").exists()  # the mended command may be typed again


def test_a_late_stage_s_checkpoint_is_looked_at_before_the_first_step(train):
    outcome = train("model=ecbsr_m4c8", "scale=2", "+stages={a: {}, b: {init_from: nowhere.ckpt}}", "steps=2")
    assert outcome.code == 1 and "nowhere.ckpt: there is no such file" in outcome.err, outcome
    assert not (outcome.folder / "checkpoints").exists()


def test_the_final_table_has_a_row_for_each_stage(train):
    outcome = train("model=ecbsr_m4c8", "scale=2", "callbacks=[warm_start]", "steps=2", "benchmarks=null")
    assert outcome.code == 0, outcome
    with (outcome.folder / "results.csv").open() as f:
        figures = {r["model"]: float(r["psnr"]) for r in csv.DictReader(f) if r["protocol"] == "y"}
    assert list(figures) == ["bicubic", "ecbsr_m4c8 (first)", "ecbsr_m4c8 (second)", "ecbsr_m4c8"]
    assert len(set(figures.values())) == 4
    logged = rows(outcome.folder)[-1]
    assert float(logged["test/second/DIV2K/psnr_y"]) == pytest.approx(figures["ecbsr_m4c8 (second)"])
    assert float(logged["test/DIV2K/psnr_y"]) == pytest.approx(figures["ecbsr_m4c8"])


def test_a_frozen_part_does_not_change_and_learns_later(train):
    typed = [
        "model=ecbsr_m4c8",
        "scale=2",
        "+stages={a: {frozen: [backbone.0]}, b: {trained: [backbone.0]}}",
        "steps=2",
    ]
    outcome = train(*typed)
    assert outcome.code == 0, outcome
    first, last = saved(outcome.folder, "stage1_a")["state_dict"], saved(outcome.folder)["state_dict"]
    begun = train(*typed, "optimizer.lr=0.0", folder="still")
    start = saved(begun.folder)["state_dict"]
    for key in (k for k in start if "num_batches" not in k):
        inside = key.startswith("backbone.0.")
        assert torch.equal(first[key], start[key]) or not inside, key
        assert torch.equal(first[key], last[key]) or inside, key
    assert any(not torch.equal(first[k], start[k]) for k in start)
    assert any(not torch.equal(first[k], last[k]) for k in start)


def test_steps_that_move_a_stage_are_refused_on_resume(train):
    typed = ["model=ecbsr_m4c8", "scale=2", "callbacks=[warm_start]", "steps=4"]
    assert train(*typed, kill_at=6).code == 1
    outcome = train("resume=run", "steps=5")
    assert outcome.code == 1 and "was in stage 2" in outcome.err, outcome


def test_the_bar_counts_the_whole_run_in_every_stage_and_after_a_resume(train):
    typed = [*SMALL, "callbacks=[warm_start]", "steps=6"]
    assert train(*typed, kill_at=9).code != 0
    outcome = train("resume=run")
    assert outcome.code == 0, outcome
    counts = [int(n) for n in re.findall(r"stage \d/3 \w+: +\d+%\S* (\d+)/18 ", outcome.err + outcome.out)]
    trained = [n for n in counts if n]
    assert trained == sorted(trained) and trained[0] >= 8 and trained[-1] == 18, counts
    assert not re.search(r"[ <]-\d[\d:]*\.?\d*(?:it/s|,)", outcome.err + outcome.out), "a rate below nothing"


def test_the_shares_of_drcns_loss_go_through_all_stages(train, monkeypatch):
    """They fell to the end of the first stage, and went back to the half where the second one began."""
    shares, share = [], DRCN._progress
    monkeypatch.setattr(DRCN, "_progress", lambda model: shares.append(share(model)) or shares[-1])
    stages = "+stages={a: {steps: 2}, b: {steps: 2}}"
    done = train("model=drcn", "model.num_recursions=2", "model.channels=4", "scale=2", stages, "trainer=cpu")
    assert done.code == 0 and shares[-4:] == [0, 0.25, 0.5, 0.75], (shares, done)
