"""train.py as users type it, on small real runs."""

import csv
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import yaml
from hydra.utils import get_class
from omegaconf import OmegaConf
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf/model"
MODELS = sorted(p.stem for p in CONF.glob("*.yaml") if p.stem != "bicubic")
SMALL = ["model=ecbsr_m4c8", "scale=2", "batch_size=2", "patch_size=8", "loss=l1", "benchmarks=[]", "callbacks=[]"]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as f:
        return list(csv.DictReader(f))


def saved(folder: Path) -> dict:
    return torch.load(folder / "checkpoints/last.ckpt", weights_only=True)


def of_each_class() -> set[str]:
    """The last file of each class, by the alphabet: a small one where there are several."""
    return set({yaml.safe_load((CONF / f"{name}.yaml").read_text()).get("_target_"): name for name in MODELS}.values())


def tier(model: str):
    """One network of each class; the other sizes, and those that are large, are in the slow tier."""
    quick = model in of_each_class() - {"drcn"}
    return pytest.param(model, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize("model", [tier(m) for m in MODELS])
def test_every_model_takes_real_steps_under_its_recipe(command, div2k, model, request):
    vgg = [f"vgg_weights={request.getfixturevalue('vgg_file')}"] if model.startswith("srgan") else []
    target = OmegaConf.load(ROOT / f"conf/model/{model}.yaml").get("_target_")
    supported = get_class(target).supported_scales if target else (4,)
    scale = [] if 4 in supported else [f"scale={supported[0]}"]
    outcome = command(
        "train.py", f"model={model}", "data=div2k", f"data.root={div2k}", "budget=smoke", "benchmarks=[]", *vgg, *scale
    )
    assert outcome.code == 0, outcome
    content = saved(outcome.folder)
    stages = content["sr"]["config"]["stages"]
    assert content["global_step"] == (content["sr"]["stage"]["end"] if stages else 4) >= max(2, len(stages))
    assert (outcome.folder / "checkpoints/best.ckpt").is_file()
    assert all(math.isfinite(float(v)) for row in rows(outcome.folder) for k, v in row.items() if v and "loss" in k)
    assert content["sr"]["name"] == model


@pytest.mark.shared
def test_a_run_begins_with_the_papers_figures_and_ends_beside_them(command, div2k, shared):
    outcome = command(
        "train.py", "model=srcnn", "scale=3", "data=div2k", f"data.root={div2k}", "budget=smoke", "benchmarks=[set5]",
        f"data_dir={shared}/data", "budget.test_images=null", "budget.test_middle=null",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    begin, _, end = outcome.out.partition("Beside the published figures:")
    assert "x3 y_classic: Set5 32.39 (github:Lornatang/SRCNN-PyTorch README" in begin
    assert re.search(r"srcnn +Set5 x3 +y_classic .* 32\.39 +-\d+\.\d\d +github:Lornatang", end), end


def test_one_identical_image_freezes_neither_the_mean_nor_the_best_checkpoint(command, div2k):
    Image.new("RGB", (96, 72)).save(div2k / "DIV2K_valid_HR/0802.png")  # black, as the network puts it out at first
    outcome = command(
        "train.py", "model=vdsr", "model.num_layers=3", "scale=2", "data=div2k", f"data.root={div2k}", "budget=smoke",
        "val_every_steps=1", "callbacks=[]", "protocols=[y]", "seed=0",
    )  # fmt: skip
    assert outcome.code == 0 and "note: of x2's validation images 1 of 3 identical" in outcome.out, outcome
    curve = [float(row["val/psnr_y"]) for row in rows(outcome.folder)]
    best = torch.load(outcome.folder / "checkpoints/best.ckpt", weights_only=True)
    assert all(map(math.isfinite, curve)) and best["global_step"] == 1 + curve.index(max(curve)) > 1
    measured = (outcome.folder / "results.csv").read_text()
    assert "inf" not in measured and "psnr_left_out" in measured and "(1 of 3 identical)" in outcome.out


OWN = "from sr.metrics.metric import Metric\nMETRIC = Metric('own', lambda sr, hr: {}, smallest={})\n"


@pytest.mark.parametrize(
    ("typed", "code", "told"),
    [
        ("protocols=[nope]", "", "there is no protocol 'nope'"),
        ("test_protocols=[nope]", "", "there is no protocol 'nope'"),
        ("protocols=[y_classic] degradation=bicubic_noise", "", "protocol=y_classic makes bicubic LR from HR itself"),
        ("metrics=[psnr,nope]", "", "metrics=[nope]: there is no such metric"),
        ("metrics=[psnr,own.py]", OWN.format("sr.mean(1).foo", 1), "metrics: own fails under protocol y on a picture"),
        ("metrics=[psnr,own.py]", OWN.format("0.5", 1), "AttributeError: 'float' object has no attribute 'reshape'"),
        ("metrics=[psnr,own.py]", OWN.format("sr", 1) + "1 / 0", "the file cannot be run: ZeroDivisionError"),
        ("metrics=[psnr,own.py]", "def", "the file cannot be run: SyntaxError"),
        ("metrics=[psnr,own.py]", OWN.format("sr.mean((1, 2, 3))", 71), "0801.png: an image of 72 x 96 pixels"),
    ],
)
def test_what_can_be_wrong_about_measuring_is_told_before_the_first_step(
    command, div2k, tmp_path, monkeypatch, typed, code, told
):
    monkeypatch.delitem(sys.modules, "sr.metrics.own", raising=False)
    (tmp_path / "own.py").write_text(code)
    small = [word for word in SMALL if word != "benchmarks=[]"]
    outcome = command("train.py", *small, "data=div2k", f"data.root={div2k}", "steps=2", *typed.split())
    monkeypatch.delitem(sys.modules, "sr.metrics.own", raising=False)
    assert outcome.code == 1 and told in outcome.err and "Traceback" not in outcome.err, outcome
    assert not (outcome.folder / "checkpoints").exists() and not (outcome.folder / "metrics.csv").exists()


def test_a_smoke_run_measures_a_few_images_and_their_middle(command, div2k, photos):
    photos(div2k / "DIV2K_valid_HR", 2, height=300, width=280, first=890)
    typed = ["train.py", *SMALL[:-2], "data=div2k", f"data.root={div2k}", "budget=smoke", "callbacks=[]"]
    few = command(*typed, "benchmarks=null", "budget.test_images=4")
    assert few.code == 0, few
    with (few.folder / "results.csv").open(newline="") as f:
        found = {(r["dataset"], r["images"]) for r in csv.DictReader(f)}
    assert found == {("DIV2K middle 256", "4")}
    none = command(*typed, "benchmarks=[]", folder="none")
    assert none.code == 0 and "no test set was found" not in none.out + none.err, none


def test_a_run_folder_holds_config_metrics_checkpoints_panels_and_log(command, div2k):
    outcome = command(
        "train.py", "model=bsrn", "data=div2k", f"data.root={div2k}", "budget=smoke", "scale=2", "model.num_blocks=1"
    )
    assert outcome.code == 0, outcome
    folder = outcome.folder
    for name in (
        ".hydra/config.yaml", "train.log", "metrics.csv", "checkpoints/last.ckpt", "checkpoints/best.ckpt",
        "results.csv", "results_per_image.csv", "panels/step_0000004.png", "panels/DIV2K_x2.png",
    ):  # fmt: skip
        assert (folder / name).is_file(), name
    with (folder / "results.csv").open() as f:
        figures = list(csv.DictReader(f))
    assert {(f["model"], f["protocol"]) for f in figures} == {
        ("bicubic", "y"), ("bicubic", "rgb"), ("bsrn", "y"), ("bsrn", "rgb")
    }  # fmt: skip
    assert all(f["images"] == "3" and 5 < float(f["psnr"]) < 60 for f in figures)
    assert "budget=smoke: steps 1000000 -> 4 steps" in outcome.out
    assert float(rows(folder)[-1]["val/psnr_y"]) > 5
    # the checkpoint alone is enough to measure
    again = command("evaluate.py", f"checkpoint={folder}", "data=[div2k]", f"data.root={div2k}", folder="measured")
    assert again.code == 0, again
    with (again.folder / "results.csv").open() as f:
        assert list(csv.DictReader(f)) == figures


def test_training_raises_the_validation_figure(command, div2k):
    outcome = command("train.py", *SMALL, "data=div2k", f"data.root={div2k}", "steps=60", "val_every_steps=20",
                      "optimizer.lr=3e-3")  # fmt: skip
    assert outcome.code == 0, outcome
    figures = [float(r["val/psnr_y"]) for r in rows(outcome.folder) if r["val/psnr_y"]]
    assert figures[-1] > figures[0] + 1


SCRIPT, PACKAGE = (str(ROOT / "train.py"),), ("-m", "sr", "train")


def start(folder: Path, *arguments: str, by: Sequence[str] = SCRIPT, **environment: str) -> subprocess.Popen:
    typed = [sys.executable, *by, f"hydra.run.dir={folder}", "logger=csv", *arguments]
    log = (folder.parent / f"{folder.name}.out").open("w")
    return subprocess.Popen(
        typed, cwd=folder.parent, stdout=log, stderr=log,
        env={**os.environ, "SR_CACHE_DIR": str(folder.parent / "cache"), **environment},
    )  # fmt: skip


def figures(folder: Path, without: int) -> list[dict[str, str]]:
    """All rows less timings, and less the step at which the run was killed: its row may not have been written."""
    kept = [r for r in rows(folder) if int(r["step"]) != without]
    return [{k: v for k, v in r.items() if k != "train/data_wait"} for r in kept]


def wait_for(condition, process: subprocess.Popen, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < end, "the run ended or hangs before it was interrupted"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param([], id="plain"),
        pytest.param(["callbacks=[ema]"], id="ema", marks=pytest.mark.slow),
        pytest.param(["callbacks=[ema]", "accumulate=2"], id="ema-accumulated", marks=pytest.mark.slow),
        pytest.param(
            ["callbacks=[ema]", "callbacks.ema._target_=lightning.pytorch.callbacks.EMAWeightAveraging"],
            id="ema of earlier versions",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_killed_run_resumes_to_the_weights_of_one_that_was_not(command, div2k, tmp_path, extra):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "steps=200", "val_every_steps=75", "save_every_steps=20",
             "scheduler=cosine", *extra]  # fmt: skip
    whole = command("train.py", *typed, folder="whole")
    assert whole.code == 0, whole
    cut = tmp_path / "cut"
    process = start(cut, *typed)
    wait_for((cut / "checkpoints/last.ckpt").is_file, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = saved(cut)["global_step"]
    assert 0 < reached < 200
    resumed = command("train.py", f"resume={cut}")
    assert resumed.code == 0 and f"resuming at step {reached}" in resumed.out, resumed
    a, b = saved(whole.folder), saved(cut)
    assert a["global_step"] == b["global_step"] == 200
    assert a["state_dict"].keys() == b["state_dict"].keys()
    assert all(torch.equal(v, b["state_dict"][k]) for k, v in a["state_dict"].items())
    if "callbacks=[ema]" in extra:  # the average is what is saved; here are the weights that were trained
        assert all(torch.equal(v, b["current_model_state"][k]) for k, v in a["current_model_state"].items())
        assert a["averaging_state"]["n_averaged"] == b["averaging_state"]["n_averaged"] == 200
    assert figures(whole.folder, without=reached) == figures(cut, without=reached)
    again = command("train.py", f"resume={cut}")
    assert again.code == 0 and "this run is complete" in again.out


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_run_loses_nothing_and_says_how_to_go_on(div2k, tmp_path, how):
    folder = tmp_path / "run"
    process = start(folder, *SMALL, "data=div2k", f"data.root={div2k}", "steps=100000", "save_every_steps=50")
    wait_for((folder / "checkpoints/last.ckpt").is_file, process)
    process.send_signal(how)
    assert process.wait(60) != 0
    printed = (tmp_path / "run.out").read_text()
    assert f"Go on with: sr train resume={folder}" in printed
    stopped = int(re.search(r"stopped at step ([\d,]+)", printed)[1].replace(",", ""))
    assert saved(folder)["global_step"] == saved(folder)["sr"]["batches_seen"] == stopped


def test_ctrl_c_in_the_last_validation_of_a_stage_stops_before_the_next(command, div2k, monkeypatch, tmp_path):
    from sr.callbacks import Checkpoints

    def interrupted(self, trainer, *_):
        if not trainer.sanity_checking and trainer.global_step == at:
            os.kill(os.getpid(), signal.SIGINT)

    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "steps=2", "val_every_steps=2", "+stages={a: {}, b: {}}"]
    for at in (2, 4):  # the step after which Ctrl-C is pressed: of the first stage's end, of the whole run's
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "on_validation_start", interrupted)
            cut = command("train.py", *(typed if at == 2 else [f"resume={tmp_path / 'run'}"]))
        assert cut.code != 0 and f"stopped at step {at}. Go on with" in cut.out, cut
        assert saved(tmp_path / "run")["global_step"] == at
    end = command("train.py", f"resume={tmp_path / 'run'}")
    assert end.code == 0 and "this run is complete: 4 steps" in end.out, end


def test_resume_last_finds_the_newest_run(command, div2k, tmp_path):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke"]
    assert command("train.py", *typed, folder="outputs/a").code == 0
    assert command("train.py", *typed, "seed=1", folder="outputs/b").code == 0
    outcome = command("train.py", "resume=last", "steps=6")
    assert outcome.code == 0, outcome
    assert saved(tmp_path / "outputs/b")["global_step"] == 6
    assert saved(tmp_path / "outputs/a")["global_step"] == 4


def test_a_seconds_budget_keeps_its_factor_across_a_resume(command, div2k, tmp_path, monkeypatch):
    from sr.training import budget

    monkeypatch.setattr(budget, "step_seconds", lambda *_: 30.0)
    typed = ["model=ecbsr_m4c8", "data=div2k", f"data.root={div2k}", "scale=2", "budget=minutes", "benchmarks=[]",
             "callbacks=[]", "patch_size=8", "batch_size=2"]  # fmt: skip
    first = command("train.py", *typed)
    assert first.code == 0, first
    steps = saved(first.folder)["global_step"]
    assert steps == int(budget.SHARE * 300 / 30)
    monkeypatch.setattr(budget, "step_seconds", lambda *_: pytest.fail("timed again"))
    again = command("train.py", f"resume={first.folder}")
    assert again.code == 0 and f"this run is complete: {steps} steps" in again.out, again


def test_each_run_of_a_sweep_is_timed_for_itself(command, div2k, monkeypatch):
    from sr.training import budget

    seconds = iter([30.0, 15.0])
    monkeypatch.setattr(budget, "step_seconds", lambda *_: next(seconds))
    outcome = command("train.py", "-m", "model=ecbsr_m4c8,ecbsr_m4c16", "data=div2k", f"data.root={div2k}", "scale=2",
                      "budget=minutes", "benchmarks=[]", "callbacks=[]", "patch_size=8", "batch_size=2")  # fmt: skip
    assert outcome.code == 0, outcome
    steps = [saved(next(outcome.folder.glob(f"{model}_????????")))["global_step"] for model in
             ("ecbsr_m4c8", "ecbsr_m4c16")]  # fmt: skip
    assert steps == [int(budget.SHARE * 300 / s) for s in (30, 15)]


@pytest.mark.slow
def test_the_timed_budget_ends_near_its_time(command, div2k):
    began = time.monotonic()
    outcome = command("train.py", "model=ecbsr_m4c8", "data=div2k", f"data.root={div2k}", "scale=2", "budget=minutes",
                      "budget.seconds=30", "benchmarks=[]", "callbacks=[]", "patch_size=32")  # fmt: skip
    assert outcome.code == 0, outcome
    assert 15 < time.monotonic() - began < 90


def test_two_processes_measure_as_one_does(command, div2k, tmp_path):
    """Three validation images on two processes: nobody is counted twice, nobody is left out at the end."""
    folder = tmp_path / "two"
    process = start(
        folder, *[a for a in SMALL if a != "benchmarks=[]"], "data=div2k", f"data.root={div2k}", "steps=6",
        "val_every_steps=6", "trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", OMP_NUM_THREADS="1",
    )  # fmt: skip
    assert process.wait(240) == 0, (tmp_path / "two.out").read_text()
    assert len(list(tmp_path.glob("two*/checkpoints"))) == 1
    one = command("evaluate.py", f"checkpoint={folder}", "data=[div2k]", f"data.root={div2k}", "protocol=y")
    assert one.code == 0, one
    with (one.folder / "results.csv").open() as f:
        mine = next(r for r in csv.DictReader(f) if r["model"] == "ecbsr_m4c8")
    with (folder / "results.csv").open(newline="") as f:
        final = next(r for r in csv.DictReader(f) if r["model"] == "ecbsr_m4c8" and r["protocol"] == "y")
    assert (final["images"], final["psnr"]) == ("3", mine["psnr"])
    theirs = rows(folder)[-1]
    assert float(theirs["val/psnr_y"]) == pytest.approx(float(mine["psnr"]), abs=1e-4)
    assert float(theirs["val/ssim_y"]) == pytest.approx(float(mine["ssim"]), abs=1e-6)


ADVERSARY = (
    "+loss.terms.adversarial={weight: 0.1, loss: {_target_: sr.losses.Adversarial, "
    "discriminator: {_target_: torch.nn.Conv2d, in_channels: 1, out_channels: 1, kernel_size: 4}, "
    "criterion: {_target_: sr.losses.Vanilla}, optimizer: {_target_: torch.optim.SGD, _partial_: true, lr: 0.1}, "
    "scheduler: ${scheduler}}}"
)


ALONE = pytest.param([], id="a loss alone", marks=pytest.mark.slow)


@pytest.mark.parametrize("extra", [ALONE, pytest.param([ADVERSARY], id="a discriminator beside the network")])
def test_processes_share_the_batch_of_one(command, div2k, tmp_path, extra):
    """The same images in the same steps: two processes end where one does, up to rounding."""
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "steps=5", "val_every_steps=5", "batch_size=4", *extra]
    typed.append("trainer.log_every_n_steps=1")
    one = command("train.py", *typed, folder="one")
    assert one.code == 0, one
    ddp = ["trainer=ddp", "trainer.accelerator=cpu"]
    process = start(tmp_path / "two", *typed, *ddp, by=PACKAGE, OMP_NUM_THREADS="1")
    assert process.wait(240) == 0, (tmp_path / "two.out").read_text()
    a, b = (saved(f)["state_dict"] | saved(f)["loss_state_dict"] for f in (one.folder, tmp_path / "two"))
    assert len(a) == len(b) and max(float((a[k] - b[k]).abs().max()) for k in a) < 1e-4
    ours, theirs = ([float(r["train/loss"]) for r in rows(f)] for f in (one.folder, tmp_path / "two"))
    assert ours == pytest.approx(theirs, rel=1e-3)  # what is written down is of all processes, not of the first


def test_accumulation_changes_memory_not_the_result(command, div2k):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "steps=5", "val_every_steps=5", "batch_size=4"]
    whole = command("train.py", *typed, folder="whole")
    parts = command("train.py", *typed, "accumulate=2", folder="parts")
    assert whole.code == 0 and parts.code == 0, parts
    a, b = saved(whole.folder)["state_dict"], saved(parts.folder)["state_dict"]
    assert max(float((a[k] - b[k]).abs().max()) for k in a) < 1e-4


