"""The recipes: each composes and fits its model, has the numbers of its paper, and names the paper's data."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from sr.compose.checks import check_targets, with_own_patch
from sr.compose.keys import recorded_choices
from sr.compose.rules import recipe_of
from sr.compose.schema import register
from sr.compose.suggestions import options
from sr.compose.words import Words, as_typed, spelled
from sr.runs.config import plain
from sr.training.introduction import told_of_callbacks, told_of_range, told_of_schedules
from sr.training.speed import lightnings
from sr.training.stage_configs import at_scale, patches, scales, stage_configs

CONF = Path(__file__).resolve().parents[2] / "conf"
MODELS = sorted(p.stem for p in (CONF / "model").glob("*.yaml"))
RECIPES = sorted(p.stem for p in (CONF / "recipe").glob("*.yaml"))
EXPERIMENTS = ["demo", *(name for name in options("experiment") if name.startswith("reproduce/"))]


@contextmanager
def composing(conf: Path = CONF) -> Iterator[None]:
    GlobalHydra.instance().clear()
    register()
    with initialize_config_dir(str(conf), version_base="1.3"):
        yield


@cache
def composed(*typed: str) -> tuple[DictConfig, dict[str, Any]]:
    """The config as train.py sees it, and the names chosen from each group; both shared between tests."""
    with composing():
        words = [spelled(word) for word in (*typed, "logger=csv")]
        cfg = compose("train", words, return_hydra_config=True)
        choices = OmegaConf.to_container(cfg.hydra.runtime.choices)
        with open_dict(cfg):
            del cfg["hydra"]
    assert isinstance(choices, dict)
    return cfg, {str(group): name for group, name in choices.items()}


def model_of(recipe: str) -> str | None:
    """The model that a recipe's first lines tell one to type, else the one that it is named for, if there is one."""
    if told := re.search(r"^#.*\bmodel=(\w+)", (CONF / f"recipe/{recipe}.yaml").read_text(), re.M):
        return told[1]
    name = recipe
    while name not in MODELS and "_" in name:
        name = name.rpartition("_")[0]
    return name if name in MODELS else None


def check(cfg: DictConfig) -> None:
    """Every stage at every scale has arguments that its classes take, and counts of steps that fit each other."""
    stages = stage_configs(cfg, ())
    total, scheduled = stages[-1].end, 0
    for number, stage in enumerate(stages):
        for scale in scales(stage.cfg):
            one = at_scale(stage.cfg, scale, ())
            check_targets(plain(one) | {"trainer": lightnings(one.trainer)})
        with torch.device("meta"):
            model = instantiate(at_scale(stage.cfg, scales(stage.cfg)[-1], ()).model)
        patterns = [*stage.cfg.parameter_groups, *stage.cfg.frozen, *(stage.cfg.trained or [])]
        names = [name for name, _ in model.named_parameters()]
        for pattern in patterns:
            assert any(name.startswith(pattern.strip("*")) or name.endswith(pattern.strip("*")) for name in names)
        schedule, steps = stage.cfg.scheduler, stage.end - stage.begin
        goes_on = stage.cfg.optimizer_state == "kept" and schedule == stages[number - 1].cfg.scheduler
        scheduled = steps + (scheduled if goes_on else 0)
        if number + 1 < len(stages) and stages[number + 1].cfg.optimizer_state == "kept":
            continue  # its schedule ends with a later stage
        counts = [schedule.get("step_size", 0), schedule.get("period", 0), *schedule.get("milestones", [])]
        assert max(counts) < scheduled, f"a learning rate that would fall after the last of {scheduled} steps"
        assert sum(schedule.get("periods", [scheduled])) == schedule.get("T_max", scheduled) == scheduled
        assert stage.cfg.val_every_steps <= steps
    for node in cfg.callbacks.values():
        assert 0 < node.get("at_step", 1) <= total


