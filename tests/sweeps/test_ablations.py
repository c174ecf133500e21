"""The ablations: every row of every one composes; three of them are run, to the table beside the paper's."""

import csv
from pathlib import Path

import hydra
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import get_class
from omegaconf import OmegaConf

from sr.compose import schema as config
from sr.compose.checks import check_targets, without_leftovers
from sr.compose.conf import CONF
from sr.compose.keys import declared, root
from sr.compose.rules import share
from sr.compose.words import Words
from sr.errors import UserError
from sr.runs.config import flat, plain
from sr.runs.folder import find_runs
from sr.scores.published import published
from sr.sweeps.ablation import read
from sr.sweeps.ablation_rows import find, store, with_rows
from sr.sweeps.changed import as_recorded, otherwise
from sr.training.speed import lightnings
from sr.training.stage_configs import at_scale, scales, stage_configs

NAMES = sorted(p.stem for p in (CONF / "ablation").glob("*.yaml"))
TINY = ["budget=smoke", "logger=csv", "callbacks=[]", "trainer.enable_progress_bar=false"]


@pytest.fixture
def compose():
    """compose("ablation=x/row", ...) -> the config of train.py."""
    config.register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        yield lambda *typed: hydra.compose("train", list(typed))
    GlobalHydra.instance().clear()


# What the rows of a table may differ in, seen by whoever wrote the table: the question, and what follows from it.
STAGES = ["stages", "init_from", "optimizer_state"]
SCALES = ["scale", "model.scale", "data.scale", "data.degradation", "degradation"]
DIFFERENCES = {
    "basicvsr_parts": ["model.align", "model.backward", "frames", "data.frames", "parameter_groups.flow"],
    "bsrn_attention": ["model.attention"],
    "bsrn_convolutions": ["model.conv"],
    "edsr_rlfn_tricks": [*STAGES, "loss.terms.contrastive", "scheduler.step_size"],
    "edsr_self_ensemble": [*SCALES, "model"],
    "edsr_steps": [*SCALES, "loss.terms", "model._target_", "model.res_scale"],
    "edsr_x2_start": [*SCALES, *STAGES, "scheduler.step_size"],
    "edvr_parts": ["model.pcd", "model.tsa"],
    "l1_l2": ["loss.terms"],
    "reparam_blocks": ["model._target_", "callbacks.population_statistics"],
    "repsr_blocks_parts": ["model.paths", "model.norm", "model.residual", "callbacks.population_statistics.at_step"],
    "repsr_sizes": ["model", "callbacks.population_statistics", "loss.value_range", "optimizer.lr"],
    "repsr_switch": ["callbacks.population_statistics.at_step"],
    "residual_scaling": ["model.res_scale"],
    "rlfn_blocks": ["model"],
    "rlfn_contrastive": ["loss.terms.contrastive"],
    "rlfn_warm_start": ["optimizer_state", "scheduler"],
    "srcnn_filters": ["model.channels", "model.kernels"],
    "srcnn_optimizer": ["optimizer", "scheduler", "parameter_groups", "loss.terms.l2", "patch_size", "data.patch_size"],
    "srgan_losses": [*STAGES, "loss", "scheduler", "steps", "val_every_steps", "model.tanh_output"],
    "srresnet_norm": ["model.norm"],
    "vdsr": ["model.num_layers", "model.residual", "optimizer.lr"],
    "vdsr_scales": SCALES,
}


