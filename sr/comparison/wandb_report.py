"""A comparison on W&B: a saved workspace and a report with its table and plots, or both as a file to look through."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr.errors import UserError
from sr.scores.text import legend

if TYPE_CHECKING:
    from sr.comparison.columns import Table

log = logging.getLogger(__name__)
STEP = "trainer/global_step"
FILE = "wandb_report.json"


def build(
    rows: Sequence[Mapping[str, Any]],
    entity: str,
    project: str,
    out: Path,
    table: str,
    title: str = "Comparison of super-resolution models",
    online: bool | None = None,
) -> Path:
    """Write `wandb_report.json`; where W&B is reached without asking anyone, save workspace and report there too.

    Args:
        rows: each with `name` and, where they are known, `scale`, `config` (dotted key -> value, of those that
            differ), `scores` ({metric: {"<set>/<metric>_<protocol>": value}}) and `run` (id of the W&B run that it is).
        entity: W&B's user or team.
        project: W&B's.
        out: the folder of the file.
        table: in Markdown.
        title: of the workspace and the report.
        online: None: found out.

    Returns:
        The file: {"workspace": ..., "report": ...} as W&B's packages would send them, and `urls` of what was saved.

    Raises:
        UserError: nothing to compare, wandb-workspaces is not installed, or W&B refused (the file is there then).
    """
    if not rows:
        raise UserError("wandb=: there are no rows to report")
    try:
        import wandb_workspaces.workspaces  # noqa: F401
    except ImportError as error:
        raise UserError(f'wandb=: {error}. Type: pip install "sr-lab[wandb-workspaces]"') from error
    from sr.loggers.wandb_connection import connection

    workspace = _workspace(rows, entity, project, title)
    report = _report(rows, entity, project, table, title)
    mode, why = connection() if online is None else ("online" if online else "offline", "as asked")
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
        what = f"W&B did not take the report, which is kept in {file}: {error}"
        raise UserError(f"wandb={entity}/{project}: {what}") from error
    _keep(spec, file)
    for kind, url in spec["urls"].items():
        log.info(f"W&B {kind}: {url}")
    return file


def _keep(spec: Mapping[str, Any], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(spec, indent=2) + "\n", encoding="utf-8")


def rows_of(table: Table) -> list[dict[str, Any]]:
    """The rows of a comparison as `build` takes them; scores under the names that the runs logged them with."""
    found = []
    for line in table.lines:
        row, run = line.row, line.row.source.run if line.row.source else None
        known = run.folder / "wandb_id.txt" if run else None
        several = run is not None and len({s.scale for s in run.scores}) > 1  # as final_scores names them
        at = f"_x{row.scale}" if several else ""
        ensemble = "_ensemble" if row.ensemble else ""
        scores: dict[str, dict[str, float]] = {}
        for s in row.scores if row.final else ():
            scores.setdefault(s.metric, {})[f"{s.dataset}{at}{ensemble}/{s.metric}_{s.protocol}"] = s.value
        wandb_id = known.read_text().strip() if known and known.is_file() else None
        entry = {"name": row.label, "scale": row.scale, "run": wandb_id, "config": dict(row.settings)}
        found.append({**entry, "scores": scores})
    return found


def _save(workspace: Any, report: Any) -> dict[str, str]:
    report.save()  # makes the project if there is none yet
    workspace.save()
    return {"workspace": workspace.url, "report": report.url}


def _plain(thing: Any) -> dict[str, Any]:
    """What would be sent, checked by W&B's own model of it."""
    model = thing._to_model()
    return json.loads(model.model_dump_json(by_alias=True, exclude_none=True))


def _metrics(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """All that was measured."""
    return list(dict.fromkeys(metric for row in rows for metric in row.get("scores") or {}))


def _keys(rows: Sequence[Mapping[str, Any]], metric: str) -> list[str]:
    """The runs' summary keys of all scores by one metric."""
    named = dict.fromkeys(key for row in rows for key in (row.get("scores") or {}).get(metric, {}))
    return [f"test/{key}" for key in named]


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """PSNRs, then the settings that differ, as W&B names columns."""
    settings = dict.fromkeys(key for row in rows for key in row.get("config") or {})
    return [f"summary:{key}" for key in _keys(rows, "psnr")] + [_in_config(key) for key in settings]


def _in_config(key: str) -> str:
    """W&B keeps the value of each first-level key under `value`."""
    first, _, rest = key.partition(".")
    return f"config:{first}.value{'.' + rest if rest else ''}"


def _filter(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows' own runs; all of the project where none is known."""
    known = list(dict.fromkeys(str(row["run"]) for row in rows if row.get("run")))
    return f"Metric('ID') in {known}" if known else ""


def _panels(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Section -> panels."""
    import wandb_workspaces.reports.v2 as wr

    psnr = _keys(rows, "psnr")
    return {
        "Validation": [
            *(
                wr.LinePlot(title=legend([m]), x=STEP, metric_regex=f"^val/{m}_.*", title_x="optimizer steps")
                for m in dict.fromkeys(["psnr", *_metrics(rows)])  # runs that are not measured yet have curves
            ),
            wr.LinePlot(title="Loss", x=STEP, y=["train/loss"], log_y=True, title_x="optimizer steps"),
        ],
        "Test sets": [
            wr.BarPlot(title=key, metrics=[wr.SummaryMetric(key)]) for m in _metrics(rows) for key in _keys(rows, m)
        ],
        "PSNR and cost": [
            wr.ScatterPlot(
                title=f"{key} over multiply-adds", x=wr.SummaryMetric("cost/macs"), y=wr.SummaryMetric(key),
                z=wr.SummaryMetric("cost/parameters"), log_x=True,
            )
            for key in psnr
        ],
        "Pictures": [wr.MediaBrowser(title="The same crops", media_keys=["val/panels"], num_columns=1)],
        "Settings": [wr.RunComparer(diff_only="split")],
    }  # fmt: skip


def _workspace(rows: Sequence[Mapping[str, Any]], entity: str, project: str, title: str) -> Any:
    import wandb_workspaces.workspaces as ws

    return ws.Workspace(
        entity=entity,
        project=project,
        name=title,
        auto_generate_panels=False,
        sections=[
            ws.Section(name=name, panels=panels, is_open=True) for name, panels in _panels(rows).items() if panels
        ],
        settings=ws.WorkspaceSettings(x_axis=STEP, max_runs=max(10, len(rows))),
        runset_settings=ws.RunsetSettings(filters=_filter(rows), pinned_columns=_columns(rows)),
    )


def _report(rows: Sequence[Mapping[str, Any]], entity: str, project: str, table: str, title: str) -> Any:
    import wandb_workspaces.reports.v2 as wr

    def runs() -> Any:  # of the report's own project: a named one would be looked up on the server
        return wr.Runset(name="compared", filters=_filter(rows), pinned_columns=["run:displayName", *_columns(rows)])

    blocks: list[Any] = [wr.H2("Table"), wr.MarkdownBlock(table)]
    for name, panels in _panels(rows).items():
        if panels:
            blocks += [wr.H2(name), wr.PanelGrid(runsets=[runs()], panels=_laid_out(panels))]
    return wr.Report(entity=entity, project=project, title=title, blocks=blocks, width="fluid")


def _laid_out(panels: Sequence[Any]) -> list[Any]:
    """Two beside each other; one alone takes the whole width (24 columns)."""
    import wandb_workspaces.reports.v2 as wr

    width = 24 if len(panels) == 1 else 12
    for n, panel in enumerate(panels):
        panel.layout = wr.Layout(x=width * (n % 2), y=8 * (n // 2), w=width, h=8)
    return list(panels)