# What the papers tell (conf/recipe says what they do not): the training data, or what stands in for it, the length of
# all stages, the LR patch by scale, the batch and the first learning rate. None where only a guess is there.
PAPERS = [
    ("basicvsr", "reds", 300_000, {4: 64}, 8, 2e-4),
    ("bsrn scale=2", "df2k", 1_000_000, {2: 48}, 64, 1e-3),
    ("bsrn scale=3", "df2k", 1_000_000, {3: 48}, 64, 1e-3),
    ("bsrn scale=4", "df2k", 1_000_000, {4: 48}, 64, 1e-3),
    ("bsrn_s scale=4", "df2k", 1_500_000, {4: 64}, 256, 2e-3),
    ("drcn scale=3", "t91", None, {3: 13}, 64, 1e-2),
    ("ecbsr_m4c16 scale=2", "div2k", 1_600_000, {2: 64}, 32, 5e-4),
    ("ecbsr_m16c64 scale=4", "div2k", 1_600_000, {4: 64}, 32, 5e-4),
    ("edsr recipe=edsr scale=4", "div2k", 1_000_000, {4: 48}, 16, 1e-4),
    ("edsr scale=2", "div2k", 1_000_000, {2: 48}, 16, 1e-4),
    ("edsr scale=4", "div2k", 2_000_000, {4: 48}, 16, 1e-4),
    ("edsr_baseline scale=2", "div2k", 300_000, {2: 48}, 16, 1e-4),
    ("edsr_baseline scale=3", "div2k", 600_000, {3: 48}, 16, 1e-4),
    ("edvr_l", "reds", 1_200_000, {4: 64}, 32, 4e-4),
    ("edvr_m", "reds", 1_200_000, {4: 64}, 32, 4e-4),
    ("espcn scale=3", "t91", None, {3: 17}, None, None),
    ("fsrcnn scale=3", "t91_general100", None, {3: 11}, 128, 1e-3),
    ("imdn scale=2", "div2k", 1_000_000, {2: 96}, 16, 2e-4),
    ("imdn scale=4", "div2k", 1_000_000, {4: 48}, 16, 2e-4),
    ("lapsrn scale=4", "t91_bsd200", 100_000, {4: 19}, 64, 1e-5),
    ("mdsr", "div2k", 1_000_000, {2: 48, 3: 48, 4: 48}, 16, 1e-4),
    ("mdsr_baseline", "div2k", 300_000, {2: 48, 3: 48, 4: 48}, 16, 1e-4),
    ("msrresnet scale=4", "div2k", 1_000_000, {4: 32}, 16, 2e-4),
    ("msrresnet recipe=msrgan scale=4", "div2k", 1_400_000, {4: 32}, 16, 2e-4),
    ("rcan scale=4", "div2k", 1_000_000, {4: 48}, 16, 1e-4),
    ("repsr_m4c16 scale=2", "div2k", None, {2: 64}, 32, 4e-4),
    ("repsr_m16c64 scale=4", "div2k", None, {4: 48}, 32, 2e-4),
    ("rfdn scale=3", "div2k", 1_000_000, {3: 64}, 64, 5e-4),
    ("rfdn_aim scale=4", "div2k", 1_000_000, {4: 64}, 64, 5e-4),
    ("rlfn scale=2", "div2k", 3_000_000, {2: 128}, 64, 5e-4),
    ("rlfn_s scale=4", "div2k", 3_000_000, {4: 64}, 64, 5e-4),
    ("rlfn_ntire scale=4", "div2k", 3_000_000, {4: 64}, 64, 5e-4),
    ("rrdbnet scale=4", "df2k", 1_000_000, {4: 32}, 16, 2e-4),
    ("rrdbnet recipe=esrgan scale=4", "df2k", 1_400_000, {4: 32}, 16, 2e-4),
    ("span scale=4", "df2k", 1_000_000, {4: 64}, 64, 5e-4),
    ("srcnn scale=3", "t91", None, None, None, None),
    ("srcnn recipe=srcnn_sgd scale=3", "t91", 15_000_000, {3: 11}, 128, 1e-4),
    ("srcnn_955 scale=4", "div2k", None, None, None, None),
    ("srgan scale=4", "df2k", 1_200_000, {4: 24}, 16, 1e-4),
    ("srresnet scale=4", "df2k", 1_000_000, {4: 24}, 16, 1e-4),
    ("swinir_light scale=4", "div2k", 500_000, {4: 64}, 64, 2e-4),
    ("vdsr", "t91_bsd200", 9_960, {2: 20, 3: 13, 4: 10}, 64, 0.1),
]