def settings(cfg) -> list[dict]:
    """Of each stage, every key of its config with its value."""
    left_out = ("losses", "stages", *(key for key, known in root().items() if not known.result))
    stages = stage_configs(cfg, set())
    return [
        {"stages": len(stages), **flat({k: v for k, v in plain(stage.cfg).items() if k not in left_out})}
        for stage in stages
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_row_composes_and_all_of_its_schedule_follows_the_steps(compose, name):
    ablation = find(name)
    assert ablation.title and ablation.rows
    for row in ablation.rows.values():
        store(ablation, row)
        cfg = compose(f"ablation={name}/{row.name}", "steps=40")
        own = {key: value for key, value in row.settings.items() if key != "steps"}
        composed = flat(OmegaConf.to_container(cfg, resolve=False))
        assert not otherwise(composed, as_recorded(own, composed)), "a table would say that the row was edited since"
        cfg.choices = {"ablation": row.name}
        cfg = without_leftovers(cfg, {"steps"})
        for scale in scales(cfg):
            one = at_scale(cfg, scale, ())
            of_scale = {key: plain(one[key]) for key in ("data", "degradation")}
            check_targets(plain(cfg) | of_scale | {"trainer": lightnings(cfg.trainer)})
        stages = stage_configs(cfg, {"steps"})
        for stage in stages:
            late = {
                key: value
                for key, value in flat(plain(stage.cfg)).items()
                if declared(key).budget == "steps"
                and key != "save_every_steps"
                and key.startswith(("scheduler.", "callbacks.", "loss.", "val_every"))
                and max(value if isinstance(value, list) else [value or 0]) > stages[-1].end
            }
            assert not late or name not in DIFFERENCES, f"{row.name}: a short run never gets there"
        assert cfg.val_every_steps < 40 or name not in DIFFERENCES, "a short run is validated too"


@pytest.mark.parametrize("name", DIFFERENCES)
def test_rows_differ_in_what_the_table_is_about_and_in_nothing_else(compose, name):
    ablation = find(name)
    runs = {}
    for row in ablation.rows.values():
        store(ablation, row)
        runs[row.name] = settings(compose(f"ablation={name}/{row.name}"))
    for key in sorted({key for stages in runs.values() for stage in stages for key in stage}):
        values = {str([stage.get(key, "absent") for stage in stages]) for stages in runs.values()}
        every = {repr(stage.get(key, "absent")) for stages in runs.values() for stage in stages}
        if len(values) > 1 and len(every) > 1:
            known = any(key == d or key.startswith(f"{d}.") for d in DIFFERENCES[name])
            assert known, f"{key}: {values}"
    assert len({str(stages) for stages in runs.values()}) == len(runs), "two rows are the same run"


@pytest.mark.parametrize("name", NAMES)
def test_what_the_columns_promise_is_measured_and_published(compose, name):
    ablation = find(name)
    for row in ablation.rows.values():
        store(ablation, row)
        cfg = compose(f"ablation={name}/{row.name}")
        measured = cfg.protocols or get_class(cfg.model._target_).protocols
        assert {c.protocol for c in ablation.columns} <= set(measured), row.name
        here = [c for c in ablation.columns if c.scale in scales(cfg)]
        assert here or not ablation.columns, f"{row.name} fills no column"
        if row.published:
            assert any(published(row.published, c.scale, c.dataset, c.protocol) for c in here), row.published


def test_the_tables_that_are_published_hold_the_papers_figures():
    """Typed from the papers (EDSR's table 2, SRGAN's tables 1 and 2), not from the files."""
    steps = find("edsr_steps")
    table = {row.label: [tuple(cell.values.values()) for cell in row.paper.values()] for row in steps.rows.values()}
    assert table == {
        "SRResNet, L2": [(34.40, 0.9662), (30.82, 0.9288), (28.92, 0.8960)],
        "SRResNet, L1": [(34.44, 0.9665), (30.85, 0.9292), (28.92, 0.8961)],
        "EDSR-baseline, one scale": [(34.55, 0.9671), (30.90, 0.9298), (28.94, 0.8963)],
        "MDSR-baseline, all scales": [(34.60, 0.9673), (30.91, 0.9298), (28.95, 0.8962)],
    }
    losses = find("srgan_losses")
    assert {row.name: [cell.values["psnr"] for cell in row.paper.values()] for row in losses.rows.values()} == {
        "mse": [32.05, 28.49, 27.58],
        "vgg22": [30.51, 27.19],
        "gan_mse": [30.64, 26.92],
        "gan_vgg22": [29.84, 26.44],
        "gan_vgg54": [29.40, 26.02, 25.16],
    }


def test_the_arms_of_the_warm_start_halve_when_the_paper_says(compose):
    """RLFN, section 4.3: ws_1 every 2e5 of each 1e6, e2000 every 4e5 of 2e6, clr as ws_1 with a period of 1e6."""
    ablation = find("rlfn_warm_start")
    found = {}
    for row in ablation.rows.values():
        store(ablation, row)
        stages = stage_configs(compose(f"ablation=rlfn_warm_start/{row.name}"), set())
        schedules = {(stage.cfg.scheduler.step_size, stage.cfg.scheduler.get("period")) for stage in stages}
        found[row.name] = (stages[-1].end, *schedules)
    assert found == {
        "ws_1": (2_000_000, (200_000, None)),
        "e2000": (2_000_000, (400_000, None)),
        "clr": (2_000_000, (200_000, 1_000_000)),
    }


def test_what_is_typed_wins_over_a_row(compose):
    ablation = find("repsr_switch")
    store(ablation, ablation.rows["late"])
    cfg = compose("ablation=repsr_switch/late", "model=repsr_m10c32", "model.num_blocks=2", "data=bundled", "steps=100")
    assert (cfg.model.channels, cfg.model.num_blocks, cfg.callbacks.population_statistics.at_step) == (32, 2, 90)


@pytest.mark.parametrize("part", [0.333334, 0.2, 0.05])
def test_a_short_run_has_no_more_periods_than_a_long_one(part):
    meant = round(1 / part) - 1
    for steps in (*range(2, 100), 4000, 300_000):
        period = share(steps, part)
        assert len(range(period, steps, period)) <= meant, steps
    assert share(20, 0.333334) == 7 and share(300_000, 0.333334) == 100_000 and share(10**6, 0.2) == 200_000
    assert share(5, 0.9) == 4 and share(1, 0.9) == 1 and share(30, 2.0) == 60  # a part of a run lies within it


def test_settings_of_a_callback_that_is_not_there_are_refused(command):
    outcome = command("train.py", "ablation=repsr_switch/late", "model=srresnet", "data=bundled", "steps=10")
    assert outcome.code == 1 and "Traceback" not in outcome.err, outcome
    assert "callbacks.population_statistics is given at_step=9, but neither the recipe nor" in outcome.err


def test_a_name_becomes_all_rows_and_a_pattern_some(tmp_path):
    typed, ablation, left_out = with_rows(Words(["+ablation=edsr_steps", "seed=0,1"]), (), sweeping=True)
    assert ablation.name == "edsr_steps" and not left_out
    assert typed.texts[0] == "seed=0,1"
    assert typed.texts[1].startswith("ablation=edsr_steps/l2_x2,edsr_steps/l2_x3,")
    typed, _, _ = with_rows(Words(["ablation='edsr_steps/*_x4,edsr_steps/multi'"]), (), sweeping=True)
    assert typed.texts[-1] == "ablation=edsr_steps/l2_x4,edsr_steps/l1_x4,edsr_steps/baseline_x4,edsr_steps/multi"


@pytest.mark.parametrize(
    ("typed", "sweeping", "hint"),
    [
        ("+ablation=edsr_stepz", True, "Did you mean edsr_steps"),
        ("+ablation=edsr_steps/l3_x2", True, "Did you mean l"),
        ("+ablation=l1_l2", False, "type -m for all of them, or choose one: ablation=l1_l2/l2"),
        ("+ablation=l1_l2,repsr_switch", True, "one ablation at a time"),
    ],
)
def test_a_wrong_ablation_is_refused_with_the_right_word(typed, sweeping, hint):
    with pytest.raises(UserError, match=hint):
        with_rows(Words([typed]), (), sweeping)


def test_a_scale_typed_over_rows_of_several_scales_is_refused():
    with pytest.raises(UserError, match=r"edsr_steps/\*_x2"):
        with_rows(Words(["+ablation=edsr_steps", "scale=2"]), (), sweeping=True)


@pytest.mark.parametrize(
    ("ablation", "typed"),
    [
        ("l1_l2", "loss=l1"),
        ("l1_l2/l1", "loss=l2"),  # which this row does not set, but what its label says
        ("l1_l2", "loss.terms.pixel.weight=2"),
        ("residual_scaling", "model.res_scale=0.5"),
        ("vdsr/whole_image*", "optimizer.lr=0.05"),
        ("vdsr/d20", "optimizer=adam"),
        ("reparam_blocks", "model=plain"),
        ("reparam_blocks", "callbacks=[population_statistics]"),
        ("rlfn_blocks", "model.channels=16"),
        ("srgan_losses", "loss@losses.adversarial=srgan"),
        ("srgan_losses", "losses.adversarial.terms={}"),
        ("rlfn_contrastive", "loss=l2"),  # the last stage's too, which one row alone says
        ("rlfn_warm_start", "optimizer_state=kept"),
        ("edsr_rlfn_tricks", "loss=l2"),
        ("edsr_x2_start", "init_from=x2.ckpt"),
        ("srgan_losses", "scheduler.milestones=[3]"),
    ],
)
def test_what_the_rows_vary_cannot_be_typed_for_all_of_them(ablation, typed, tmp_path):
    with pytest.raises(UserError, match="this is what the rows of ablation=") as told:
        with_rows(Words([f"+ablation={ablation}", typed, f"vgg_weights={tmp_path}/some.pth"]), (), sweeping=True)
    assert typed in str(told.value) and f"ablation={ablation.partition('/')[0]}/<row>" in str(told.value)


def test_every_figure_of_an_ablation_says_its_kind():
    cells = [cell for name in NAMES for row in find(name).rows.values() for cell in row.paper.values()]
    assert cells and {cell.kind for cell in cells} == {"page"}


def test_what_the_rows_have_in_common_can_be_typed():
    with_rows(Words(["+ablation=l1_l2", "model.num_blocks=1", "recipe=srresnet", "optimizer.lr=0.1"]), (), True)
    with_rows(Words(["+ablation=reparam_blocks", "callbacks=[]", "scale=2", "steps=10", "seed=0,1"]), (), True)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("title: x\nrowz: {}", "unknown key rowz"),
        ("title: x\nrows: {a: {sett: {}}}", "unknown key sett"),
        ("title: x", "is no ablation: KeyError: 'rows'"),
        ("title: x\ncolumns: [{dataset: A, scale: 2, protocol: y}]\nrows: {a: {paper: [1, 2]}}", "2 published cells"),
        ("title: x\nrows: {a: {paper: [good]}}\ncolumns: [{dataset: A, scale: 2, protocol: y}]", "could not convert"),
        ("title: x\nrows: [1,", r"x\.yaml is no ablation, as it is no YAML.* in line 2"),
        ("title: Größe", r"x\.yaml is no ablation, as it is no YAML in UTF-8: .*0xf6"),
    ],
)
def test_a_file_that_is_no_ablation_is_refused(tmp_path, text, hint):
    (tmp_path / "x.yaml").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=hint):
        read(tmp_path / "x.yaml")


