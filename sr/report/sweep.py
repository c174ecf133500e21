"""The end of a sweep: its table in the paper's layout beside the paper's figures, and the curves of its runs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from sr.evaluation import BASELINE
from sr.metrics.protocol import get_protocol
from sr.report.ablation import Ablation, Cell, Column, Row
from sr.report.curves import draw
from sr.report.figures import Figure
from sr.report.published import published
from sr.report.runs import Run
from sr.report.text import aligned, markdown

DIMENSIONS = ("seed", "scale", "ablation")  # of a line: averaged over, its columns, its name
STATES = (("failed", "failed"), ("running", "not finished"))
WIDE = 8  # columns that one table holds
PLUS = " +"  # the line of a model under self-ensemble


@dataclass
class Line:
    """One line of the table: the runs that differ only in seed and scale."""

    label: str
    runs: list[Run] = field(default_factory=list)
    model: Callable[[Run], str] = lambda run: run.name  # whose figures of a run are meant
    paper: Mapping[Column, Cell] = field(default_factory=dict)
    remark: str = ""

    def figures(self, column: Column) -> list[Figure]:
        """One for each run that measured this column."""
        return [
            f
            for run in self.runs
            for f in run.figures
            if f.model == self.model(run) and Column(f.dataset, f.scale, f.protocol) == column
        ]


def write(
    runs: Sequence[Run], folder: Path, ablation: Ablation | None, left_out: Mapping[str, str], command: str
) -> str:
    """Write `table.md`, `table.csv`, `curves.png` and `sweep.json` into the sweep's folder.

    Args:
        left_out: rows of the ablation that could not run here, and why.
        command: that the sweep was started with.

    Returns:
        The table for the terminal.
    """
    lines = table_lines(runs, ablation, left_out)
    columns = table_columns(lines, ablation)
    blocks = [[_head(part, lines), *(_cells(line, part, lines) for line in lines)] for part in _parts(columns)]
    about = _about(lines, columns, ablation, left_out)
    title = ablation.title if ablation else folder.name
    (folder / "table.md").write_text(
        "\n\n".join([f"# {title}", f"    {command}", *map(markdown, blocks), "\n".join(f"- {w}" for w in about)]) + "\n"
    )
    _write_csv(folder / "table.csv", lines, columns)
    drawn = draw(
        {e.label: e.runs for e in lines if e.label != BASELINE and not e.label.endswith(PLUS)}, folder / "curves.png"
    )
    rows = [
        {"row": r.folder.name, "status": r.status, "seconds": r.seconds, "steps": r.steps, "error": r.error}
        for r in runs
    ]
    content = {
        "command": command,
        "ablation": ablation.name if ablation else None,
        "rows": rows,
        "not_run": dict(left_out),
    }
    (folder / "sweep.json").write_text(json.dumps(content, indent=2) + "\n")
    files = "table.md, table.csv" + (", curves.png" if drawn else "")
    return "\n".join([title, "\n\n".join(map(aligned, blocks)), *about, f"{files}: {folder}"])


def table_lines(runs: Sequence[Run], ablation: Ablation | None, left_out: Mapping[str, str]) -> list[Line]:
    """Bicubic, then the ablation's lines in its order, or one for each setting that was swept over."""
    typed = {run.folder: _typed(run) for run in runs}
    every = {key for settings in typed.values() for key in settings}
    varied = [k for k in sorted(every - set(DIMENSIONS)) if len({str(s.get(k)) for s in typed.values()}) > 1]
    lines: dict[str, Line] = {}
    ensembles: dict[str, dict[Column, Cell]] = {}
    if ablation:
        for row in ablation.rows.values():
            line = lines.setdefault(row.label, Line(row.label, paper={**_known(row, ablation, ""), **row.paper}))
            ensembles[row.label] = _known(row, ablation, "+")
            if row.name in left_out:
                line.remark = "not run"
    for run in runs:
        own = typed[run.folder]
        extra = ", ".join(f"{key}={own[key]}" for key in varied if key in own)
        meant = ablation.rows.get(own.get("ablation", "").rpartition("/")[2]) if ablation else None
        label = ", ".join(word for word in (meant.label if meant else "", extra) if word) or run.name
        lines.setdefault(label, Line(label)).runs.append(run)
    found = []
    for line in lines.values():
        found.append(line)
        if ensembles.get(line.label) or any(f.model == f"{run.name}+" for run in line.runs for f in run.figures):
            paper = ensembles.get(line.label) or {}
            found.append(Line(line.label + PLUS, line.runs, lambda run: f"{run.name}+", paper, line.remark))
    base = Line(BASELINE, list(runs), lambda run: BASELINE)
    return [base, *found] if any(f.model == BASELINE for run in runs for f in run.figures) else found


def _known(row: Row, ablation: Ablation, plus: str) -> dict[Column, Cell]:
    """The figures of published.csv for a row's model."""
    found = {}
    for c in ablation.columns:
        if row.published and (paper := published(row.published + plus, c.scale, c.dataset, c.protocol)):
            recalled = " (not checked against the paper)" if paper.source_kind == "memory" else ""
            found[c] = Cell(paper.psnr, paper.ssim, paper.source + recalled)
    return found


