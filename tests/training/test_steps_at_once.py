"""However many optimizer steps are taken in one of Lightning's, the run is the same to the last bit."""

import csv
import re
import sys
from pathlib import Path

import pytest
import torch
from recorder import Recorder
from small_runs import same, saved
from torch.utils._python_dispatch import _disable_current_modes

from sr.callbacks import nan_guard
from sr.models import ecbsr, graph
from sr.models.loops import TrainingLoops
from sr.models.stepping import Stepper
from sr.models.watch import Watch

TINY = ["scale=2", "data=bundled", "batch_size=2", "benchmarks=[]", "logger=csv", "val_every_steps=7",
        "trainer.log_every_n_steps=5", "data.val_images=1", "metrics=[psnr]"]  # fmt: skip
ECBSR = ["model=ecbsr_m4c8", "patch_size=8", "steps=16"]
MDSR = ["model=mdsr_baseline", "model.num_blocks=1", "model.channels=4", "scale=[2,3,4]", "patch_size=8"]
WATCH = """
import os
import lightning.pytorch as L

class EveryBatch(L.Callback):
    if os.environ.get("WATCH"):

        def on_train_batch_end(self, *_):
            pass

class Count(L.Callback):
    def on_train_epoch_end(self, trainer, *_):
        print("lightning took", self.n)

    def setup(self, *_, **__):
        self.n = 0

    def on_before_optimizer_step(self, trainer, *_):
        self.n += 1
        assert trainer.global_step == self.n - 1
"""
REFUSING = """
import lightning.pytorch as L
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException

class SAM(torch.optim.SGD):
    def step(self, closure=None):
        assert closure is not None, "I need a closure"

class Silent(torch.optim.SGD):
    def step(self, closure=None):
        assert closure is not None

class Alone(L.Callback):
    def on_fit_start(self, *_):
        raise MisconfigurationException("not beside others.")
"""
CASES = {
    "ema, accumulated, clipped": [*ECBSR, "callbacks=[ema]", "accumulate=2", "trainer.gradient_clip_val=0.1"],
    "clipped by value": [*ECBSR, "callbacks=[]", "trainer.gradient_clip_val=0.01",
                         "+trainer.gradient_clip_algorithm=value"],
    "bf16": [*ECBSR, "callbacks=[ema]", "trainer.precision=bf16-mixed"],
    "vdsr": ["model=vdsr", "model.num_layers=3", "model.channels=4", "patch_size=12", "steps=16",
             "callbacks=[adjustable_clipping]", "callbacks.adjustable_clipping.theta=1e-5"],
    "statistics": ["model=repsr_m4c16", "patch_size=8", "steps=16", "callbacks=[ema,panels,population_statistics]",
                   "callbacks.population_statistics.at_step=6", "save_every_steps=3"],
    "mdsr": [*MDSR, "steps=16", "callbacks=[]"],
}  # fmt: skip


@pytest.fixture
def train(command, tmp_path, monkeypatch):
    (tmp_path / "watching.py").write_text(WATCH)
    monkeypatch.syspath_prepend(tmp_path)

    def run(*typed, folder):
        sys.modules.pop("watching", None)
        outcome = command("train.py", *TINY, *typed, folder=folder)
        assert outcome.code == 0, outcome
        return outcome

    return run


def end(folder: Path) -> tuple[dict, list]:
    """What a run ends with, and its log but for the time that it waited."""
    content = saved(folder)
    keys = ("state_dict", "loss_state_dict", "optimizer_states", "lr_schedulers", "global_step")
    kept = {key: content[key] for key in keys}
    with (folder / "metrics.csv").open(newline="") as f:
        rows = [{k: v for k, v in row.items() if k != "train/data_wait"} for row in csv.DictReader(f)]
    return kept | {"seen": content["sr"]["batches_seen"], "average": content.get("current_model_state")}, rows


