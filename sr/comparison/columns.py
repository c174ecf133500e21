"""Rows of a comparison as a table: which columns there are, what stands in them, how a value is shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import fmean
from typing import Any

from sr.comparison.rows import Row
from sr.comparison.seeds import of_fewer
from sr.errors import some
from sr.metrics.metric import Metric, declared
from sr.metrics.protocols import get_protocol
from sr.runs.code import changed_network
from sr.runs.differences import as_trained, choices, titled, told
from sr.scores import rated, same_images
from sr.scores.published import METRICS, MOS_NOTE, opinions
from sr.scores.rated import Rated
from sr.scores.score import BASELINE, Score, identical_notes, metrics_of, pivot, remarks, what_means_are_over
from sr.scores.text import STROKE, duration, legend
from sr.sweeps.changed import not_alike

COST_NOTE = (
    "Parameters of the merged form; multiply-adds and activations (elements that convolutions put out) of one image "
    "enlarged to 1280x720; eight times as many under self-ensemble (+)."
)
TIME_NOTE = "Training time: over all resumes, without validation, on the machine that each run had."


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        keys: of the values that it shows; the first one is sorted by.
        title: its head.
        show: the values -> text; called only where there is one.
        better: 1 where more is better, -1 where less is, 0 where neither.
        setting: shown only where the rows differ in it.
        scores: how many of the first keys are scores, told with a stroke between them.
    """

    keys: tuple[str, ...]
    title: str
    show: Callable[..., str] = str
    better: int = 0
    setting: bool = False
    scores: int = 1


@dataclass(frozen=True)
class Line:
    """A row and its values by key, those that have no column too; a value that is not known is None."""

    row: Row
    values: Mapping[str, Any]

    def cell(self, column: Column) -> str:
        values = [self.values.get(key) for key in column.keys]
        return "" if all(value is None for value in values) else column.show(*values)


@dataclass(frozen=True)
class Table:
    """Rows under columns, how they differ (see `sr.scores.paired`), and what is to be read below them."""

    columns: list[Column]
    lines: list[Line]
    notes: list[str]
    differences: list[list[str]] = field(default_factory=list)

    def cells(self) -> list[list[str]]:
        """As text, the titles first."""
        return [[c.title for c in self.columns], *([line.cell(c) for c in self.columns] for line in self.lines)]

    @property
    def keys(self) -> list[str]:
        """Of every value that a column shows, and of where the rows come from."""
        shown = dict.fromkeys(key for column in self.columns for key in column.keys)
        return list(dict.fromkeys(["entry", "scale", *shown, "place"]))

    def numeric(self, column: int) -> bool:
        """Whether a column holds nothing but numbers."""
        values = [line.values.get(self.columns[column].keys[0]) for line in self.lines]
        return all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in values)

    def best(self) -> dict[tuple[int, int], set[int]]:
        """By (line, column) which of its scores are the best of a set and scale, where models have the same images."""
        found: dict[tuple[int, int], set[int]] = {}
        for n, column in enumerate(self.columns):
            for scale in {line.row.scale for line in self.lines} if "/" in column.keys[0] and column.better else ():
                rows = {i: line for i, line in enumerate(self.lines) if line.row.scale == scale}
                for part, key in enumerate(column.keys[: column.scores]):
                    rivals = {
                        i: v * column.better for i, line in rows.items() if (v := line.values.get(key)) is not None
                    }
                    alike = len({_left_out(self.lines[i], column) for i in rivals}) <= 1
                    if alike and sum(not self.lines[i].row.baseline for i in rivals) > 1:
                        for i in (i for i, value in rivals.items() if value == max(rivals.values())):
                            found.setdefault((i, n), set()).add(part)
        return found


def _left_out(line: Line, column: Column) -> str:
    """What the means of a cell leave out."""
    return next((str(v) for key in column.keys if "_left_out_" in key and (v := line.values.get(key))), "")


