"""Scores as people read them, and rows laid out in columns: for terminals, as Markdown and as CSV."""

import csv
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sr.errors import printable
from sr.metrics.metric import declared
from sr.whole import forget_parts, replacing

FORMULA = re.compile(r"[=@\t\r]|[+-](?![\d.,e+-]*$)")  # begins text that a spreadsheet computes; numbers do not
STROKE = " / "  # between the values of a cell
Values = Mapping[str, float]  # by the names of the metrics


def shown(values: Values, metrics: Sequence[str]) -> str:
    """A cell: ``32.24 / 0.8952``, with - for a metric that has no value here."""
    return STROKE.join(declared(m).text(values[m]) if m in values else "-" for m in metrics)


def shown_beside(values: Values, metrics: Sequence[str], sign: str = "") -> str:
    """The same metrics of another source, as far as it has any: a paper's ``32.24``, or ``- / 32.24`` of SSIM first."""
    last = max((n for n, m in enumerate(metrics, 1) if m in values), default=0)
    return " / ".join(declared(m).text(values[m], sign) if m in values else "-" for m in metrics[:last])


def legend(metrics: Iterable[str]) -> str:
    """What the numbers of a cell are: ``PSNR in dB / SSIM``."""
    return " / ".join(f"{m.title} in {m.unit}" if m.unit else m.title for m in map(declared, metrics))


def counted(number: int, what: str) -> str:
    """(1, "frame") -> "1 frame"; (2, "frame") -> "2 frames"."""
    return f"{number} {what}{'s' * (number != 1)}"


def duration(seconds: float) -> str:
    """3725 -> "1 h 02 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """A table for the terminal: the first line is its head."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(text)


def wrapped(cell: str, parts: Collection[int], wrap: Callable[[str], str]) -> str:
    """A cell of values with a stroke between them, of which those of some numbers are wrapped."""
    values = cell.split(STROKE)
    if len(parts) == len(values):
        return wrap(cell)
    return STROKE.join(wrap(value) if n in parts else value for n, value in enumerate(values))


def markdown(lines: Sequence[Sequence[str]], bold: Mapping[tuple[int, int], Collection[int]] | None = None) -> str:
    """A Markdown table: the first line is its head, the first column to the left, the others to the right.

    Args:
        lines: of plain text.
        bold: by (line, column), the head not counted, which values of cells are in bold; see `wrapped`.
    """
    cells = [[in_markdown(cell) for cell in line] for line in lines]
    for (line, column), parts in (bold or {}).items():
        cells[line + 1][column] = wrapped(cells[line + 1][column], parts, "**{}**".format)
    head, *rest = ["| " + " | ".join(line) + " |" for line in cells]
    rule = "|---|" + "---:|" * (len(lines[0]) - 1)
    return "\n".join([head, rule, *rest])


def in_markdown(text: str) -> str:
    """Text, names from files among it, that Markdown shows as it is, on one line."""
    text = re.sub(r"([\\|*`<>\[\]~#])", r"\\\1", printable(" ".join(text.split())))
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)  # inside a word it is only an underscore


def in_script(data: Mapping[str, Any]) -> str:
    """JSON for a script element of a page: nothing in it can end the element, and JSON.parse reads it."""
    text = json.dumps(data, allow_nan=False, default=str)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def write_csv(file: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Every number unrounded; what a row lacks is an empty cell, what has no column is left out."""
    forget_parts(file)
    with replacing(file) as part, part.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, columns, extrasaction="ignore")
        writer.writerow({name: no_formula(name) for name in columns})
        writer.writerows({key: no_formula(value) for key, value in row.items()} for row in rows)


def no_formula(value: object) -> object:
    """A cell in which a spreadsheet finds nothing to compute: text that would begin a formula begins with a ' instead.

    A name in a file of somebody else's could otherwise be one that reads files or calls an address.
    """
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def from_csv(text: str) -> str:
    """A name as it was before `write_csv` wrote it."""
    return text[1:] if text.startswith("'") and FORMULA.match(text[1:]) else text
