"""Scales of a network for several that its run did not train."""

import csv

import numpy as np
import pytest
import small_runs
import torch
from PIL import Image

import sr
from sr.comparison.rows import Source, rows
from sr.models.mdsr import MDSR
from sr.runs.folder import Run
from sr.runs.trained_scales import trained_scales

SERVED = [2, 3, 4]
NODE = {"_target_": "sr.models.mdsr.MDSR", "scale": SERVED, "num_blocks": 1, "channels": 4}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint whose run trained scales 2 and 4."""
    torch.manual_seed(0)
    state = MDSR(scale=SERVED, num_blocks=1, channels=4).state_dict()
    file = tmp_path_factory.mktemp("trained") / "some.ckpt"
    return small_runs.write(file, NODE, state, name="tiny", config={"scale": [2, 4]})


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({}, SERVED),
        ({"config": {}}, SERVED),
        ({"config": {"scale": 2}}, [2]),
        ({"config": {"scale": [4, 3]}}, [3, 4]),
        ({"config": {"scale": 4, "stages": {"a": {"scale": 2}, "b": None}}}, [2, 4]),
        ({"config": {"scale": 4, "stages": {"a": {"scale": 2}, "b": None}}, "stage": {"name": "a"}}, [2]),
        ({"config": {"scale": 8}}, SERVED),
    ],
)
def test_what_a_checkpoint_tells(told, found):
    assert trained_scales(SERVED, told) == tuple(found)


def test_evaluate_measures_what_was_trained_and_warns_of_what_is_typed(command, trained, photos, tmp_path):
    photos(tmp_path / "test", 1, 24, 24)
    typed = [f"checkpoint={trained}", "benchmarks=[folder]", f"data.root={tmp_path / 'test'}", "protocols=[y]"]
    done = command("evaluate.py", *typed, "panels=0")
    assert done.code == 0 and "not trained" not in done.out, done
    assert sorted(p.name for p in done.folder.glob("x*")) == ["x2", "x4"]
    done = command("evaluate.py", *typed, "panels=0", "scale=3", folder="typed")
    assert done.code == 0 and "scale=3: tiny was not trained for it, its run trained scale 2, 4" in done.out, done
    with (done.folder / "results.csv").open(newline="") as f:
        assert {row["scale"] for row in csv.DictReader(f)} == {"3"}


def test_upscale_and_export_warn(command, trained, tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    for script, more in (("upscale.py", [f"input={tmp_path / 'a.png'}"]), ("export.py", ["formats=[safetensors]"])):
        sr.errors.told_once.cache_clear()
        for scale in (3, 2):
            done = command(
                script,
                f"model={trained}",
                f"scale={scale}",
                *more,
                f"output={tmp_path / 'out'}",
                folder=f"{script}{scale}",
            )
            assert done.code == 0 and ("was not trained for it" in done.out) == (scale == 3), done


def test_a_smaller_factor_is_of_a_trained_scale(trained):
    assert sr.load(trained).factor(None, 2.5) == 4
    assert sr.load(trained).factor(3, 2.5) == 3


def test_a_comparison_has_no_rows_of_what_was_not_trained(trained):
    run = Run(trained, "tiny", {"scale": [2, 4]}, [], [], [], None, 0, "finished", 0)
    assert [row.scale for row in rows([Source("tiny", trained, NODE, None, run, label="tiny")])] == [2, 4]