def test_rows_without_their_weights_are_not_run_and_say_why(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    typed, _, left_out = with_rows(Words(["+ablation=rlfn_contrastive"]), (), sweeping=True)
    assert typed.texts[-1] == "ablation=rlfn_contrastive/none,rlfn_contrastive/random"
    assert set(left_out) == {"vgg", "vgg_shallow", "vgg_deep"} and "vgg_weights=PATH" in left_out["vgg"]
    (tmp_path / "some.pth").touch()
    words = ["+ablation=rlfn_contrastive", f"vgg_weights={tmp_path}/some.pth"]
    typed, _, left_out = with_rows(Words(words), (), sweeping=True)
    assert not left_out and "vgg_deep" in typed.texts[-1]


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "table.csv").open(newline="") as f:
        return list(csv.DictReader(f))


def test_l1_and_l2_end_in_the_papers_table_with_its_figures(command, div2k):
    outcome = command(
        "train.py", "-m", "+ablation=l1_l2", "seed=0,1", "scale=2", f"data.root={div2k}", "model.num_blocks=1",
        "model.channels=8", *TINY,
    )  # fmt: skip
    assert outcome.code == 0, outcome
    lines = {(r["line"], r["dataset"], r["scale"], r["protocol"]): r for r in table(outcome.folder)}
    l1 = lines["SRResNet, L1", "DIV2K", "2", "edsr_div2k"]
    assert (l1["n"], l1["steps"], l1["paper_psnr"], l1["paper_ssim"]) == ("2", "4", "34.44", "0.9665")
    assert float(l1["psnr_std"]) > 0 and "table 2" in l1["paper_source"]
    missing = lines["SRResNet, L2", "DIV2K", "4", "edsr_div2k"]
    assert (missing["n"], missing["psnr"], missing["paper_psnr"]) == ("0", "", "28.92")
    assert lines["bicubic", "DIV2K", "2", "y"]["psnr"]
    text = (outcome.folder / "table.md").read_text()
    assert text.startswith("# SRResNet with L2 and with L1") and "34.44 / 0.9665" in text and "+ablation=l1_l2" in text
    assert "SRResNet, L1" in outcome.out and "sample standard deviation" in outcome.out
    assert (outcome.folder / "curves.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_contrastive_loss_runs_and_weights_that_are_not_there_are_no_failure(command, div2k, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    outcome = command(
        "train.py", "-m", "+ablation=rlfn_contrastive", "scale=2", f"data.root={div2k}", "model.num_blocks=1",
        "model.channels=8", "model.mid_channels=8", "model.esa_channels=4", *TINY,
    )  # fmt: skip
    assert outcome.code == 0, outcome
    lines = {r["line"] for r in table(outcome.folder)}
    assert {"L1 alone", "random Conv-Tanh-Conv"} <= lines and not any("VGG" in line for line in lines)
    text = (outcome.folder / "table.md").read_text()
    assert (
        "| VGG-19, convolution 13 | not run |" in text
        and "not run: vgg, vgg_shallow, vgg_deep: VGG-19's weights" in text
    )
    assert "no published figure could be sourced" in text


