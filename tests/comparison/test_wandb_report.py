"""The workspace and the report that a comparison becomes on W&B, checked by W&B's own packages."""

import json
import re
from dataclasses import replace

import pytest

pytest.importorskip("wandb_workspaces")

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces.reports.v2.internal import ReportViewspec
from wandb_workspaces.workspaces.internal import View

from sr.comparison import wandb_report
from sr.comparison.columns import tabulate
from sr.comparison.rows import Row, Source
from sr.errors import UserError
from sr.runs.folder import Run
from sr.scores.score import Score, scores_of

ABOUT = wandb_report.Compared(
    ["aaaa1111", "bbbb2222"],
    {"psnr": {"test/Set5/psnr_y": "", "test/B100_x3/psnr_y": "_x3"}, "ssim": {"test/Set5/ssim_y": ""}},
    ["optimizer.lr", "seed"],
)
TABLE = "| mine |\n|---|"


@pytest.fixture
def no_network(monkeypatch):
    """Nothing may open a connection, or ask for a key."""

    def refuse(*_, **__):
        pytest.fail("something wanted the network")

    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr("wandb.Api", refuse)
    monkeypatch.setattr("socket.create_connection", refuse)


@pytest.fixture
def spec(no_network, tmp_path):
    file = wandb_report.build(ABOUT, "lab", "sr", tmp_path / "compared", TABLE)
    assert file == tmp_path / "compared" / "wandb_report.json"
    return json.loads(file.read_text())


def test_the_specification_is_what_wandb_would_read_back(spec):
    report = wr.Report._from_model(ReportViewspec.model_validate(spec["report"]))
    assert (report.entity, report.project) == ("lab", "sr")
    assert not any(type(b).__name__ == "UnknownBlock" for b in report.blocks)
    grids = [b for b in report.blocks if isinstance(b, wr.PanelGrid)]
    assert [b.text for b in report.blocks if isinstance(b, wr.H2)] == [
        "Table", "Validation", "Test sets", "PSNR and cost", "Pictures", "Settings"
    ]  # fmt: skip
    panels = [p for g in grids for p in g.panels]
    assert not any(type(p).__name__ == "UnknownPanel" for p in panels)
    assert [type(p).__name__ for p in panels] == [
        "LinePlot", "LinePlot", "LinePlot", "BarPlot", "BarPlot", "BarPlot", "ScatterPlot", "ScatterPlot",
        "MediaBrowser", "RunComparer",
    ]  # fmt: skip
    bars = [p.metrics[0].name for p in panels if isinstance(p, wr.BarPlot)]
    assert bars == ["test/Set5/psnr_y", "test/B100_x3/psnr_y", "test/Set5/ssim_y"]
    scatter, other = (p for p in panels if isinstance(p, wr.ScatterPlot))
    assert other.x.name == "cost/macs_x3", "as runs of several scales log them"
    assert (scatter.x.name, scatter.y.name, scatter.log_x) == ("cost/macs", "test/Set5/psnr_y", True)
    assert {grid.runsets[0].filters for grid in grids} == {"Metric(\"ID\") in ['aaaa1111', 'bbbb2222']"}
    assert "config:optimizer.value.lr" in grids[0].runsets[0].pinned_columns
    places = [(p.layout.x, p.layout.y) for p in grids[1].panels]
    assert len(set(places)) == len(places)  # none on top of another


@pytest.mark.parametrize(
    ("metric", "other"), [("psnr", "psnr_b"), ("lpips", "lpips_vgg"), ("lpips", "lpips_weights_0123abcd")]
)
def test_a_metrics_curves_are_not_those_of_one_whose_name_begins_so(metric, other):
    panels = wandb_report._panels(wandb_report.Compared([], {metric: {}}, []))["Validation"]
    found = next(panel.metric_regex for panel in panels if panel.metric_regex.startswith(f"^val/{metric}_"))
    for protocol in ("y", "y_classic", "video_duf", "rgb_shave4", "y_shave_scale6_uint8"):
        assert re.search(found, f"val/{metric}_{protocol}") and not re.search(found, f"val/{other}_{protocol}")


