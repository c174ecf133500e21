"""The lines and columns of a sweep's table: which runs are averaged in which."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sr.compose.keys import declared
from sr.measuring.scoring import BASELINE
from sr.runs.folder import Run
from sr.scores.published import published
from sr.scores.score import Figure
from sr.sweeps.ablation import Ablation, Cell, Column, Row

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


def table_lines(runs: Sequence[Run], ablation: Ablation | None, left_out: Mapping[str, str]) -> list[Line]:
    """Bicubic, then the ablation's lines in its order, or one for each setting that was swept over."""
    typed = {run.folder: _typed(run) for run in runs}
    every = {key for settings in typed.values() for key in settings}
    told = sorted(key for key in every if declared(key).named and not declared(key).one_line)
    varied = [k for k in told if len({str(s.get(k)) for s in typed.values()}) > 1]
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


def has_paper(column: Column, lines: Sequence[Line]) -> bool:
    """Whether a paper has a figure for it."""
    return any(column in line.paper for line in lines)


def _typed(run: Run) -> dict[str, str]:
    return {key.lstrip("+~"): value for key, _, value in (o.partition("=") for o in run.overrides)}
