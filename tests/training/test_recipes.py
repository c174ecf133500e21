"""Every file of conf/recipe and conf/experiment: complete, consistent, and true to the table of published figures."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from sr.compose.checks import check_targets
from sr.compose.schema import recipe_of, register
from sr.scores.published import published
from sr.training.stages import at_scale, plan, scales

CONF = Path(__file__).resolve().parents[2] / "conf"
MODELS = sorted(p.stem for p in (CONF / "model").glob("*.yaml"))
RECIPES = sorted(p.stem for p in (CONF / "recipe").glob("*.yaml"))
EXPERIMENTS = sorted(p.stem for p in (CONF / "experiment").glob("*.yaml"))
MODEL_OF = {"base": "edsr_baseline", "msrgan": "msrresnet"}  # others: the recipe's name or its beginning
MUST_REACH = re.compile(r"# must reach: (\w+) x(\d) (\d\d\.\d+) dB(?: / (0\.\d+))? \((\w+)\)")


@contextmanager
def composing() -> Iterator[None]:
    GlobalHydra.instance().clear()
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@cache
def composed(*typed: str) -> tuple[DictConfig, dict[str, Any]]:
    """The config as train.py sees it, and the names chosen from each group; both shared between tests."""
    with composing():
        cfg = compose("train", [*typed, "logger=csv"], return_hydra_config=True)
        choices = OmegaConf.to_container(cfg.hydra.runtime.choices)
        with open_dict(cfg):
            del cfg["hydra"]
    assert isinstance(choices, dict)
    return cfg, {str(group): name for group, name in choices.items()}


def model_of(recipe: str) -> str:
    name = MODEL_OF.get(recipe, recipe)
    while name not in MODELS:
        name = name.rpartition("_")[0]
    return name


def comments(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if line.startswith("#")]


def check(cfg: DictConfig) -> None:
    """Every stage at every scale has arguments that its classes take, and counts of steps that fit each other."""
    total = plan(cfg, ())[-1].end
    for stage in plan(cfg, ()):
        for scale in scales(stage.cfg):
            check_targets(OmegaConf.to_container(at_scale(stage.cfg, scale, ()), resolve=True))  # type: ignore[arg-type]
        with torch.device("meta"):
            model = instantiate(at_scale(stage.cfg, scales(stage.cfg)[-1], ()).model)
        patterns = [*stage.cfg.parameter_groups, *stage.cfg.frozen, *(stage.cfg.trained or [])]
        names = [name for name, _ in model.named_parameters()]
        for pattern in patterns:
            assert any(name.startswith(pattern.strip("*")) or name.endswith(pattern.strip("*")) for name in names)
        schedule, steps = stage.cfg.scheduler, stage.end - stage.begin
        counts = [schedule.get("step_size", 0), schedule.get("period", 0), *schedule.get("milestones", [])]
        assert max(counts) < steps, f"a learning rate that would fall after the last of {steps} steps"
        assert sum(schedule.get("periods", [steps])) == schedule.get("T_max", steps) == steps
        assert stage.cfg.val_every_steps <= steps
    for node in cfg.callbacks.values():
        assert 0 < node.get("at_step", 1) <= total


@pytest.mark.parametrize("model", [m for m in MODELS if m != "bicubic"])
def test_every_model_has_a_recipe_of_its_own_or_of_its_family(model):
    with composing():
        assert recipe_of(model) != "base"


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_composes_and_fits_its_model(recipe):
    cfg, choices = composed(f"model={model_of(recipe)}", f"recipe={recipe}")
    assert choices["recipe"] == recipe
    check(cfg)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_says_whose_it_is_and_leaves_model_and_data_alone(recipe):
    file = CONF / f"recipe/{recipe}.yaml"
    content = yaml.safe_load(file.read_text())
    assert len(comments(file)) > 1 and comments(file)[0] == "# @package _global_"
    assert not {"model", "data", "trainer", "logger", "budget"} & set(content)
    assert not any(str(d).lstrip("{'").startswith(("/model", "/data")) for d in content["defaults"])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_composes(experiment):
    cfg, choices = composed(f"experiment={experiment}")
    assert choices["recipe"] != "base"
    check(cfg)


@pytest.mark.parametrize("experiment", [e for e in EXPERIMENTS if e != "demo"])
def test_what_an_experiment_must_reach_is_in_the_published_table(experiment):
    said = [c for c in comments(CONF / f"experiment/{experiment}.yaml") if "must reach" in c]
    if said == ["# must reach: no published figure"]:
        return
    cfg, choices = composed(f"experiment={experiment}")
    seen = set()
    for line in said:
        parts = MUST_REACH.fullmatch(line)
        assert parts, f"{experiment}: {line!r} is not of the form '# must reach: Set5 x4 32.24 dB / 0.8952 (y)'"
        dataset, scale, psnr, ssim, protocol = parts.groups()
        figure = published(choices["model"], int(scale), dataset, protocol)
        assert figure is not None, f"{experiment}: {line!r} is not in sr/scores/published.csv"
        assert (float(psnr), float(ssim) if ssim else None) == (figure.psnr, figure.ssim), line
        seen.add(int(scale))
    assert seen == set(scales(cfg))


@pytest.mark.parametrize(
    ("typed", "stages"),
    [
        (["model=rlfn"], ["first", "second", "third"]),
        (["model=srgan"], ["pretrain", "adversarial"]),
        (["model=srgan_note"], ["pretrain", "adversarial"]),
        (["model=msrresnet", "recipe=msrgan"], ["pretrain", "adversarial"]),
        (["model=edsr", "recipe=edsr_x2_first"], ["x2", "final"]),
        (["model=rlfn_s", "recipe=rlfn_ws1"], ["first", "second"]),
        (["model=rlfn_s", "recipe=rlfn_long"], [""]),
        (["model=rlfn_s", "recipe=rlfn_cyclical"], [""]),
    ],
)
def test_stages(typed, stages):
    assert [stage.name for stage in plan(composed(*typed)[0], ())] == stages


def test_only_the_last_stage_of_rlfn_is_contrastive_and_the_ablation_is_of_equal_length():
    stages = plan(composed("model=rlfn")[0], ())
    assert [sorted(stage.cfg.loss.terms) for stage in stages] == [["l1"], ["l1"], ["contrastive", "l1"]]
    assert [stage.end - stage.begin for stage in stages] == [1_000_000] * 3
    assert {stage.cfg.scheduler.step_size for stage in stages} == {200_000}
    for arm in ("rlfn_ws1", "rlfn_long", "rlfn_cyclical"):
        assert plan(composed("model=rlfn_s", f"recipe={arm}")[0], ())[-1].end == 2_000_000


def test_rates_of_rlfns_cyclical_schedule_are_those_of_its_two_stages():
    def rates(recipe: str) -> list[float]:
        found = []
        for stage in plan(composed("model=rlfn_s", f"recipe={recipe}")[0], ()):
            weight = torch.nn.Parameter(torch.zeros(1))
            optimizer = instantiate(stage.cfg.optimizer, _convert_="all")([weight])
            node = stage.cfg.scheduler.copy()
            for key in ("step_size", "period"):
                if key in node:
                    node[key] //= 10_000
            schedule = instantiate(node, _convert_="all")(optimizer)
            for _ in range((stage.end - stage.begin) // 10_000):
                found.append(optimizer.param_groups[0]["lr"])
                optimizer.step()
                schedule.step()
        return found

    assert rates("rlfn_cyclical") == pytest.approx(rates("rlfn_ws1"))


def test_srgan_goes_from_squared_error_to_an_adversary_at_a_tenth_of_the_rate_in_its_second_half():
    pretrain, adversarial = plan(composed("model=srgan")[0], ())
    assert pretrain.cfg.loss.value_range == 2.0 and "adversarial" not in pretrain.cfg.loss.terms
    assert "adversarial" in adversarial.cfg.loss.terms and adversarial.end - adversarial.begin == 200_000
    discriminator = adversarial.cfg.loss.terms.adversarial.loss
    for schedule in (adversarial.cfg.scheduler, discriminator.scheduler):
        assert list(schedule.milestones) == [100_000] and schedule.gamma == 0.1
    (_, other) = plan(composed("model=srgan", "loss@losses.adversarial=srgan_mse")[0], ())
    assert "l2" in other.cfg.loss.terms and "vgg" not in other.cfg.loss.terms


def test_batch_norm_switches_at_nine_tenths_and_only_where_there_is_batch_norm():
    for model in ("repsr", "repsr_m4c16", "repsr_m16c64", "plain_acnet", "plain_dbb", "plain_repvgg"):
        cfg, _ = composed(f"model={model}")
        assert cfg.callbacks.population_statistics.at_step == 0.9 * cfg.steps
    for model in ("plain", "plain_ecb"):
        assert "population_statistics" not in composed(f"model={model}")[0].callbacks


def test_published_lengths_in_hr_pixels_become_lr_patches():
    from sr.training.stages import patches

    assert patches(composed("model=rlfn", "scale=2")[0], ()) == {2: 128}
    assert patches(composed("model=vdsr")[0], ()) == {2: 20, 3: 13, 4: 10}
    assert patches(composed("model=bsrn_s")[0], ()) == {4: 64}
    assert patches(composed("experiment=demo")[0], ()) == {2: 32}
