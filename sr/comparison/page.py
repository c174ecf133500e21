"""A comparison as one web page that needs nothing else: no server, no network, no library."""

import math
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from pathlib import Path

from sr.comparison.columns import Table
from sr.comparison.crops import Group
from sr.comparison.plots import cost_pictures, curves
from sr.imaging.panel import ERROR_GAIN
from sr.runs.folder import Run
from sr.scores.score import BASELINE
from sr.scores.text import in_script, wrapped

WEB = Path(__file__).with_name("web")
SCRIPTS = ("table.js", "chart.js", "curves.js", "cost.js", "crops.js")


def page(table: Table, runs: Sequence[tuple[str, Run]] = (), crops: Sequence[Group] = (), title: str = "") -> str:
    """The page as HTML: the table, the curves of the runs (by their labels) and a viewer of the crops."""
    data = {
        "labels": list(dict.fromkeys([label for label, _ in runs] + [line.row.label for line in table.lines])),
        "curves": curves(runs),
        "pictures": cost_pictures(table),
        "crops": [group | {"first": _model(group["pictures"])} for group in crops],
        "gain": ERROR_GAIN,
    }
    parts = {
        "title": escape(title or "Comparison of super-resolution models"),
        "made": escape(datetime.now().strftime("%Y-%m-%d %H:%M")),
        "style": (WEB / "page.css").read_text(),
        "script": "\n".join((WEB / name).read_text() for name in SCRIPTS),
        "table": _table(table),
        "longest": str(max((len(line.row.label) for line in table.lines), default=0) + 3),  # with the cell's padding
        "differences": _differences(table.differences),
        "notes": "\n".join(f"<li>{escape(note)}</li>" for note in table.notes),
        "data": in_script(data),
    }
    # In one pass, so that nothing that is put in is looked through again.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], (WEB / "page.html").read_text())


def _model(labels: Iterable[str]) -> str:
    """The one that the viewer shows first."""
    return next((label for label in labels if label not in ("HR", "LR", BASELINE)), BASELINE)


def _table(table: Table) -> str:
    marks = ["number" if table.numeric(n) else "" for n in range(len(table.columns))]
    head = "".join(
        f'<th scope="col" class="{marks[n]}" aria-sort="none" data-better="{column.better}"'
        f"{' data-setting' if column.setting else ''}>"
        f'<button type="button">{escape(column.title)}<span aria-hidden="true"></span></button></th>'
        for n, column in enumerate(table.columns)
    )
    best, body = table.best(), []
    for i, line in enumerate(table.lines):
        cells = []
        for n, column in enumerate(table.columns):
            value = line.values.get(column.keys[0])
            kind = "th scope=row" if n == 0 else "td"
            told = wrapped(escape(line.cell(column)), best.get((i, n), ()), "<b>{}</b>".format)
            # What is not finite is no number to the script, which would sort the whole column as text.
            known = value is not None and not (isinstance(value, float) and not math.isfinite(value))
            sort = escape(str(value)) if known else ""
            cells.append(f'<{kind} class="{marks[n]}" data-value="{sort}">{told}</{kind.split()[0]}>')
        body.append(f"<tr{' class=baseline' if line.row.baseline else ''}>{''.join(cells)}</tr>")
    return f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(body) + "\n</tbody>"


def _differences(lines: Sequence[Sequence[str]]) -> str:
    """How the rows differ, as a table; "" where nothing is known of it."""
    if not lines:
        return ""
    head, *rest = lines
    cells = ["".join(f"<td>{escape(cell)}</td>" for cell in line[1:]) for line in rest]
    body = [f'<tr><th scope="row">{escape(line[0])}</th>{row}</tr>' for line, row in zip(rest, cells, strict=True)]
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    table = f'<table id="differences"><thead><tr>{titles}</tr></thead><tbody>{"".join(body)}</tbody></table>'
    return f'<div class="wide" role="region" aria-label="Differences" tabindex="0">{table}</div>'
