"""The figures of a study as a picture: a point and its interval for each model."""

from dataclasses import asdict

from sr.figures.drawing import Drawing, color, page, styled
from sr.scores.rated import TITLES
from sr.study.analysis import Findings

AXES = {
    "bt": "Bradley-Terry score, log-odds (right: preferred)",
    "mos": "mean opinion score, 1 (bad) to 5 (excellent)",
}


@styled
def drawn(findings: Findings, metric: str) -> Drawing:
    """The best model on top; points and 95 % intervals."""
    rated = findings.rated
    figure = page(6.2, 1.0 + 0.32 * len(rated))
    ax = figure.subplots()
    places = range(len(rated), 0, -1)
    values = [r.value for r in rated]
    reach = [[r.value - r.low for r in rated], [r.high - r.value for r in rated]]
    ax.errorbar(values, list(places), xerr=reach, fmt="o", color=color(0), ecolor=color(0), capsize=3, markersize=5)
    for place, r in zip(places, rated, strict=True):
        ax.annotate(f"{r.value:.2f}", (r.value, place), (0, 5), textcoords="offset points", ha="center", fontsize=7)
    ax.set_yticks(list(places), [r.entry for r in rated])
    ax.set(ylim=(0.4, len(rated) + 0.7), xlabel=AXES[metric])
    ax.grid(axis="y", visible=False)
    if metric == "mos":
        ax.set(xlim=(0.9, 5.1), xticks=range(1, 6))
    else:
        ax.axvline(0, color="#999999", linewidth=0.8, zorder=0)
    ax.set_title(f"{TITLES[metric]}, 95 % intervals, {rated[0].raters} raters")
    return Drawing(figure, [asdict(r) for r in rated])
