#!/usr/bin/env python3
"""Real runs as rows of results.csv, and the pages whose tables are made of them.

python results/page.py                                      write the tables of the pages in results/ and docs/ anew
python results/page.py --add TABLE --label NAME FOLDER...   first add the finished runs in these folders as rows
     ... --figure 32.55   of runs by callbacks=[stopwatch]: keep their curve in curves.csv, and the time to it
python results/page.py --add TABLE FOLDER...                what evaluate.py measured there, a row for each model,
                                                            in place of those that there are

A table of a page stands between two comments. The first names the `table` of its rows and its columns,

    <!-- table classics: run=label; training=minutes; Set5=Set5/psnr_y; city=city/psnr_y & city/ssim_y; paper -->
    <!-- end of table -->

each as heading=column of results.csv (heading alone: the column of that name). `minutes` are its seconds, `cpu_minutes`
its cpu_seconds, `runs` the number of rows. Columns joined by & stand in one cell. Rows of one label are runs that
differ in their seed: a cell is their mean and, of a figure of several, ± their sample standard deviation.
"""

import argparse
import csv
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from sr.compose.keys import declared as key
from sr.errors import UserError
from sr.metrics.metric import declared, known_metrics
from sr.runs.config import typed_words
from sr.runs.folder import Run, find_runs, is_run
from sr.runs.record import recorded
from sr.runs.version import code_version
from sr.scores.results import read
from sr.scores.text import markdown
from sr.whole import replacing

RESULTS = Path(__file__).resolve().parent
TABLE = RESULTS / "results.csv"
KEPT = RESULTS / "curves.csv"
MARKED = re.compile(r"(<!-- table (\w+): ([^>]*?) -->\n).*?(<!-- end of table -->)", re.S)
PLAIN = re.compile(r"[\w$+~.,:=/\[\]-]+")  # words that bash takes as they are
ABOUT = (
    *("table", "label", "model", "command", "recipe", "data", "device", "steps", "seconds", "cpu_seconds", "seed"),
    "commit",
)
CURVES = ("table", "label", "seed", "step", "seconds", "cpu_seconds", "psnr", "figure")
Row = dict[str, str]


def rows_of(file: Path = TABLE) -> list[Row]:
    """The rows of results.csv, without the cells that are empty."""
    with file.open(newline="", encoding="utf-8") as f:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(f)]


def keep(rows: list[Row], file: Path = TABLE, first: tuple[str, ...] = ABOUT) -> None:
    """Write results.csv: what a run is, its figures, then whatever else."""
    known = dict.fromkeys(k for row in rows for k in row)
    columns = [*first, *(k for k in known if "/" in k), *(k for k in known if "/" not in k and k not in first)]
    with replacing(file) as part, part.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def row_of(run: Run, table: str, label: str) -> Row:
    """A finished run as a row.

    Raises:
        UserError: it is not finished.
    """
    if run.status != "finished":
        raise UserError(f"{run.folder} is {run.status}, no finished run")
    spent = [r["time/cpu_seconds"] for r in run.curve if "time/cpu_seconds" in r]
    chosen = run.config.get("choices") or {}
    about = {
        "table": table,
        "label": label,
        "model": run.name,
        "command": told(run.overrides, "train.py"),
        "recipe": chosen.get("recipe"),
        "data": chosen.get("data"),
        "device": recorded(run.folder).get("device"),
        "steps": run.steps,
        "seconds": run.seconds and round(run.seconds, 1),
        "cpu_seconds": round(max(spent), 1) if spent else None,
        "seed": run.seed,
        "commit": commit(),
    }
    figures = {f"{s.dataset}/{s.metric}_{s.protocol}": round(s.value, 4) for s in run.scores if s.model == run.name}
    return {k: str(v) for k, v in (about | figures).items() if v is not None}