def test_a_sweep_leaves_a_folder_a_run(command, div2k):
    outcome = command(
        "train.py", "-m", "model=srcnn,ecbsr", "budget=smoke", "data=div2k", f"data.root={div2k}", "benchmarks=[]"
    )
    assert outcome.code == 0, outcome
    folders = [p.parent.parent.name for p in outcome.folder.glob("*/checkpoints/last.ckpt")]
    assert sorted(name.rpartition("_")[0] for name in folders) == ["ecbsr", "srcnn"]


@pytest.mark.parametrize(
    "typed", [["channels_last=true"], ["trainer.precision=bf16-mixed"], ["data=bundled"], ["callbacks=[panels,ema]"]]
)
def test_options_run(command, div2k, typed):
    arguments = [*SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke", *typed]
    if typed == ["data=bundled"]:
        arguments.remove(f"data.root={div2k}")
        arguments.remove("data=div2k")
    outcome = command("train.py", *arguments)
    assert outcome.code == 0, outcome


@pytest.mark.parametrize(
    "typed",
    [
        ["model=edsr_baseline", "model.num_blocks=1", "model.channels=4", "loss=l2", "scheduler=cosine"],
        ["model=espcn", "recipe=espcn_sgd", "optimizer=adam"],
        ["model=bsrn", "model.num_blocks=1", "optimizer=sgd", "scheduler=halve", "loss=charbonnier"],
        ["model=srcnn", "recipe=srcnn_sgd", "loss=l1"],
        ["model=rlfn", "model.num_blocks=1", "scheduler=cyclical", "scheduler.period=2", "scale=2"],
        ["model=fsrcnn", "scheduler=warm_up", "scheduler@scheduler.then=cosine"],
    ],
)
def test_another_loss_optimizer_or_schedule_replaces_the_recipes(command, div2k, typed):
    outcome = command("train.py", *typed, "data=div2k", f"data.root={div2k}", "budget=smoke", "benchmarks=[]")
    assert outcome.code == 0, outcome


def test_a_key_that_the_user_typed_is_never_left_out(command, div2k):
    outcome = command(
        "train.py", *SMALL, "data=div2k", f"data.root={div2k}", "scheduler=cosine", "+scheduler.gamma=0.1"
    )
    assert outcome.code == 1 and "scheduler.gamma: torch.optim" in outcome.err, outcome


@pytest.mark.slow
def test_compiled_training_gives_a_checkpoint_like_any_other(command, div2k):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke", "compile=true", "callbacks=[ema]"]
    outcome = command("train.py", *typed)
    assert outcome.code == 0, outcome
    again = command("evaluate.py", f"checkpoint={outcome.folder}", "data=[div2k]", f"data.root={div2k}", folder="m")
    assert again.code == 0, again


def test_init_from_starts_from_another_runs_weights(command, div2k):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke"]
    first = command("train.py", *typed, folder="first")
    second = command("train.py", *typed, f"init_from={first.folder}", "optimizer.lr=0.0", folder="second")
    assert second.code == 0, second
    a, b = saved(first.folder)["state_dict"], saved(second.folder)["state_dict"]
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_an_exploding_run_stops_with_the_batch_that_did_it(command, div2k):
    outcome = command(
        "train.py", *SMALL, "data=div2k", f"data.root={div2k}", "steps=50", "val_every_steps=50", "optimizer=sgd",
        "optimizer.lr=1e30", "save_every_steps=1",
    )  # fmt: skip
    assert outcome.code == 1 and "Traceback" not in outcome.err, outcome
    assert re.search(r"the loss became (nan|inf) at step \d+, in l1, on 000", outcome.err), outcome
    kept = torch.load(outcome.folder / "nan_batch.pt", weights_only=True)
    assert kept["lr"].shape == (2, 3, 8, 8) and kept["hr"].shape == (2, 3, 16, 16) and len(kept["name"]) == 2
    assert all(v.isfinite().all() for v in saved(outcome.folder)["state_dict"].values())


def test_wandb_is_offline_without_a_key_and_one_run_after_a_resume(command, div2k, monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke", "logger=wandb", "callbacks=[panels]"]
    began = time.monotonic()
    first = command("train.py", *typed)
    assert first.code == 0 and "W&B: offline" in first.out, first
    again = command("train.py", f"resume={first.folder}", "steps=6")
    assert again.code == 0, again
    assert time.monotonic() - began < 120
    runs = list((first.folder / "wandb").glob("offline-run-*"))
    assert len(runs) == 2 and len({r.name.rpartition("-")[2] for r in runs}) == 1  # two parts of one run
    assert list(first.folder.glob("wandb/*/files/media/images/val/*.png"))


def test_a_run_is_never_written_over(command, div2k):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke"]
    assert command("train.py", *typed, "data.root=nowhere").code == 1  # nothing began: the folder is still free
    assert command("train.py", *typed).code == 0
    outcome = command("train.py", *typed, "seed=1")
    assert outcome.code == 1 and "holds a run already" in outcome.err and "resume=" in outcome.err, outcome
    shutil.rmtree(outcome.folder / "checkpoints")  # to save space: its figures are still worth something
    figures = (outcome.folder / "metrics.csv").read_text()
    assert command("train.py", *typed, "seed=1").code == 1
    (outcome.folder / "run.json").unlink()
    assert command("train.py", *typed, "seed=1").code == 1
    assert (outcome.folder / "metrics.csv").read_text() == figures


def test_a_resume_remembers_interpolations_and_the_config_dir(command, div2k, tmp_path):
    (tmp_path / "more/model").mkdir(parents=True)
    source = (ROOT / "conf/model/ecbsr_m4c8.yaml").read_text()
    (tmp_path / "more/model/mine.yaml").write_text(source)
    first = command(
        "train.py", "--config-dir", str(tmp_path / "more"), *SMALL[1:], "model=mine", "data=div2k",
        f"data.root={div2k}", "steps=4", "val_every_steps=${steps}",
    )  # fmt: skip
    assert first.code == 0, first
    again = command("train.py", f"resume={first.folder}", "steps=6")
    assert again.code == 0 and saved(first.folder)["global_step"] == 6, again


def test_a_path_with_an_apostrophe_is_a_path(command, div2k, monkeypatch, tmp_path):
    monkeypatch.setenv("SR_CACHE_DIR", str(tmp_path / "o'clock"))
    typed = [a for a in SMALL if a != "benchmarks=[]"]
    outcome = command("train.py", *typed, "data=div2k", f"data.root={div2k}", "budget=smoke")
    assert outcome.code == 0 and (tmp_path / "o'clock").is_dir(), outcome


def test_validation_under_a_protocol_that_makes_its_lr(command, div2k):
    first = command("train.py", *SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke", "protocol=y_classic")
    assert first.code == 0, first
    one = command("evaluate.py", f"checkpoint={first.folder}", "data=[div2k]", f"data.root={div2k}",
                  "protocol=y_classic", folder="m")  # fmt: skip
    with (one.folder / "results.csv").open(newline="") as f:
        mine = next(r for r in csv.DictReader(f) if r["model"] == "ecbsr_m4c8")
    assert float(rows(first.folder)[-1]["val/psnr_y_classic"]) == pytest.approx(float(mine["psnr"]), abs=1e-4)


# ---- wrong input, refused before step 1 ---------------------------------------------------------------------


def refused(command, *typed: str) -> str:
    outcome = command("train.py", "model=ecbsr_m4c8", "scale=2", "budget=smoke", "benchmarks=[]", *typed)
    assert outcome.code == 1 and "error: " in outcome.err and "Traceback" not in outcome.err, outcome
    assert not (outcome.folder / "metrics.csv").exists(), "it had begun"
    return outcome.err


def test_a_missing_root_says_what_was_looked_for_and_what_to_type(command, tmp_path):
    err = refused(command, "data=div2k", f"data.root={tmp_path}/nowhere")
    assert "nowhere" in err and "DIV2K_train_HR" in err and "data.root=" in err and "data.download=true" in err


def test_an_empty_root_is_refused(command, tmp_path):
    (tmp_path / "DIV2K/DIV2K_train_HR").mkdir(parents=True)
    assert "DIV2K_train_HR" in refused(command, "data=div2k", f"data.root={tmp_path}/DIV2K")


def test_lr_of_another_size_is_refused(command, div2k):
    folder = div2k / "DIV2K_train_LR_bicubic/X2"
    folder.mkdir(parents=True)
    for path in sorted((div2k / "DIV2K_train_HR").iterdir()):
        Image.open(path).resize((30, 30)).save(folder / f"{path.stem}x2.png")
    err = refused(command, "data=div2k", f"data.root={div2k}")
    assert "0001x2.png" in err and "30x30" in err.replace(" ", "")


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:400]), "truncated"),
        (lambda p: Image.new("I;16", (96, 72)).save(p), "16"),
        (lambda p: p.write_text("not an image"), "0002.png"),
    ],
    ids=["truncated", "16-bit", "text"],
)
def test_a_bad_image_is_refused_by_name(command, div2k, damage, word):
    path = div2k / "DIV2K_train_HR/0002.png"
    damage(path)
    err = refused(command, "data=div2k", f"data.root={div2k}")
    assert "0002.png" in err and word in err


