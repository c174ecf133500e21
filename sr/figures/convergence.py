"""Validation curves of runs in one picture: which optimizer, loss or network gets where, and when."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sr.errors import UserError
from sr.figures.curves import curve, groups
from sr.figures.drawing import Drawing, color, marker, page, styled
from sr.runs.folder import Run


def first_reached(at: np.ndarray, values: np.ndarray, level: float) -> float:
    """The first step at which a curve is at `level` or above; nan where it never is."""
    return float(at[values >= level][0]) if (values >= level).any() else float("nan")


def mean_curve(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps that all curves share, the mean of their values there, and the standard deviation (0 for one curve)."""
    shared = sorted(set.intersection(*(set(steps) for steps, _ in curves)))
    table = np.asarray([[dict(zip(*pair, strict=True))[step] for step in shared] for pair in curves])
    spread = table.std(0, ddof=1) if len(curves) > 1 else np.zeros(len(shared))
    return np.asarray(shared), table.mean(0), spread


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
        UserError: a run without this column; seeds of one kind that share no step.
    """
    members = groups(runs, labels)
    found = {label: [curve(run, key) for run in group] for label, group in members.items()}
    column = next(iter(found.values()))[0][0]
    lines = []
    for label, curves in found.items():
        factor = float(members[label][0].config.get("batch_size") or 1) if by_images else 1.0
        steps, mean, spread = mean_curve([(steps, values) for _, steps, values in curves])
        if not len(steps):
            raise UserError(
                f"the runs of {label} were validated at no step that all of them have: name them apart with "
                "figure.labels=[...], one for each run"
            )
        lines.append((label, steps * factor, mean, spread))
    level = min(float(mean.max()) for _, _, mean, _ in lines)
    rows: list[dict[str, Any]] = []
    figure = page(6, 3.8)
    ax = figure.subplots()
    for number, (label, at, mean, spread) in enumerate(lines):
        row = {"label": label, "runs": len(members[label]), "column": column, "last": float(mean[-1])}
        row |= {"best": float(mean.max()), "deviation_at_the_end": float(spread[-1]), "level": level}
        rows.append({**row, "level_reached_at": first_reached(at, mean, level)})
        ax.plot(at, mean, color=color(number), marker=marker(number), label=label, markevery=max(1, len(at) // 12))
        if spread.any():
            ax.fill_between(at, mean - spread, mean + spread, color=color(number), alpha=0.2, linewidth=0)
    if len(lines) > 1:
        ax.axhline(level, color="#555555", linewidth=0.8, linestyle="--")
        text = f"{level:.2f} dB, which all reach"
        paper = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1}
        style: Any = {"fontsize": 7, "color": "#555555", "bbox": paper, "textcoords": "offset points"}
        ax.annotate(text, (0.01, level), xycoords=("axes fraction", "data"), xytext=(0, 3), **style)
    if log_steps:
        ax.set_xscale("log")
    ax.set(xlabel="training patches seen" if by_images else "optimizer steps", ylabel=f"{column}, dB")
    ax.legend(loc="lower right")
    return Drawing(figure, rows)