def test_rows_of_vgg_run_with_weights_each_on_its_layers(command, div2k, vgg_file):
    """Of the right shape, not the real ones: what the rows would show is not tested, that they run is."""
    outcome = command(
        "train.py", "-m", "ablation=rlfn_contrastive/vgg_*", "scale=2", f"data.root={div2k}", "model.num_blocks=1",
        "model.channels=8", "model.mid_channels=8", "model.esa_channels=4", f"vgg_weights={vgg_file}", "benchmarks=[]",
        *TINY,
    )  # fmt: skip
    assert outcome.code == 0, outcome
    layers = {}
    for run in find_runs(outcome.folder):
        given = run.config["losses"]["contrastive"]["terms"]["contrastive"]["loss"]["layers"]
        layers[run.folder.name.rpartition("_")[0]] = [name for name, weight in given.items() if weight]
    assert layers == {"vgg_shallow": ["relu1_1"], "vgg_deep": ["relu5_1"]}


@pytest.mark.slow
def test_rlfns_tricks_on_edsr_run_each_with_its_stages_and_losses(command, div2k):
    outcome = command(
        "train.py", "-m", "+ablation=edsr_rlfn_tricks", "scale=2", f"data.root={div2k}", "model.num_blocks=1",
        "model.channels=8", "benchmarks=[]", "trainer.log_every_n_steps=1", *TINY,
    )  # fmt: skip
    assert outcome.code == 0, outcome
    terms = {}
    for run in find_runs(outcome.folder):
        steps = [row["step"] for row in run.curve if any(key.endswith("contrastive") for key in row)]
        terms[run.folder.name.rpartition("_")[0]] = (run.steps, steps)
    assert terms == {
        "plain": (4, []), "long": (3, []), "contrastive": (4, [1, 2, 3, 4]), "warm_start": (3, []), "both": (3, [3]),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "whole"),
    [
        ("e2000", ["recipe=rlfn_long", "scheduler.step_size=4"]),
        ("clr", ["recipe=rlfn_cyclical", "scheduler.period=10", "scheduler.step_size=2"]),
    ],
)
def test_the_arms_of_the_warm_start_train_as_their_recipes_do(command, div2k, row, whole):
    """Two stages of 10 steps that keep the optimizer end where the paper's one run of 20 does."""
    typed = [
        "scale=2", f"data.root={div2k}", "batch_size=2", "patch_size=16", "model.num_blocks=1", "model.channels=8",
        "model.mid_channels=8", "model.esa_channels=4", "benchmarks=[]", *TINY[1:],
    ]  # fmt: skip
    ours = command("train.py", f"ablation=rlfn_warm_start/{row}", "steps=10", *typed, folder="ours")
    one = command(
        "train.py", "model=rlfn_s", "data=div2k", "steps=20", "val_every_steps=20", *whole, *typed, folder="one"
    )
    assert ours.code == 0 and one.code == 0, (ours, one)
    a, b = (torch.load(o.folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for o in (ours, one))
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ablation", "small", "lines"),
    [
        ("edvr_parts", ["model.groups=2"], ["neither", "PCD", "TSA", "PCD and TSA (EDVR-M)"]),
        ("basicvsr_parts", [], ["no alignment", "flow, forward only", "1 frame", "3 frames", "7 frames"]),
    ],
)
def test_the_parts_of_the_networks_on_clips_run(command, clips, ablation, small, lines):
    outcome = command(
        "train.py", "-m", f"+ablation={ablation}", "data=clips", f"data.root={clips(frames=14)}", "data.val_share=0.5",
        "model.num_blocks=1", "model.channels=8", "steps=2", "batch_size=1", *small, *TINY,
    )  # fmt: skip
    assert outcome.code == 0, outcome
    found = {r["line"]: r for r in table(outcome.folder)}
    assert set(lines) <= set(found) and all(found[line]["steps"] == "2" for line in lines)
    sizes = {run.folder.name.rpartition("_")[0]: run for run in find_runs(outcome.folder)}
    assert len(sizes) == len(find(ablation).rows)


@pytest.mark.slow
def test_attention_in_every_order_runs(command, div2k):
    outcome = command(
        "train.py", "-m", "+ablation=bsrn_attention", "scale=2", f"data.root={div2k}", "model.num_blocks=1",
        "model.channels=16", "model.esa_channels=4", "benchmarks=[]", *TINY,
    )  # fmt: skip
    assert outcome.code == 0, outcome
    folders = sorted(p.parent.name.rpartition("_")[0] for p in outcome.folder.glob("*/run.json"))
    assert folders == ["cca", "cca_esa", "esa", "esa_cca", "none"]
    text = (outcome.folder / "table.md").read_text()
    assert all(f"| {label} | 1 | 4 |" in text for label in ("none", "ESA", "CCA", "ESA, then CCA", "CCA, then ESA"))
