"""What every figure shares: one style, colours that all eyes tell apart, and a picture that keeps its numbers."""

import functools
import io
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np

from sr.bounded import RECORD, refuse_odd
from sr.errors import UserError, installing, printable
from sr.scores.text import write_csv
from sr.whole import replacing

with suppress(OSError):  # where one stands matplotlib reads it, and would wait for a pipe, as soon as it is imported
    refuse_odd(Path("matplotlibrc"), RECORD)
try:
    from matplotlib.axes import Axes as Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Figure
    from matplotlib.patches import Rectangle
    from matplotlib.style import context
    from matplotlib.ticker import LogLocator
except ImportError as error:
    raise UserError(f"figures need matplotlib: {installing('figures')}") from error
except ValueError as error:  # MPLBACKEND in the environment, or a matplotlibrc
    raise UserError(f"matplotlib does not start: {error}") from error

# Okabe and Ito's colours, without their yellow, which is too light for lines on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#555555")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLE: Any = {
    "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "legend.fontsize": 8, "xtick.labelsize": 8,
    "ytick.labelsize": 8, "figure.titlesize": 10, "axes.grid": True, "grid.color": "#dddddd", "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 1.5, "lines.markersize": 4,
    "figure.facecolor": "white", "legend.frameon": False,
    "text.parse_math": False,  # a dollar sign in a name would begin a formula
}  # fmt: skip
DPI = 150

P = ParamSpec("P")


@dataclass(frozen=True)
class Drawing:
    """A picture with the numbers that it shows.

    Attributes:
        figure: matplotlib's; a notebook shows the drawing as it is.
        rows: the numbers, written beside the picture as CSV.
        notes: what is to be known about it: what was left out and why.
    """

    figure: Figure
    rows: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = field(default_factory=tuple)

    def save(self, path: Path) -> tuple[Path, Path]:
        """Write the picture in the format of the suffix (png, pdf, svg) and the numbers beside it, `.csv`."""
        # LaTeX, which pgf is for, would carry out the names of runs.
        suffixes = sorted(self.figure.canvas.get_supported_filetypes().keys() - {"pgf"})
        if path.suffix.lstrip(".") not in suffixes:
            raise UserError(f"{path}: a picture is written as one of {', '.join(suffixes)}, for example format=png")
        with replacing(path) as part, own_style():
            self.figure.savefig(part, dpi=DPI)
        numbers = path.with_suffix(".csv")
        write_csv(numbers, list(dict.fromkeys(key for row in self.rows for key in row)), self.rows)
        return path, numbers

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        with own_style():
            self.figure.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()

    def _repr_html_(self) -> str | None:
        """In a notebook what is to be known of a picture stands below it."""
        if not self.notes:
            return None
        notes = "".join(f"<li>{escape(printable(note))}</li>" for note in self.notes)
        return f'<img src="data:image/png;base64,{b64encode(self._repr_png_()).decode()}"><ul>{notes}</ul>'


def own_style() -> AbstractContextManager[None]:
    """The project's style upon matplotlib's defaults, whose settings are as they were afterwards.

    Nothing counts of a matplotlibrc: one that lies where the user stands is anybody's, and could turn pictures upside
    down or have LaTeX read any file into them.
    """
    return context(STYLE, after_reset=True)


def styled(draw: Callable[P, Drawing]) -> Callable[P, Drawing]:
    """Run a drawing function in the project's style."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Drawing:
        with own_style():
            return draw(*args, **kwargs)

    return drawn


def plain_numbers(axis: Axis, subs: Sequence[int]) -> None:
    """Ticks of a logarithmic axis as plain numbers: at powers of ten, and at these multiples of them."""
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(LogLocator(subs=subs))
    axis.set_minor_formatter("{x:g}")


def page(width: float, height: float) -> Figure:
    """A blank page of that many inches; without pyplot, which would keep every figure alive."""
    return Figure(figsize=(width, height), layout="constrained")


def inches(width: float, height: float) -> Figure:
    """A blank page of that many inches on which everything is placed by hand."""
    return Figure(figsize=(width, height))


def stacked(figure: Figure, parts: int) -> list[Any]:
    """Parts of a page one below the other, each with axes of its own."""
    return list(np.atleast_1d(figure.subfigures(parts, 1)))  # type: ignore[arg-type]


def show(ax: Axes, image: np.ndarray, title: str = "", below: str = "", **options: Any) -> Any:
    """An image (H, W, 3) or (H, W) with a line above and one below, in a thin frame; pixels stay pixels."""
    shown = ax.imshow(image, **{"interpolation": "nearest", **options})
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set(visible=True, color="#bbbbbb", linewidth=0.5)
    ax.set_title(title)
    ax.set_xlabel(below, fontsize=8)
    return shown


def box(ax: Axes, top: int, left: int, height: int, width: int, color: str = COLORS[1]) -> None:
    """A frame around a window of pixels."""
    ax.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=color, linewidth=1.5))


def color(index: int) -> str:
    """Of the line number `index`, from 0."""
    return COLORS[index % len(COLORS)]


def marker(index: int) -> str:
    """Of the line number `index`, from 0."""
    return MARKERS[index % len(MARKERS)]