@pytest.mark.parametrize(("typed", "data", "steps", "patch", "batch", "rate"), PAPERS)
def test_data_paper_is_the_run_of_the_paper(typed, data, steps, patch, batch, rate):
    cfg, choices = composed(*f"model={typed} data=paper".split())
    assert choices["data"] == cfg.paper.data == data and choices["recipe"] != "base"
    stages = stage_configs(cfg, ())
    seen = (stages[-1].end, patches(stages[-1].cfg, ()), cfg.batch_size, cfg.optimizer.lr)
    for value, told in zip(seen, (steps, patch, batch, rate), strict=True):
        assert told is None or value == told


def test_the_papers_data_is_found_for_each_row(command, tmp_path):
    """Where it is typed, where a row of an ablation says so, and in each row of a sweep."""
    (tmp_path / "more/ablation").mkdir(parents=True)
    (tmp_path / "more/ablation/sizes.yaml").write_text(
        "title: sizes\ncommon: {data: paper, scale: 3}\n"
        "rows: {small: {set: {model: srcnn}}, large: {set: {model: srcnn_955}}}"
    )
    more = ("--config-dir", str(tmp_path / "more"), "data_dir=D")
    for row, root in (("small", "- D/train/T91"), ("large", "root: D/DIV2K")):
        outcome = command("train.py", *more, f"ablation=sizes/{row}", "--cfg", "job", "--resolve")
        assert outcome.code == 0 and root in outcome.out, outcome
    swept = command("train.py", "-m", "model=srcnn,srcnn_955", "data=paper,div2k", "scale=3", "data_dir=D", folder="s")
    assert swept.code == 1 and "D/train/T91: no such folder" in swept.err and "D/DIV2K/DIV2K_train_HR" in swept.err
    chosen = {
        p.parents[1].name: OmegaConf.load(p).hydra.runtime.choices for p in swept.folder.glob("*/.hydra/hydra.yaml")
    }
    assert {name.rpartition("_")[0]: c.data for name, c in chosen.items()} == {
        "srcnn_paper": "t91", "srcnn_div2k": "div2k", "srcnn_955_paper": "div2k", "srcnn_955_div2k": "div2k",
    }  # fmt: skip
    assert "data=paper, model=srcnn" in swept.out


def test_words_are_spelled_for_hydra_and_back():
    for typed in ("data=paper", "data=paper,div2k", "+data=choice(div2k,paper)"):
        assert "${" in spelled(typed) and as_typed(spelled(typed)) == typed
    for typed in ("data=paper_like", "data=my-paper", "data.root=paper", "budget=paper", "model=bsrn"):
        assert spelled(typed) == typed


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["recipe=base", "data=paper"], "type data=div2k"),
        (["experiment=bsrn_x4"], "Type model=bsrn scale=4 data=paper"),
        (["experiment=edsr_baseline_x3"], "Type model=edsr_baseline scale=3 data=paper"),
        (["experiment=msrgan_x4"], "Type recipe=msrgan scale=4 data=paper"),
        (["experiment=vdsr"], "Type model=vdsr data=paper"),
    ],
)
def test_what_to_type_instead(command, typed, told):
    outcome = command("train.py", *typed)
    assert outcome.code == 1 and told in outcome.err, outcome


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_composes_and_fits_its_model(recipe):
    model = model_of(recipe)
    typed = [f"model={model or 'edsr_baseline'}", f"recipe={recipe}"]
    cfg, choices = composed(*typed)
    assert choices["recipe"] == recipe
    if cfg.paper:
        assert composed(*typed, "data=paper")[1]["data"] == cfg.paper.data
    if model or recipe == "base":
        check(cfg)


