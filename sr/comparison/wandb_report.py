"""A comparison on W&B: a saved workspace and a report with its table and plots, or both as a file to look through."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr.errors import UserError, installing
from sr.loggers.run_ids import id_of
from sr.metrics.protocols import NAMES
from sr.scores.text import legend
from sr.whole import write_whole

if TYPE_CHECKING:
    from sr.comparison.columns import Table

log = logging.getLogger(__name__)
STEP = "trainer/global_step"
FILE = "wandb_report.json"
ENSEMBLE = "_ensemble"  # behind the name of a set in the keys of self-ensemble
TITLE = "Comparison of super-resolution models"


@dataclass(frozen=True)
class Compared:
    """What W&B knows of the runs in a comparison.

    Attributes:
        runs: ids of W&B's runs; none means all of the project.
        keys: of the runs' summaries by metric, with the ending of what the network costs there (one of several scales
            has one for each): {"psnr": {"test/Set5/psnr_y": "", "test/Set5_x3/psnr_y": "_x3"}}.
        settings: dotted keys of the config in which the runs differ.
    """

    runs: Sequence[str]
    keys: Mapping[str, Mapping[str, str]]
    settings: Sequence[str]

    @property
    def columns(self) -> list[str]:
        """To stand beside the runs' names; W&B keeps the value of each first-level key of a config under `value`."""
        parts = [key.partition(".") for key in self.settings]
        nested = [f"config:{first}.value{dot}{rest}" for first, dot, rest in parts]
        return [f"summary:{key}" for key in self.keys.get("psnr", ())] + nested

    @property
    def filter(self) -> str:
        """The rows' own runs; all of the project where none is known."""
        return f"Metric('ID') in {list(self.runs)}" if self.runs else ""


def compared(table: Table) -> Compared:
    """The runs of a comparison, with the keys that they logged."""
    runs: dict[str, None] = {}
    keys: dict[str, dict[str, str]] = {}
    columns: dict[str, set[tuple[str, int]]] = {}  # of the table, that W&B has under one key
    for row in (line.row for line in table.lines):
        for one in row.runs:
            if found := id_of(one.folder / "wandb_id.txt"):
                runs[found] = None
        run = row.source.run if row.source else None
        several = run is not None and len({s.scale for s in run.scores}) > 1  # as final_scores names them
        place = (f"_x{row.scale}" if several else "") + (ENSEMBLE if row.ensemble else "")
        served = (row.source.node or {}).get("scale") if row.source else None
        cost = f"_x{row.scale}" if isinstance(served, list) and len(served) > 1 else ""
        for s in row.scores if row.final and run else ():
            key = f"test/{s.apart_from or s.dataset}{place}/{s.metric}_{s.protocol}"
            columns.setdefault(key, set()).add((s.dataset, s.images))
            keys.setdefault(s.metric, {})[key] = cost
    for key in (key for key, of in columns.items() if len(of) > 1):
        log.warning(f"note: {key} is not drawn: it is of other images or other LR in some runs")
        for of_metric in keys.values():
            of_metric.pop(key, None)
    settings = dict.fromkeys(key for line in table.lines for key in line.row.settings)
    return Compared(list(runs), keys, list(settings))


def build(about: Compared, entity: str, project: str, out: Path, table: str, online: bool | None = None) -> Path:
    """Write `wandb_report.json`; where W&B is reached without asking anyone, save workspace and report there too.

    Args:
        about: what is compared.
        entity: W&B's user or team.
        project: W&B's.
        out: the folder of the file.
        table: in Markdown.
        online: None: found out.

    Returns:
        The file: {"workspace": ..., "report": ...} as W&B's packages would send them, and `urls` of what was saved.

    Raises:
        UserError: wandb-workspaces is not installed, or W&B refused (the file is there then).
    """
    try:
        import wandb_workspaces.workspaces  # noqa: F401
    except ImportError as error:
        raise UserError(f"wandb=: {error}. Type: {installing('wandb-workspaces')}") from error
    from sr.loggers.wandb_connection import connection

    place = {"entity": entity, "project": project}
    workspace, report = _workspace(about, place), _report(about, place, table)
    mode, why = connection(entity) if online is None else ("online" if online else "offline", "as asked")
    spec: dict[str, Any] = {"workspace": _plain(workspace), "report": _plain(report), "urls": {}}
    file = out / FILE
    _keep(spec, file)  # before W&B is asked, which may refuse
    if mode not in ("online", "shared"):
        why = why or f"as WANDB_MODE={mode}"
        log.info(f"W&B: {mode}, {why}; the workspace and the report are kept in {file}. Type the command again online")
        return file
    try:
        spec["urls"] = _save(workspace, report)
    except Exception as error:  # W&B's packages raise whatever their transport does
        refused = f"W&B did not take the report, which is kept in {file}: {error}"
        raise UserError(f"wandb={entity}/{project}: {refused}") from error
    _keep(spec, file)
    for kind, url in spec["urls"].items():
        log.info(f"W&B {kind}: {url}")
    return file