def same_but_averages(graphed: tuple[dict, list], other: tuple[dict, list]) -> bool:
    """As `same`; a graph averages weights by a formula of its own, so that averages and their figures are rounded."""
    (ours, log), (expected, rows) = graphed, other
    if expected["average"] is None:
        return same(graphed, other)
    average = expected["state_dict"]
    near = all(torch.allclose(v, average[k], rtol=1e-5, atol=1e-7) for k, v in ours["state_dict"].items())
    written = [[{k: v for k, v in row.items() if not k.startswith("val/")} for row in each] for each in (log, rows)]
    return near and same(ours | {"state_dict": average}, expected) and same(*written)


def recording(monkeypatch) -> list[Recorder]:
    """Let runs on a processor take their steps as graphs; what records them."""
    made: list[Recorder] = []
    monkeypatch.setattr(graph, "capture_for", lambda device: lambda _: made.append(Recorder()) or made[-1])
    return made


QUICK = ("ema, accumulated, clipped",)


@pytest.mark.parametrize(
    "typed", [pytest.param(v, id=k, marks=() if k in QUICK else pytest.mark.slow) for k, v in CASES.items()]
)
def test_one_many_and_lightning_s_own_steps_are_the_same(train, typed, monkeypatch):
    one = train(*typed, "steps_at_once=1", folder="one")
    assert "one optimizer step at a time" not in one.out
    found = {"three": train(*typed, "steps_at_once=3", folder="three"), "many": train(*typed, folder="many")}
    monkeypatch.setenv("WATCH", "yes")
    found["lightning"] = train(*typed, "+callbacks.watch._target_=watching.EveryBatch", folder="lightning")
    assert "one optimizer step at a time: EveryBatch has the hook on_train_batch_end" in found["lightning"].out
    recorders = recording(monkeypatch)
    found["graphs"] = train(*typed, folder="graphs")
    replays = sum(recorder.replays for recorder in recorders)
    assert replays and ("a step is one CUDA graph from here on" in found["graphs"].out) == (replays > 0)
    expected, rows = end(one.folder)
    assert expected["global_step"] == 16 and len(rows) == 5  # logged at 5, 10, 15; validated at 7, 14
    for name, outcome in found.items():
        alike = same_but_averages if name == "graphs" else same
        assert alike(end(outcome.folder), (expected, rows)), name


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_game_is_the_same_through_lightning_and_many_steps_at_once(train, vgg_file, monkeypatch, precision):
    player = "losses.adversarial.terms.adversarial.loss.discriminator"
    typed = ["model=srgan", "model.num_blocks=1", "model.channels=8", "scale=4", "steps=4", "patch_size=8",
             f"+{player}.channels=8", f"{player}.pooled=1", f"vgg_weights={vgg_file}", "callbacks=[]",
             f"trainer.precision={precision}", "+callbacks.watch._target_=watching.EveryBatch"]  # fmt: skip
    many = train(*typed, folder="many")
    recording(monkeypatch)
    graphed = train(*typed, "steps=8", folder="graphed")
    cut = train(*typed, "steps=8", "trainer.graph=false", folder="cut")
    assert "a step is one CUDA graph" in graphed.out and "CUDA graph" not in cut.out
    assert same(end(graphed.folder), end(cut.folder))
    monkeypatch.setenv("WATCH", "yes")
    alone = train(*typed, folder="alone")
    assert "one optimizer step at a time" in alone.out and "one optimizer step at a time" not in many.out
    assert same(end(many.folder), end(alone.folder))


def test_a_run_goes_on_by_the_other_way_of_stepping(train, command, monkeypatch):
    typed = [*ECBSR, "callbacks=[]", "+callbacks.watch._target_=watching.EveryBatch"]
    whole = train(*typed, folder="whole")
    for first, then in (("yes", ""), ("", "yes")):
        monkeypatch.setenv("WATCH", first)
        cut = train(*typed, "steps=9", folder=f"first_{first}")
        monkeypatch.setenv("WATCH", then)
        sys.modules.pop("watching")
        outcome = command("train.py", f"resume={cut.folder}", "steps=16")
        assert outcome.code == 0 and ("one optimizer step at a time" in outcome.out) == bool(then), outcome
        assert same(end(whole.folder)[0], end(cut.folder)[0])