def test_a_size_without_a_recipe_takes_its_familys_and_a_new_model_the_base_one():
    with composing():
        assert [recipe_of(m) for m in ("rlfn_s", "srcnn_935", "tiny_x", "tiny")] == ["rlfn", "srcnn", "base", "base"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes(name):
    check(composed(f"experiment={name}")[0])


@pytest.mark.parametrize(
    ("typed", "stages"),
    [
        (["model=rlfn"], ["first", "second", "third"]),
        (["model=srgan"], ["pretrain", "adversarial"]),
        (["model=srgan_note"], ["pretrain", "adversarial"]),
        (["model=msrresnet", "recipe=msrgan"], ["pretrain", "adversarial"]),
        (["model=edsr", "recipe=edsr_x2_first"], ["x2", "final"]),
        (["model=edsr", "data=paper", "scale=3"], ["x2", "final"]),
        (["model=edsr", "data=paper", "scale=2"], ["final"]),
        (["model=edsr", "data=div2k", "scale=4"], [""]),
        (["model=edsr", "data=paper", "recipe=edsr"], [""]),
        (["model=mdsr", "data=paper"], [""]),
        (["model=basicvsr"], ["flow_frozen", "everything"]),
        (["model=edvr_m"], ["without_tsa", "tsa_alone", "everything"]),
        (["model=edvr_l"], ["without_tsa", "tsa_alone", "everything"]),
        (["model=edvr_m", "recipe=edvr_stage"], [""]),
        (["model=rlfn_s", "recipe=rlfn_ws1"], ["first", "second"]),
        (["model=rlfn_s", "recipe=rlfn_long"], [""]),
        (["model=rlfn_s", "recipe=rlfn_cyclical"], [""]),
    ],
)
def test_stages(typed, stages):
    assert [stage.name for stage in stage_configs(composed(*typed)[0], ())] == stages


def test_only_the_last_stage_of_rlfn_is_contrastive_and_the_ablation_is_of_equal_length():
    stages = stage_configs(composed("model=rlfn")[0], ())
    assert [sorted(stage.cfg.loss.terms) for stage in stages] == [["l1"], ["l1"], ["contrastive", "l1"]]
    assert [stage.end - stage.begin for stage in stages] == [1_000_000] * 3
    assert {stage.cfg.scheduler.step_size for stage in stages} == {200_000}
    for arm in ("rlfn_ws1", "rlfn_long", "rlfn_cyclical"):
        assert stage_configs(composed("model=rlfn_s", f"recipe={arm}")[0], ())[-1].end == 2_000_000


def test_rates_of_rlfns_cyclical_schedule_are_those_of_its_two_stages():
    def rates(recipe: str) -> list[float]:
        found = []
        for stage in stage_configs(composed("model=rlfn_s", f"recipe={recipe}")[0], ()):
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


@pytest.mark.parametrize(("model", "weights"), [("edvr_m", None), ("edvr_l", [1, 0.5, 0.5, 0.5, 0.5])])
def test_tsa_begins_on_the_weights_without_it_and_learns_alone_at_first(model, weights):
    without, alone, everything = stage_configs(composed(f"model={model}")[0], {"model"})
    assert not without.cfg.model.tsa and alone.cfg.model == everything.cfg.model and alone.cfg.model.tsa
    assert without.cfg.scheduler.restart_weights is None and list(without.cfg.scheduler.periods) == [150_000] * 4
    assert alone.cfg.init_from == "last" and alone.cfg.trained == ["fusion"] and everything.cfg.trained is None
    assert (alone.end - alone.begin, everything.end - alone.begin) == (50_000, 600_000)
    assert alone.cfg.scheduler == everything.cfg.scheduler and everything.cfg.optimizer_state == "kept"
    assert alone.cfg.scheduler.restart_weights == weights
    cfg = everything.cfg
    of = cfg.loss.terms.charbonnier.loss.loss
    assert (cfg.model.frames, cfg.frames, of.reduction, of.eps) == (5, 5, "sum", 1e-6)


def test_the_flow_learns_at_an_eighth_after_5000_steps_and_its_schedule_is_that_of_the_rest():
    frozen, everything = stage_configs(composed("model=basicvsr")[0], ())
    assert (frozen.end, list(frozen.cfg.frozen), list(everything.cfg.frozen)) == (5_000, ["flow"], [])
    assert frozen.cfg.scheduler == everything.cfg.scheduler and frozen.cfg.scheduler.T_max == everything.end
    assert everything.cfg.parameter_groups.flow.lr_factor * everything.cfg.optimizer.lr == 2.5e-5
    assert (everything.cfg.frames, everything.cfg.loss.terms.charbonnier.loss.get("reduction", "mean")) == (15, "mean")


def test_srgan_goes_from_squared_error_to_an_adversary_at_a_tenth_of_the_rate_in_its_second_half():
    pretrain, adversarial = stage_configs(composed("model=srgan")[0], ())
    assert pretrain.cfg.loss.value_range == 2.0 and "adversarial" not in pretrain.cfg.loss.terms
    assert "adversarial" in adversarial.cfg.loss.terms and adversarial.end - adversarial.begin == 200_000
    discriminator = adversarial.cfg.loss.terms.adversarial.loss
    for schedule in (adversarial.cfg.scheduler, discriminator.scheduler):
        assert list(schedule.milestones) == [100_000] and schedule.gamma == 0.1
    (_, other) = stage_configs(composed("model=srgan", "loss@losses.adversarial=srgan_mse")[0], ())
    assert "l2" in other.cfg.loss.terms and "vgg" not in other.cfg.loss.terms


def test_batch_norm_switches_at_nine_tenths_and_only_where_there_is_batch_norm():
    for model in ("repsr", "repsr_m4c16", "repsr_m16c64", "plain_acnet", "plain_dbb", "plain_repvgg"):
        cfg, _ = composed(f"model={model}")
        assert cfg.callbacks.population_statistics.at_step == 0.9 * cfg.steps
    for model in ("plain", "plain_ecb"):
        assert "population_statistics" not in composed(f"model={model}")[0].callbacks


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("model=swinir_light callbacks=[]", "recipe's stay: ema. Without: callbacks.ema=null"),
        ("model=vdsr callbacks=[panels,ema]", "recipe's stay: adjustable_clipping. Without: callbacks.adj"),
        ("model=vdsr callbacks=[panels,ema,adjustable_clipping]", ""),
        ("model=swinir_light callbacks=[panels] callbacks.ema=null", ""),
        ("model=swinir_light callbacks=[panels] callbacks.ema.decay=0.9", ""),
        ("model=swinir_light", ""),
        (
            "model=repsr steps=20000",
            "statistics.at_step=720000 is never reached: the run ends at step 20,000",
        ),
        ("model=repsr callbacks.population_statistics.at_step=null", ""),
        ("+callbacks.stop._target_=lightning.pytorch.callbacks.EarlyStopping", "callbacks.stop: a run that it ends"),
    ],
)
def test_callbacks_of_a_recipe_that_stay_or_come_too_late_are_told(typed, told):
    cfg = composed(*typed.split())[0]
    found = "; ".join(told_of_callbacks(cfg, Words(typed.split()), stage_configs(cfg, ())[-1].end))
    assert told in found and bool(told) == bool(found)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (
            "model=edsr scheduler=warm_up scheduler@scheduler.then=cosine steps=900",
            "steps=1000 is never reached: the run",
        ),
        ("model=edsr scheduler=warm_up scheduler@scheduler.then=cosine", ""),
        ("model=edsr +scheduler.milestones=null", ""),  # a schedule of one's own may have what it likes there
        ("model=srgan stages.adversarial.steps=100", "[100000] is never reached: stage adversarial has 100 steps"),
        ("model=srgan budget=smoke", ""),
    ],
)
def test_what_of_a_schedule_comes_after_the_end_is_told(typed, told):
    cfg = composed(*typed.split())[0]
    found = "; ".join(told_of_schedules(stage_configs(cfg, ())))
    assert told in found and bool(told) == bool(found), found


