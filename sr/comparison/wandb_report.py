"""A comparison on W&B: a saved workspace and a report with its table and plots, or both as a file to look through."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr.errors import UserError
from sr.scores.text import markdown

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
    table: str | None = None,
    title: str = "Comparison of super-resolution models",
    online: bool | None = None,
) -> Path:
    """Write `wandb_report.json`; where W&B is reached without asking anyone, save workspace and report there too.

    Args:
        rows: each with `name` and, where they are known, `scale`, `config` (dotted key -> value, of those that
            differ), `figures` ("<set>/psnr_<protocol>", "<set>/ssim_<protocol>" -> value), `parameters`, `macs` (of
            a 1280x720 output) and `run` (id of the W&B run that it is).
        table: in Markdown; None: made from the rows.
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
    report = _report(rows, entity, project, table or _table(rows), title)
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
        told = f"W&B did not take the report, which is kept in {file}: {error}"
        raise UserError(f"wandb={entity}/{project}: {told}") from error
    _keep(spec, file)
    for kind, url in spec["urls"].items():
        log.info(f"W&B {kind}: {url}")
    return file


def _keep(spec: Mapping[str, Any], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(spec, indent=2) + "\n", encoding="utf-8")


def rows_of(table: Table) -> list[dict[str, Any]]:
    """The rows of a comparison as `build` takes them; figures under the names that the runs logged them with."""
    found = []
    for line in table.lines:
        row, run = line.row, line.row.source.run if line.row.source else None
        known = run.folder / "wandb_id.txt" if run else None
        several = run is not None and len({f.scale for f in run.figures}) > 1  # as final_scores names them
        at = f"_x{row.scale}" if several else ""
        ensemble = "_ensemble" if row.ensemble else ""
        figures = {
            f"{f.dataset}{at}{ensemble}/{kind}_{f.protocol}": getattr(f, kind)
            for f in row.figures
            if row.final
            for kind in ("psnr", "ssim")
        }
        found.append(
            {
                "name": row.label,
                "scale": row.scale,
                "run": known.read_text().strip() if known and known.is_file() else None,
                "config": dict(row.settings),
                "figures": figures,
                "parameters": line.values.get("parameters"),
                "macs": line.values.get("macs"),
            }
        )
    return found


def _save(workspace: Any, report: Any) -> dict[str, str]:
    report.save()  # makes the project if there is none yet
    workspace.save()
    return {"workspace": workspace.url, "report": report.url}


def _plain(thing: Any) -> dict[str, Any]:
    """What would be sent, checked by W&B's own model of it."""
    model = thing._to_model()
    return json.loads(model.model_dump_json(by_alias=True, exclude_none=True))


def _keys(rows: Sequence[Mapping[str, Any]], kind: str) -> list[str]:
    """The runs' summary keys of all figures of one kind."""
    named = dict.fromkeys(key for row in rows for key in row.get("figures") or {})
    return [f"test/{key}" for key in named if key.rpartition("/")[2].startswith(kind)]


def _settings(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row.get("config") or {}))


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
            wr.LinePlot(title="PSNR, dB", x=STEP, metric_regex="^val/psnr_.*", title_x="optimizer steps"),
            wr.LinePlot(title="Loss", x=STEP, y=["train/loss"], log_y=True, title_x="optimizer steps"),
        ],
        "Test sets": [wr.BarPlot(title=key, metrics=[wr.SummaryMetric(key)]) for key in psnr + _keys(rows, "ssim")],
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

    columns = [f"summary:{key}" for key in _keys(rows, "psnr")] + [_in_config(key) for key in _settings(rows)]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=title,
        auto_generate_panels=False,
        sections=[
            ws.Section(name=name, panels=panels, is_open=True) for name, panels in _panels(rows).items() if panels
        ],
        settings=ws.WorkspaceSettings(x_axis=STEP, max_runs=max(10, len(rows))),
        runset_settings=ws.RunsetSettings(filters=_filter(rows), pinned_columns=columns),
    )


def _report(rows: Sequence[Mapping[str, Any]], entity: str, project: str, table: str, title: str) -> Any:
    import wandb_workspaces.reports.v2 as wr

    columns = [f"summary:{key}" for key in _keys(rows, "psnr")] + [_in_config(key) for key in _settings(rows)]

    def runs() -> Any:  # of the report's own project: a named one would be looked up on the server
        return wr.Runset(name="compared", filters=_filter(rows), pinned_columns=["run:displayName", *columns])

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


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    figures = list(dict.fromkeys(key for row in rows for key in row.get("figures") or {}))
    settings = _settings(rows)
    lines = [["entry", "scale", *settings, *figures, "parameters", "multiply-adds, G"]]
    for row in rows:
        shown = [f"x{row['scale']}" if row.get("scale") else ""]
        shown += [str(value) if (value := (row.get("config") or {}).get(key)) is not None else "" for key in settings]
        for key in figures:
            value = (row.get("figures") or {}).get(key)
            digits = 2 if key.rpartition("/")[2].startswith("psnr") else 4
            shown.append("" if value is None else f"{value:.{digits}f}")
        shown.append(f"{row['parameters']:,}" if row.get("parameters") else "")
        shown.append(f"{row['macs'] / 1e9:.2f}" if row.get("macs") else "")
        lines.append([str(row["name"]), *shown])
    return markdown([[cell.replace("|", r"\|") for cell in line] for line in lines])
