"""Runs read back from folders."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from small_runs import NODE, write

from sr.errors import UserError
from sr.layers.identity import identity
from sr.runs.config import flat, upgraded
from sr.runs.differences import settings
from sr.runs.folder import differing, find_runs, read_run
from sr.runs.record import record, recorded
from sr.scores.score import scores_of


def folder(place: Path, config: dict, status: str = "finished", psnr: float = 30.0) -> Path:
    (place / ".hydra").mkdir(parents=True)
    (place / ".hydra/config.yaml").write_text(yaml.safe_dump(config))
    (place / ".hydra/overrides.yaml").write_text(yaml.safe_dump(["model=edsr", "seed=1"]))
    (place / ".hydra/hydra.yaml").write_text(yaml.safe_dump({"hydra": {"runtime": {"choices": {"model": "edsr"}}}}))
    record(place, status, seconds=12.5, steps=8)
    (place / "metrics.csv").write_text("step,train/loss,val/psnr_y\n4,0.5,\n8,0.25,31.5\n")
    (place / "results.csv").write_text(
        f"model,dataset,scale,protocol,psnr,ssim,images,paper_psnr\nedsr,Set5,2,y,{psnr},0.9,5,\n"
    )
    return place


def test_a_run_is_read_back_whole(tmp_path):
    place = folder(tmp_path / "a", {"seed": 3, "model": {"scale": "${scale}"}, "scale": 2, "gone": "${nowhere}"})
    run = read_run(place)
    assert (run.name, run.seed, run.status, run.seconds, run.steps) == ("edsr", 3, "finished", 12.5, 8)
    assert run.config == {"seed": 3, "model": {"scale": 2}, "scale": 2, "gone": "${nowhere}"}
    assert run.overrides == ["model=edsr", "seed=1"]
    assert run.scores == scores_of("edsr", "Set5", 2, "y", {"psnr": 30.0, "ssim": 0.9}, 5)
    assert list(run.curve) == [{"step": 4, "train/loss": 0.5}, {"step": 8, "train/loss": 0.25, "val/psnr_y": 31.5}]


def test_the_network_of_a_run_is_the_one_that_its_weights_are_of(tmp_path):
    """The cost of another one stood beside figures of these weights, wherever a file told of two."""
    place = folder(tmp_path / "a", {"seed": 3, "model": {"channels": 2}})
    (place / "checkpoints").mkdir()
    write(place / "checkpoints/last.ckpt", config={"seed": 3, "model": NODE | {"channels": 2}})
    assert read_run(place).config == {"seed": 3, "model": NODE}


@pytest.mark.parametrize(
    ("name", "text"),
    [("metrics.csv", "step,stage\n4,-99\n"), ("metrics.csv", "step,stage\n4,inf\n"), ("metrics.csv", "step\n-4\n")],
)
def test_counts_that_no_run_writes_are_damage(tmp_path, name, text):
    (folder(tmp_path / "a", {"seed": 3}) / name).write_text(text)
    (run,) = find_runs(tmp_path)
    assert run.status == "damaged" and "metrics.csv is damaged" in run.error


def test_what_no_file_takes_or_no_run_says_is_left_out(tmp_path):
    half = r"\ud800"
    (tmp_path / "run.json").write_text(f'{{"status": "{half}", "device": "{half}", "saw": ["{half}"], "steps": -5}}')
    assert recorded(tmp_path) == {}
    (tmp_path / "run.json").write_text('{"status": "well done", "device": "cpu"}')
    assert recorded(tmp_path) == {"device": "cpu"}


def test_results_of_several_scales_are_all_read(tmp_path):
    place = folder(tmp_path / "a", {"seed": 0})
    for scale in (3, 4):
        (place / f"x{scale}").mkdir()
        (place / f"x{scale}/results.csv").write_text(
            f"model,dataset,scale,protocol,psnr,ssim,images\nedsr,Set5,{scale},y,30,0.9,5\n"
        )
    assert [s.scale for s in read_run(place).scores if s.metric == "psnr"] == [2, 3, 4]


def test_runs_are_found_at_any_depth_in_order_of_their_numbers(tmp_path):
    for name in ("sweep/10_edsr", "sweep/2_edsr", "sweep/²_edsr", "deep/er/run"):
        folder(tmp_path / name, {"seed": 0})
    (tmp_path / "measured/.hydra").mkdir(parents=True)  # of evaluate.py
    (tmp_path / "measured/.hydra/config.yaml").write_text("{}")
    names = [str(r.folder.relative_to(tmp_path)) for r in find_runs(tmp_path)]
    assert names == ["deep/er/run", "sweep/2_edsr", "sweep/10_edsr", "sweep/²_edsr"]
    assert find_runs(tmp_path / "deep/er/run")[0].folder == tmp_path / "deep/er/run"


def test_only_what_differs_is_named(tmp_path):
    a = folder(tmp_path / "a", {"seed": 0, "optimizer": {"lr": 1e-3, "eps": 1}, "data_dir": "x", "steps": 4})
    b = folder(tmp_path / "b", {"seed": 1, "optimizer": {"lr": 1e-4, "eps": 1}, "data_dir": "y", "steps": 4, "more": 1})
    both = [read_run(a), read_run(b)]
    assert differing(both) == ["optimizer.lr", "seed", "more"]
    assert flat({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}


def test_a_record_keeps_what_is_not_told_again_but_no_old_error(tmp_path):
    record(tmp_path, "failed", seconds=3.0, steps=5, error="boom")
    record(tmp_path, "running")
    content = json.loads((tmp_path / "run.json").read_text())
    assert content == {"status": "running", "seconds": 3.0, "steps": 5, "device": None, "code": [], "error": None}


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="it does not exist"):
        read_run(tmp_path / "nothing")
    with pytest.raises(UserError, match="holds no training run"):
        read_run(tmp_path)
    with pytest.raises(UserError, match="no run was found"):
        find_runs(tmp_path)
    (tmp_path / "best.ckpt").write_bytes(b"any")
    with pytest.raises(UserError, match=r"best.ckpt is a file, .*is checkpoint=\S*best.ckpt"):
        find_runs(tmp_path / "best.ckpt")


def test_a_torn_record_is_no_record(tmp_path):
    (tmp_path / "run.json").write_text("{")
    assert recorded(tmp_path) == {}


def test_the_config_is_the_checkpoints_and_a_torn_checkpoint_does_no_harm(tmp_path):
    place = folder(tmp_path / "a", {"seed": 0, "steps": 100})
    (place / "checkpoints").mkdir()
    told = {"model": {}, "config": {"seed": 0, "steps": 7}}
    torch.save({"state_dict": {}, "sr": told}, place / "checkpoints/last.ckpt")
    assert read_run(place).config["steps"] == 7
    (place / "checkpoints/last.ckpt").write_bytes(b"PK")
    assert read_run(place).config["steps"] == 100


def test_another_checkpoint_in_the_place_of_the_last_one_is_told(tmp_path, caplog):
    """Settings were those of one run, figures and curve those of another."""
    place = folder(tmp_path / "a", {"seed": 0})
    (place / "checkpoints").mkdir()
    record(place, "finished", steps=20)
    for step, told in ((20, False), (60, True)):
        content = {"state_dict": {}, "sr": {"model": {}, "config": {"seed": 0}}, "global_step": step}
        torch.save(content, place / "checkpoints/last.ckpt")
        read_run(place)
        assert ("was written at step 60, and the run ended at step 20" in caplog.text) == told
    caplog.clear()
    for config, told in (({"seed": 0}, False), ({"seed": 0, "optimizer": {"lr": 1.0}}, True)):
        record(place, "finished", steps=60, settings=identity({}, config))
        read_run(place)
        assert ("last.ckpt holds another config than the run ended with" in caplog.text) == told


def test_a_run_without_a_checkpoint_neither_hides_a_choice_nor_makes_steps_differ(tmp_path):
    """It failed before Hydra's config was filled in and scaled; the others are read from their checkpoints."""
    budget = {"name": "smoke", "steps": 4, "factor": None}
    composed = {"steps": 100, "batch_size": 16, "scheduler": {"T_max": 100}, "budget": budget, "choices": {}}
    trained = {"steps": 4, "batch_size": 2, "scheduler": {"T_max": 4}, "budget": budget | {"factor": 0.04}}
    found = []
    for name, loss in (("a", "l1"), ("b", "l2"), ("c", "l1")):
        place = folder(tmp_path / name, composed | {"loss": {"_target_": loss, "range": 1}})
        choices = {"model": "edsr", "loss": loss, "hydra/launcher": "basic"}
        (place / ".hydra/hydra.yaml").write_text(yaml.safe_dump({"hydra": {"runtime": {"choices": choices}}}))
        if name == "c":
            record(place, "failed", error="boom")
        else:
            chosen = {"loss": {"_target_": loss, "range": 1}, "choices": {"model": "edsr", "loss": loss}}
            (place / "checkpoints").mkdir()
            content = {"state_dict": {}, "sr": {"model": {}, "config": trained | chosen}}
            torch.save(content, place / "checkpoints/last.ckpt")
        found.append(read_run(place))
    assert found[2].config["choices"] == {"model": "edsr", "loss": "l1"}
    assert settings(found) == [{"loss": "l1"}, {"loss": "l2"}, {"loss": "l1"}]
    found[2].config["optimizer"] = {"lr": 1}
    assert "optimizer.lr" in differing(found)  # what no budget changes is held against the others


def test_a_protocol_of_a_former_version_is_a_name():
    then = {"protocol": {"_target_": "sr.metrics.protocol.get_protocol", "name": "y"}, "test_protocols": ["y", "rgb"]}
    assert upgraded({"seed": 1, **then}) == {"seed": 1, "protocol": "y", "protocols": ["y", "rgb"]}


def test_keys_that_are_the_trainer_s_now():
    then = {"compile": True, "channels_last": False, "trainer": {"precision": 32}}
    now = {"trainer": {"compile": True, "channels_last": False, "precision": 32}}
    assert upgraded(then) == now and upgraded(now) == now
