"""Validation curves of groups of runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean

from sr.report.runs import Run

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
        log.warning('no picture of the curves: it needs matplotlib, pip install "sr[figures]"')
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
    picture.savefig(file)
    return True


def _validated(run: Run) -> Iterator[tuple[str, float, float]]:
    """(scale, step, PSNR in dB) of every validation; of a run on several scales for each of them."""
    several = isinstance(run.config.get("scale"), list)
    for row in run.curve:
        for key, value in row.items():
            words = key.split("/")
            if words[0] == "val" and words[-1].startswith("psnr") and len(words) == 2 + several:
                yield (words[1] if several else f"x{run.config.get('scale')}"), row["step"], value
