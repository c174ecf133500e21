"""The end of a sweep: its table in the paper's layout beside the paper's figures, and the curves of its runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from sr.measuring.scoring import BASELINE
from sr.metrics.metric import declared
from sr.runs.curves import draw
from sr.runs.folder import Run
from sr.runs.record import record_sweep
from sr.scores.published import METRICS
from sr.scores.text import aligned, markdown, shown, write_csv
from sr.sweeps.ablation import Ablation, Column
from sr.sweeps.lines import PLUS, Line, Result, has_paper, line_metrics, table_columns, table_lines
from sr.sweeps.notes import notes

STATES = (("failed", "failed"), ("running", "not finished"))
WIDE = 8  # columns that one table holds


def write(
    runs: Sequence[Run], folder: Path, ablation: Ablation | None, left_out: Mapping[str, str], command: str
) -> str:
    """Write `table.md`, `table.csv`, `curves.png` and `sweep.json` into the sweep's folder.

    Args:
        runs: of the sweep.
        folder: of the sweep.
        ablation: whose rows they are, if it has one.
        left_out: rows of the ablation that could not run here, and why.
        command: that the sweep was started with.

    Returns:
        The table for the terminal.
    """
    lines = table_lines(runs, ablation, left_out)
    columns = table_columns(lines, ablation)
    blocks = [[_head(part, lines), *(_cells(line, part, lines) for line in lines)] for part in _parts(columns)]
    about = notes(lines, columns, ablation, left_out)
    title = ablation.title if ablation else folder.name
    (folder / "table.md").write_text(
        "\n\n".join([f"# {title}", f"    {command}", *map(markdown, blocks), "\n".join(f"- {w}" for w in about)])
        + "\n",
        encoding="utf-8",
    )
    _write_csv(folder / "table.csv", lines, columns)
    drawn = draw(
        {e.label: e.runs for e in lines if e.label != BASELINE and not e.label.endswith(PLUS)}, folder / "curves.png"
    )
    rows = [
        {"row": r.folder.name, "status": r.status, "seconds": r.seconds, "steps": r.steps, "error": r.error}
        for r in runs
    ]
    record_sweep(folder, command, ablation.name if ablation else None, rows, left_out)
    files = "table.md, table.csv" + (", curves.png" if drawn else "")
    return "\n".join([title, "\n\n".join(map(aligned, blocks)), *about, f"{files}: {folder}"])


def _parts(columns: Sequence[Column]) -> list[list[Column]]:
    """Many columns become a table for each scale."""
    if len(columns) <= WIDE:
        return [list(columns)]
    return [[c for c in columns if c.scale == scale] for scale in dict.fromkeys(c.scale for c in columns)]


def _head(columns: Sequence[Column], lines: Sequence[Line]) -> list[str]:
    head = ["", "runs", "steps", "minutes"]
    for c in columns:
        name = f"{c.dataset} x{c.scale} {c.protocol}"
        head += [name] if not has_paper(c, lines) else [name, "paper"]
    return head


def _cells(line: Line, columns: Sequence[Column], lines: Sequence[Line]) -> list[str]:
    base = line.label == BASELINE
    finished = [run for run in line.runs if run.status == "finished"]
    others = [f"{sum(r.status == s for r in line.runs)} {word}" for s, word in STATES if any(
        r.status == s for r in line.runs
    )]  # fmt: skip
    count = line.remark if not line.runs else ", ".join([str(len(finished)), *others])
    seconds = [run.seconds for run in finished if run.seconds is not None]
    steps = sorted({run.steps for run in finished})
    cells = [line.label]
    cells += ["", "", ""] if base else [
        count,
        " / ".join(f"{n:,}" for n in steps),
        f"{mean(seconds) / 60:.1f}" if seconds else "",
    ]  # fmt: skip
    most = max((len(line.results(c)) for c in columns), default=0)
    for c in columns:
        found = line.results(c)
        fewer = f" (n={len(found)})" if 0 < len(found) < most and not base else ""
        cells.append(_averaged(found, line_metrics(lines)) + fewer if found else "")
        if has_paper(c, lines):
            paper = line.paper.get(c)
            cells.append(shown(paper.values, list(paper.values)) if paper else "")
    return cells


def _averaged(results: Sequence[Result], metrics: Sequence[str]) -> str:
    """Mean over runs, by the first metric with the sample standard deviation where they differ: 30.5 ± 0.71 / 0.95."""
    text = shown({m: mean(v) for m in metrics if (v := _values(results, m))}, metrics)
    lead, values = text.split(" / ")[0], _values(results, metrics[0])
    spread = f" ± {declared(metrics[0]).text(stdev(values))}" if len(set(values)) > 1 else ""
    return lead + spread + text.removeprefix(lead)


def _values(results: Sequence[Result], metric: str) -> list[float]:
    return [result.values[metric] for result in results if metric in result.values]


def _write_csv(file: Path, lines: Sequence[Line], columns: Sequence[Column]) -> None:
    metrics, rows = line_metrics(lines), []
    for line in lines:
        for c in columns:
            found, paper = line.results(c), line.paper.get(c)
            if not found and paper is None:
                continue
            row: dict[str, Any] = {"line": line.label, **asdict(c), "n": len(found)}
            for metric in metrics:
                values = _values(found, metric)
                row[metric] = round(mean(values), 6) if values else None
                row[f"{metric}_std"] = round(stdev(values), 6) if len(values) > 1 else None
            if paper:
                row |= {f"paper_{metric}": value for metric, value in paper.values.items()}
                row["paper_source"] = paper.citation
            if line.label != BASELINE and found:
                row["steps"] = round(mean(result.run.steps for result in found))
                known = [result.run.seconds for result in found if result.run.seconds is not None]
                row["seconds"] = round(mean(known), 1) if known else None
            rows.append(row)
    measured = [name for metric in metrics for name in (metric, f"{metric}_std")]
    of_papers = [f"paper_{metric}" for metric in METRICS]
    names = ["line", "dataset", "scale", "protocol", "n", *measured, "steps", "seconds", *of_papers, "paper_source"]
    write_csv(file, names, rows)