def tabulate(rows: Sequence[Row], notes: Sequence[str] = (), study: Sequence[Rated] = ()) -> Table:
    """All rows, in this order, with the columns that any of them has; the notes stand below those on the columns.

    Figures come first, among them what people said of the rows in a study, then costs, then the settings that tell the
    rows apart.
    """
    scores = [score for row in rows for score in row.scores]
    titles = _set_titles(scores)
    lines = [Line(row, _values(row, titles) | _asked(row, study)) for row in rows]
    scales = list(dict.fromkeys(row.scale for row in rows))
    columns = [Column(("entry",), f"entry, x{scales[0]}" if len(scales) == 1 else "entry")]
    columns += [Column(("scale",), "scale", lambda scale: f"x{scale}", setting=True)] if len(scales) > 1 else []
    columns += _score_columns(scores, titles)
    asked = [m for m in rated.TITLES if any(f"study/{m}" in line.values for line in lines)]
    columns += [Column((f"study/{m}", f"study/{m}_95"), f"{rated.TITLES[m]}, study", _with_interval, 1) for m in asked]
    published = dict.fromkeys(k for line in lines for k in line.values if k.endswith("/mos_published"))
    columns += [Column((key,), key.replace("/mos_published", ", published MOS"), "{:.2f}".format) for key in published]
    columns += [column for column in COSTS if any(line.values.get(column.keys[0]) for line in lines)]
    uncounted: dict[str, dict[str, None]] = {}
    for line in (line for line in lines if line.values.get("uncounted")):
        uncounted.setdefault(line.values["uncounted"], {})[line.row.label] = None
    if uncounted:
        columns = [replace(c, keys=("macs", "uncounted")) if c.keys == ("macs",) else c for c in columns]
    columns += [Column((key,), titled(key), told, setting=True) for key in _differing(rows)]
    if any(line.row.members for line in lines):
        columns.append(Column(("runs",), "runs"))
        several = (
            " PSNR's ± is the sample standard deviation." if any(len(line.row.members) > 1 for line in lines) else ""
        )
        notes = [*notes, f"Rows of an ablation: means over their runs, which differ in the seed.{several}"]
        notes += [note for row in rows for note in of_fewer(row)]
        notes += not_alike((row.label, row.runs) for row in rows if row.members and not row.ensemble)
    if any(line.values.get("status") not in (None, "finished") for line in lines):
        columns.append(Column(("status",), "status"))
    measured = metrics_of(scores)
    metrics = [*(m for m in METRICS if m in measured), *(m for m in measured if m not in METRICS)]  # as cells have them
    explained = [
        f"{legend(metrics)}; {name}: {get_protocol(name).description}, {what_means_are_over(scores)}."
        for name in dict.fromkeys(s.protocol for s in scores)
    ]
    explained += identical_notes(scores)
    explained += same_images.notes(scores, BASELINE)
    timed = any(line.values.get("seconds") for line in lines)
    without = [f"+ ?: of {some(list(of))} the counter does not know {known}" for known, of in uncounted.items()]
    explained += [COST_NOTE, *without, *_of_other_code(rows)]
    explained += [*([TIME_NOTE] if timed else []), *([MOS_NOTE] if published else [])]
    explained += rated.notes(asked, study if asked else ())
    explained += [note for m in metrics if (note := declared(m).note)]
    return Table(columns, lines, [*explained, *notes])


