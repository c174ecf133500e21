"""The picture that papers print: an image with a box, and the same crop by every model."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from sr.figures.drawing import Drawing, Figure, box, page, show, stacked, styled
from sr.figures.inputs import Photo, answer, common_scale, placed_window
from sr.imaging.color import to_array
from sr.imaging.panel import Window, crop, detail, disagreement, pick_crop
from sr.measuring.scoring import BASELINE, Entry
from sr.metrics.protocols import get_protocol
from sr.models.bicubic import Bicubic
from sr.scores.text import shown

Cell = tuple[str, np.ndarray, str]  # name, crop, figures
CHARACTER = 0.09  # inches of the title, at most


@styled
def crop_grid(
    models: Sequence[Entry],
    images: Sequence[Photo],
    scale: int | None = None,
    protocol: str = "y",
    size: int = 64,
    at: Sequence[int] | None = None,
    lines: int = 2,
) -> Drawing:
    """For each image: the whole with a box, and crops of HR, bicubic and every model with PSNR and SSIM below.

    Args:
        models: in the order in which their crops stand; bicubic is always among them.
        images: HR.
        scale: for models of several scales.
        protocol: of PSNR and SSIM, which are the whole image's.
        size: of the crop, HR pixels.
        at: [top, left] of the crop in HR pixels; None: where the models differ most, weighed by the detail that is
            there.
        lines: in which the crops stand.

    Raises:
        UserError: no scale that all models are made for, an unknown protocol, a corner outside of the image.
    """
    scale = common_scale(models, scale)
    rule = get_protocol(protocol)
    entries = [e for e in models if e.name != BASELINE]
    rows: list[dict[str, Any]] = []
    parts = []
    for photo in (p.cropped(scale) for p in images):
        lr = rule.lr(photo.pixels, scale, grey=photo.grey)
        hr = photo.array
        outputs: dict[str, np.ndarray] = {}
        below: dict[str, str] = {}
        for name, model in [(BASELINE, Bicubic(scale)), *((e.name, e.model) for e in entries)]:
            output = answer(model.eval(), lr, scale)
            values = {m: float(v) for m, v in rule.compare(output, photo.pixels, scale, photo.grey).items()}
            outputs[name], below[name] = to_array(output), shown(values, list(values))
            rows.append({"model": name, "image": photo.name, "scale": scale, "protocol": rule.name, **values})
        window = placed_window(hr, at, size, scale) if at else differing_window(hr, list(outputs.values()), size, scale)
        cells: list[Cell] = [("HR", crop(hr, window), "PSNR / SSIM")]
        cells += [(name, crop(output, window), below[name]) for name, output in outputs.items()]
        parts.append((photo.name, hr, window, cells))
    title = f"x{scale}; PSNR in dB / SSIM of the whole image, protocol {rule.name}: {rule.description}"
    return Drawing(_draw(parts, lines, title), rows)


def differing_window(hr: np.ndarray, outputs: Sequence[np.ndarray], size: int, scale: int) -> Window:
    """Where the outputs (H, W, 3) differ most, each pixel weighed by HR's detail around it."""
    return pick_crop(disagreement(outputs) * np.sqrt(detail(hr) + 1), size, scale)


def _draw(parts: Sequence[tuple[str, np.ndarray, Window, Sequence[Cell]]], lines: int, title: str) -> Figure:
    columns = [math.ceil(len(cells) / lines) for *_, cells in parts]
    ratios = [hr.shape[0] / hr.shape[1] for _, hr, _, _ in parts]
    cell = 1.55  # inches
    height = lines * (cell + 0.45)
    wide = [min(max(height / ratio, 2.0), 5.0) for ratio in ratios]
    width = max(w + c * (cell + 0.1) for w, c in zip(wide, columns, strict=True))
    figure = page(width + 0.3, len(parts) * height + 0.4)
    pieces = stacked(figure, len(parts))
    for piece, w, count, (name, hr, window, cells) in zip(pieces, wide, columns, parts, strict=True):
        rest = max(width - w - count * (cell + 0.1), 0.01)  # narrower than the widest part: blank on the right
        grid = piece.add_gridspec(lines, count + 2, width_ratios=[w, *[cell + 0.1] * count, rest])
        ax = piece.add_subplot(grid[:, 0])
        show(ax, hr, "", name, interpolation="antialiased")
        box(ax, *window)
        for index, (label, pixels, below) in enumerate(cells):
            show(piece.add_subplot(grid[index // count, 1 + index % count]), pixels, "", f"{label}\n{below}")
    figure.suptitle(textwrap.fill(title, int(width / CHARACTER)), fontsize=8)
    return figure
