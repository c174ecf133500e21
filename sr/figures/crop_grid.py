"""The picture that papers print: an image with a box, and the same crop by every model."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from sr.errors import UserError
from sr.figures.drawing import COLORS, Drawing, Figure, box, inches, show, styled
from sr.figures.inputs import Photo, answer, common_scale, placed_window
from sr.imaging.color import to_array
from sr.imaging.panel import Window, crop, detail, disagreement, enlarge, pick_crop
from sr.measuring.scoring import Entry
from sr.metrics.protocols import get_protocol
from sr.models.bicubic import Bicubic
from sr.scores.score import BASELINE
from sr.scores.text import shown

Cell = tuple[str, np.ndarray, str]  # name, crop, figures, of which the best are bold
CHARACTER, LINE = 0.08, 0.15  # inches of a label: a character's width at most, a line's height
WIDTH, GAP, MARGIN = 10.0, 0.06, 0.1  # inches: of the page, between pictures, around all
WIDEST = 0.55  # of the page, that the whole image may take


@styled
def crop_grid(
    models: Sequence[Entry],
    images: Sequence[Photo],
    scale: int | None = None,
    protocol: str = "y",
    size: int = 64,
    at: Sequence[Any] | None = None,
    lines: int = 2,
    most: int = 6,
) -> Drawing:
    """For each image: the whole with a box, and crops of HR, bicubic and every model with PSNR and SSIM below.

    The crops fill the height of the image beside them; LR stands among them where a place would be empty. Of the
    figures below them the best are bold. A network on clips sees each image alone, which the title says.

    Args:
        models: in the order in which their crops stand; bicubic is always among them.
        images: HR.
        scale: for models of several scales.
        protocol: of PSNR and SSIM, which are the whole image's.
        size: of the crop, HR pixels.
        at: [top, left] of the crop in HR pixels, or one such pair (or None) for each image; None: where the models
            differ most, weighed by the detail that is there.
        lines: in which the crops stand.
        most: images that are drawn; of more the first ones.

    Raises:
        UserError: no scale that all models are made for, an unknown protocol, a corner outside of the image, other
            than one corner for each image.
    """
    if most < 1:
        raise UserError(f"figure.most={most}: at least one image is drawn")
    scale = common_scale(models, scale)
    rule = get_protocol(protocol)
    entries = [e for e in models if e.name != BASELINE]
    drawn, rows, parts = images[:most], list[dict[str, Any]](), []
    corners = _corners(at, len(images))
    for photo, corner in zip(tqdm(drawn, unit="image", disable=None), corners, strict=False):
        photo = photo.cropped(scale)
        lr = rule.lr(photo.pixels, scale, grey=photo.grey)
        hr = photo.array
        outputs: dict[str, np.ndarray] = {}
        figures: dict[str, dict[str, float]] = {}
        for name, model in [(BASELINE, Bicubic(scale)), *((e.name, e.model) for e in entries)]:
            output = answer(model.eval(), lr, scale)
            values = {m: float(v) for m, v in rule.compare(output, photo.pixels, scale, photo.grey).items()}
            outputs[name], figures[name] = to_array(output), values
            rows.append({"model": name, "image": photo.name, "scale": scale, "protocol": rule.name, **values})
        found = list(outputs.values())
        window = placed_window(hr, corner, size, scale) if corner else differing_window(hr, found, size, scale)
        best = {m: max(values[m] for values in figures.values()) for m in figures[BASELINE]}
        cells: list[Cell] = [("HR", crop(hr, window), "PSNR / SSIM")]
        columns, used = _places(len(outputs) + 1, lines)
        if columns * used == len(outputs) + 2:
            cells.append(("LR", enlarge(crop(to_array(lr), window, scale), scale), f"{lr.shape[-1]} x {lr.shape[-2]}"))
        cells += [(name, crop(output, window), _told(figures[name], best)) for name, output in outputs.items()]
        parts.append((photo.name, hr, window, cells))
    title = f"x{scale}; PSNR in dB / SSIM of the whole image, protocol {rule.name}: {rule.description}"
    notes = [f"the first {most} of {len(images)} images are drawn: figure.most={len(images)} draws all"]
    notes = notes if len(images) > most else []
    if alone := [e.name for e in entries if e.model.clips]:
        told = f"{', '.join(alone)}: of each image alone, without the frames around it"
        title += f"; {told}"
        notes.append(f"{told}; figure=frame_psnr has the figures within a clip")
    return Drawing(_draw(parts, lines, title), rows, notes)


def _told(values: Mapping[str, float], best: Mapping[str, float]) -> str:
    """A model's figures, each bold where no model's is better by the digits that stand there."""
    figures = ((shown(values, [m]), shown(values, [m]) == shown(best, [m])) for m in values)
    return " / ".join(f"$\\mathbf{{{text}}}$" if bold else text for text, bold in figures)


def _places(cells: int, lines: int) -> tuple[int, int]:
    """Columns and lines for so many cells, in as many lines at most."""
    columns = math.ceil(cells / lines)
    return columns, math.ceil(cells / columns)


def _corners(at: Sequence[Any] | None, images: int) -> Sequence[Any]:
    """One for each image, None where it is to be found."""
    if at is None or not any(isinstance(corner, Sequence) for corner in at):
        return [at] * images
    if len(at) != images:
        raise UserError(f"figure.at has {len(at)} corners for {images} images: give one, or one for each (null: found)")
    return at


def differing_window(hr: np.ndarray, outputs: Sequence[np.ndarray], size: int, scale: int) -> Window:
    """Where the outputs (H, W, 3) differ most, each pixel weighed by HR's detail around it."""
    return pick_crop(disagreement(outputs) * np.sqrt(detail(hr) + 1), size, scale)