def table_columns(lines: Sequence[Line], ablation: Ablation | None) -> list[Column]:
    """The paper's columns, then what was measured beside them."""
    wanted = [c for c in ablation.columns if any(c in line.paper for line in lines)] if ablation else []
    measured = [
        Column(f.dataset, f.scale, f.protocol)
        for line in lines
        for run in line.runs
        for f in run.figures
        if f.model == line.model(run)
    ]
    return list(dict.fromkeys([*wanted, *measured]))


def _parts(columns: Sequence[Column]) -> list[list[Column]]:
    """Many columns become a table for each scale."""
    if len(columns) <= WIDE:
        return [list(columns)]
    return [[c for c in columns if c.scale == scale] for scale in dict.fromkeys(c.scale for c in columns)]


def _typed(run: Run) -> dict[str, str]:
    return {key.lstrip("+~"): value for key, _, value in (o.partition("=") for o in run.overrides)}


def _head(columns: Sequence[Column], lines: Sequence[Line]) -> list[str]:
    head = ["", "runs", "steps", "minutes"]
    for c in columns:
        name = f"{c.dataset} x{c.scale} {c.protocol}"
        head += [name] if not _published(c, lines) else [name, "paper"]
    return head


def _published(column: Column, lines: Sequence[Line]) -> bool:
    return any(column in line.paper for line in lines)


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
    most = max((len(line.figures(c)) for c in columns), default=0)
    for c in columns:
        found = line.figures(c)
        fewer = f" (n={len(found)})" if 0 < len(found) < most and not base else ""
        cells.append(_spread([f.psnr for f in found], 2) + _ssim(found) + fewer if found else "")
        if _published(c, lines):
            paper = line.paper.get(c)
            ssim = "" if paper is None or paper.ssim is None else f" / {paper.ssim:.4f}"
            cells.append("" if paper is None else f"{paper.psnr:.2f}{ssim}")
    return cells


def _ssim(found: Sequence[Figure]) -> str:
    return f" / {mean(f.ssim for f in found):.4f}"


def _spread(values: Sequence[float], digits: int) -> str:
    """Mean and, over several different runs, the sample standard deviation."""
    text = f"{mean(values):.{digits}f}"
    return text if len(values) < 2 or max(values) == min(values) else f"{text} ± {stdev(values):.{digits}f}"


def _about(
    lines: Sequence[Line], columns: Sequence[Column], ablation: Ablation | None, left_out: Mapping[str, str]
) -> list[str]:
    several = any(len(line.figures(c)) > 1 for line in lines if line.label != BASELINE for c in columns)
    words = ["PSNR in dB / SSIM" + (": mean over seeds, ± sample standard deviation of PSNR" if several else "")]
    words += [f"{name}: {get_protocol(name).description}" for name in dict.fromkeys(c.protocol for c in columns)]
    sources = dict.fromkeys(cell.source for line in lines for cell in line.paper.values())
    words += [f"paper: {source}" for source in sources]
    if ablation and not sources:
        words.append("paper: no published figure could be sourced")
    if ablation and ablation.note:
        words.append(f"note: {ablation.note}")
    for reason in dict.fromkeys(left_out.values()):
        words.append(f"not run: {', '.join(row for row, why in left_out.items() if why == reason)}: {reason}")
    return words


def _write_csv(file: Path, lines: Sequence[Line], columns: Sequence[Column]) -> None:
    names = [
        "line", "dataset", "scale", "protocol", "n", "psnr", "psnr_std", "ssim", "ssim_std", "steps", "seconds",
        "paper_psnr", "paper_ssim", "paper_source",
    ]  # fmt: skip
    with file.open("w", newline="") as f:
        writer = csv.DictWriter(f, names)
        writer.writeheader()
        for line in lines:
            for c in columns:
                found, paper = line.figures(c), line.paper.get(c)
                if not found and paper is None:
                    continue
                row: dict[str, Any] = {
                    "line": line.label, "dataset": c.dataset, "scale": c.scale, "protocol": c.protocol,
                    "n": len(found),
                }  # fmt: skip
                if paper:
                    row |= {"paper_psnr": paper.psnr, "paper_ssim": paper.ssim, "paper_source": paper.source}
                for kind in ("psnr", "ssim"):
                    values = [getattr(figure, kind) for figure in found]
                    row[kind] = round(mean(values), 6) if values else None
                    row[f"{kind}_std"] = round(stdev(values), 6) if len(values) > 1 else None
                if line.label != BASELINE and found:
                    at = [run for run in line.runs if any(figure in run.figures for figure in found)]
                    row["steps"] = round(mean(run.steps for run in at))
                    known = [run.seconds for run in at if run.seconds is not None]
                    row["seconds"] = round(mean(known), 1) if known else None
                writer.writerow(row)
