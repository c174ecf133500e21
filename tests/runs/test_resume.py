"""A resume reads what the run was composed of, and changes nothing that a run keeps."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from small_runs import pasted

from sr.compose.words import Words
from sr.data.folder import Folder
from sr.degradation.base import Degradation
from sr.degradation.noise import GaussianNoise
from sr.degradation.resize import MatlabBicubic
from sr.errors import UserError
from sr.runs import composed, same_data
from sr.runs.composed import with_resumed_run
from sr.runs.latest import put_back
from sr.training.resumed import refuse_torn

TINY = ["model=ecbsr_m4c8", "scale=2", "data=div2k", "batch_size=2", "patch_size=8", "callbacks=[panels]",
        "benchmarks=[]", "steps=4", "val_every_steps=2"]  # fmt: skip


@pytest.fixture
def run(command, div2k) -> Path:
    outcome = command("train.py", *TINY, f"data.root={div2k}", "protocol=y_classic")
    assert outcome.code == 0, outcome
    return outcome.folder


def test_what_follows_from_what_is_typed_is_refused_with_it(tmp_path):
    config = OmegaConf.create({"steps": 4, "benchmarks": None, "scheduler": {"T_max": "${steps}"}})
    begun = composed.Composed(tmp_path, config, Words(["steps=4"]))
    with pytest.raises(UserError, match=r"T_max was 4, is 8, which follows from steps=8\. Leave that out"):
        begun.changed(Words(["resume=a", "steps=8", "benchmarks=null"]), config)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("lr=1", r"^lr: there is no such key\. Here it is optimizer\.lr$"),  # told to begin anew with lr=1
        ("patchsize=8", r"^patchsize: there is no such key\. Did you mean patch_size"),
        ("degradation.steps.0.edge=zeros", r"degradation\.steps\.0\.edge was mirror, is zeros.*init_from="),
        ("model=bsrn", r", is bsrn\. Leave that out, or begin a new run: sr train model=bsrn scale=2"),
    ],
)
def test_what_is_told_beside_a_resume_is_no_dead_end(begun, typed, told):
    with pytest.raises(UserError, match=told) as refused:
        composed.with_resumed_run(Words([f"resume={begun}", typed]))
    assert ("init_from" in str(refused.value)) is typed.startswith("degradation")


def test_what_a_run_keeps_is_refused_by_name_with_the_command_that_would_do_it(run, command, div2k):
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    for typed, key in (
        ("degradation=blur_bicubic", "degradation"),
        ("data.dihedral=false", "data.dihedral"),
        ("callbacks=[ema]", "callbacks"),
        ("trainer.gradient_clip_val=0.1", "trainer.gradient_clip_val"),
        ("trainer.precision=bf16-mixed", "trainer.precision"),
        ("protocol=rgb", "protocol"),
        ("optimizer.lr=0.5", "optimizer.lr"),
        ("seed=3", "seed"),
        ("model.channels=4", "model.channels"),
        ("+model.nonsense=4", "model.nonsense"),
    ):
        again = command("train.py", f"resume={run}", "steps=8", typed)
        assert again.code == 1 and f"but {key} was " in again.err and "Traceback" not in again.err, again
        fits = not key.startswith("model.")  # else the command that is told would be refused
        assert (f"init_from={run}" in again.err) is fits, again
        assert typed.split("=")[0] in again.err.split("sr train")[1], again
    fresh = command("train.py", *TINY, f"data.root={div2k}", "optimizer.lr=0.5", folder=run.name)
    assert fresh.code == 1 and "holds a run already" in fresh.err, fresh
    assert before == {p: p.stat().st_mtime_ns for p in run.rglob("*")}, "a refused command changed the run"
    again = command("train.py", f"resume={run}", "steps=6")
    assert again.code == 0 and "resuming at step 4 of 6" in again.out, again


def test_a_length_that_a_resume_is_told_holds_for_the_next_one(run, command, div2k):
    last = run / "checkpoints/last.ckpt"
    begun = last.read_bytes()
    assert command("train.py", f"resume={run}", "steps=8", "val_every_steps=4").code == 0
    last.write_bytes(begun)  # as if it had been killed before its next checkpoint
    again = command("train.py", f"resume={run}")
    assert again.code == 0 and "resuming at step 4 of 8" in again.out, again
    kept = composed.read(run)
    assert kept.own and (kept.config.steps, kept.config.val_every_steps) == (8, 4)
    record = (run / composed.RECORD).read_text()
    (run / composed.RECORD).write_text(record.rpartition("signature")[0])  # somebody else's, whom nobody asked
    assert command("train.py", f"resume={run}", "steps=9", f"data.root={div2k}").code == 0
    assert composed.read(run).config.steps == 8


def test_a_group_may_be_chosen_again_for_what_is_harmless_in_it(run):
    resumed = composed.read(run)
    other = OmegaConf.create({"trainer": OmegaConf.to_container(resumed.config.trainer)})
    other.trainer.devices = 2
    assert resumed.changed(Words(["trainer=ddp"]), other).trainer.devices == 2
    other.trainer.precision = "bf16-mixed"
    with pytest.raises(UserError, match=r"trainer.precision was 32-true, is bf16-mixed"):
        resumed.changed(Words(["trainer=gpu"]), other)


def test_what_the_run_has_anyway_and_what_is_harmless_may_be_typed(run, command):
    typed = ["model=ecbsr_m4c8", "seed=0", "data.num_workers=0",
             "logger=csv", "~callbacks.panels", "steps=6", "data.download=true"]  # fmt: skip
    again = command("train.py", f"resume={run}", *typed)
    assert again.code == 0 and "resuming at step 4 of 6" in again.out, again


@pytest.fixture
def refused(command, run, div2k) -> Callable[..., list[str]]:
    """Resume the run with something that is refused before anything is looked at: the words of the printed command."""

    def refuse(told: str, *typed: str) -> list[str]:
        before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in run.rglob("*")}
        div2k.rename(away := div2k.with_name("away"))
        again = command("train.py", f"resume={run}", *typed)
        away.rename(div2k)
        assert again.code == 1 and again.err.startswith("error: ") and told in again.err, again
        assert before == {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in run.rglob("*")}, again
        return pasted(again.err[again.err.index("sr train") :])

    return refuse


def test_a_run_of_format_1_is_measured_but_not_gone_on_with(run, command, refused, div2k):
    """It drew other samples, has no record of its own, an experiment and a protocol's group typed, odd loggers."""
    (run / composed.RECORD).unlink()
    record = run / ".hydra/config.yaml"
    config = yaml.safe_load(record.read_text())
    config["protocol"] = {"_target_": "sr.metrics.protocol.get_protocol", "name": "y_classic"}
    config["logger"] = {"tensorboard": {"_target_": "sr.callbacks.tensorboard_logger"}}
    config["test_protocols"] = config.pop("protocols", None)
    for name in ("metrics", "paper_data"):
        config.pop(name, None)
    record.write_text(yaml.safe_dump(config))
    words = run / ".hydra/overrides.yaml"
    words.write_text(yaml.safe_dump(["experiment=gone", "logger=tensorboard", *yaml.safe_load(words.read_text())]))
    last = run / "checkpoints/last.ckpt"
    content = torch.load(last, weights_only=True)
    del content["sr"]["stream"]
    content["sr"] |= {"format": 1, "config": config | {"choices": content["sr"]["config"]["choices"]}}
    content.pop("loss_state_dict", None)
    torch.save(content, last)
    begun = refused("at step 4 of 8", "steps=8", "logger=csv")
    assert begun[-1] == f"init_from={run}" and {f"data.root={div2k}", "steps=8"} < {*begun} and "steps=4" not in begun
    measured = command("train.py", f"resume={run}", "benchmarks=[bundled]", "logger=tensorboard", f"data.root={div2k}")
    assert measured.code == 0 and "this run is complete: 4 steps" in measured.out, measured
    assert (run / "results.csv").is_file()