def _of_other_code(rows: Sequence[Row]) -> list[str]:
    """The rows whose networks are counted by other code than they were trained with."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        for one in row.members or (row,):
            if one.source is not None and (price := one.price):
                for name in changed_network(price.code, one.source.code):
                    found.setdefault(one.label, {})[name] = None
    return [
        f"{label}: counted by today's code, and {', '.join(names)} was changed since it was trained."
        for label, names in found.items()
    ]


def _score_columns(scores: Sequence[Score], titles: Mapping[tuple[str, int], str]) -> list[Column]:
    """PSNR and SSIM of all sets, in one column a set as papers print them, then one for each other metric and set."""
    columns: list[Column] = []
    others: list[Column] = []
    for (dataset, images, protocol), measured in pivot(scores, "dataset", "images", "protocol").items():
        papers = [m for m in METRICS if m in measured]
        for names in ([papers] if papers else []) + [[m] for m in measured if m not in METRICS]:
            metrics = [declared(m) for m in names]
            title = f"{titles[dataset, images]}, {protocol}"
            title += "" if names == list(METRICS) else f", {' / '.join(m.title for m in metrics)}"
            keys = tuple(f"{titles[dataset, images]}/{m}_{protocol}" for m in names)
            if any(s.remark for s in scores if _place(s) == (dataset, images, protocol) and s.metric in names):
                keys += (f"{titles[dataset, images]}/{names[0]}_left_out_{protocol}",)
            column = Column(keys, title, partial(_texts, metrics), metrics[0].better, scores=len(names))
            (columns if names == papers else others).append(column)
    return columns + others


def _place(score: Score) -> tuple[str, int, str]:
    return score.dataset, score.images, score.protocol


def _texts(metrics: Sequence[Metric], *values: Any) -> str:
    """The values, and behind them what their means leave out where a column has that."""
    cells = ["-" if v is None else m.text(v) for m, v in zip(metrics, values, strict=False)]
    if spread := getattr(values[0], "spread", 0.0):
        cells[0] += f" ± {metrics[0].text(spread)}"
    text = STROKE.join(cells)
    return f"{text} ({remark})" if len(values) > len(metrics) and (remark := values[-1]) else text


def _values(row: Row, titles: Mapping[tuple[str, int], str]) -> dict[str, Any]:
    run = row.source.run if row.source else None
    each = [dict(choices(run)) | as_trained(run) for run in row.runs]
    values: dict[str, Any] = {k: v for k, v in each[0].items() if all(v == o.get(k) for o in each[1:])} if each else {}
    values |= {**row.settings, "entry": row.label, "scale": row.scale}
    said = remarks(row.scores, "dataset", "images", "protocol")
    values |= {
        f"{titles[s.dataset, s.images]}/{s.metric}_left_out_{s.protocol}": said[_place(s)]
        for s in row.scores
        if _place(s) in said
    }
    if row.source:
        values |= {"model": row.source.name, "place": str(row.source.path)}
    values |= {f"{titles[s.dataset, s.images]}/{s.metric}_{s.protocol}": s.value for s in row.scores}
    if row.source and row.final and not row.ensemble:  # nobody rated self-ensembled pictures
        papers = opinions().get((row.source.published, row.scale), {})
        values |= {f"{name}/mos_published": value for name, value in papers.items()}
    if price := row.price:
        counts = price.counts
        values |= {"parameters": price.parameters, "macs": counts.macs, "activations": counts.activations}
        if price.training_parameters != price.parameters:
            values["parameters_trained"] = price.training_parameters
        if counts.unknown:
            values["uncounted"] = ", ".join(counts.unknown)
    if run and row.final:
        every, seconds = row.runs, [other.seconds for other in row.runs if other.seconds is not None]
        states = [other.status for other in every if other.status != "finished"]
        values |= {
            "steps_done": min(other.steps for other in every) or None,
            "status": ", ".join(dict.fromkeys(states)) or run.status,
        }
        values |= {"seconds": fmean(seconds) if seconds else None, "runs": len(every)}
    return values


def _asked(row: Row, study: Sequence[Rated]) -> dict[str, Any]:
    """What people said of a row, by its name and place; nobody was shown self-ensembled pictures, or means of runs."""
    if not row.final or row.ensemble or len(row.members) > 1:
        return {}
    name, path = (row.source.name, row.source.path) if row.source else (BASELINE, rated.ZOO)
    mine = [r for r in study if (r.name, r.place, r.scale) == (name, rated.place_of(path), row.scale)]
    return {f"study/{r.metric}": r.value for r in mine} | {f"study/{r.metric}_95": r.interval for r in mine}


def _with_interval(value: float, interval: str) -> str:
    return f"{value:.{rated.DIGITS}f} {interval}"


def _set_titles(scores: Sequence[Score]) -> dict[tuple[str, int], str]:
    """A set's name for each number of images on which it was measured, with the number where there are several."""
    sizes = dict.fromkeys((s.dataset, s.images) for s in scores)
    names = [dataset for dataset, _ in sizes]
    return {(name, n): name if names.count(name) == 1 else f"{name} ({n} images)" for name, n in sizes}


def _differing(rows: Sequence[Row]) -> list[str]:
    """The settings that are not the same in all of the rows that have them."""
    found: dict[str, set[str]] = {}
    for row in rows:
        for key, value in row.settings.items():
            found.setdefault(key, set()).add(repr(value))
    return [key for key, values in found.items() if len(values) > 1]


COSTS = (
    Column(("parameters",), "parameters", lambda n: f"{n:,}", -1),
    Column(("parameters_trained",), "while training", lambda n: f"{n:,}", -1),
    Column(("macs",), "multiply-adds, G", lambda n, more="": f"{n / 1e9:.2f}{' + ?' * bool(more)}", -1),
    Column(("activations",), "activations, M", lambda n: f"{n / 1e6:.1f}", -1),
    Column(("steps_done",), "steps done", lambda n: f"{n:,}"),
    Column(("seconds",), "training time", duration, -1),
)
