"""The end of a sweep: its table in the paper's layout beside the paper's figures, and the curves of its runs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from sr.metrics.metric import declared
from sr.runs.curves import draw
from sr.runs.folder import Run
from sr.runs.record import record_sweep
from sr.scores.paired import Paired
from sr.scores.published import METRICS
from sr.scores.results import stored
from sr.scores.score import BASELINE
from sr.scores.text import aligned, in_markdown, markdown, shown, shown_beside, write_csv
from sr.sweeps.ablation import Ablation, Column
from sr.sweeps.lines import Line, Result, by_kind, table_columns, table_lines, table_metrics
from sr.sweeps.notes import notes
from sr.whole import write_whole

STATES = ("failed", "damaged", "running", "interrupted")  # of runs that are not finished
NOTHING: dict[tuple[int, str], list[Result]] = {(0, ""): []}
WIDE = 8  # columns that one table holds


def write(
    runs: Sequence[Run], folder: Path, ablation: Ablation | None, left_out: Mapping[str, str], command: str
) -> str:
    """Write `table.md`, `table.csv`, `differences.csv`, `curves.png` and `sweep.json` into the sweep's folder.

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
    differences, sure = _paired(lines).write(folder)
    blocks += [differences] if differences else []
    about = notes(lines, columns, ablation, left_out) + sure
    title = ablation.title if ablation else folder.name
    text = [
        f"# {in_markdown(title)}",
        f"    {command}",
        *map(markdown, blocks),
        "\n".join(f"- {in_markdown(word)}" for word in about),
    ]
    write_whole(folder / "table.md", "\n\n".join(text) + "\n")
    measured = [name for metric in table_metrics(lines) for name in (metric, f"{metric}_std")]
    names = ["line", "dataset", "scale", "protocol", "images", "left_out", "n", *measured, "steps", "seconds"]
    names += [*(f"paper_{metric}" for metric in METRICS), "paper_source", "paper_source_kind"]
    write_csv(folder / "table.csv", names, _long(lines, columns))
    trained = {line.label: line.runs for line in lines if line.plain}
    drawn = draw(trained, folder / "curves.png")
    facts = ("status", "seconds", "steps", "error")
    rows = [{"row": run.folder.name} | {fact: getattr(run, fact) for fact in facts} for run in runs]
    record_sweep(folder, command, ablation.name if ablation else None, rows, left_out)
    files = "table.md, table.csv" + (", curves.png" if drawn else "")
    return "\n".join([title, "\n\n".join(map(aligned, blocks)), *about, f"{files}: {folder}"])


def _paired(lines: Sequence[Line]) -> Paired:
    """The lines' runs, image by image."""
    paired = Paired()
    for line in lines:
        for run in line.runs if line.label != BASELINE else ():
            told = stored(run.folder, run.scores, lambda _, doubt: paired.doubts.append(doubt))
            each = {(model, place): values for model, place, values in told}
            for (model, place), values in each.items():
                if model == line.model(run):
                    paired.add(line.label, place, values, each.get((BASELINE, place)))
    return paired


def _parts(columns: Sequence[Column]) -> list[list[Column]]:
    """Many columns become a table for each scale."""
    if len(columns) <= WIDE:
        return [list(columns)]
    return [[c for c in columns if c.scale == scale] for scale in dict.fromkeys(c.scale for c in columns)]


def _head(columns: Sequence[Column], lines: Sequence[Line]) -> list[str]:
    head = ["", "runs", "steps", "minutes"]
    for c in columns:
        head += [f"{c.dataset} x{c.scale} {c.protocol}", *(["paper"] if any(c in line.paper for line in lines) else [])]
    return head


def _cells(line: Line, columns: Sequence[Column], lines: Sequence[Line]) -> list[str]:
    base, metrics = line.label == BASELINE, table_metrics(lines)
    counts = Counter(run.status for run in line.runs)
    count = ", ".join([str(counts["finished"]), *(f"{counts[s]} {s}" for s in STATES if counts[s])])
    finished = [run for run in line.runs if run.status == "finished"]
    seconds = [run.seconds for run in finished if run.seconds is not None]
    steps = " / ".join(f"{n:,}" for n in sorted({run.steps for run in finished}))
    minutes = f"{mean(seconds) / 60:.1f}" if seconds else ""
    cells = [line.label, *(["", "", ""] if base else [count if line.runs else line.remark, steps, minutes])]
    most = max((len(line.results.get(c, ())) for c in columns), default=0)
    for c in columns:
        found = line.results.get(c, [])
        sizes = {result.images for other in lines for result in other.results.get(c, ())}
        kinds = by_kind(found)
        cell = []
        every = max(most, sum(c.scale in _scales(run) for run in finished))
        for (images, remark), alike in kinds.items():
            aside = [f"n={len(alike)}"] if len(alike) < every and not base else []
            aside += [f"{images} images"] if len(sizes) > 1 else []
            aside += [remark] if remark else []
            cell.append(_averaged(alike, metrics) + (f" ({', '.join(aside)})" if aside else ""))
        cells.append("; ".join(cell))
        if any(c in other.paper for other in lines):
            cells.append(shown_beside(paper.values, metrics) if (paper := line.paper.get(c)) else "")
    return cells


def _scales(run: Run) -> list[Any]:
    scale = run.config.get("scale")
    return scale if isinstance(scale, list) else [scale]


def _averaged(results: Sequence[Result], metrics: Sequence[str]) -> str:
    """Mean over runs, by the first metric with the sample standard deviation where they differ: 30.5 ± 0.71 / 0.95."""
    first, *others = [_values(results, metric) for metric in metrics]
    text = shown({metrics[0]: mean(first)} if first else {}, metrics[:1])
    spread = f" ± {declared(metrics[0]).text(stdev(first))}" if len(set(first)) > 1 else ""
    rest = {metric: mean(values) for metric, values in zip(metrics[1:], others, strict=True) if values}
    return " / ".join([text + spread, *([shown(rest, metrics[1:])] if others else [])])


def _values(results: Sequence[Result], metric: str) -> list[float]:
    return [result.values[metric] for result in results if metric in result.values]


def _long(lines: Sequence[Line], columns: Sequence[Column]) -> Iterator[dict[str, Any]]:
    """A row for each line, column and kind of result, as it is written to table.csv."""
    for line, c in product(lines, columns):
        found, paper = line.results.get(c, []), line.paper.get(c)
        if not found and paper is None:
            continue
        for (images, remark), alike in (by_kind(found) or NOTHING).items():
            row: dict[str, Any] = {"line": line.label, **asdict(c), "images": images or None, "left_out": remark}
            row["n"] = len(alike)
            for metric in table_metrics(lines):
                values = _values(alike, metric)
                row[metric] = round(mean(values), 6) if values else None
                row[f"{metric}_std"] = round(stdev(values), 6) if len(values) > 1 else None
            if line.label != BASELINE and alike:
                row["steps"] = round(mean(result.run.steps for result in alike))
                known = [result.run.seconds for result in alike if result.run.seconds is not None]
                row["seconds"] = round(mean(known), 1) if known else None
            if paper:
                row |= {f"paper_{metric}": value for metric, value in paper.values.items()}
                row |= {"paper_source": paper.citation, "paper_source_kind": paper.kind}
            yield row
