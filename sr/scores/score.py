"""One row per model, set, scale and protocol: averaging, printing and writing."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from sr.metrics.protocol import get_protocol
from sr.scores.published import Published
from sr.scores.text import aligned


@dataclass(frozen=True)
class Figure:
    """One measured row: the mean over `images` images, or one image where `image` is set."""

    model: str
    dataset: str
    scale: int
    protocol: str
    psnr: float  # dB
    ssim: float
    images: int
    image: str = ""


def averages(figures: Iterable[Figure]) -> list[Figure]:
    """The mean over images of every model, set, scale and protocol, in order of appearance."""
    groups: dict[tuple[str, str, int, str], list[Figure]] = {}
    for f in figures:
        groups.setdefault((f.model, f.dataset, f.scale, f.protocol), []).append(f)
    return [
        Figure(*key, psnr=sum(f.psnr for f in g) / len(g), ssim=sum(f.ssim for f in g) / len(g), images=len(g))
        for key, g in groups.items()
    ]


def table(means: Sequence[Figure]) -> str:
    """The averages as text: one row per set and protocol, one column per model; gains over the first model."""
    models = list(dict.fromkeys(f.model for f in means))
    rows: dict[tuple[str, int, str, int], dict[str, Figure]] = {}
    for f in means:
        rows.setdefault((f.dataset, f.scale, f.protocol, f.images), {})[f.model] = f
    lines = [["set", "scale", "images", "protocol", *models]]
    for (dataset, scale, protocol, images), cells in rows.items():
        first = cells.get(models[0])
        line = [dataset, f"x{scale}", str(images), protocol]
        for name in models:
            if name not in cells:
                line.append("-")
                continue
            f = cells[name]
            gain = f" ({f.psnr - first.psnr:+.2f})" if first and name != models[0] else ""
            line.append(f"{f.psnr:.2f} / {f.ssim:.4f}{gain}")
        lines.append(line)
    used = dict.fromkeys(f.protocol for f in means)
    notes = [f"  {name}: {get_protocol(name).description}, mean over images" for name in used]
    return "\n".join([aligned(lines), "PSNR in dB / SSIM. Protocols:", *notes])


def beside(rows: Sequence[tuple[Figure, Published]]) -> str:
    """A text table of measured averages, the papers' figures and the differences."""
    lines = [["model", "set", "protocol", "ours", "paper", "difference", "source"]]
    for ours, paper in rows:
        # Adding 0.0 turns a rounded -0.0 into 0.0.
        theirs, gap = f"{paper.psnr:.2f}", f"{round(ours.psnr - paper.psnr, 2) + 0.0:+.2f}"
        if paper.ssim is not None:
            theirs, gap = f"{theirs} / {paper.ssim:.4f}", f"{gap} / {round(ours.ssim - paper.ssim, 4) + 0.0:+.4f}"
        recalled = " (not checked against the paper)" if paper.source_kind == "memory" else ""
        row = [ours.model, f"{ours.dataset} x{ours.scale}", ours.protocol, f"{ours.psnr:.2f} / {ours.ssim:.4f}"]
        lines.append([*row, theirs, gap, paper.source + recalled])
    return "Beside the published figures:\n" + aligned(lines)


def write(
    figures: Sequence[Figure], folder: Path, papers: Mapping[Figure, Published] | None = None
) -> tuple[Path, Path]:
    """`results.csv` (averages, beside the papers' figures) and `results_per_image.csv` in the run folder."""
    folder.mkdir(parents=True, exist_ok=True)
    means, each = folder / "results.csv", folder / "results_per_image.csv"
    columns = [f.name for f in fields(Figure) if f.name != "image"]
    for file, rows, names in (
        (means, averages(figures), [*columns, *PAPER_COLUMNS]),
        (each, figures, [*columns[:2], "image", *columns[2:-1]]),
    ):
        with file.open("w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, names, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(asdict(row) | _paper_cells(row, papers or {}) for row in rows)
    return means, each


PAPER_COLUMNS = ("paper_psnr", "paper_ssim", "psnr_difference", "ssim_difference", "paper_source", "paper_source_kind")


def _paper_cells(row: Figure, papers: Mapping[Figure, Published]) -> dict[str, object]:
    if (paper := papers.get(row)) is None:
        return {}
    ssim_gap = "" if paper.ssim is None else round(row.ssim - paper.ssim, 6)
    cells = (paper.psnr, paper.ssim, round(row.psnr - paper.psnr, 4), ssim_gap, paper.source, paper.source_kind)
    return dict(zip(PAPER_COLUMNS, cells, strict=True))