def test_an_optimizer_that_computes_the_loss_itself(train):
    typed = ["optimizer._target_=torch.optim.LBFGS", "~optimizer.betas"]
    typed += ["~optimizer.eps", "~optimizer.weight_decay", "patch_size=8", "steps=3", "callbacks=[]", "trainer=cpu"]
    done = train("model=ecbsr_m4c8", *typed, folder="lbfgs")
    assert "one optimizer step at a time: LBFGS computes the loss again within its step" in done.out
    assert saved(done.folder)["sr"]["batches_seen"] == 3, "it counted each batch as often as its loss was asked for"


REFUSED = {
    "optimizer=sgd optimizer._target_=refusing.SAM": r"SAM takes no step without a closure \(I need a closure\)",
    "optimizer=sgd optimizer._target_=refusing.Silent": r"Silent takes no step without a closure \(AssertionError\)",
    "+callbacks.x._target_=refusing.Alone": r"Lightning refuses this: not beside others\. Leave out",
    "+callbacks.x._target_=lightning.pytorch.callbacks.GradientAccumulationScheduler +callbacks.x.scheduling={0:2}":
        r"Lightning refuses this: Automatic gradient accumulation",
}  # fmt: skip


@pytest.mark.parametrize(("typed", "told"), REFUSED.items())
def test_what_refuses_itself_is_told_without_a_traceback(command, tmp_path, monkeypatch, typed, told):
    (tmp_path / "refusing.py").write_text(REFUSING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "refusing", raising=False)
    done = command("train.py", *TINY, *ECBSR, "callbacks=[]", *typed.split())
    assert done.code == 1 and re.search(rf"error: .*{told}", done.err) and "Traceback" not in done.err, done


def test_a_network_with_a_training_step_of_its_own(train, monkeypatch):
    monkeypatch.setattr(ecbsr.ECBSR, "training_step", lambda self, *given: TrainingLoops.training_step(self, *given))
    out = train(*ECBSR, "steps=3", "callbacks=[]", folder="own").out
    assert "one optimizer step at a time: ECBSR has a training_step of its own" in out


def test_lightning_is_passed_by_and_its_counts_are_exact(train):
    typed = [*ECBSR, "callbacks=[]", "+callbacks.count._target_=watching.Count"]
    out = train(*typed, folder="counted").out
    assert "one optimizer step at a time" not in out and "lightning took 16" in out


@pytest.mark.slow
@pytest.mark.parametrize("model", [ECBSR, [*MDSR, "steps=16"]])
@pytest.mark.parametrize("degradation", ["bicubic", "blur_noise_jpeg"])
def test_crops_from_the_device_train_the_same_weights(train, command, model, degradation):
    typed = [*model, "callbacks=[]", f"degradation={degradation}"]
    host, device = (train(*typed, f"data.device={v}", folder=v) for v in ("false", "true"))
    assert "training images on cpu" in device.out and "training images on" not in host.out
    cut = train(*typed, "data.device=true", "steps=9", folder="cut")
    assert command("train.py", f"resume={cut.folder}", "steps=16").code == 0
    expected, log = end(host.folder)
    assert same((expected, log), end(device.folder)) and same(expected, end(cut.folder)[0])


@pytest.mark.slow
def test_300_steps_at_once_or_one_by_one(train):
    typed = ["model=ecbsr_m4c8", "patch_size=8", "steps=300", "callbacks=[ema]", "val_every_steps=150"]
    typed += ["trainer.log_every_n_steps=20"]
    one, eight = (train(*typed, f"steps_at_once={k}", folder=f"k{k}") for k in (1, 8))
    assert same(end(one.folder), end(eight.folder))


