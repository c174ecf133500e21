"""Batch norm's artefacts: one network under three kinds of statistics, on a smooth part of an image."""

import copy
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sr.errors import UserError
from sr.figures.drawing import Drawing, Figure, box, page, show, stacked, styled
from sr.figures.inputs import Photo, answer, common_scale, placed_window, smooth_window
from sr.imaging.color import to_array
from sr.imaging.panel import Window, crop, error_levels, scaled
from sr.layers.statistics import batch_norms, with_own_statistics
from sr.measuring.scoring import Entry
from sr.metrics.psnr import psnr
from sr.models.base import SuperResolver

Line = tuple[str, str, np.ndarray, Window, np.ndarray, dict[str, np.ndarray]]


def with_batch_statistics(model: SuperResolver) -> SuperResolver:
    """A copy whose batch norms normalise with the mini-batch's mean and variance, as in training."""
    training = copy.deepcopy(model).eval()
    for norm in batch_norms(training).values():
        norm.train()
    return training


def mini_batch(lr: Tensor, window: Window, others: Sequence[Tensor], size: int, seed: int) -> Tensor:
    """A patch that holds a window of an LR image, then random patches of other images: what training would see.

    Args:
        lr: (1, 3, h, w), the image itself.
        window: of LR pixels, inside the patch.
        others: LR images (1, 3, h', w'), one random patch of each.
        size: side of a patch, LR pixels, at most the images' sides.
        seed: of the places of the random patches.

    Returns:
        (1 + len(others), 3, size, size).
    """
    top, left = patch_corner(lr, window, size)
    random = torch.Generator().manual_seed(seed)
    patches = [lr[..., top : top + size, left : left + size]]
    for other in others:
        y, x = (int(torch.randint(side - size + 1, (), generator=random)) for side in other.shape[-2:])
        patches.append(other[..., y : y + size, x : x + size])
    return torch.cat(patches)


def patch_corner(lr: Tensor, window: Window, size: int) -> tuple[int, int]:
    """Top and left of the patch around the middle of a window, moved inside the image."""
    top, left = (
        min(max(start + length // 2 - size // 2, 0), side - size)
        for start, length, side in zip(window[:2], window[2:], lr.shape[-2:], strict=True)
    )
    return top, left


def window_psnr(sr: np.ndarray, hr: np.ndarray) -> float:
    """PSNR in dB of the same 8-bit RGB pixels (..., 3) of two images; nan where there are none."""
    a, b = (torch.from_numpy(x.reshape(1, 1, 1, -1).copy()) for x in (sr, hr))
    return float(psnr(a, b))


@styled
def batch_norm(
    models: Sequence[Entry],
    images: Sequence[Photo],
    scale: int | None = None,
    size: int = 64,
    at: Sequence[int] | None = None,
    patch: int = 48,
    batch: int = 16,
    seed: int = 0,
) -> Drawing:
    """Population's, mini-batch's and each image's own statistics side by side, with their errors.

    Wang, Dong and Shan, RepSR, ACM MM 2022 (https://arxiv.org/abs/2205.05671), section on batch norm: artefacts in
    smooth regions are there under the population's statistics and go with the image's own.

    Args:
        models: with batch norm, one line of pictures for each image.
        images: HR.
        scale: for models of several scales.
        size: of the window, HR pixels.
        at: [top, left] of the window in HR pixels; None: the smoothest one of each image.
        patch: side of the mini-batch's patches, LR pixels; smaller where an image is.
        batch: patches in the mini-batch, drawn from all `images`.
        seed: of the patches.

    Raises:
        UserError: a model without batch norm; no scale that all are made for.
    """
    for entry in models:
        if not batch_norms(entry.model):
            raise UserError(
                f"{entry.name} ({type(entry.model).__name__}) has no batch norm, whose statistics figure=batch_norm "
                "compares. Give a network trained with it, as srresnet, repsr, plain_repvgg, plain_acnet or plain_dbb"
            )
    scale = common_scale(models, scale)
    if batch < 1 or patch < 1:
        raise UserError(f"batch={batch}, patch={patch}: both are 1 or more")
    cropped = [photo.cropped(scale) for photo in images]
    lrs = [photo.lr(scale) for photo in cropped]
    side = min(patch, *(s for lr in lrs for s in lr.shape[-2:]))
    rows, lines = [], []
    for entry in models:
        own, training = with_own_statistics(entry.model), with_batch_statistics(entry.model)
        for number, (photo, lr) in enumerate(zip(cropped, lrs, strict=True)):
            hr = photo.array
            reach = min(size, side * scale)
            window = placed_window(hr, at, reach, scale) if at else smooth_window(hr, reach, scale)
            small = scaled(window, Fraction(1, scale))
            others = [lrs[(number + 1 + i) % len(lrs)] for i in range(batch - 1)]
            patches = answer(training, mini_batch(lr, small, others, side, seed), scale)[:1]
            top, left = (scale * v for v in patch_corner(lr, small, side))
            inside = (window[0] - top, window[1] - left, *window[2:])
            whole = to_array(answer(entry.model.eval(), lr, scale))
            outputs = {
                "population": crop(whole, window),
                "mini-batch": crop(to_array(patches), inside),
                "image's own": crop(to_array(answer(own, lr, scale)), window),
            }
            true, place = crop(hr, window), dict(zip(("top", "left", "height", "width"), window, strict=True))
            for kind, output in outputs.items():
                row = {"model": entry.name, "image": photo.name, "statistics": kind, **place}
                rows.append({**row, "psnr_rgb_window": window_psnr(output, true)})
            lines.append((f"{entry.name} x{scale}", photo.name, whole, window, true, outputs))
    return Drawing(_draw(lines, rows), rows)


def _draw(lines: Sequence[Line], rows: Sequence[Mapping[str, Any]]) -> Figure:
    figure = page(9.5, 3.9 * len(lines) + 0.3)
    values = iter(rows)
    for part, (model, name, whole, window, true, outputs) in zip(stacked(figure, len(lines)), lines, strict=True):
        grid = part.add_gridspec(2, 5, width_ratios=[1.6, 1, 1, 1, 1])
        ax = part.add_subplot(grid[:, 0])
        show(ax, whole, f"{model}, {name}\npopulation statistics")
        box(ax, *window)
        show(part.add_subplot(grid[0, 1]), true, "HR")
        errors = {kind: error_levels(output, true) for kind, output in outputs.items()}
        most = max(float(np.quantile(error, 0.999)) for error in errors.values()) or 1.0
        blank = part.add_subplot(grid[1, 1])
        blank.set_axis_off()
        where = f"{window[2]} x {window[3]} pixels\nat {window[0]}, {window[1]}"
        legend = f"|SR - HR|\nblack: 0, white: {most:.1f}\nof 255 levels\n\n{where}"
        blank.text(0.5, 0.5, legend, ha="center", va="center", fontsize=8, transform=blank.transAxes)
        for column, (kind, output) in enumerate(outputs.items(), 2):
            row = next(values)
            show(part.add_subplot(grid[0, column]), output, kind, f"{row['psnr_rgb_window']:.2f} dB")
            show(part.add_subplot(grid[1, column]), errors[kind], cmap="gray", vmin=0, vmax=most)
    figure.suptitle("Batch norm under three kinds of statistics; PSNR of the window, RGB")
    return figure
