"""How much a validation figure jumps from one measurement to the next."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from sr.errors import UserError
from sr.figures.curves import common, curve, groups, meaning
from sr.figures.drawing import Drawing, color, marker, page, styled
from sr.runs.folder import Run


def jitter_of(values: np.ndarray, share: float = 0.5) -> float:
    """Standard deviation of the steps between successive values, over sqrt(2), in the last `share` of a curve.

    For values that scatter independently around a straight line this is the standard deviation of that scatter,
    whatever the slope. nan for fewer than three values.
    """
    late = values[-max(round(len(values) * share), 1) :]
    return float(np.std(np.diff(late), ddof=1) / np.sqrt(2)) if len(late) >= 3 else float("nan")


@styled
def jitter(
    runs: Sequence[Run], key: str | None = None, share: float = 0.5, labels: Sequence[str] | None = None
) -> Drawing:
    """Validation curves of runs, and how much each jumps in its last part.

    Wang, Dong and Shan, RepSR, ACM MM 2022 (https://arxiv.org/abs/2205.05671): with batch norm validation goes up and
    down until the population's statistics are used in training too.

    Args:
        runs: one curve and one bar each.
        key: column of metrics.csv; None: the validation's PSNR.
        share: of the curve that is measured, from its end, above 0 and at most 1.
        labels: names of the runs, in order; None: what tells them apart.

    Raises:
        UserError: a run without this column; a share that is none; validations that belong on no common axis; no
            run with enough values for a figure.
    """
    if not 0 < share <= 1:
        raise UserError(f"figure.share={share}: the part of each curve that is measured, above 0 and at most 1")
    rows: list[dict[str, Any]] = []
    lines, drawn = [], []
    for number, (label, members) in enumerate(groups(runs, labels).items()):
        for run in members:
            column, steps, values = curve(run, key)
            row = {"label": label, "run": str(run.folder), "seed": run.seed, "column": column, "values": len(values)}
            rows.append({**row, "jitter": jitter_of(values, share), "last": float(values[-1])})
            lines.append((number, label, steps, values))
            drawn.append(run)
    column = common("jitter", [str(row["column"]) for row in rows], drawn)
    unit, _ = meaning(column)
    short = [row for row in rows if not np.isfinite(row["jitter"])]
    if len(short) == len(rows):
        most = max(row["values"] for row in rows)
        mend = "Type figure.share=1, or train" if most >= 3 else f"The longest curve has {most} in all: train again"
        raise UserError(
            f"figure=jitter: no run has 3 values of {column} in the last {share:.0%} of its curve, which a "
            f"jitter takes. {mend} with a smaller val_every_steps"
        )
    notes = [
        f"no jitter of {row['label']}, seed {row['seed']}: it has {row['values']} values in all, and 3 in the last "
        f"{share:.0%} are needed"
        for row in short
    ]
    figure = page(9, max(3.2, 1.2 + 0.32 * len(rows)))
    left, right = figure.subplots(1, 2, width_ratios=[1.7, 1])
    seen: set[str] = set()
    for number, label, steps, values in lines:
        name = "_" if label in seen else label  # an underscore keeps a line out of the legend
        left.plot(steps, values, color=color(number), marker=marker(number), markersize=3, label=name)
        seen.add(label)
    left.set(xlabel="optimizer steps", ylabel=f"{column}{unit}")
    if (lowest := min(v[len(v) // 10 :].min() for *_, v in lines)) < (highest := max(v.max() for *_, v in lines)):
        left.set_ylim(lowest - 0.05 * (highest - lowest), highest + 0.05 * (highest - lowest))
    if len(seen) > 1:
        left.legend(loc="lower right")
    heights = np.arange(len(rows))[::-1]
    right.barh(heights, [row["jitter"] for row in rows], color=[color(line[0]) for line in lines], height=0.6)
    several = len(rows) > len(seen)
    names = [f"{row['label']}, seed {row['seed']}" if several else row["label"] for row in rows]
    right.set_yticks(heights, [textwrap.fill(name, 24) for name in names])
    for height, value in zip(heights, [row["jitter"] for row in rows], strict=True):
        if np.isfinite(value):
            right.annotate(f" {value:.3f}", (value, height), va="center", fontsize=8)
    right.margins(x=0.2)
    right.grid(axis="y", visible=False)
    right.set(xlabel=f"jitter in the last {share:.0%} of the run{unit}")
    return Drawing(figure, rows, notes)