def _keep(spec: Mapping[str, Any], file: Path) -> None:
    write_whole(file, spec)


def _save(workspace: Any, report: Any) -> dict[str, str]:
    report.save()  # makes the project if there is none yet
    workspace.save()
    return {"workspace": workspace.url, "report": report.url}


def _plain(thing: Any) -> dict[str, Any]:
    """What would be sent, checked by W&B's own model of it."""
    return json.loads(thing._to_model().model_dump_json(by_alias=True, exclude_none=True))


def _panels(about: Compared) -> dict[str, list[Any]]:
    """Section -> panels."""
    import wandb_workspaces.reports.v2 as wr

    def curve(title: str, **what: Any) -> Any:
        return wr.LinePlot(title=title, x=STEP, title_x="optimizer steps", **what)

    metrics = dict.fromkeys(["psnr", *about.keys])  # runs that are not measured yet have curves
    panels = {
        "Validation": [
            *(curve(legend([metric]), metric_regex=f"^val/{metric}_({NAMES})$") for metric in metrics),
            curve("Loss", y=["train/loss"], log_y=True),
        ],
        "Test sets": [
            wr.BarPlot(title=key, metrics=[wr.SummaryMetric(key)]) for keys in about.keys.values() for key in keys
        ],
        "PSNR and cost": [
            wr.ScatterPlot(
                title=f"{key} over multiply-adds", x=wr.SummaryMetric(f"cost/macs{cost}"), y=wr.SummaryMetric(key),
                z=wr.SummaryMetric("cost/parameters"), log_x=True,
            )
            for key, cost in about.keys.get("psnr", {}).items()
            if not key.rpartition("/")[0].endswith(ENSEMBLE)  # which costs eight times as much
        ],
        "Pictures": [wr.MediaBrowser(title="The same crops", media_keys=["val/panels", "test/panels"], num_columns=1)],
        "Settings": [wr.RunComparer(diff_only="split")],
    }  # fmt: skip
    return {section: found for section, found in panels.items() if found}


def _workspace(about: Compared, place: Mapping[str, str]) -> Any:
    import wandb_workspaces.workspaces as ws

    return ws.Workspace(
        **place,
        name=TITLE,
        auto_generate_panels=False,
        sections=[ws.Section(name=name, panels=panels, is_open=True) for name, panels in _panels(about).items()],
        settings=ws.WorkspaceSettings(x_axis=STEP, max_runs=max(10, len(about.runs))),
        runset_settings=ws.RunsetSettings(filters=about.filter, pinned_columns=about.columns),
    )


def _report(about: Compared, place: Mapping[str, str], table: str) -> Any:
    import wandb_workspaces.reports.v2 as wr

    def runs() -> Any:  # of the report's own project: a named one would be looked up on the server
        return wr.Runset(name="compared", filters=about.filter, pinned_columns=["run:displayName", *about.columns])

    blocks: list[Any] = [wr.H2("Table"), wr.MarkdownBlock(table)]
    for name, panels in _panels(about).items():
        width = 24 if len(panels) == 1 else 12  # two beside each other; one alone takes the whole width
        for n, panel in enumerate(panels):
            panel.layout = wr.Layout(x=width * (n % 2), y=8 * (n // 2), w=width, h=8)
        blocks += [wr.H2(name), wr.PanelGrid(runsets=[runs()], panels=panels)]
    return wr.Report(**place, title=TITLE, blocks=blocks, width="fluid")