def measured_rows(folder: Path, table: str) -> list[Row]:
    """What evaluate.py measured, a row for each model and scale, labelled with both.

    Raises:
        UserError: it is no folder of evaluate.py, or not at its end.
    """
    if is_run(folder) or not (file := folder / "results.csv").is_file():
        raise UserError(f"{folder} is no folder of evaluate.py: of runs type --label NAME, too")
    rows: dict[str, Row] = {}
    for s in read(file):
        label = s.model if s.model.endswith(f"_x{s.scale}") else f"{s.model}, x{s.scale}"
        about = {
            "table": table,
            "label": label,
            "model": s.model,
            "command": told(typed_words(folder).texts, "evaluate.py"),
        }
        row = rows.setdefault(label, about | {"commit": commit()})
        row[f"{s.dataset}/{s.metric}_{s.protocol}"] = f"{s.value:.4f}"
    return list(rows.values())


def curve_of(run: Run, row: Row, figure: float) -> list[Row]:
    """The validations of a run, beside the seconds up to each; its row learns when the first was at the figure.

    Raises:
        UserError: it has none, or no seconds beside them.
    """
    name = f"val/psnr_{run.config.get('protocol')}"
    found = [r for r in run.curve if name in r and "time/cpu_seconds" in r]
    if not found:
        raise UserError(
            f"{run.folder}: no {name} and time/cpu_seconds in its metrics.csv: train with callbacks=[stopwatch]"
        )
    row["paper"] = f"{figure:g}"
    if reached := [r for r in found if r[name] >= figure]:
        row["seconds_to_figure"] = f"{reached[0]['time/seconds']:.1f}"
        row["cpu_seconds_to_figure"] = f"{reached[0]['time/cpu_seconds']:.1f}"
    same = {k: row[k] for k in CURVES[:3]} | {"figure": f"{figure:g}"}
    times = [{k: f"{r[f'time/{k}']:.1f}" for k in ("seconds", "cpu_seconds")} for r in found]
    return [
        same | at | {"step": f"{r['step']:.0f}", "psnr": f"{r[name]:.4f}"} for r, at in zip(found, times, strict=True)
    ]


def commit() -> str:
    """Of this code, with a plus where files differ from it."""
    code = code_version()
    return f"{code['commit'] or 'unknown':.8}{'+' * bool(code['dirty'])}"


def told(typed: Sequence[str], program: str) -> str:
    """What was typed, without what the result does not depend on; the folder of the images as $SR_SHARED."""
    shared, words = os.environ.get("SR_SHARED", ""), []
    for word in typed:
        name = word.partition("=")[0].lstrip("+~")
        if not name.startswith("hydra") and name != "seed" and (program != "train.py" or key(name).result):
            word = re.sub(r"'(?!null|true|false)([a-z]\w*)'", r"\1", word)  # Hydra keeps names in quotes
            words.append(word.replace(shared, "$SR_SHARED") if shared else word)
    return " ".join([program, *(w if PLAIN.fullmatch(w) else shlex.quote(w) for w in words)])


def table(rows: list[Row], columns: str) -> str:
    """A Markdown table of rows, one line for each label, as the columns of a page's comment say."""
    wanted = [(c.partition("=")[0].strip(), c.rpartition("=")[2].split("&")) for c in columns.split(";")]
    labels: dict[str, list[Row]] = {}
    for row in rows:
        labels.setdefault(row["label"], []).append(row)
    lines = [
        [" / ".join(filter(None, (cell(alike, name.strip()) for name in names))) for _, names in wanted]
        for alike in labels.values()
    ]
    return markdown([[head for head, _ in wanted], *lines])