@pytest.mark.parametrize(
    ("said", "typed", "side"),
    [
        ("experiment patch_size: 24", "", 24),
        ("experiment patch_size: 24\nhr_patch_size: 96", "", 48),
        ("experiment patch_size: 24", "hr_patch_size=64", 32),
        ("recipe patch_size: 24", "", 24),
        ("recipe steps: 2", "", 128),
    ],
)
def test_an_lr_patch_that_is_said_after_an_hr_patch_is_trained_on(tmp_path, said, typed, side):
    """An experiment's 24 on top of RLFN's recipe was trained with 128."""
    group, _, text = said.partition(" ")
    base = "- rlfn_stage" if group == "recipe" else "- override /recipe: rlfn_stage"
    conf = shutil.copytree(CONF, tmp_path / "conf")
    (conf / group / "own.yaml").write_text(f"# @package _global_\ndefaults:\n  {base}\n  - _self_\n{text}\n")
    words = ["model=rlfn_s", "scale=2", f"{group}=own", *filter(None, [typed])]
    with composing(conf):
        cfg = compose("train", words, return_hydra_config=True)
        found = with_own_patch(cfg, cfg.hydra.runtime.choices, Words(words).keys)
    assert patches(found, Words(words).keys) == {2: side}


def test_published_lengths_in_hr_pixels_become_lr_patches():
    assert patches(composed("model=rlfn", "scale=2")[0], ()) == {2: 128}
    assert patches(composed("model=vdsr")[0], ()) == {2: 20, 3: 13, 4: 10}
    assert patches(composed("model=bsrn_s")[0], ()) == {4: 64}
    assert patches(composed("experiment=demo")[0], ()) == {2: 32}


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("model=vdsr loss=l1_contrastive", "loss=l1_contrastive compares images in 0-1, as recipe=vdsr says"),
        ("model=ecbsr loss=charbonnier", "own file says 0-1, which its weights and eps are for: loss.value_range=1"),
        ("model=ecbsr loss=charbonnier loss.value_range=1", ""),
        ("model=ecbsr loss=l1_contrastive", ""),
        ("model=srcnn loss=l1_contrastive", ""),
        ("model=ecbsr", ""),
    ],
)
def test_the_range_of_a_typed_loss_is_told_where_its_file_says_another(typed, told):
    cfg, choices = composed(*typed.split())
    cfg = OmegaConf.create({"loss": cfg.loss, "choices": recorded_choices(choices)})
    found = "; ".join(told_of_range(cfg, Words(typed.split())))
    assert told in found and bool(told) == bool(found), found


@pytest.mark.parametrize("own", ["", "loss: {value_range: 1.0}\n"])
def test_and_that_of_a_loss_which_an_experiment_chooses(own, tmp_path):
    file = tmp_path / "experiment/mine.yaml"
    file.parent.mkdir()
    file.write_text(f"# @package _global_\ndefaults:\n- override /model: ecbsr\n- override /loss: charbonnier\n{own}")
    cfg, choices = composed("experiment=mine", f"hydra.searchpath=[{tmp_path}]")
    assert cfg.loss.value_range == (1.0 if own else 255.0)
    cfg = OmegaConf.create({"loss": cfg.loss, "choices": recorded_choices(choices)})
    found = list(told_of_range(cfg, Words(["experiment=mine"], [str(tmp_path)])))
    assert len(found) == (0 if own else 1)
