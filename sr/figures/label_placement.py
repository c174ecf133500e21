"""Names beside points, placed so that they lie on each other and on the points as little as possible."""

import math
from collections.abc import Sequence
from typing import Any

from sr.figures.drawing import Axes

Box = tuple[float, float, float, float]  # left, bottom, right, top
TURNS = (0, 8, 4, 12, 2, 6, 14, 10, 1, 7, 15, 9, 3, 5, 13, 11)  # sixteenths of a circle, the preferred ones first
DIRECTIONS = tuple((math.cos(math.pi * k / 8), math.sin(math.pi * k / 8)) for k in TURNS)


def overlap(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def placed(
    points: Sequence[tuple[float, float, float]], sizes: Sequence[tuple[float, float]], frame: Box, gap: float = 3.0
) -> list[Box]:
    """A box for each label, chosen one after the other among places around its point.

    Args:
        points: x, y and radius, in the unit of the sizes.
        sizes: width and height of the labels.
        frame: to stay inside of.
        gap: between a point's edge and its label.
    """
    discs = [(x - r, y - r, x + r, y + r) for x, y, r in points]
    taken: list[Box] = []
    for index, ((x, y, r), (w, h)) in enumerate(zip(points, sizes, strict=True)):
        best, least = (x, y, x + w, y + h), math.inf
        for rank, (far, (dx, dy)) in enumerate((far, d) for far in (1.0, 2.5, 5.0) for d in DIRECTIONS):
            middle_x, middle_y = x + dx * (r + far * gap + w / 2), y + dy * (r + far * gap + h / 2)
            box = (middle_x - w / 2, middle_y - h / 2, middle_x + w / 2, middle_y + h / 2)
            outside = w * h - overlap(box, frame)
            # Names count double: a name on a name cannot be read, one on a bubble can.
            hidden = 2 * sum(overlap(box, other) for other in taken)
            hidden += sum(overlap(box, disc) for i, disc in enumerate(discs) if i != index)
            penalty = hidden + 4 * outside + 0.002 * rank * w * h
            if penalty < least:
                best, least = box, penalty
        taken.append(best)
    return taken


def place_labels(ax: Axes, points: Sequence[tuple[float, float, float, str]]) -> None:
    """Write names beside points: x and y in the axes' data, the radius in points (1/72 inch), the name.

    To be called last: the axes' limits and scales must be as they will stay.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # lays the page out, which moves the axes
    unit = figure.dpi / 72
    pixels = [(*ax.transData.transform((x, y)), radius * unit) for x, y, radius, _ in points]
    style: Any = {"fontsize": 8, "ha": "center", "va": "center", "in_layout": False}
    texts = [ax.text(x, y, name, **style) for x, y, _, name in points]
    extents = [text.get_window_extent() for text in texts]
    area = ax.get_window_extent()
    frame = (area.x0, area.y0, area.x1, area.y1)
    discs = [(float(x), float(y), radius) for x, y, radius in pixels]
    boxes = placed(discs, [(e.width, e.height) for e in extents], frame, 3 * unit)
    to_data = ax.transData.inverted()
    for text, (left, bottom, right, top), (x, y, r) in zip(texts, boxes, discs, strict=True):
        middle = ((left + right) / 2, (bottom + top) / 2)
        text.set_position(tuple(to_data.transform(middle)))
        if math.hypot(max(left - x, x - right, 0), max(bottom - y, y - top, 0)) > r + 6 * unit:
            near = (min(max(x, left), right), min(max(y, bottom), top))
            (x0, x1), (y0, y1) = zip(to_data.transform((x, y)), to_data.transform(near), strict=True)
            ax.plot((x0, x1), (y0, y1), color="#888888", linewidth=0.6, zorder=0.5)
