"""Keys are declared once, and the safest kind is the one that nobody said anything about."""

from dataclasses import dataclass, fields

import pytest
from omegaconf import OmegaConf

from sr.compose import schema
from sr.compose.key import Key, key
from sr.compose.keys import declared, recorded_choices, refuse_unread, root, stage_keys
from sr.compose.words import Words
from sr.errors import UserError
from sr.runs import composed
from sr.training import budget
from sr.training.stage_configs import stage_configs


@pytest.fixture
def extended(monkeypatch):
    """The training schema with a key of which nothing but type and default is said."""

    @dataclass
    class Extended(schema.TrainSchema):
        brand_new: int = 1000
        told: int = key(7, result=False)

    monkeypatch.setattr(schema, "TrainSchema", Extended)
    monkeypatch.setattr(composed, "TrainSchema", Extended)
    cfg = OmegaConf.structured(Extended)
    cfg.choices = {"model": "edsr", "budget": "paper"}
    return cfg


def test_a_key_without_a_word_is_kept_by_a_run_a_stage_and_a_budget(extended, tmp_path):
    assert declared("brand_new") == Key() and declared("brand_new.within") == Key()
    run = composed.Composed(tmp_path, extended, Words(["model=edsr"]))
    assert not run.has(*Words(["brand_new=5"])) and run.has(*Words(["brand_new=1000"]))
    with pytest.raises(UserError, match=r"brand_new was 1000, is 5.*sr train model=edsr brand_new=5 init_from="):
        raise run.refusal("brand_new", 1000, "5", Words(["brand_new=5"]))
    assert run.changed(Words(["told=8"]), extended).told == 8
    extended.stages = {"first": {"brand_new": 3}}
    with pytest.raises(UserError, match=r"stages.first.brand_new: a stage has no such key"):
        stage_configs(extended, set())
    extended.stages = {}
    assert budget.rescaled(extended, 0.1, ()).brand_new == 1000 and extended.steps == 300_000


def test_every_field_of_the_training_schema_is_declared():
    assert [f.name for f in fields(schema.TrainSchema) if "key" not in f.metadata] == []


def test_a_key_of_ones_own_is_read_where_another_one_names_it():
    cfg = OmegaConf.structured(schema.TrainSchema)
    OmegaConf.update(cfg, "rate", 0.5, force_add=True)
    with pytest.raises(UserError, match="rate: there is no such key"):
        refuse_unread(cfg)
    cfg.optimizer = {"lr": "${rate}"}
    refuse_unread(cfg)


@pytest.mark.parametrize("group", ["loss", "optimizer", "data", "callbacks", "logger", "trainer"])
def test_an_option_that_a_config_gives_as_a_value_is_refused_with_how_it_is_chosen(group):
    cfg = OmegaConf.structured(schema.TrainSchema)
    cfg[group] = "mine"
    with pytest.raises(UserError, match=f"{group}: mine .* defaults list, .* - override /{group}: mine, or typed"):
        refuse_unread(cfg)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("logger.wandb.project", {"result": False, "named": False}),
        ("data.num_workers", {"result": False}),
        ("data.sets.div2k.num_workers", {"result": False}),
        ("data.dihedral", {"result": True, "fixed": True, "budget": ""}),
        ("data.train_lr", {"fixed": False, "makes_lr": False}),
        ("data.sets.mine.val_lr", {"fixed": False, "makes_lr": True}),
        ("data.lr", {"fixed": True}),
        ("budget.factor", {"fixed": True, "result": False}),
        ("data.lr", {"makes_lr": True}),
        ("data.mirror", {"makes_lr": True, "sets": True, "result": True}),
        ("degradation.sigma", {"makes_lr": True, "sets": True}),
        ("trainer.devices", {"result": False}),
        ("trainer.precision", {"result": True, "fixed": True}),
        ("callbacks.panels.size", {"result": False}),
        ("callbacks.population_statistics.at_step", {"budget": "steps", "fixed": True}),
        ("loss.terms.gan.scheduler.milestones", {"budget": "steps"}),
        ("stages.last.scheduler.periods", {"budget": "steps"}),
        ("stages.last.batch_size", {"budget": "size", "stage": True}),
        ("data.steps", {"budget": ""}),
        ("model.steps", {"budget": ""}),  # of an unfolded network: a budget built another one
        ("stages.last.model.network.period", {"budget": ""}),
        ("model", {"own_column": True}),
        ("model.channels", {"own_column": False, "fixed": True}),
        ("loss@losses.adversarial", {"fixed": True}),
        ("hydra/launcher", {"result": False, "named": False}),
        ("seed", {"grows": True, "one_line": True, "fixed": True}),
    ],
)
def test_what_is_known_of_a_key(path, expected):
    found = declared(path)
    assert {name: getattr(found, name) for name in expected} == expected