DAMAGE = {
    "no optimizer": lambda c: c.pop("optimizer_states"),
    "another optimizer": lambda c: c.update(optimizer_states=[{"a": 1}]),
    "a schedule's method": lambda c: c["lr_schedulers"][0].update(step=3),
    "another shape": lambda c: c["optimizer_states"][0]["state"][0].update(exp_avg=torch.zeros(7)),
    "a loop": lambda c: c["loops"].update(fit_loop=7),
    "a callback": lambda c: c.update(callbacks={name: [1] for name in c["callbacks"]}),
    "no version": lambda c: c.pop("pytorch-lightning_version"),
    "a stage": lambda c: c["sr"].update(stage={"number": "x"}),
    "a step before the first": lambda c: c.update(global_step=-5),
    "batches without end": lambda c: c["sr"].update(batches_seen=10**25),
    "a rate that is no number": lambda c: c["optimizer_states"][0]["param_groups"][0].update(lr="x"),
    "no schedule": lambda c: c.update(lr_schedulers=7),
    "schedules of nothing": lambda c: c.update(lr_schedulers=[]),
    "optimizers of nothing": lambda c: c.update(optimizer_states=[]),
    "an optimizer without state": lambda c: c["optimizer_states"][0]["state"].clear(),
    "a loop that counts below 0": lambda c: c["loops"]["fit_loop"]["state_dict"].update(counted=-8),
}


