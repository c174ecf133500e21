"""Composition as typed on the command line: recipes, precedence, errors that name the nearest valid word."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted(p.stem for p in (ROOT / "conf/model").glob("*.yaml"))


def composed(command, *arguments: str) -> dict:
    outcome = command("train.py", *arguments, "--cfg", "job", "--resolve")
    assert outcome.code == 0, outcome
    return yaml.safe_load(outcome.out)


def test_a_model_brings_its_papers_recipe(command):
    cfg = composed(command, "model=bsrn")
    assert (cfg["steps"], cfg["batch_size"], cfg["patch_size"]) == (1_000_000, 64, 48)
    assert cfg["optimizer"]["lr"] == 1e-3
    assert cfg["scheduler"]["T_max"] == 1_000_000  # follows the steps


def test_a_named_size_falls_back_to_its_family(command):
    assert composed(command, "model=ecbsr_m4c16")["optimizer"]["lr"] == 5e-4
    assert composed(command, "model=bsrn_s")["batch_size"] == 256  # has one of its own


def test_what_the_user_types_wins_over_the_recipe(command):
    cfg = composed(command, "model=bsrn", "loss=l2", "scheduler=halve", "optimizer.lr=0.5", "steps=7", "batch_size=3")
    assert "l2" in cfg["loss"]["terms"] and "l1" not in cfg["loss"]["terms"]
    assert cfg["scheduler"]["_target_"].endswith("StepLR")
    assert (cfg["optimizer"]["lr"], cfg["steps"], cfg["batch_size"]) == (0.5, 7, 3)


def test_another_recipe_may_be_chosen(command):
    cfg = composed(command, "model=bsrn", "recipe=edsr")
    assert cfg["loss"]["value_range"] == 255 and cfg["batch_size"] == 16


def test_a_model_without_a_recipe_gets_the_base_one(command, tmp_path: Path):
    (tmp_path / "more/model").mkdir(parents=True)
    (tmp_path / "more/model/unheard_of.yaml").write_text("_target_: sr.models.edsr.EDSR\nscale: ${scale}\n")
    cfg = composed(command, "--config-dir", str(tmp_path / "more"), "model=unheard_of")
    assert cfg["batch_size"] == 16 and cfg["steps"] == 300_000


@pytest.mark.parametrize("model", MODELS)
def test_every_model_composes(command, model):
    assert composed(command, f"model={model}")["model"]["_target_"]


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("modle=bsrn", "Did you mean model"),
        ("model=bsnr", "Did you mean bsrn"),
        ("stepz=3", "Did you mean steps"),
        ("model.chanels=3", "Did you mean model.channels"),
        ("optimizer.lrr=1", "Did you mean optimizer.lr"),
        ("recipe=nothing", "Could not find 'recipe/nothing'"),
        ("steps=many", "could not be converted to Integer"),
        ("budget=smok", "Did you mean smoke"),
    ],
)
def test_a_wrong_word_is_refused_with_the_nearest_right_one(command, typed, hint):
    outcome = command("train.py", typed)
    assert outcome.code == 1 and hint in outcome.err, outcome
    assert not (outcome.folder / "checkpoints").exists()


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("model.channels=wide", "model.channels='wide'"),
        ("+model.depth=3", "no such argument"),
        ("trainer.devices=[a,b]", "trainer"),
        ("+optimizer.learning_rate=1", "optimizer.learning_rate: torch.optim.Adam has no such argument"),
        ("model._target_=os.getcwd", "is not a super-resolution model"),
        ("model._target_=nowhere.Net", "there is no such class"),
    ],
)
def test_a_wrong_argument_of_a_target_is_refused_before_anything_is_built(command, typed, hint):
    outcome = command("train.py", "model=edsr_baseline", typed, "budget=smoke")
    assert outcome.code == 1 and hint in outcome.err and "Traceback" not in outcome.err, outcome


@pytest.mark.parametrize("name", ["train", "evaluate", "measure", "compare", "figure"])
def test_help_names_the_groups_and_examples(command, name):
    outcome = command(f"{name}.py", "--help")
    assert outcome.code == 0 and "Often used" in outcome.out and f"\nsr {name} " in outcome.out
    assert name != "train" or "model: bicubic" in outcome.out