def test_an_image_smaller_than_the_patch_is_refused(command, div2k):
    err = refused(command, "data=div2k", f"data.root={div2k}", "patch_size=48")
    assert "smaller than the patch" in err and "patch_size=36" in err


@pytest.mark.parametrize(
    ("typed", "instead"),
    [("max_time=00:00:00:03", "budget.seconds="), ("fast_dev_run=true", "budget=smoke"), ("max_epochs=3", "steps=")],
)
def test_the_trainer_does_not_end_a_run_before_its_steps(command, div2k, typed, instead):
    error = refused(command, *SMALL, "data=div2k", f"data.root={div2k}", "steps=4", f"+trainer.{typed!s}")
    assert f"instead of trainer.{typed.partition('=')[0]}=" in error and instead in error


STOPPING = """
from lightning.pytorch import Callback


class Stop(Callback):
    def on_train_batch_end(self, trainer, *_):
        trainer.should_stop = trainer.global_step == 3
"""


def test_a_run_that_a_callback_stops_is_not_finished(command, div2k, tmp_path, monkeypatch):
    (tmp_path / "stopping.py").write_text(STOPPING)
    monkeypatch.syspath_prepend(str(tmp_path))
    typed = [*SMALL[:-2], "data=div2k", f"data.root={div2k}", "steps=40", "val_every_steps=40"]
    done = command("train.py", *typed, "+callbacks.stop._target_=stopping.Stop")
    assert done.code == 1 and "stopped at step 3 of 40" in done.err and "resume=" in done.err, done
    assert json.loads((done.folder / "run.json").read_text())["status"] == "failed"
    assert not (done.folder / "results.csv").exists() and saved(done.folder)["global_step"] == 3