@pytest.mark.parametrize("damage", [pytest.param(d, id=name, marks=() if name in ("a loop", "another shape") else
                                                 pytest.mark.slow) for name, d in DAMAGE.items()])  # fmt: skip
def test_a_checkpoint_with_another_training_state_is_refused_in_words(run, command, damage):
    for name in ("last.ckpt", "previous.ckpt"):
        content = torch.load(run / "checkpoints" / name, weights_only=True)
        damage(content)
        torch.save(content, run / "checkpoints" / name)
    again = command("train.py", f"resume={run}", "steps=8")
    assert again.code == 1 and again.err.startswith("error: ") and "Traceback" not in again.err + again.out, again
    assert re.search(r"checkpoints/(last|previous).ckpt", again.err), again


def test_a_loss_that_is_another_one_leaves_a_finished_run_as_it_is(run, command):
    """Of another teacher than the one that the run began with: its figures were gone, and its state was "failed"."""
    last = run / "checkpoints/last.ckpt"
    content = torch.load(last, weights_only=True)
    torch.save(content | {"loss_state_dict": {"mark": torch.tensor(1)}}, last)
    (run / "results.csv").write_text("figures")
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    again = command("train.py", f"resume={run}", "steps=8")
    assert again.code == 1 and "cannot be gone on with" in again.err and "Traceback" not in again.err, again
    assert before == {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    content["loops"]["fit_loop"] = 7  # what Lightning refuses while it restores: the figures stay in their place, too
    torch.save(content, last)
    assert command("train.py", f"resume={run}", "steps=8").code == 1
    assert (run / "results.csv").read_text() == "figures"


def test_what_the_optimizer_refuses_leaves_a_finished_run_as_it_is(run, command):
    """It looks at its state when it first steps: the figures were set aside by then, and the run was "failed"."""
    last = run / "checkpoints/last.ckpt"
    content = torch.load(last, weights_only=True)
    for state in content["optimizer_states"][0]["state"].values():
        state["momentum_buffer"] = state.pop("exp_avg")  # as of SGD
    torch.save(content, last)
    (run / "results.csv").write_text("figures")
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and p.suffix != ".log"}
    assert b"finished" in before[run / "run.json"]
    again = command("train.py", f"resume={run}", "steps=8")
    assert again.code == 1 and "cannot be gone on with" in again.err, again
    assert before == {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and p.suffix != ".log"}


@pytest.mark.parametrize("key", ["global_step", *(pytest.param(key, marks=pytest.mark.slow) for key in (
    "optimizer_states", "pytorch-lightning_version"))])  # fmt: skip
def test_a_torn_checkpoint_is_refused_before_anything_is_looked_at(run, refused, div2k, key):
    last = run / "checkpoints/last.ckpt"
    content = torch.load(last, weights_only=True)
    del content[key]
    torch.save(content, last)
    assert {f"data.root={div2k}", f"init_from={run}"} < {*refused(f"of another program (no {key})", "steps=8")}


@pytest.mark.parametrize(
    ("key", "value"),
    [("random", {"cpu": torch.zeros(3, dtype=torch.uint8)}), ("random", {"cpu": torch.zeros(5056)}),
     ("random", {"numpy": torch.full((627,), 1e9, dtype=torch.float64)}), ("random", {"python": torch.zeros(3)}),
     ("random", {"python": torch.full((628,), torch.nan, dtype=torch.float64)}),
     ("pytorch-lightning_version", "0.0.1"), ("pytorch-lightning_version", "xxxx")],
)  # fmt: skip
def test_what_lightning_or_torch_would_not_take_is_refused(run, key, value):
    last = run / "checkpoints/last.ckpt"
    content = torch.load(last, weights_only=True)
    refuse_torn(content, run, Words(["model=srcnn"]))
    with pytest.raises(UserError, match=f"of another program \\({key}"):
        refuse_torn(content | {key: value}, run, Words(["model=srcnn"]))


