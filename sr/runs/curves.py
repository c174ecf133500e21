"""Validation curves of groups of runs."""

import logging
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from math import isfinite
from pathlib import Path
from statistics import mean
from typing import Any

from sr.runs.folder import Run
from sr.whole import replacing

log = logging.getLogger(__name__)

Points = dict[float, list[float]]  # step -> PSNR of each run


def draw(groups: Mapping[str, Sequence[Run]], file: Path) -> bool:
    """Validation PSNR in dB over optimizer steps, one picture per scale: mean over a group's runs, range as a band.

    Returns:
        Whether there was anything to draw.
    """
    curves: dict[str, dict[str, Points]] = {}  # scale -> label -> points
    for label, runs in groups.items():
        for run in runs:
            for scale, step, value in _validated(run):
                curves.setdefault(scale, {}).setdefault(label, {}).setdefault(step, []).append(value)
    if not curves:
        return False
    try:
        from matplotlib.figure import Figure  # takes a second; no display is needed
    except ImportError:
        log.warning('no picture of the curves: it needs matplotlib, pip install "sr-lab[figures]"')
        return False

    picture = Figure(figsize=(6.4 * len(curves), 4.4), dpi=150, layout="constrained")
    every = picture.subplots(1, len(curves), squeeze=False)[0]
    for axes, (scale, of_groups) in zip(every, curves.items(), strict=True):
        for label, points in of_groups.items():
            steps = sorted(points)
            (line,) = axes.plot(steps, [mean(points[s]) for s in steps], label=label, linewidth=1.5, marker=".")
            if any(len(values) > 1 for values in points.values()):
                low, high = [min(points[s]) for s in steps], [max(points[s]) for s in steps]
                axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
        axes.set(title=scale, xlabel="optimizer steps", ylabel="validation PSNR (dB)")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    with replacing(file) as part:
        picture.savefig(part)
    return True


def _validated(run: Run) -> Iterator[tuple[str, float, float]]:
    """(scale, step, PSNR in dB) of every validation; of a run on several scales for each of them."""
    for row, trained in by_scale(run):
        several = isinstance(trained, list) and len(trained) > 1
        for key, value in row.items():
            words = key.split("/")
            named = words[0] == "val" and words[-1].startswith("psnr") and len(words) == 2 + several
            if named and isfinite(value):
                yield (words[1] if several else scale_title(trained)), row["step"], value


def by_scale(run: Run) -> Iterator[tuple[dict[str, float], Any]]:
    """Each row of metrics.csv with the scale, or the list of scales, that was trained in its stage."""
    whole, steps = run.config.get("scale"), run.config.get("steps")
    stages = [stage or {} for stage in (run.config.get("stages") or {}).values()]
    typed = any(override.startswith("steps=") for override in run.overrides)  # then they hold in every stage
    ends = list(accumulate((steps if typed else stage.get("steps", steps)) or 0 for stage in stages))
    for row in run.curve:
        # What a row says of its stage is sure; those of validation alone say nothing.
        number = int(row["stage"]) - 1 if "stage" in row else bisect_left(ends, row["step"])
        yield row, stages[min(number, len(stages) - 1)].get("scale", whole) if stages else whole


def mean_curve(curves: Sequence[Mapping[float, float]]) -> list[tuple[float, float]]:
    """(step, mean) over the curves (values by step), at the steps that all of them have."""
    first, *others = curves
    shared = sorted(step for step in first if all(step in other for other in others))
    return [(step, first[step] if not others else mean(curve[step] for curve in curves)) for step in shared]


def scale_title(scale: Any) -> str:
    """4 -> "x4", [2, 3] -> "x2, x3"."""
    return ", ".join(f"x{s}" for s in (scale if isinstance(scale, list) else [scale]))
