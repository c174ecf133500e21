"""The end of a sweep: its table in the paper's layout beside the paper's figures, and the curves of its runs."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from sr.measuring.scoring import BASELINE
from sr.runs.curves import draw
from sr.runs.folder import Run
from sr.runs.sweep_record import record
from sr.scores.score import Figure
from sr.scores.text import aligned, markdown
from sr.sweeps.ablation import Ablation, Column
from sr.sweeps.lines import PLUS, Line, has_paper, table_columns, table_lines
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
    record(folder, command, ablation.name if ablation else None, rows, left_out)
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
    most = max((len(line.figures(c)) for c in columns), default=0)
    for c in columns:
        found = line.figures(c)
        fewer = f" (n={len(found)})" if 0 < len(found) < most and not base else ""
        cells.append(_spread([f.psnr for f in found], 2) + _ssim(found) + fewer if found else "")
        if has_paper(c, lines):
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


def _write_csv(file: Path, lines: Sequence[Line], columns: Sequence[Column]) -> None:
    names = [
        "line", "dataset", "scale", "protocol", "n", "psnr", "psnr_std", "ssim", "ssim_std", "steps", "seconds",
        "paper_psnr", "paper_ssim", "paper_source",
    ]  # fmt: skip
    with file.open("w", newline="", encoding="utf-8") as f:
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