def test_images_that_were_replaced_before_a_resume_are_told(command, photos, tmp_path):
    train, val = photos(tmp_path / "train", 3), photos(tmp_path / "val", 2, first=50)
    typed = [*SMALL, "data=folder", f"data.train={tmp_path}/train", f"data.val={tmp_path}/val", "val_every_steps=2"]
    assert command("train.py", *typed, "steps=2").code == 0
    shutil.copy(photos(tmp_path / "other", 1, first=90)[0], train[1])
    done = command("train.py", f"resume={tmp_path}/run", "steps=3")
    assert done.code == 0 and f"1 training images are not what the run was begun with: {train[1].stem}" in re.sub(
        r"folder train x2: |train train x2: ", "", done.err + done.out
    ), done
    former = val[0].read_bytes()
    shutil.copy(photos(tmp_path / "other", 1, first=91)[0], val[0])
    done = command("train.py", f"resume={tmp_path}/run", "steps=4")
    assert done.code == 1 and val[0].stem in done.err and val[1].stem not in done.err, done
    assert "init_from=" in done.err and saved(tmp_path / "run")["global_step"] == 3
    val[0].write_bytes(former)
    done = command("train.py", f"resume={tmp_path}/run", "steps=4")
    assert done.code == 0 and "begun with" not in done.err + done.out, done


