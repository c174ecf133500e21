"""Every network takes real steps under its own recipe, and training makes it better."""

import functools
import math
from pathlib import Path

import pytest
import yaml
from hydra.utils import get_class
from omegaconf import OmegaConf
from small_runs import SMALL, rows, saved

ROOT = Path(__file__).resolve().parents[2]

CONF = ROOT / "conf/model"
MODELS = sorted(p.stem for p in CONF.glob("*.yaml") if p.stem not in ("bicubic", "module"))


@functools.cache
def of_each_class() -> set[str]:
    """The last file of each class, by the alphabet: a small one where there are several."""
    return set({yaml.safe_load((CONF / f"{name}.yaml").read_text()).get("_target_"): name for name in MODELS}.values())


def tier(model: str):
    """One network of each class; the other sizes, and those that are large, are in the slow tier."""
    quick = model in of_each_class() - {"drcn", "edvr_l", "rcan", "rrdbnet", "swinir_light"}
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


LARGE = [pytest.param(name, marks=pytest.mark.slow) for name in ("lapsrn_x4", "vdsr")]


@pytest.mark.parametrize("name", ["espcn_x3", "fsrcnn_x3", "srcnn_x3", *LARGE])
def test_what_reproduces_a_paper_takes_real_steps_and_tells_their_time(command, div2k, name):
    assert (ROOT / f"conf/experiment/reproduce/{name}.yaml").is_file()
    small = ["data=div2k", f"data.root={div2k}", "budget=smoke", "benchmarks=[]"]
    outcome = command("train.py", f"experiment=reproduce/{name}", *small)
    assert outcome.code == 0, outcome
    protocol = "y_float" if name == "lapsrn_x4" else "y_classic"
    validated = [r for r in rows(outcome.folder) if r[f"val/psnr_{protocol}"]]
    assert len(validated) == 2 and all(float(r["time/cpu_seconds"]) > float(r["time/seconds"]) > 0 for r in validated)
    assert saved(outcome.folder)["sr"]["config"]["optimizer"]["_target_"] == "sr.training.muon.Muon"


def test_training_raises_the_validation_figure(command, div2k):
    outcome = command("train.py", *SMALL, "data=div2k", f"data.root={div2k}", "steps=60", "val_every_steps=20",
                      "optimizer.lr=3e-3")  # fmt: skip
    assert outcome.code == 0, outcome
    figures = [float(r["val/psnr_y"]) for r in rows(outcome.folder) if r["val/psnr_y"]]
    assert figures[-1] > figures[0] + 1
