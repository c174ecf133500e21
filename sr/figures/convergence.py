"""Validation curves of runs in one picture: which optimizer, loss or network gets where, and when."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from sr.errors import UserError
from sr.figures.curves import common, curve, groups, meaning
from sr.figures.drawing import Drawing, color, marker, page, plain_numbers, styled
from sr.runs.curves import Line, ended, mean_line, patches_seen, plot
from sr.runs.folder import Run


def first_reached(line: Line, level: float, better: int = 1) -> float:
    """The first step at which a curve is at `level` or better (see `meaning`); nan where it never is."""
    reached = (step for step, value in zip(line.steps, line.mean, strict=True) if better * (value - level) >= 0)
    return next(reached, float("nan"))


@styled
def convergence(
    runs: Sequence[Run],
    key: str | None = None,
    by_images: bool = False,
    log_steps: bool = False,
    labels: Sequence[str] | None = None,
) -> Drawing:
    """One line for each kind of run, the mean over its seeds with a band of one standard deviation.

    The reading note on SRCNN found SGD, with which it was published, far slower than Adam: give a run of
    recipe=srcnn_sgd and one of recipe=srcnn.

    Args:
        runs: those of one name are seeds of one kind.
        key: column of metrics.csv; None: the validation's PSNR.
        by_images: over the patches seen instead of the optimizer steps, which is fair where batches differ in size.
        log_steps: a logarithmic axis, as in SRCNN's paper.
        labels: names of the runs, in order; the same name for runs that belong together.

    Raises:
        UserError: a run without this column; validations at several scales, under several protocols, of different
            images or on LR of several kinds; seeds of one kind that share no step.
    """
    given = groups(runs, labels)
    members = {label: ended(group) for label, group in given.items()}
    notes = [
        f"{label}: {len(group) - len(members[label])} of {len(group)} runs did not finish and are left out"
        for label, group in given.items()
        if len(members[label]) < len(group)
    ]
    found = {label: [curve(run, key) for run in group] for label, group in members.items()}
    place = patches_seen if by_images else lambda _, step: step
    columns = [each for curves in found.values() for each, *_ in curves]
    column = common("convergence", columns, [*chain(*members.values())])
    lines = []
    for label, curves in found.items():
        line = mean_line(
            [
                {place(run, step): value for step, value in zip(steps.tolist(), values.tolist(), strict=True)}
                for run, (_, steps, values) in zip(members[label], curves, strict=True)
            ]
        )
        if not line.steps:
            raise UserError(
                f"the runs of {label} were validated at no step that all of them have: name them apart with "
                "figure.labels=[...], one for each run"
            )
        lines.append((label, line))
    unit, better = meaning(column)
    best, worst = (max, min) if better > 0 else (min, max)
    level = worst(best(line.mean) for _, line in lines)
    rows: list[dict[str, Any]] = []
    figure = page(6, 3.8)
    ax = figure.subplots()
    for number, (label, line) in enumerate(lines):
        row = {"label": label, "runs": len(members[label]), "column": column, "last": line.mean[-1]}
        row |= {"best": best(line.mean) if better else None, "deviation_at_the_end": line.deviation[-1]}
        reached = (level, first_reached(line, level, better)) if better else (None, None)
        rows.append({**row, **dict(zip(("level", "level_reached_at"), reached, strict=True))})
        every = max(1, len(line.steps) // 12)
        plot(ax, line, label, color=color(number), marker=marker(number), markevery=every)
    if len(lines) > 1 and better:
        told = f"{level:.4g}{unit.lstrip(',')}, which all reach"  # in the legend, as it would lie on curves
        ax.axhline(level, color="#555555", linewidth=0.8, linestyle="--", label=told)
    if log_steps:
        ax.set_xscale("log")
        plain_numbers(ax.xaxis, (2, 5))
    else:
        ax.locator_params(axis="x", integer=True)
    ax.set(xlabel="training patches seen" if by_images else "optimizer steps", ylabel=f"{column}{unit}")
    ax.legend(loc="upper right" if better < 0 else "lower right")  # where curves end elsewhere
    return Drawing(figure, rows, notes)