def cell(alike: list[Row], name: str) -> str:
    """What the rows of one label have in a column; empty where they have nothing."""
    if name == "runs":
        return str(len(alike))
    held = name.replace("minutes", "seconds")
    texts = [row[held] for row in alike if held in row]
    if not texts or not (name == "steps" or "seconds" in held or "/" in name):
        return ", ".join(dict.fromkeys(texts))
    middle, some = mean(map(float, texts)), f" ({len(texts)} of {len(alike)})" * (len(texts) < len(alike))
    if "/" not in name:
        return (f"{middle / 60:.1f} min" if name != held else f"{middle:,.0f}" + " s" * ("seconds" in name)) + some
    words = name.rpartition("/")[2].split("_")  # a metric's name and a protocol's may have several
    named = ("_".join(words[:n]) for n in range(len(words), 0, -1))
    metric = declared(next((n for n in named if n in known_metrics()), words[0]))
    return metric.text(middle) + (f" ± {metric.text(stdev(map(float, texts)))}" if len(texts) > 1 else "") + some


def page(text: str, rows: list[Row]) -> str:
    """A page with its tables made anew.

    Raises:
        UserError: a table has no rows.
    """

    def made(found: re.Match[str]) -> str:
        begin, name, columns, end = found.groups()
        if not (own := [row for row in rows if row["table"] == name]):
            raise UserError(f"results.csv has no row of table {name!r}")
        return f"{begin}\n{table(own, columns)}\n\n{end}"

    return MARKED.sub(made, text)


def pages() -> list[Path]:
    """The pages that may hold tables."""
    return sorted([*RESULTS.glob("*.md"), *RESULTS.parent.glob("docs/*.md")])


def draw(curves: list[Row]) -> None:
    """PSNR over CPU seconds, a line for each run, and the figures that are aimed at; nothing without matplotlib."""
    try:
        from sr.figures.drawing import COLORS, STYLE, matplotlib
        from sr.figures.drawing import page as sheet
    except UserError:
        return
    labels = list(dict.fromkeys((row["label"], row["figure"]) for row in curves))
    with matplotlib.rc_context(STYLE):
        figure = sheet(6, 3.8)
        axes = figure.subplots()
        for (label, aim), shade in zip(labels, COLORS, strict=False):
            own = [row for row in curves if row["label"] == label]
            for n, seed in enumerate(dict.fromkeys(row["seed"] for row in own)):
                line = [r for r in own if r["seed"] == seed]
                at, psnr = ([float(r[k]) for r in line] for k in ("cpu_seconds", "psnr"))
                axes.plot(at, psnr, color=shade, marker="o", label="" if n else label)
            axes.axhline(float(aim), color=shade, linestyle="--", linewidth=0.8)
        axes.set(xlabel="CPU seconds", ylabel="PSNR on Set5, dB", ylim=(30.4, None))
        axes.legend(title="dashed: the papers' figures", loc="lower right")
        with replacing(RESULTS / "learning.png") as part:
            figure.savefig(part, dpi=100, metadata={"Software": None})


def main(words: list[str]) -> None:
    """Add rows, if folders are given, and write the pages."""
    parser = argparse.ArgumentParser(usage=__doc__, add_help=True)
    parser.add_argument("--add", metavar="TABLE")
    parser.add_argument("--label")
    parser.add_argument("--figure", type=float)
    parser.add_argument("folders", nargs="*", type=Path)
    typed = parser.parse_args(words)
    if bool(typed.folders) != bool(typed.add) or (typed.label and not typed.add):
        parser.error("--add TABLE and FOLDER... are typed together, of runs with --label NAME")
    rows, curves, new = rows_of(), rows_of(KEPT) if KEPT.is_file() else [], []
    if not typed.label:
        new += [row for folder in typed.folders for row in measured_rows(folder, typed.add)]
        anew = {(row["table"], row["label"]) for row in new}
        rows = [row for row in rows if (row["table"], row["label"]) not in anew]
    for run in (run for folder in typed.folders if typed.label for run in find_runs(folder)):
        new.append(row_of(run, typed.add, typed.label))
        if typed.figure is not None:
            curves += curve_of(run, new[-1], typed.figure)
    if new:
        keep([*rows, *new])
        keep(curves, KEPT, CURVES)
    if curves:
        draw(curves)
    for file in pages():
        with replacing(file) as part:
            part.write_text(page(file.read_text(encoding="utf-8"), rows + new), encoding="utf-8")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(str(error))
