"""Curves of runs from their metrics.csv, for the page of a comparison, figures and sweeps."""

import logging
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf, isfinite
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from sr.compose.keys import typed_of
from sr.compose.words import Words
from sr.errors import installing
from sr.metrics.protocols import is_of
from sr.runs.config import flat
from sr.runs.differences import choices
from sr.runs.folder import Run
from sr.runs.same_data import begun_with
from sr.whole import replacing

log = logging.getLogger(__name__)
ABOUT = ("step", "epoch", "stage")  # columns of metrics.csv that are no values

Curve = Mapping[float, float]  # value by optimizer step


@dataclass(frozen=True)
class Line:
    """Several runs' curve: their mean at the steps that all of them have, and its standard deviation (0 of one run)."""

    steps: list[float]
    mean: list[float]
    deviation: list[float]


def mean_line(curves: Sequence[Curve]) -> Line:
    """The line of one or more curves."""
    first, *others = curves
    steps = sorted(step for step in first if all(step in other for other in others))
    if not others:  # of a page of 200 runs this is most of the time
        return Line(steps, [first[step] for step in steps], [0.0] * len(steps))
    values = [[curve[step] for curve in curves] for step in steps]
    return Line(steps, [fmean(own) for own in values], [stdev(own) for own in values])


def ended(runs: Sequence[Run]) -> list[Run]:
    """Of seeds of one kind those that are finished, if any is: others would cut the mean curve where they stopped."""
    return [run for run in runs if run.status == "finished"] or list(runs)


def by_name(run: Run) -> dict[str, dict[float, float]]:
    """What a run logged, value by step, by name; what is not finite is left out.

    Of stages that trained another scale the name tells it: "val/psnr_y, x2".
    """
    whole, found = run.config.get("scale"), dict[str, dict[float, float]]()
    for row, scale in by_scale(run):
        end = "" if scale == whole else f", {scale_title(scale)}"
        for name in row:
            if name not in ABOUT and isfinite(row[name]):
                found.setdefault(name + end, {})[row["step"]] = row[name]
    return found


def validations(runs: Sequence[Run]) -> list[str]:
    """What tells the validations of runs apart, for each: scale, LR, images; "" as far as nothing does.

    Figures that differ in it belong on no common axis. Of a run that does not tell its images nothing is known.
    """
    scales = [scale_title(run.config.get("scale")) for run in runs]
    kept = [[files.split(" ") for files in begun_with(run.folder).get("val", {}).values()] for run in runs]
    images = [frozenset(hr for hr, *_ in files) for files in kept]
    alike = len({*scales}) == len({*images}) == 1  # else LR that is read must be other LR
    read = [frozenset(tuple(lr) for _, *lr in files if lr and alike) for files in kept]
    chains = [flat({"degradation": run.config.get("degradation")}) for run in runs]
    made = [sorted(f"{k}={v}" for k, v in chain.items() if not k.endswith(".scale")) for chain in chains]
    names = [str((run.config.get("choices") or {}).get("degradation")) for run in runs]
    ends = [""] * len(runs)
    for kinds in (scales, _named("LR", [*zip(map(str, made), read, strict=True)], names), _named("images", images)):
        if len({*kinds} - {""}) > 1:
            ends = [f"{end}, {kind}" if kind else end for end, kind in zip(ends, kinds, strict=True)]
    return ends


def losses(runs: Sequence[Run]) -> list[str]:
    """What tells the losses apart that runs were trained with, their weights and ranges too, as `validations`."""
    configs = [run.config.get("loss") for run in runs]
    kinds = _named("loss", [str(c or "") for c in configs], [str(choices(run).get("loss")) for run in runs])
    return [f", {kind}" if kind and len({*kinds} - {""}) > 1 else "" for kind in kinds]


def _named(what: str, found: Sequence[Any], names: Sequence[str] = ()) -> list[str]:
    """A name for each of several things, the same for equal ones: `names`, if they tell so much, or numbers."""
    different = [*dict.fromkeys(filter(None, found))]
    if len(different) == len({*names}) == len({*zip(found, names, strict=False)}):
        return [*names]
    return [f"{what} {different.index(each) + 1}" if each else "" for each in found]


def plot(axes: Any, line: Line, label: str, **style: Any) -> None:
    """A line with a band of one standard deviation."""
    (drawn,) = axes.plot(line.steps, line.mean, label=label, **style)
    if any(line.deviation):
        low, high = ([m + sign * d for m, d in zip(line.mean, line.deviation, strict=True)] for sign in (-1, 1))
        axes.fill_between(line.steps, low, high, color=drawn.get_color(), alpha=0.2, linewidth=0)