def test_self_ensemble_is_not_drawn_over_the_cost_of_one_pass():
    keys = {"psnr": {"test/Set5/psnr_y": "", "test/Set5_ensemble/psnr_y": ""}}
    panels = wandb_report._panels(wandb_report.Compared([], keys, []))
    assert len(panels["Test sets"]) == 2 and len(panels["PSNR and cost"]) == 1


def test_the_workspace_has_the_same_panels(spec):
    given = spec["workspace"]
    workspace = ws.Workspace._from_model(View.model_validate(given))
    assert (workspace.entity, workspace.project) == ("lab", "sr")
    assert [s.name for s in workspace.sections] == [
        "Validation", "Test sets", "PSNR and cost", "Pictures", "Settings"
    ]  # fmt: skip
    assert workspace.settings.x_axis == "trainer/global_step"
    assert "aaaa1111" in workspace.runset_settings.filters and "bbbb2222" in workspace.runset_settings.filters
    assert "summary:test/Set5/psnr_y" in workspace.runset_settings.pinned_columns
    again = json.loads(workspace._to_model().model_dump_json(by_alias=True, exclude_none=True))
    assert (
        again["spec"]["section"]["panelBankConfig"]["sections"]
        == given["spec"]["section"]["panelBankConfig"]["sections"]
    )


def test_the_table_is_the_one_given(spec):
    assert table_of(spec) == TABLE


def table_of(spec):
    report = wr.Report._from_model(ReportViewspec.model_validate(spec["report"]))
    return next(b.text for b in report.blocks if isinstance(b, wr.MarkdownBlock))


def test_the_rows_of_a_comparison_name_their_runs_and_the_keys_that_these_logged(tmp_path, monkeypatch):
    (tmp_path / "wandb_id.txt").write_text("cafe0123\n")
    alone = scores_of("vdsr", "Set5", 2, "y", {"psnr": 37.5, "ssim": 0.95}, 5)
    averaged = scores_of("vdsr+", "Set5", 2, "y", {"psnr": 37.6, "ssim": 0.951}, 5)
    run = Run(tmp_path, "vdsr", {"seed": 3}, [], alone + averaged, [], 60.0, 100, "finished", 3)
    node = {"_target_": "sr.models.vdsr.VDSR", "scale": 2}
    source = Source("vdsr", tmp_path, node, None, run, label="vdsr")
    lines = [Row("vdsr", 2, source, scores=tuple(alone)), Row("vdsr+", 2, source, scores=tuple(averaged))]
    assert not wandb_report.compared(tabulate(lines)).runs, "whoever wrote it there names anybody's"
    monkeypatch.setenv("SR_TRUST", f"{tmp_path}/")
    about = wandb_report.compared(tabulate(lines))
    assert about.runs == ["cafe0123"]
    sets = "Set5", "Set5_ensemble"
    assert about.keys == {m: {f"test/{s}/{m}_y": "" for s in sets} for m in ("psnr", "ssim")}


@pytest.mark.parametrize(("served", "measured", "keys"), [(4, (4, 2), {"Set5_x4"}), ([2, 3, 4], (4,), {"Set5"})])
def test_keys_tell_the_scale_where_a_run_measured_several(tmp_path, served, measured, keys):
    """Of recipe=edsr_x2_first, whose model serves one scale, and of MDSR trained on one."""
    scores = [Score("m" if s == 4 else "m (x2)", "Set5", s, "y", "psnr", 30.0, 5) for s in measured]
    run = Run(tmp_path, "m", {}, [], scores, [], 60.0, 100, "finished", 3)
    source = Source("m", tmp_path, {"scale": served}, None, run, label="m")
    about = wandb_report.compared(tabulate([Row("m", 4, source, scores=(scores[0],))]))
    assert {key.split("/")[1] for key in about.keys["psnr"]} == keys
    assert set(about.keys["psnr"].values()) == {"_x4" if isinstance(served, list) else ""}, "as what it costs is logged"
    apart = replace(scores[0], dataset="Set5 (2)", apart_from="Set5")  # told apart by us alone
    assert wandb_report.compared(tabulate([Row("m", 4, source, scores=(apart,))])).keys == about.keys


