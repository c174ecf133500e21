"""The lines and columns of a sweep's table: which runs are averaged in which."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from sr.compose.keys import declared
from sr.compose.words import Words
from sr.runs.folder import Run
from sr.runs.together import once
from sr.scores.published import METRICS, published
from sr.scores.same_images import told_apart
from sr.scores.score import BASELINE, KEY, metrics_of, pivot, remarks
from sr.sweeps.ablation import Ablation, AblationRow, Cell, Column

PLUS = " +"  # the line of a model under self-ensemble


class Result(NamedTuple):
    """What one run has reached in one column."""

    run: Run
    images: int
    values: dict[str, float]  # by metric
    remark: str = ""  # which images the means leave out

    @property
    def kind(self) -> tuple[int, str]:
        """Means of different kinds are over different images: they are never averaged."""
        return self.images, self.remark


def by_kind(results: Sequence[Result]) -> dict[tuple[int, str], list[Result]]:
    """Results that may be averaged, by their kind."""
    found: dict[tuple[int, str], list[Result]] = {}
    for result in results:
        found.setdefault(result.kind, []).append(result)
    return found


def _without(result: Result, beside: Sequence[Result]) -> Result:
    """Says of a result which metrics of those beside it it lacks: it is not counted among their means."""
    lacking = [m for m in dict.fromkeys(m for other in beside for m in other.values) if m not in result.values]
    return result._replace(remark=", ".join(filter(None, [result.remark, *(f"no {m.upper()}" for m in lacking)])))


@dataclass
class Line:
    """One line of the table: the runs that differ only in seed and scale."""

    label: str
    runs: list[Run] = field(default_factory=list)  # each training once
    model: Callable[[Run], str] = lambda run: run.name  # whose scores of a run are meant
    paper: Mapping[Column, Cell] = field(default_factory=dict)
    remark: str = ""
    twins: list[tuple[Run, Run]] = field(default_factory=list)  # a copy that is not counted, and what it is a copy of

    @property
    def plain(self) -> bool:
        """Whether it is of what was trained, neither the baseline's nor under self-ensemble."""
        return self.label != BASELINE and not self.label.endswith(PLUS)

    @cached_property
    def results(self) -> dict[Column, list[Result]]:
        """Of each column that was measured, one for each run that measured it."""
        found: dict[Column, list[Result]] = {}
        for run in self.runs:
            said = remarks(run.scores, *KEY, "images")
            for (model, *place, images), values in pivot(run.scores, *KEY, "images").items():
                if model == self.model(run):
                    result = Result(run, images, values, said.get((model, *place, images), ""))
                    found.setdefault(Column(*place), []).append(result)
        return {column: [_without(result, results) for result in results] for column, results in found.items()}


def table_lines(runs: Sequence[Run], ablation: Ablation | None, left_out: Mapping[str, str]) -> list[Line]:
    """Bicubic, then the ablation's lines in its order, or one for each setting that was swept over."""
    measured = told_apart((run.scores for run in runs), BASELINE)
    runs = [replace(run, scores=scores) for run, scores in zip(runs, measured, strict=True)]
    typed = {run.folder: {word.key: word.value for word in Words(run.overrides)} for run in runs}
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
        line.runs, line.twins = once(line.runs)
        found.append(line)
        if ensembles.get(line.label) or any(s.model == f"{run.name}+" for run in line.runs for s in run.scores):
            paper = ensembles.get(line.label) or {}
            found.append(Line(line.label + PLUS, line.runs, lambda run: f"{run.name}+", paper, line.remark))
    copies = {copy.folder for line in found for copy, _ in line.twins}
    base = Line(BASELINE, [run for run in runs if run.folder not in copies], lambda run: BASELINE)
    return [base, *found] if any(s.model == BASELINE for run in runs for s in run.scores) else found


def _known(row: AblationRow, ablation: Ablation, plus: str) -> dict[Column, Cell]:
    """The figures of published.csv for a row's model."""
    papers = {c: published(row.published + plus, c.scale, c.dataset, c.protocol) for c in ablation.columns}
    return {
        c: Cell(paper.values, paper.citation, paper.source_kind)
        for c, paper in papers.items()
        if row.published and paper
    }


def table_columns(lines: Sequence[Line], ablation: Ablation | None) -> list[Column]:
    """The paper's columns, then what was measured beside them."""
    wanted = [c for c in ablation.columns if any(c in line.paper for line in lines)] if ablation else []
    return list(dict.fromkeys([*wanted, *(c for line in lines for c in line.results)]))


def table_metrics(lines: Sequence[Line]) -> list[str]:
    """All that was measured; what papers print where nothing was."""
    found = metrics_of(s for line in lines for run in line.runs for s in run.scores)
    return found or list(METRICS)
