"""PSNR against cost, on the page of a comparison and in figures: the papers' points, and the range of the axes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sr.scores.published import published, published_costs

Range = tuple[float, float]
FACTOR = 10.0  # times the costliest, or a part of the cheapest, published network: what lies beyond is an outlier
BELOW, ABOVE = 1.0, 2.0  # dB below bicubic, above the best published figure


def published_points(
    scale: int, dataset: str, protocols: Sequence[str], images: int | None = None
) -> list[dict[str, Any]]:
    """The models whose cost and PSNR are published, each under the first protocol that has a figure.

    Args:
        scale: enlargement factor.
        dataset: the set's name in tables.
        protocols: in order of preference.
        images: how many were measured of the set; None for all.

    Returns:
        `model`, `parameters`, `macs_g`, `psnr`, `protocol`, `kind` ("recalled" where one of its figures was not
        checked, else "published"), the kinds of each figure and the sources.
    """
    points = []
    for row in (r for (_, at), r in published_costs().items() if at == scale and r["macs_g"] and r["parameters"]):
        papers = (published(row["model"], scale, dataset, protocol, images) for protocol in protocols)
        if found := next(filter(None, papers), None):
            kinds = {f"{cell}_kind": row[f"{cell}_kind"] for cell in ("parameters", "macs")}
            kinds["psnr_kind"] = found.source_kind
            kind = "recalled" if "memory" in kinds.values() else "published"
            point = {"model": row["model"], "parameters": int(row["parameters"]), "macs_g": float(row["macs_g"])}
            point |= {"psnr": found.values["psnr"], "protocol": found.protocol, "kind": kind, **kinds}
            points.append(point | {"source": found.source, "cost_source": row["source"]})
    return points


def axes(
    points: Sequence[Range], scale: int, bicubic: float | None, papers: Sequence[Range] = ()
) -> tuple[Range, Range]:
    """The range of multiply-adds, and of PSNR, that a picture shows: that of its points which are real networks.

    A point beyond belongs to the edge, with an arrow: a network of a few weights, or a hardly trained one, would press
    all others together. Where nothing lies within, all of it is shown.

    Args:
        points: multiply-adds in G and PSNR in dB.
        scale: enlargement factor, by which published costs are looked up.
        bicubic: its PSNR on the set, if it is known: what lies more than `BELOW` under it has not been trained. Else
            the least published figure stands for it.
        papers: those of the points that are published.
    """
    costs = [float(r["macs_g"]) for (_, at), r in published_costs().items() if at == scale and r["macs_g"]]
    cheapest, costliest = (min(costs) / FACTOR, max(costs) * FACTOR) if costs else (0.0, math.inf)
    least = min((psnr for _, psnr in papers), default=-math.inf) if bicubic is None else bicubic
    lowest = least - BELOW
    highest = max((psnr for _, psnr in papers), default=math.inf) + ABOVE
    macs = [x for x, _ in points if cheapest <= x <= costliest] or [x for x, _ in points]
    psnrs = [y for _, y in points if lowest <= y <= highest] or [y for _, y in points]
    return (min(macs), max(macs)), (min(psnrs), max(psnrs))


def inside(point: Range, within: tuple[Range, Range]) -> Range:
    """A point, or the place at the edge that stands for it."""
    (x0, x1), (y0, y1) = within
    return min(max(point[0], x0), x1), min(max(point[1], y0), y1)


def arrow(point: Range, within: tuple[Range, Range]) -> str:
    """Where a point beyond the edge lies: one of ← → ↑ ↓, or two; "" within."""
    (x0, x1), (y0, y1) = within
    across = "←" if point[0] < x0 else "→" if point[0] > x1 else ""
    return across + ("↓" if point[1] < y0 else "↑" if point[1] > y1 else "")


def told(point: Mapping[str, Any], away: str) -> str:
    """What the label of a point at the edge says beside its name: its figures, with the arrow."""
    return f"{point['psnr']:.2f} dB, {point['macs_g']:.3g} G {away}" if away else ""
