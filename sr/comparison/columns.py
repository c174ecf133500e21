"""Rows of a comparison as a table: which columns there are, what stands in them, how a value is shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sr.comparison.rows import Row, figure_key
from sr.metrics.protocol import get_protocol
from sr.runs.config import flat
from sr.runs.differences import choices
from sr.scores.mos import NOTE as MOS_NOTE
from sr.scores.mos import opinions

COST_NOTE = (
    "Parameters of the merged form; multiply-adds and activations (elements that convolutions put out) of one image "
    "enlarged to 1280x720; eight times as many under self-ensemble (+)."
)
TIME_NOTE = "Training time: over all resumes, without validation, on the machine that each run had."
LPIPS_NOTE = "LPIPS: version 0.1 on AlexNet, of 8-bit RGB without `scale` pixels on each side; smaller is better."


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        keys: of the values that it shows; the first one is sorted by.
        title: its head.
        show: the values -> text; called only where there is a first value.
        better: 1 where more is better, -1 where less is, 0 where neither.
    """

    keys: tuple[str, ...]
    title: str
    show: Callable[..., str] = str
    better: int = 0


@dataclass(frozen=True)
class Line:
    """A row and its values by key, those that have no column too; a value that is not known is None."""

    row: Row
    values: Mapping[str, Any]

    def cell(self, column: Column) -> str:
        values = [self.values.get(key) for key in column.keys]
        return "" if values[0] is None else column.show(*values)


@dataclass(frozen=True)
class Table:
    columns: list[Column]
    lines: list[Line]
    notes: list[str]

    def cells(self) -> list[list[str]]:
        """As text, the titles first."""
        return [[c.title for c in self.columns], *([line.cell(c) for c in self.columns] for line in self.lines)]

    def numeric(self, column: int) -> bool:
        """Whether a column holds nothing but numbers."""
        values = [line.values.get(self.columns[column].keys[0]) for line in self.lines]
        return all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in values)

    def best(self) -> set[tuple[int, int]]:
        """(line, column) of the best figures: of every set and scale, where models compete."""
        found = set()
        for n, column in enumerate(self.columns):
            for scale in {line.row.scale for line in self.lines} if "/" in column.keys[0] and column.better else ():
                rivals = {
                    i: line.values[column.keys[0]] * column.better
                    for i, line in enumerate(self.lines)
                    if line.row.scale == scale and line.values.get(column.keys[0]) is not None
                }
                if sum(not self.lines[i].row.baseline for i in rivals) > 1:
                    found |= {(i, n) for i, value in rivals.items() if value == max(rivals.values())}
        return found


def tabulate(rows: Sequence[Row], notes: Sequence[str] = ()) -> Table:
    """All rows with the columns that any of them has.

    Args:
        notes: to stand below, besides those that explain the columns.
    """
    titles = _set_titles(rows)
    lines = [Line(row, _values(row, titles)) for row in rows]
    columns = [Column(("entry",), "entry"), Column(("scale",), "scale", lambda scale: f"x{scale}")]
    columns += [Column((key,), key, _short) for key in dict.fromkeys(key for row in rows for key in row.settings)]
    used = dict.fromkeys(figure_key(f) for row in rows for f in row.figures)
    for kind in used:
        keys = tuple(f"{titles[kind]}/{measure}_{kind[1]}" for measure in ("psnr", "ssim"))
        columns.append(Column(keys, f"{titles[kind]}, {kind[1]}", lambda p, s: f"{p:.2f} / {s:.4f}", 1))
    columns += [
        Column((f"{name}/lpips",), f"{name}, LPIPS", lambda v: f"{v:.4f}", -1)
        for name in dict.fromkeys(name for row in rows for name in row.lpips)
    ]
    rated = dict.fromkeys(key for line in lines for key in line.values if key.endswith("/mos"))
    columns += [Column((key,), key.replace("/mos", ", MOS"), lambda v: f"{v:.2f}") for key in rated]
    columns += [column for column in COSTS if any(line.values.get(column.keys[0]) for line in lines)]
    if any(line.values.get("status") not in (None, "finished") for line in lines):
        columns.append(Column(("status",), "status"))
    explained = [
        f"PSNR in dB / SSIM; {name}: {get_protocol(name).description}, mean over images."
        for name in dict.fromkeys(kind[1] for kind in used)
    ]
    timed = any(line.values.get("seconds") for line in lines)
    explained += [
        COST_NOTE,
        *([TIME_NOTE] if timed else []),
        *([MOS_NOTE] if rated else []),
        *([LPIPS_NOTE] if any(r.lpips for r in rows) else []),
    ]
    return Table(columns, lines, [*explained, *notes])


def _values(row: Row, titles: Mapping[tuple[str, str, int], str]) -> dict[str, Any]:
    run = row.source.run if row.source else None
    values: dict[str, Any] = dict(choices(run)) | flat(run.config) if run else {}
    values |= {**row.settings, "entry": row.label, "scale": row.scale}
    if row.source:
        values |= {"model": row.source.name, "place": str(row.source.place)}
    for f in row.figures:
        name = titles[figure_key(f)]
        values |= {f"{name}/psnr_{f.protocol}": f.psnr, f"{name}/ssim_{f.protocol}": f.ssim}
    values |= {f"{name}/lpips": value for name, value in row.lpips.items()}
    if row.source and row.final and not row.ensemble:  # nobody rated self-ensembled pictures
        rated = opinions().get((row.source.published, row.scale), {})
        values |= {f"{name}/mos": value for name, value in rated.items()}
    if price := row.price:
        counts = price.counts
        values |= {"parameters": price.parameters, "macs": counts.macs, "activations": counts.activations}
        if price.training_parameters != price.parameters:
            values["parameters_trained"] = price.training_parameters
    if run and row.final:
        values |= {"steps_done": run.steps or None, "seconds": run.seconds, "status": run.status}
    return values


def _set_titles(rows: Sequence[Row]) -> dict[tuple[str, str, int], str]:
    """A set's name for each kind of figure, with the number of images where it differs."""
    kinds = dict.fromkeys(figure_key(f) for row in rows for f in row.figures)
    sizes: dict[str, set[int]] = {}
    for dataset, _, images in kinds:
        sizes.setdefault(dataset, set()).add(images)
    return {kind: kind[0] if len(sizes[kind[0]]) == 1 else f"{kind[0]} ({kind[2]} images)" for kind in kinds}


def _short(value: Any) -> str:
    """A setting as people write it."""
    if isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def duration(seconds: float) -> str:
    """3725 -> "1 h 02 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


COSTS = (
    Column(("parameters",), "parameters", lambda n: f"{n:,}", -1),
    Column(("parameters_trained",), "while training", lambda n: f"{n:,}", -1),
    Column(("macs",), "multiply-adds, G", lambda n: f"{n / 1e9:.2f}", -1),
    Column(("activations",), "activations, M", lambda n: f"{n / 1e6:.1f}", -1),
    Column(("steps_done",), "steps", lambda n: f"{n:,}"),
    Column(("seconds",), "training time", duration, -1),
)