def test_other_images_are_refused_and_the_same_ones_may_lie_elsewhere(command, photos, tmp_path, monkeypatch):
    for place, first in (("a/A", 0), ("b/A", 50)):
        photos(tmp_path / place, 12, 24, 32, first)
    for place in ("a", "b"):  # names of their own are no help
        for number, path in enumerate(sorted((tmp_path / place / "A").iterdir())):
            path.rename(path.with_name(f"{number}.png"))
    monkeypatch.chdir(tmp_path / "a")
    begun = command("train.py", *TINY, "data=folder", "data.root=A", "patch_size=4")
    assert begun.code == 0, begun
    metrics, resume = (begun.folder / "metrics.csv").read_bytes(), f"resume={begun.folder}"
    (tmp_path / "a/A").rename(tmp_path / "a/moved")
    absent = command("train.py", resume, "steps=6")
    assert absent.code == 1 and "data.root=" in absent.err, absent
    (held_out,) = json.loads((begun.folder / "sets.json").read_text())["val"]
    lost = tmp_path / "a/moved" / f"{held_out.split()[-1]}.png"
    lost.rename(tmp_path / "lost.png")
    other = command("train.py", resume, "steps=6", "data.root=moved")
    assert other.code == 1 and "validation images are not what the run was begun with" in other.err, other
    assert {"data=folder", "++data.root=moved", f"init_from={begun.folder}"} < {
        *pasted(other.err[other.err.index("sr train") :])
    }
    monkeypatch.chdir(tmp_path / "b")
    other = command("train.py", resume, "steps=6")
    assert other.code == 1 and "validation images are not what the run was begun with" in other.err, other
    assert (begun.folder / "metrics.csv").read_bytes() == metrics, "it had begun"
    (tmp_path / "lost.png").rename(lost)
    found = command("train.py", resume, "steps=6", f"data.root={tmp_path / 'a/moved'}")
    assert found.code == 0 and "resuming at step 4 of 6" in found.out, found


def test_images_are_known_by_their_pixels_wherever_they_lie(photos, tmp_path, caplog):
    def contents(*val: str, noise: float = 0) -> same_data.Contents:
        steps = [MatlabBicubic(2), *([GaussianNoise(noise)] if noise else [])]
        places = {"train": tmp_path / "train", "val": [tmp_path / name for name in val]}
        data = Folder(**places, scale=2, patch_size=4, cache_dir=tmp_path / "cache", degradation=Degradation(2, steps))
        return same_data.contents([data])

    for n, name in enumerate(["train", "a/V", "b/V"]):
        for i, path in enumerate(photos(tmp_path / name, 2, 32, 32, 10 * n)):
            path.rename(path.with_name(f"{i}.png"))  # of one name in both folders
    begun, noisy = (contents("a/V", "b/V", noise=noise) for noise in (0, 5))
    same_data.keep(tmp_path, begun, [])
    (tmp_path / "b").rename(tmp_path / "moved")
    moved = contents("a/V", "moved/V")
    same_data.refuse_others(tmp_path, moved, Words([]))
    assert not caplog.records and moved != begun
    for other in (contents("a/V")["val"], moved["val"] | {"twice": min(moved["val"].values())}):
        with pytest.raises(UserError, match=r"[12] validation images are not what"):
            same_data.refuse_others(tmp_path, moved | {"val": other}, Words([]))
    former = {part: {name: files.partition(" ")[0] for name, files in images.items()} for part, images in noisy.items()}
    same_data.keep(tmp_path, former, [])  # of before random LR was told apart
    same_data.refuse_others(tmp_path, contents("a/V", "moved/V", noise=5), Words([]))
    same_data.keep(tmp_path, begun, [])
    turned = dict(reversed(moved["train"].items()))
    same_data.refuse_others(tmp_path, moved | {"train": turned}, Words([]))
    assert "in another order" in caplog.text
    same_data.keep(tmp_path, noisy, [])  # which is drawn by the file's name
    (tmp_path / "moved/V/0.png").rename(tmp_path / "moved/V/2.png")
    with pytest.raises(UserError, match="2 validation images are not what"):
        same_data.refuse_others(tmp_path, contents("a/V", "moved/V", noise=5), Words([]))


