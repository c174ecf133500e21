"""Scores as people read them, and rows laid out in columns: for terminals, as Markdown and as CSV."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sr.metrics.metric import declared
from sr.whole import replacing

Values = Mapping[str, float]  # by the names of the metrics


def shown(values: Values, metrics: Sequence[str]) -> str:
    """A cell: ``32.24 / 0.8952``, with - for a metric that has no value here."""
    return " / ".join(declared(m).text(values[m]) if m in values else "-" for m in metrics)


def legend(metrics: Iterable[str]) -> str:
    """What the numbers of a cell are: ``PSNR in dB / SSIM``."""
    return " / ".join(f"{m.title} in {m.unit}" if m.unit else m.title for m in map(declared, metrics))


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """A table for the terminal: the first line is its head."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(text)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first line is its head, the first column to the left, the others to the right."""
    head, *rest = ["| " + " | ".join(line) + " |" for line in lines]
    rule = "|---|" + "---:|" * (len(lines[0]) - 1)
    return "\n".join([head, rule, *rest])


def write_csv(file: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Every number unrounded; what a row lacks is an empty cell, what has no column is left out."""
    with replacing(file) as part, part.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
