"""What a network costs against what it reaches: published figures, and runs beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.lines import Line2D

from sr.errors import UserError, nearest
from sr.figures.drawing import Drawing, Figure, color, page, plain_numbers, styled
from sr.figures.label_placement import place_labels
from sr.measuring.cost import cost, lr_size
from sr.metrics.protocols import get_protocol
from sr.runs.construct import construct
from sr.runs.folder import Run
from sr.scores.cost_points import arrow, axes, inside, published_points, told
from sr.scores.published import IMAGES, published_costs
from sr.scores.same_images import unlike_papers

PER_MILLION = 420.0  # points squared of a bubble, for each million of parameters
ARROWS = {"←": "<", "→": ">", "↑": "^", "↓": "v"}  # matplotlib's marks
CENTRE = 4.0  # points squared of the dot within it, which is seen where the bubble is too small


def run_points(runs: Sequence[Run], scale: int, dataset: str, protocols: Sequence[str]) -> list[dict[str, Any]]:
    """Runs measured on all of this set at this scale, on the papers' images and LR, as they ended.

    Cost is counted merged, on LR that gives 720p.
    """
    points = []
    for run in runs:
        found = [
            s
            for protocol in reversed(protocols)  # the last one found is of the first one there is
            for s in run.scores
            if (s.dataset, s.scale, s.protocol, s.metric, s.model) == (dataset, scale, protocol, "psnr", run.name)
            and s.images == IMAGES.get(dataset, s.images)
            and s.plain
            and not s.left_out  # as the figures beside it
            and (dataset, scale) not in unlike_papers(run.scores)
        ]
        if not found:
            continue
        model = construct(run.config["model"], run.folder).merged()
        counts = cost(model, lr_size(scale), scale)
        parameters = sum(p.numel() for p in model.parameters())
        point = {"model": run.name, "parameters": parameters, "macs_g": counts.macs / 1e9}
        last = {"psnr": found[-1].value, "protocol": found[-1].protocol, "kind": "ours", "source": str(run.folder)}
        last |= dict.fromkeys(("parameters_kind", "macs_kind", "psnr_kind"), "measured")
        if counts.unknown:
            last |= {"model": f"{run.name} + ?", "macs_kind": f"measured, without {', '.join(counts.unknown)}"}
        points.append(point | last)
    return points


@styled
def bubble(
    runs: Sequence[Run] = (),
    scale: int | None = None,
    dataset: str = "Set5",
    protocols: Sequence[str] = ("y", "y_uint8", "y_classic", "y_float"),
    models: Sequence[str] | None = None,
) -> Drawing:
    """PSNR over multiply-adds; a bubble's area is the number of parameters, its colour the protocol.

    Args:
        runs: drawn with a black edge, where they were measured on this set.
        scale: one at a time; None: 4.
        dataset: as in tables: Set5, Set14, B100, Urban100.
        protocols: in order of preference; a figure counts under its own alone, which is why the colour tells it.
        models: names of published models to draw; None: all.

    Raises:
        UserError: no model of such a name is published, or nothing is left to draw.
    """
    scale = scale or 4
    there = dict.fromkeys(name for name, _ in published_costs())
    for name in models or ():
        if name not in there:
            raise UserError(
                f"figure.models={name}: no such network's cost is published.{nearest(name, there)} There are "
                f"{', '.join(sorted(there))}"
            )
    known = [get_protocol(name).name for name in protocols]
    points = [p for p in published_points(scale, dataset, known) if models is None or p["model"] in models]
    ours = run_points(runs, scale, dataset, known)
    notes = [
        f"no figure and cost of {name} on {dataset} x{scale} under {', '.join(known)} are published"
        for name in models or ()
        if all(p["model"] != name for p in points)
    ]
    if skipped := len(runs) - len(ours):
        notes.append(
            f"{skipped} of {len(runs)} runs have no figure on all of {dataset} x{scale}, on the papers' images and LR, "
            f"under {', '.join(known)}"
        )
    kinds = dict.fromkeys((p["model"], p["macs_kind"]) for p in ours if p["macs_kind"] != "measured")
    notes += [f"{model}: multiply-adds {kind}, which the counter does not know" for model, kind in kinds]
    points += ours
    if not points:
        raise UserError(
            f"no figure on {dataset} x{scale} under {', '.join(known)}: try figure.dataset=Set5 scale=4, or measure a "
            f"run on it: sr evaluate checkpoint=RUN benchmarks=[{dataset.lower()}]"
        )
    return Drawing(_draw(points, scale, dataset, known), points, notes)


def area(parameters: float) -> float:
    """Of a bubble, in points squared: in proportion to what it stands for."""
    return PER_MILLION * parameters / 1e6


def named(point: Mapping[str, Any], points: Sequence[Mapping[str, Any]]) -> str:
    """Of runs of one network, which stand above each other, the best is named for all of them; the others: ""."""
    if point["kind"] != "ours":
        return str(point["model"])
    same = ("kind", "model", "macs_g", "parameters")
    alike = [p for p in points if all(p[key] == point[key] for key in same)]
    if point is not max(alike, key=lambda p: p["psnr"]):
        return ""
    return f"{point['model']} and {len(alike) - 1} more" if len(alike) > 1 else str(point["model"])


def _draw(points: Sequence[Mapping[str, Any]], scale: int, dataset: str, protocols: Sequence[str]) -> Figure:
    figure = page(8, 5)
    ax = figure.subplots()
    # The largest first, so that none hides a smaller one.
    ordered = sorted(points, key=lambda p: -p["parameters"])
    places = {id(p): (p["macs_g"], p["psnr"]) for p in points}
    papers = [places[id(p)] for p in points if p["kind"] != "ours"]
    within = axes(list(places.values()), scale, None, papers)
    away = {at: arrow(place, within) for at, place in places.items()}
    places = {at: inside(place, within) for at, place in places.items()}
    most = max(p["parameters"] for p in ordered)
    shrink = min(1.0, 6e6 / most)  # a bubble of 6 million parameters is as large as one may be
    tints = {name: color(i) for i, name in enumerate(protocols)}
    for p in ordered:
        tint = tints[p["protocol"]]
        hollow, own = p["kind"] == "recalled", p["kind"] == "ours"
        if away[id(p)]:
            ax.plot(*places[id(p)], ARROWS[away[id(p)][0]], color=tint, markersize=8)
            continue
        ax.scatter(
            p["macs_g"], p["psnr"], s=area(p["parameters"] * shrink), facecolor="none" if hollow else tint,
            edgecolor="black" if own else tint, linewidth=1.6 if own else 1.0, alpha=1.0 if hollow or own else 0.75,
        )  # fmt: skip
        ax.scatter(p["macs_g"], p["psnr"], s=CENTRE, color="black" if own else tint, edgecolor="none")
    ax.set_xscale("log")
    plain_numbers(ax.xaxis, (2, 5))
    ax.margins(x=0.1, y=0.12)
    ax.set(xlabel="multiply-adds for a 1280 x 720 output, G", ylabel=f"PSNR on {dataset} x{scale}, dB")
    dot: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 6}
    used = [n for n in protocols if any(p["protocol"] == n for p in points)]
    handles = [Line2D([], [], color=tints[name], label=f"protocol {name}", **dot) for name in used]
    if any(p["kind"] == "recalled" for p in points):
        handles.append(Line2D([], [], color="#555555", markerfacecolor="none", label="not checked in the paper", **dot))
    if any(p["kind"] == "ours" for p in points):
        handles.append(Line2D([], [], color="#bbbbbb", markeredgecolor="black", label="measured here", **dot))
    for size in [s for s in (1e5, 1e6, 1e7) if s <= most]:
        diameter = area(size * shrink) ** 0.5
        mark = {"marker": "o", "linestyle": "", "markersize": diameter, "color": "#cccccc"}
        handles.append(Line2D([], [], label=f"{size / 1e6:g} M parameters", **mark))
    figure.legend(handles=handles, loc="outside right upper", labelspacing=1.6, handlelength=2.5, borderpad=1)
    # A point at the edge says what it is: its place does not.
    titles = {id(p): " ".join(filter(None, (named(p, ordered), told(p, away[id(p)])))) for p in ordered}
    radii = {id(p): 4.0 if away[id(p)] else area(p["parameters"] * shrink) ** 0.5 / 2 for p in ordered}
    place_labels(ax, [(*places[id(p)], radii[id(p)], titles[id(p)]) for p in ordered if named(p, ordered)])
    return figure