FIFTY = ["steps=50", "val_every_steps=20", "trainer.log_every_n_steps=5"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "typed"), CASES.items())
def test_fifty_steps_as_graphs_or_without(train, monkeypatch, name, typed):
    recorders = recording(monkeypatch)
    graphed = train(*typed, *FIFTY, folder="graphed")
    plain = train(*typed, *FIFTY, "trainer.graph=false", folder="plain")
    (recorder,) = recorders
    kinds = 3 if name == "mdsr" else 2 if name == "statistics" else 1
    assert recorder.recorded == kinds and recorder.replays == 50 - kinds * graph.WARM_UP
    assert same_but_averages(end(graphed.folder), end(plain.folder))


@pytest.mark.slow
def test_graphs_of_a_run_that_goes_on_and_of_one_that_breaks(train, command, monkeypatch):
    recorders = recording(monkeypatch)
    whole = train(*ECBSR, "callbacks=[ema]", folder="whole")
    cut = train(*ECBSR, "callbacks=[ema]", "steps=9", folder="cut")
    assert command("train.py", f"resume={cut.folder}", "steps=16").code == 0
    assert same(end(whole.folder)[0], end(cut.folder)[0])
    assert [r.replays for r in recorders] == [16 - graph.WARM_UP, 9 - graph.WARM_UP, 7 - graph.WARM_UP]
    late = ["scheduler=multistep", "scheduler.milestones=[8]", "scheduler.gamma=1e30"]
    broken = command("train.py", *TINY, *ECBSR, "callbacks=[]", *late, folder="broken")
    assert broken.code == 1 and "The batch is kept in" in broken.err, broken
    assert recorders[-1].replays and (broken.folder / "nan_batch.pt").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    "typed, told",
    [
        ([], "no CUDA graph: the device is cpu"),
        (["trainer.graph=auto"], ""),
        (["+callbacks.count._target_=watching.Count"], "no CUDA graph: Count has the hook on_before_optimizer_step"),
        (
            ["+callbacks.watch._target_=watching.EveryBatch"],
            "no CUDA graph: EveryBatch has the hook",
        ),
    ],
)
def test_why_there_is_no_graph_is_told(train, monkeypatch, typed, told):
    monkeypatch.setenv("WATCH", "yes")
    if any("watching" in word for word in typed):
        recording(monkeypatch)
    out = train(*ECBSR, "callbacks=[]", "steps=2", "trainer.graph=true", *typed, folder="told").out
    assert told in out and ("CUDA graph" in out) == bool(told)


def test_many_steps_are_taken_without_a_look_at_what_is_computed(train, monkeypatch):
    found = []

    def watched(stepper, batch):
        before = stepper.trainer.global_step
        with Watch("cpu") as watch:
            loss = take(stepper, batch)
        found.append((stepper.trainer.global_step - before, watch.found))
        return loss

    def loaded(stepper):
        with _disable_current_modes():  # a batch that the host has made
            return after(stepper)

    take, after = Stepper.take, Stepper._next
    monkeypatch.setattr(Stepper, "_next", loaded)
    monkeypatch.setattr(Stepper, "take", watched)
    monkeypatch.setattr("sr.models.stepping.SLICE", 60.0)  # many steps at once on a slow machine, too
    monkeypatch.setattr(nan_guard, "_copied", lambda values: ([1.0] * len(values), None))  # as of a GPU: on the host
    # Adam of a processor looks at its count of steps.
    train(*ECBSR, "callbacks=[ema,panels]", "optimizer=sgd", "optimizer.momentum=0", "trainer.gradient_clip_val=0.1",
          "scheduler=cosine", folder="watched")  # fmt: skip
    assert sum(steps for steps, _ in found) == 16 and max(steps for steps, _ in found) > 3
    assert {told for _, told in found[1:]} == {""}, "at the very first step the loss is looked at"