def draw(groups: Mapping[str, Sequence[Run]], file: Path) -> bool:
    """Validation PSNR in dB over optimizer steps, a line for each group of runs.

    Each scale, protocol and set of images has a picture of its own.

    Returns:
        Whether there was anything to draw.
    """
    curves: dict[str, dict[str, list[Curve]]] = {}  # by what they are of, and label
    drawn = [(label, run) for label, runs in groups.items() for run in ended(runs)]
    for (label, run), end in zip(drawn, validations([run for _, run in drawn]), strict=True):
        end = end.removeprefix(f", {scale_title(run.config.get('scale'))}")  # which a title tells itself
        for title, own in psnr_by_scale(run).items():
            curves.setdefault(title + end, {}).setdefault(label, []).append(own)
    if not curves:
        return False
    try:
        from matplotlib.figure import Figure  # takes a second; no display is needed
        from matplotlib.style import context
    except ImportError:
        log.warning(f"no picture of the curves: it needs matplotlib, {installing('figures')}")
        return False
    except ValueError as error:  # see sr.figures.drawing
        log.warning(f"no picture of the curves: matplotlib does not start: {error}")
        return False

    # A dollar sign in a name would begin a formula; and see `sr.figures.drawing`.
    with context({"text.parse_math": False}, after_reset=True):
        picture = Figure(figsize=(6.4 * len(curves), 4.4), dpi=150, layout="constrained")
        every = picture.subplots(1, len(curves), squeeze=False)[0]
        for axes, (title, of_groups) in zip(every, curves.items(), strict=True):
            for label, each in of_groups.items():
                plot(axes, mean_line(each), label, linewidth=1.5, marker=".")
            axes.set(title=title, xlabel="optimizer steps", ylabel="validation PSNR (dB)")
            axes.locator_params(axis="x", integer=True)
            axes.grid(alpha=0.3)
            axes.legend(fontsize=8)
        with replacing(file) as part:
            picture.savefig(part)
    return True


def psnr_by_scale(run: Run) -> dict[str, dict[float, float]]:
    """The PSNR of every validation by scale and protocol, "x4, y"; of a run on several scales for each of them."""
    whole, found = run.config.get("scale"), dict[str, dict[float, float]]()
    for name, curve in by_name(run).items():
        name, _, other = name.partition(", ")
        words = name.split("/")
        title = other or scale_title(whole)
        if words[0] == "val" and is_of(words[-1], "psnr") and len(words) == 2 + (", " in title):
            scale, protocol = words[1] if ", " in title else title, words[-1].removeprefix("psnr_")
            found.setdefault(f"{scale}, {protocol}", {}).update(curve)
    return found


def patches_seen(run: Run, step: float) -> float:
    """Training patches, or clips, up to an optimizer step: those of each stage in batches of its own."""
    begin, seen = 0.0, 0.0
    for size, end in zip(_of_stages(run, "batch_size"), _stages(run)[1], strict=True):
        last = min(step, end)
        seen, begin = seen + max(0.0, last - begin) * (size or 1), last
    return seen


def _stages(run: Run) -> tuple[list[Any], list[float]]:
    """What each stage sets, and the step at which it ends; infinity for the last one, which ends with the run."""
    stages = [stage or {} for stage in (run.config.get("stages") or {}).values()] or [{}]
    ends = accumulate(steps or 0 for steps in _of_stages(run, "steps"))
    return stages, [*list(ends)[:-1], inf]


def _of_stages(run: Run, key: str) -> list[Any]:
    """A key in each stage: what was typed for all goes before what a recipe says of one."""
    whole, typed = run.config.get(key), Words(run.overrides).keys
    stages = (run.config.get("stages") or {"": {}}).items()
    return [
        whole if key in typed and not typed_of(name, key, typed) else (stage or {}).get(key, whole)
        for name, stage in stages
    ]


def by_scale(run: Run) -> Iterator[tuple[dict[str, float], Any]]:
    """Each row of metrics.csv with the scale, or the list of scales, that was trained in its stage."""
    whole, (stages, ends) = run.config.get("scale"), _stages(run)
    for row in run.curve:
        # What a row says of its stage is sure; those of validation alone say nothing.
        number = int(row["stage"]) - 1 if "stage" in row else bisect_left(ends[:-1], row["step"])
        yield row, stages[min(number, len(stages) - 1)].get("scale", whole)


def scale_title(scale: Any) -> str:
    """4 -> "x4", [2, 3] -> "x2, x3"."""
    return ", ".join(f"x{s}" for s in (scale if isinstance(scale, list) else [scale]))