def test_what_the_table_tells_apart_is_not_drawn_as_one(tmp_path, caplog):
    """W&B knows one key of a set, whatever its images and LR: of two kinds it would draw one chart."""
    kinds = {"plain": {}, "noisy": {"dataset": "Set5 (2)", "apart_from": "Set5"}, "part": {"images": 2}}
    lines = []
    for name, kind in kinds.items():
        scores = [Score(name, "Set5", 4, protocol, "psnr", 30.0, 5) for protocol in ("y", "rgb")]
        scores[0] = replace(scores[0], **kind)
        run = Run(tmp_path, name, {}, [], scores, [], 60.0, 100, "finished", 3)
        lines.append(Row(name, 4, Source(name, tmp_path, {}, None, run, label=name), scores=tuple(scores)))
    for beside in ("noisy", "part"):
        caplog.clear()
        about = wandb_report.compared(tabulate([row for row in lines if row.label in ("plain", beside)]))
        assert about.keys == {"psnr": {"test/Set5/psnr_rgb": ""}}
        assert "test/Set5/psnr_y is not drawn: it is of other images or other LR" in caplog.text


def test_what_wandb_refuses_is_kept(monkeypatch, tmp_path):
    def refuse(*_):
        raise ConnectionError("no room")

    monkeypatch.setattr(wandb_report, "_save", refuse)
    with pytest.raises(UserError, match=r"did not take the report, which is kept in .*wandb_report.json: no room"):
        wandb_report.build(ABOUT, "lab", "sr", tmp_path, TABLE, online=True)
    assert json.loads((tmp_path / "wandb_report.json").read_text())["urls"] == {}


def test_switched_off_it_says_so(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with caplog.at_level("INFO"):
        wandb_report.build(ABOUT, "lab", "sr", tmp_path, TABLE)
    assert "W&B: disabled, as WANDB_MODE=disabled; the workspace" in caplog.text


def test_rows_without_runs_or_figures_still_make_a_report(no_network, tmp_path):
    nothing = wandb_report.Compared([], {}, [])
    spec = json.loads(wandb_report.build(nothing, "lab", "sr", tmp_path, TABLE).read_text())
    assert table_of(spec) == TABLE and spec["urls"] == {}


def test_online_both_are_saved_and_the_addresses_kept(monkeypatch, tmp_path):
    sent = []

    def answer(api, query, variables=None):
        sent.append(variables)
        now = "2020-01-01T00:00:00Z"
        view = {
            "id": "Vmlldzox", "type": "runs", "name": "x", "displayName": "x", "description": "", "viewCount": 0,
            "project": {"name": "sr", "entityName": "lab"}, "createdAt": now, "updatedAt": now,
            "user": {"name": "a", "username": "a", "userInfo": {}}, "spec": (variables or {}).get("spec"),
        }  # fmt: skip
        return {"upsertView": {"view": view, "inserted": True}}

    class Api:
        class client:  # noqa: N801 - as W&B names it
            app_url = "https://wandb.example"

        def projects(self, entity):
            return []

        def create_project(self, name, entity):
            sent.append(("project", entity, name))

    monkeypatch.setattr("wandb.Api", Api)
    for module in ("wandb_workspaces.workspaces.internal", "wandb_workspaces.reports.v2.interface"):
        monkeypatch.setattr(f"{module}.execute_graphql", answer)
    spec = json.loads(wandb_report.build(ABOUT, "lab", "sr", tmp_path, TABLE, online=True).read_text())
    assert ("project", "lab", "sr") in sent
    kinds = {v["type"]: json.loads(v["spec"]) for v in sent if isinstance(v, dict)}
    assert set(kinds) == {"runs", "project-view"}
    assert all(url.startswith("https://wandb.example/lab/sr") for url in spec["urls"].values())
