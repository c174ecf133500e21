"""What is drawn over runs: training curves, and PSNR against cost with the papers' points beside ours."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sr.comparison.columns import Table
from sr.comparison.rows import Row, lr_settings
from sr.metrics.protocols import get_protocol
from sr.runs.curves import Curve, by_name, ended, mean_line, scale_title, validations
from sr.runs.folder import Run
from sr.scores.cost_points import axes, published_points
from sr.scores.same_images import unlike_papers
from sr.scores.score import Score

POINTS = 400  # of a curve, at most
ALL_POINTS = 60_000  # of all curves of a page, but for the few that the coarsest one has
FEWEST = 30
PLAIN = ("bicubic", "LR_bicubic", "null")  # values of a run's settings of LR with which it is the papers'


def cost_pictures(table: Table) -> list[dict[str, Any]]:
    """PSNR against cost for each set, scale and protocol on which something was measured; those with most models first.

    Returns:
        Each {"title": ..., "points": [...], "x": range, "y": range}; a point has
        `label`, `psnr` in dB, `macs` of 1280x720 and `parameters`
        (None for the baseline), `name` of the network, `uncounted`: it has more multiply-adds than these, and `paper`:
        published, not measured here.
    """
    found: dict[tuple[str, int, str, int], list[dict[str, Any]]] = {}
    other_lr, unlike = set(), unlike_papers(s for line in table.lines for s in line.row.scores)
    for row in (line.row for line in table.lines):
        price = row.price
        if (price is None and not row.baseline) or not row.final:
            continue
        cost = (price.counts.macs, price.parameters) if price else (None, None)
        name = row.source.name if row.source else row.label
        for s in row.scores:
            kind = s.dataset, s.scale, s.protocol, s.images
            if s.metric == "psnr" and math.isfinite(s.value):
                more = bool(price and price.counts.unknown)
                found.setdefault(kind, []).append(_point(row.label, s.value, *cost, name=name, uncounted=more))
            if _of_other_lr(row, s) or s.left_out or (s.dataset, s.scale) in unlike:
                other_lr.add(kind)
    several = Counter(kind[:3] for kind in found)  # of which the titles tell the number of images
    pictures = [
        _picture(*kind, ours + ([] if kind in other_lr else _papers(*kind)), several[kind[:3]] > 1)
        for kind, ours in found.items()
        if any(point["macs"] for point in ours)
    ]
    return sorted(pictures, key=lambda picture: -sum(not point["paper"] for point in picture["points"]))


def _point(label: str, psnr: float, macs: int | None, parameters: int | None, **more: Any) -> dict[str, Any]:
    return {"label": label, "psnr": psnr, "macs": macs, "parameters": parameters, "paper": False, **more}


def _papers(dataset: str, scale: int, protocol: str, images: int) -> list[dict[str, Any]]:
    """The models of which both PSNR and cost are published; those with a figure that was not checked say so."""
    return [
        _point(
            p["model"] + (" (recalled)" if p["kind"] == "recalled" else ""),
            p["psnr"], round(p["macs_g"] * 1e9), p["parameters"], paper=True,
        )
        for p in published_points(scale, dataset, [protocol], images)
    ]  # fmt: skip


def _picture(
    dataset: str, scale: int, protocol: str, images: int, points: Sequence[Mapping[str, Any]], several: bool
) -> dict[str, Any]:
    """With the range of its axes: x in G multiply-adds, y in dB."""
    bicubic = next((p["psnr"] for p in points if p["macs"] is None), None)
    at = {id(p): (p["macs"] / 1e9, p["psnr"]) for p in points if p["macs"]}
    x, y = axes(list(at.values()), scale, bicubic, [at[id(p)] for p in points if p["paper"]])
    title = f"{dataset} x{scale}, {protocol}{f', {images} images' if several else ''}"
    return {"title": title, "points": points, "x": x, "y": y}


def _of_other_lr(row: Row, s: Score) -> bool:
    """Whether a score, as far as is known, is on LR that is not the papers' plain bicubic."""
    if s.lr or get_protocol(s.protocol).defines_lr:
        return not s.plain
    run = row.source.run if row.source else None
    values = [setting.partition("=")[2].strip("'\"") for setting in lr_settings(run.overrides if run else ())]
    return s.dataset in row.other_lr or any(value not in PLAIN for value in values)


def curves(runs: Sequence[tuple[str, Run]]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """(step, value) by logged name and label, thinned out evenly; validation first.

    Of a run whose stages train different scales, each curve stands for itself: `val/psnr_y, x2`; so do validations at
    several scales, of different images or on other LR, and all curves of one label at several scales. Runs of one label
    are one curve: the mean at the steps that all of them have; those that are not finished count where none is.
    """
    kinds: dict[tuple[str, str], list[Run]] = {}
    for label, run in runs:
        kinds.setdefault((label, scale_title(run.config.get("scale"))), []).append(run)
    counted = {id(run) for own in kinds.values() for run in ended(own)}
    runs = [(label, run) for label, run in runs if id(run) in counted]
    of_labels: dict[str, list[tuple[Run, str]]] = {}
    for (label, run), end in zip(runs, validations([run for _, run in runs]), strict=True):
        of_labels.setdefault(label, []).append((run, end))
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for label, own_runs in of_labels.items():  # one after the other: whole curves of 200 runs would take gigabytes
        single: dict[str, list[Curve]] = {}
        several = len({scale_title(run.config.get("scale")) for run, _ in own_runs}) > 1
        for run, end in own_runs:
            for name, curve in by_name(run).items():
                if ", " not in name:
                    own = scale_title(run.config.get("scale")) if several else ""
                    name += end if name.startswith("val/") else own and f", {own}"
                single.setdefault(name, []).append(curve)
        for name, line in ((name, mean_line(of)) for name, of in single.items()):
            found.setdefault(name, {})[label] = _thin(list(zip(line.steps, line.mean, strict=True)), POINTS)
    drawn = {}
    for name in sorted(found, key=lambda n: (not n.startswith("val/psnr"), not n.startswith("val"), n)):
        long = {label: points for label, points in found[name].items() if len(points) > 1}
        if long and not name.startswith("test"):
            drawn[name] = long
    most = max(FEWEST, min(POINTS, ALL_POINTS // max(1, sum(map(len, drawn.values())))))
    return {name: {label: _thin(points, most) for label, points in long.items()} for name, long in drawn.items()}


def _thin(points: list[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """So many of them, evenly, the first and the last among them; values to six digits, as far as a chart shows."""
    kept = points if len(points) <= most else [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]
    return [(round(step), float(f"{value:.6g}")) for step, value in kept]