@pytest.mark.slow
def test_lr_may_have_moved(command, photos, tmp_path):
    photos(tmp_path / "HR", 6, 32, 48)
    photos(tmp_path / "LR", 6, 16, 24)
    typed = [*TINY, "data=folder", f"data.train={tmp_path}/HR", f"data.train_lr={tmp_path}/LR", "patch_size=8"]
    begun = command("train.py", *typed, "data.check_pairs=false")
    assert begun.code == 0, begun
    (tmp_path / "LR").rename(tmp_path / "moved")
    resume = ["train.py", f"resume={begun.folder}", "steps=6"]
    assert command(*resume).code == 1
    found = command(*resume, f"data.train_lr={tmp_path}/moved")
    assert found.code == 0 and "resuming at step 4 of 6" in found.out and "are not what" not in found.err, found


@pytest.mark.parametrize("key", ["lr", "initial_lr", "weight_decay", "base_lrs", "last_epoch"])
def test_somebody_elses_checkpoint_trains_as_its_run_says(run, command, div2k, key):
    record = run / composed.RECORD
    record.write_text("".join(line for line in record.open() if not line.startswith("signature:")))
    last = run / "checkpoints/last.ckpt"
    content = torch.load(last, weights_only=True)
    group = content["lr_schedulers"][0]
    group = group if key in group else content["optimizer_states"][0]["param_groups"][0]
    honest, group[key] = group[key], [9.0] if key == "base_lrs" else 9.0
    torch.save(content, last)
    again = command("train.py", f"resume={run}", "steps=8", f"data.root={div2k}")
    assert again.code == 1 and f"trains with {key}=" in again.err and "init_from=" in again.err, again
    group[key] = honest
    state = content["optimizer_states"][0]
    state["param_groups"] = (*state["param_groups"],)  # in which nobody looked
    torch.save(content, last)
    again = command("train.py", f"resume={run}", "steps=8", f"data.root={div2k}")
    assert "another program (param_groups)" in again.err, again
    state["param_groups"] = [*state["param_groups"]]
    torch.save(content | {"averaging_state": {"n_averaged": -10}}, last)
    again = command("train.py", f"resume={run}", "steps=8", f"data.root={div2k}")
    assert "another program (n_averaged -10)" in again.err, again
    torch.save(content, last)
    again = command("train.py", f"resume={run}", "steps=8", f"data.root={div2k}")
    assert again.code == 0, again


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "${oc.decode:'{}'}", "${ hydra:runtime.cwd}"])
def test_a_record_that_reads_more_than_itself_is_refused(tmp_path, value):
    content = {"format": 2, "words": [], "config": {"vgg_weights": value, "choices": {}}}
    (tmp_path / composed.RECORD).write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="is refused"):
        composed.read(tmp_path)


def test_a_record_of_a_newer_version_is_refused(tmp_path):
    (tmp_path / composed.RECORD).write_text(yaml.safe_dump({"format": 99, "words": [], "config": {}}))
    with pytest.raises(UserError, match="newer version"):
        composed.read(tmp_path)


def test_where_nothing_is_to_be_resumed_words_stay_as_they_are():
    words = Words(["model=edsr", "resume=null"])
    assert with_resumed_run(words) is words


def test_the_checkpoint_that_is_typed_is_the_one_it_goes_on_from_or_refused(begun):
    (begun / "checkpoints").mkdir()
    for name in ("last.ckpt", "best.ckpt"):
        (begun / "checkpoints" / name).touch()
    with pytest.raises(UserError, match=r"last.ckpt alone: give its folder.*init_from=\S+/best.ckpt"):
        with_resumed_run(Words([f"resume={begun}/checkpoints/best.ckpt"]))
    words = with_resumed_run(Words([f"resume={begun}/checkpoints/last.ckpt"]))
    assert words.value("hydra.run.dir") == str(begun)


def test_each_damaged_checkpoint_is_kept(tmp_path):
    """A second one replaced the first."""
    (folder := tmp_path / "checkpoints").mkdir()
    (folder / "previous.ckpt").write_text("whole")
    for text in ("first", "second", "third"):
        (folder / "last.ckpt").unlink(missing_ok=True)
        (folder / "last.ckpt").write_text(text)
        put_back(tmp_path)
    names = "last.ckpt", "damaged.ckpt", "damaged_2.ckpt", "damaged_3.ckpt"
    assert [(folder / name).read_text() for name in names] == ["whole", "first", "second", "third"]