def test_the_lists_follow():
    assert set(stage_keys()) == {
        "steps", "scale", "patch_size", "hr_patch_size", "batch_size", "loss", "optimizer", "scheduler",
        "parameter_groups", "frozen", "trained", "init_from", "optimizer_state", "model", "frames",
    }  # fmt: skip
    resumable = {name for name, known in root().items() if not known.fixed}
    assert {"steps", "val_every_steps", "logger", "data_dir", "benchmarks"} <= resumable
    assert not {"model", "data", "degradation", "callbacks", "loss", "optimizer", "protocol", "seed"} & resumable
    choices = {"model": "edsr", "logger": "csv", "hydra/launcher": "basic", "loss@losses.x": "l1", "experiment": None}
    assert recorded_choices(choices) == {"model": "edsr", "experiment": None}


@pytest.mark.parametrize(
    ("script", "words", "told"),
    [
        ("evaluate.py", "model=bicubic benchmarks=[bundled] patch_size=9", "patch_size=9: evaluate trains nothing"),
        ("evaluate.py", "model=bicubic data.batch_size=9", "data.batch_size=9: evaluate trains nothing"),
        ("evaluate.py", "model=bicubic benchmarks=[reds] data.frames=3", "data.frames=3: evaluate trains nothing"),
        ("evaluate.py", "model=bicubic data.val_images=3", "data.val_images=3: evaluate trains nothing"),
        ("compare.py", "runs=[r] protocols=[y]", "protocols=[y]: it counts only beside benchmarks="),
        ("compare.py", "runs=[] frames=3", "frames=3: compare trains nothing"),
        ("train.py", "data=bundled frames=3", "frames=3: nothing that was chosen looks at it"),
        ("upscale.py", "input=p metrics=[psnr]", "it counts only beside hr="),
        ("upscale.py", "input=p submission=true suffix=_x", "suffix=_x: it counts only beside submission=false"),
        ("study.py", "runs=[r] mode=mos pairs=3", "pairs=3: it counts only beside mode=pairs"),
        ("evaluate.py", "checkpoint=r model=ecbsr_m4c8 model.channels=4", "model.channels=4: a checkpoint knows its"),
        ("figure.py", "figure=convergence runs=r scale=2", "scale=2: nothing that was chosen looks at it"),
        ("export.py", "model=r formats=[pt2] opset=19", "opset=19: it counts only beside formats=onnx"),
        ("measure.py", "model=[rlfn] benchmarks=[set5]", "it counts only beside forms= or timing=ntire22"),
    ],
)
def test_what_would_change_nothing_is_refused(command, script, words, told):
    outcome = command(script, *words.split())
    assert outcome.code == 1 and told in outcome.err and "Leave it out" in outcome.err, outcome


def test_what_is_harmless_and_changes_nothing_is_told(command):
    typed = ("panels=0", "panel_size=32", "zoo.dir=x", "data.num_workers=1")
    outcome = command("evaluate.py", "model=bicubic", "scale=4", *typed)
    assert outcome.code == 0, outcome
    for word, why in zip(typed[1:], ("beside panels=", "beside weights=", "evaluate trains nothing"), strict=True):
        assert any(f"note: {word}: " in line and why in line for line in outcome.out.splitlines()), outcome
    assert "note:" not in command("evaluate.py", "model=bicubic", "scale=4", "panel_size=32", folder="other").out


def test_every_command_may_be_told_whom_to_trust():
    """Each that reads a checkpoint of somebody's own network says to type trust=[...]; measure had no such key."""
    assert not [command for command, of in schema.SCHEMAS.items() if "trust" not in {f.name for f in fields(of)}]
