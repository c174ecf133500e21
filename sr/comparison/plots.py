"""What is drawn over runs: training curves, and PSNR against cost with the papers' points beside ours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sr.comparison.columns import Table
from sr.comparison.rows import Row, lr_settings
from sr.metrics.protocol import get_protocol
from sr.runs.curves import by_scale, scale_title
from sr.runs.folder import Run
from sr.scores.published import published, published_costs
from sr.scores.score import Score

POINTS = 400  # of a curve, at most
NOT_DRAWN = ("step", "epoch", "stage")
PLAIN = ("bicubic", "LR_bicubic", "null")  # values of a run's settings of LR with which it is the papers'


@dataclass(frozen=True)
class Point:
    """One model at one scale."""

    label: str
    psnr: float  # dB
    macs: int | None  # of 1280x720; None for the baseline
    parameters: int | None
    paper: bool  # published, not measured here


@dataclass(frozen=True)
class CostPicture:
    """PSNR against cost on one set."""

    dataset: str
    scale: int
    protocol: str
    points: list[Point]

    @property
    def title(self) -> str:
        return f"{self.dataset} x{self.scale}, {self.protocol}"


def cost_pictures(table: Table) -> list[CostPicture]:
    """One picture for each set, scale and protocol on which something was measured; those with most models first."""
    found: dict[tuple[str, int, str, int], list[Point]] = {}
    other_lr = set()
    for line in table.lines:
        price = line.row.price
        if (price is None and not line.row.baseline) or not line.row.final:
            continue
        macs, parameters = (price.counts.macs, price.parameters) if price else (None, None)
        for s in line.row.scores:
            kind = s.dataset, s.scale, s.protocol, s.images
            if s.metric == "psnr" and math.isfinite(s.value):
                found.setdefault(kind, []).append(Point(line.row.label, s.value, macs, parameters, paper=False))
            if _of_other_lr(line.row, s):
                other_lr.add(kind)
    pictures = []
    for kind, ours in found.items():
        if any(point.macs for point in ours):
            dataset, scale, protocol, _ = kind
            theirs = [] if kind in other_lr else paper_points(*kind)
            pictures.append(CostPicture(dataset, scale, protocol, ours + theirs))
    return sorted(pictures, key=lambda picture: -sum(not point.paper for point in picture.points))


def _of_other_lr(row: Row, s: Score) -> bool:
    """Whether a score, as far as is known, is on LR that is not the papers' plain bicubic."""
    if get_protocol(s.protocol).defines_lr:
        return False
    run = row.source.run if row.source else None
    values = [setting.partition("=")[2].strip("'\"") for setting in lr_settings(run.overrides if run else ())]
    return s.dataset in row.other_lr or any(value not in PLAIN for value in values)


def paper_points(dataset: str, scale: int, protocol: str, images: int) -> list[Point]:
    """The models of which both PSNR and cost are published."""
    found = []
    for (model, at), cost in published_costs().items():
        known = at == scale and cost["macs_g"] and cost["parameters"]
        if known and (paper := published(model, scale, dataset, protocol, images)):
            macs, parameters = round(float(cost["macs_g"]) * 1e9), int(cost["parameters"])
            found.append(Point(model, paper.values["psnr"], macs, parameters, paper=True))
    return found


def curves(runs: Sequence[tuple[str, Run]]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """(step, value) by logged name and label, thinned out evenly; validation first.

    Of a run whose stages train different scales, each curve stands for itself: `val/psnr_y, x2`. What is not finite
    is left out.
    """
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for label, run in runs:
        whole = run.config.get("scale")
        for row, scale in by_scale(run):
            end = "" if scale == whole else f", {scale_title(scale)}"
            for name in row.keys() - set(NOT_DRAWN):
                if math.isfinite(row[name]):
                    found.setdefault(name + end, {}).setdefault(label, []).append((row["step"], row[name]))
    drawn = {}
    for name in sorted(found, key=lambda n: (not n.startswith("val/psnr"), not n.startswith("val"), n)):
        long = {label: points for label, points in found[name].items() if len(points) > 1}
        if long and not name.startswith("test"):
            drawn[name] = {label: _thin(points) for label, points in long.items()}
    return drawn


def _thin(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if len(points) <= POINTS:
        return points
    return [points[round(i * (len(points) - 1) / (POINTS - 1))] for i in range(POINTS)]
