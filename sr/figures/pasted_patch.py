"""A smooth patch pasted into another image: whether what is wrong with it stays with it."""

import logging
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from torch import Tensor

from sr.errors import UserError
from sr.figures.batch_norm import window_psnr
from sr.figures.drawing import Drawing, Figure, box, page, show, styled
from sr.figures.inputs import Photo, answer, common_scale, placed_window, smooth_window
from sr.imaging.color import to_array
from sr.imaging.panel import Window, crop, error_levels, scaled
from sr.layers.statistics import batch_norms, with_own_statistics
from sr.measuring.scoring import Entry
from sr.models.base import SuperResolver

log = logging.getLogger(__name__)


def pasted(host: Tensor, guest: Tensor, window: Window) -> tuple[Tensor, Window]:
    """The host (1, 3, h, w) with the guest's window in its middle, and where it now is."""
    top, left, height, width = window
    if height > host.shape[-2] or width > host.shape[-1]:
        raise UserError(
            f"a patch of {height} x {width} LR pixels does not fit into an image of {host.shape[-2]} x "
            f"{host.shape[-1]}: type figure.size=<smaller, HR pixels>"
        )
    y, x = (host.shape[-2] - height) // 2, (host.shape[-1] - width) // 2
    both = host.clone()
    both[..., y : y + height, x : x + width] = guest[..., top : top + height, left : left + width]
    return both, (y, x, height, width)


def outside_psnr(sr: np.ndarray, hr: np.ndarray, window: Window, margin: int) -> float:
    """PSNR in dB, RGB, of what lies further than `margin` pixels from a window; nan where nothing does."""
    top, left, height, width = window
    keep = np.ones(sr.shape[:2], bool)
    keep[max(top - margin, 0) : top + height + margin, max(left - margin, 0) : left + width + margin] = False
    return window_psnr(sr[keep], hr[keep])


@styled
def pasted_patch(
    models: Sequence[Entry],
    images: Sequence[Photo],
    scale: int | None = None,
    size: int = 64,
    at: Sequence[int] | None = None,
    margin: int = 16,
) -> Drawing:
    """The first image's smoothest patch, super-resolved in its own image and in the middle of the second one.

    Wang, Dong and Shan, RepSR, ACM MM 2022 (https://arxiv.org/abs/2205.05671), section on batch norm: under the
    population's statistics a patch keeps its artefacts wherever it stands, and its surroundings stay clean. A model
    with batch norm is drawn under each image's own statistics too, where the surroundings do count.

    Args:
        models: with batch norm or without.
        images: the patch's, then the host's; further ones are not used.
        scale: for models of several scales.
        size: of the patch, HR pixels.
        at: [top, left] of the patch in HR pixels; None: the smoothest.
        margin: HR pixels around the seam, inside and outside, that are not measured: a network looks across it.

    Raises:
        UserError: fewer than two images; a patch that is larger than the host or not larger than the margin.
    """
    if len(images) < 2:
        raise UserError(
            f"figure=pasted_patch takes two images, the patch's and its host's; got {len(images)}: images=[A,B]"
        )
    scale = common_scale(models, scale)
    source, host = (photo.cropped(scale) for photo in images[:2])
    window = placed_window(source.array, at, size, scale) if at else smooth_window(source.array, size, scale)
    if min(window[2:]) < size // scale * scale:
        log.warning(
            f"warning: the patch is of {window[2]} x {window[3]} HR pixels, not {size}: {source.name} is no larger"
        )
    if min(window[2:]) <= 2 * margin:
        raise UserError(f"figure.margin={margin} leaves nothing of a patch of {window[2]} x {window[3]} HR pixels")
    lr, ground = source.lr(scale), host.lr(scale)
    both, place_lr = pasted(ground, lr, scaled(window, Fraction(1, scale)))
    there = scaled(place_lr, scale)
    true = host.array.copy()
    true[there[0] : there[0] + there[2], there[1] : there[1] + there[3]] = crop(source.array, window)
    rows: list[dict[str, Any]] = []
    lines = []
    for entry in models:
        for kind, model in _forms(entry):
            at_home, clean, mixed = (to_array(answer(model, x, scale)) for x in (lr, ground, both))
            inner, inner_there = _inner(window, margin), _inner(there, margin)
            row = {
                "model": entry.name,
                "statistics": kind,
                "patch_at_home": window_psnr(crop(at_home, inner), crop(source.array, inner)),
                "patch_pasted": window_psnr(crop(mixed, inner_there), crop(source.array, inner)),
                "host_alone": outside_psnr(clean, host.array, there, margin),
                "host_with_patch": outside_psnr(mixed, host.array, there, margin),
            }
            rows.append(row)
            lines.append((row, crop(at_home, window), clean, mixed))
    return Drawing(_draw(lines, crop(source.array, window), true, there, (source.name, host.name)), rows)


def _forms(entry: Entry) -> list[tuple[str, SuperResolver]]:
    if not batch_norms(entry.model):
        return [("none", entry.model.eval())]
    return [("population", entry.model.eval()), ("image's own", with_own_statistics(entry.model))]


def _inner(window: Window, margin: int) -> Window:
    top, left, height, width = window
    return top + margin, left + margin, height - 2 * margin, width - 2 * margin


def _draw(
    lines: Sequence[tuple[dict[str, Any], np.ndarray, np.ndarray, np.ndarray]],
    patch: np.ndarray,
    true: np.ndarray,
    there: Window,
    names: tuple[str, str],
) -> Figure:
    ratio = true.shape[0] / true.shape[1]
    figure = page(11, len(lines) * (2.9 * ratio + 0.6) + 0.3)
    axes = figure.subplots(len(lines), 5, squeeze=False, width_ratios=[1, 1, 1.8, 1.8, 1])
    for line, (row, at_home, clean, mixed) in zip(axes, lines, strict=True):
        kind = "" if row["statistics"] == "none" else f"\n{row['statistics']} statistics"
        show(line[0], patch, f"patch of {names[0]}, HR")
        line[0].set_ylabel(f"{row['model']}{kind}")
        show(line[1], at_home, "SR in its own image", f"{row['patch_at_home']:.2f} dB")
        show(line[2], clean, f"SR of {names[1]}", f"around the place: {row['host_alone']:.2f} dB")
        show(line[3], mixed, f"SR of {names[1]} with the patch", f"around the patch: {row['host_with_patch']:.2f} dB")
        box(line[3], *there)
        error = error_levels(crop(mixed, there), crop(true, there))
        middle = error[error.shape[0] // 4 : -(error.shape[0] // 4), error.shape[1] // 4 : -(error.shape[1] // 4)]
        most = float(middle.max()) or 1.0  # of the middle: the seam would outshine it
        title = f"patch there: |SR - HR|\nwhite: {most:.1f} levels"
        show(line[4], error, title, f"{row['patch_pasted']:.2f} dB", cmap="gray", vmin=0, vmax=most)
    figure.suptitle("A smooth patch in its own image and pasted into another one; PSNR on RGB, the seam left out")
    return figure
