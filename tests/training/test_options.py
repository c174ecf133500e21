"""Other losses, optimizers, schedules and options than the recipe has, on real steps."""

import re

import pytest
import torch
from small_runs import SMALL, same, saved


@pytest.mark.parametrize(
    "typed",
    [["trainer.channels_last=true"], ["trainer.precision=bf16-mixed"], ["data=bundled"], ["callbacks=[panels,ema]"]],
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
        ["model=fsrcnn", "optimizer=muon", "scheduler=warm_up", "scheduler@scheduler.then=cosine"],
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
def test_weights_in_channels_last_go_everywhere(command, div2k):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "val_every_steps=3", "callbacks=[ema]"]
    whole = command("train.py", *typed, "trainer=cpu", "steps=6", folder="whole")
    cut = command("train.py", *typed, "trainer=cpu", "steps=3", folder="cut")
    assert command("train.py", f"resume={cut.folder}", "steps=6").code == 0
    weights = saved(whole.folder)["state_dict"]
    assert same(weights, saved(cut.folder)["state_dict"])
    assert all(value.is_contiguous() for value in weights.values())  # as safetensors wants them
    assert any(not s["exp_avg"].is_contiguous() for s in saved(whole.folder)["optimizer_states"][0]["state"].values())
    plain = command("train.py", *typed, "steps=6", folder="plain")
    assert plain.code == 0
    for name, value in saved(plain.folder)["state_dict"].items():
        torch.testing.assert_close(weights[name], value, rtol=1e-3, atol=1e-4)
    tuned = command("train.py", *typed, f"init_from={whole.folder}", "steps=3", folder="tuned")
    measured = command("evaluate.py", f"checkpoint={whole.folder}", "data=[div2k]", f"data.root={div2k}", folder="m")
    assert tuned.code == measured.code == 0, (tuned, measured)


@pytest.mark.slow
def test_compiled_training_gives_a_checkpoint_like_any_other(command, div2k):
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke", "trainer.compile=default", "callbacks=[ema]"]
    outcome = command("train.py", *typed)
    assert outcome.code == 0, outcome
    again = command("evaluate.py", f"checkpoint={outcome.folder}", "data=[div2k]", f"data.root={div2k}", folder="m")
    assert again.code == 0, again


@pytest.mark.slow
def test_what_torch_cannot_compile_is_told(command, div2k, monkeypatch):
    torch._dynamo.reset()
    typed = [*SMALL, "data=div2k", f"data.root={div2k}", "budget=smoke", "trainer.compile=default"]
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(div2k / "cache"))
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("no-such-compiler",))
    outcome = command("train.py", *typed)
    assert outcome.code == 1 and "error: trainer.compile=default: torch cannot compile" in outcome.err, outcome
    assert "Leave it out" in outcome.err and "Traceback" not in outcome.err


def test_a_sweep_leaves_a_folder_a_run(command, div2k):
    outcome = command(
        "train.py", "-m", "model=srcnn,ecbsr", "budget=smoke", "data=div2k", f"data.root={div2k}", "benchmarks=[]"
    )
    assert outcome.code == 0, outcome
    folders = [p.parent.parent.name for p in outcome.folder.glob("*/checkpoints/last.ckpt")]
    assert sorted(name.rpartition("_")[0] for name in folders) == ["ecbsr", "srcnn"]


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


@pytest.mark.parametrize(
    "typed, told",
    [
        ("trainer.precision=16-true", "trainer.precision=16-true: weights are 32-bit numbers here: type 32-true"),
        ("trainer.graph=maybe", "trainer.graph=maybe: type true, false or auto"),
        ("trainer.compile=fast", "trainer.compile=fast: type default, max-autotune-no-cudagraphs or false"),
        ("trainer.channels_last=3", "trainer.channels_last=3: type true or false"),
    ],
)
def test_how_steps_are_made_fast_is_one_of_what_there_is(command, typed, told):
    outcome = command("train.py", *SMALL, typed)
    assert outcome.code == 1 and told in outcome.err, outcome


def test_a_network_without_channels_is_refused(command):
    done = command("train.py", "model=ecbsr_m4c8", "model.channels=0", "scale=2", "data=bundled", "budget=smoke")
    assert done.code == 1 and done.err.startswith("error: model=ecbsr_m4c8: with these settings "), done
    assert "would be empty" in done.err and not done.folder.exists()