def test_a_scale_that_the_model_lacks_is_refused(command, div2k):
    err = refused(command, "data=div2k", f"data.root={div2k}", "scale=7")
    assert "has no scale 7" in err


def test_a_model_without_parameters_is_not_trained(command, div2k):
    err = refused(command, "model=bicubic", "data=div2k", f"data.root={div2k}")
    assert "no parameters to train" in err


def test_a_checkpoint_of_another_architecture_is_refused(command, div2k):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke"]
    first = command("train.py", *typed, folder="first")
    assert first.code == 0, first
    err = refused(command, "model=edsr_baseline", "data=div2k", f"data.root={div2k}", f"init_from={first.folder}")
    assert "does not fit EDSR" in err and "Missing" in err


def test_a_training_image_in_the_test_set_is_refused(command, div2k):
    source = div2k / "DIV2K_train_HR/0002.png"
    Image.open(source).save(div2k / "DIV2K_valid_HR/0802.png")
    err = refused(command, "data=div2k", f"data.root={div2k}")
    assert "0002.png" in err and "0802.png" in err and "check_leaks=false" in err


def test_an_absent_benchmark_is_refused_before_training(command, div2k):
    err = refused(command, "data=div2k", f"data.root={div2k}", "benchmarks=[set5]")
    assert "Set5" in err