def _draw(parts: Sequence[tuple[str, np.ndarray, Window, Sequence[Cell]]], lines: int, title: str) -> Figure:
    """Everything is placed in inches: as wide as the page, no room between but for the labels."""
    layouts = [_Layout(hr.shape, window, cells, lines) for _, hr, window, cells in parts]
    told = textwrap.fill(title, int((WIDTH - 2 * MARGIN) / (1.15 * CHARACTER)))
    top = MARGIN + LINE * (told.count("\n") + 1) + GAP
    figure = inches(WIDTH, top + sum(layout.height for layout in layouts) + MARGIN)
    height = figure.get_figheight()
    figure.suptitle(told, fontsize=8, x=MARGIN / WIDTH, y=1 - MARGIN / height, ha="left", va="top")

    def place(left: float, above: float, wide: float, high: float) -> Any:
        return figure.add_axes((left / WIDTH, 1 - (above + high) / height, wide / WIDTH, high / height))

    for layout, (name, hr, window, cells) in zip(layouts, parts, strict=True):
        ax = place(MARGIN, top, *layout.image)
        show(ax, hr, "", name, interpolation="antialiased")
        box(ax, *window)
        for index, (label, pixels, below) in enumerate(cells):
            line, column = divmod(index, layout.columns)
            left = MARGIN + layout.image[0] + GAP + column * (layout.wide + GAP)
            ax = place(left, top + line * (layout.high + layout.label), layout.wide, layout.high)
            name = textwrap.fill(label, layout.characters).replace("$", r"\$")
            show(ax, pixels, "", f"{name}\n{below}")
            ax.xaxis.label.set(fontsize=7.5, linespacing=1.1, parse_math=True)  # which what is bold needs
            ax.xaxis.labelpad = 2
            if label == "HR":
                ax.spines[:].set(color=COLORS[1], linewidth=1.5)
        top += layout.height
    return figure


class _Layout:
    """Of one image and its crops, in inches: the image's height is that of the lines of crops, all as wide as the page.

    Attributes:
        columns: of crops.
        wide, high: of a crop.
        label: below a line of crops.
        image: width and height of the whole image.
        height: of all.
        characters: of a label's line.
    """

    def __init__(self, shape: Sequence[int], window: Window, cells: Sequence[Cell], lines: int) -> None:
        aspect, of_crop = shape[1] / shape[0], window[3] / window[2]
        self.columns, lines = _places(len(cells), lines)
        longest = max(len(label) for label, *_ in cells)
        room = WIDTH - 2 * MARGIN - self.columns * GAP
        self.label = 2 * LINE + GAP
        for _ in range(2):  # how wide crops are depends on how high labels are, and that on how wide crops are
            between = (lines - 1) * self.label
            self.high = (room - between * aspect) / (lines * aspect + self.columns * of_crop)
            self.high = max(self.high, (1 - WIDEST) * room / (self.columns * of_crop))
            self.wide = self.high * of_crop
            self.characters = max(6, int(self.wide / CHARACTER))
            self.label = (math.ceil(longest / self.characters) + 1) * LINE + GAP
        high = lines * self.high + (lines - 1) * self.label
        wide = min(high * aspect, room - self.columns * self.wide)
        self.image = wide, wide / aspect
        self.height = high + self.label + GAP
