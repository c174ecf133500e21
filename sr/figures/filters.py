"""A network's first filters as pictures."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from sr.errors import UserError
from sr.figures.drawing import Drawing, page, show, styled
from sr.measuring.scoring import Entry

LEAST = 3  # pixels a side; smaller filters show nothing


def first_filters(model: nn.Module) -> tuple[str, np.ndarray]:
    """The name and the weights (n, C, k, k) of the first convolution on 1 or 3 colours, sorted by variance.

    As SRCNN's paper orders them (Dong et al., TPAMI 2016, figure 5): largest variance first.

    Raises:
        UserError: there is no such convolution.
    """
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.in_channels in (1, 3) and min(layer.kernel_size) >= LEAST:
            weight = layer.weight.detach().cpu().double().numpy()
            return name, weight[np.argsort(-weight.var((1, 2, 3)), kind="stable")]
    raise UserError(
        f"{type(model).__name__} has no convolution of {LEAST}x{LEAST} or more on the image itself, whose filters "
        "could be shown"
    )


def tiled(filters: np.ndarray, columns: int) -> np.ndarray:
    """Filters (n, 1|3, k, k) as one picture (H, W, 1|3) in 0..1, each stretched to its own range; nan between them."""
    n, colors, k, _ = filters.shape
    lines = math.ceil(n / columns)
    picture = np.full((lines * (k + 1) - 1, columns * (k + 1) - 1, colors), np.nan)
    for i, one in enumerate(filters):
        low, high = one.min(), one.max()
        y, x = (i // columns) * (k + 1), (i % columns) * (k + 1)
        stretched = (one - low) / (high - low) if high > low else np.full_like(one, 0.5)
        picture[y : y + k, x : x + k] = stretched.transpose(1, 2, 0)
    return picture


@styled
def filters(models: Sequence[Entry], columns: int = 8) -> Drawing:
    """The filters of each model's first convolution, by variance, each in its own contrast.

    Args:
        models: one picture each.
        columns: filters side by side.

    Raises:
        UserError: a model whose first convolution is too small.
    """
    if columns < 1:
        raise UserError(f"figure.columns={columns}: 1 or more")
    rows: list[dict[str, Any]] = []
    pictures = []
    for entry in models:
        name, weights = first_filters(entry.model)
        variances = weights.var((1, 2, 3))
        rows += [
            {"model": entry.name, "layer": name, "place": i, "variance": v, "mean": m}
            for i, (v, m) in enumerate(zip(variances, weights.mean((1, 2, 3)), strict=True), 1)
        ]
        picture = tiled(weights, min(columns, len(weights)))
        share = variances[: max(len(variances) // 4, 1)].sum() / max(variances.sum(), 1e-300)
        below = f"{len(weights)} filters of {weights.shape[2]} x {weights.shape[3]} ({name})\n"
        pictures.append((entry.name, picture, below + f"first quarter: {share:.0%} of the variance"))
    tallest = max(picture.shape[0] / picture.shape[1] for _, picture, _ in pictures)
    figure = page(3.6 * len(pictures), 3.3 * tallest + 0.9)
    for ax, (name, picture, below) in zip(figure.subplots(1, len(pictures), squeeze=False)[0], pictures, strict=True):
        white = np.where(np.isnan(picture), 1.0, picture)
        show(ax, white.repeat(3, axis=2) if white.shape[2] == 1 else white, name, below)
    return Drawing(figure, rows)
