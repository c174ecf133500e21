"""How alike the slices of a kernel are along its depth: what blueprint separable convolution rests on."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from sr.errors import UserError
from sr.figures.drawing import Axes, Drawing, Figure, color, marker, page, styled
from sr.measuring.scoring import Entry

SLICES = 12  # of a kernel that are drawn


def similarity(weight: Tensor) -> np.ndarray:
    """Share of a kernel's energy that one blueprint holds, for each output channel.

    Haase and Amthor, "Rethinking Depthwise Separable Convolutions", CVPR 2020 (https://arxiv.org/abs/2003.13549),
    section 3.1: of the matrix (C_in, k * k) of a kernel's slices, the first squared singular value over the sum of
    all. It is 1 where every slice is a multiple of one k x k blueprint, which is BSConv-U exactly. Not centred: the
    mean slice is a blueprint too.

    Args:
        weight: (C_out, C_in, k, k).

    Returns:
        (C_out,) in 0..1; nan for kernels that are all zero.
    """
    energy = torch.linalg.svdvals(weight.detach().double().cpu().flatten(2)).square()
    total = energy.sum(1)
    return torch.where(total > 0, energy[:, 0] / total, torch.nan).numpy()


def chance(in_channels: int, size: int, kernels: int = 256, seed: int = 0) -> float:
    """The mean share of kernels of independent normal values: what no similarity at all looks like."""
    random = torch.Generator().manual_seed(seed)
    return float(similarity(torch.randn(kernels, in_channels, size, size, generator=random)).mean())


def dense_kernels(model: nn.Module) -> dict[str, Tensor]:
    """Weights of the model's ordinary convolutions that are larger than 1x1 and see more than one channel."""
    return {
        name: layer.weight
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.in_channels > 1 and min(layer.kernel_size) > 1
    }


@styled
def kernels(models: Sequence[Entry], layer: str | None = None) -> Drawing:
    """Each layer's similarity beside chance, and some kernels of one layer slice by slice.

    Blocks that merge are looked at in their merged form. Depthwise and 1x1 convolutions have no such kernels.

    Args:
        models: one line each in the diagram.
        layer: of the first model, whose kernels are shown; None: the one with the median similarity.

    Raises:
        UserError: a model without such layers; a layer that it does not have.
    """
    rows: list[dict[str, Any]] = []
    weights: dict[str, dict[str, Tensor]] = {}
    for entry in models:
        weights[entry.name] = found = dense_kernels(entry.model.merged())
        if not found:
            raise UserError(
                f"{entry.name} ({type(entry.model).__name__}) has no ordinary convolution larger than 1x1 with more "
                "than one input channel, so there are no slices to compare"
            )
        for number, (name, weight) in enumerate(found.items(), 1):
            shares = similarity(weight)
            low, middle, high = np.nanquantile(shares, (0.1, 0.5, 0.9))
            out_channels, in_channels, size, _ = weight.shape
            row = {"model": entry.name, "layer": name, "number": number, "kernels": out_channels}
            row |= {"in_channels": in_channels, "size": size, "p10": low, "median": middle, "p90": high}
            rows.append({**row, "chance": chance(in_channels, size)})
    first = weights[models[0].name]
    if layer is not None and layer not in first:
        raise UserError(f"figure.layer={layer}: {models[0].name} has the layers {', '.join(first)}")
    ranked = sorted((r for r in rows if r["model"] == models[0].name), key=lambda r: r["median"])
    chosen = layer or str(ranked[len(ranked) // 2]["layer"])
    return Drawing(_draw(rows, chosen, first[chosen]), rows)


def _draw(rows: Sequence[Mapping[str, Any]], layer: str, weight: Tensor) -> Figure:
    figure = page(11, 3.9)
    left, right = cast(Any, figure.subfigures(1, 2, width_ratios=[1.15, 1]))
    ax = left.subplots()
    names = list(dict.fromkeys(row["model"] for row in rows))
    for index, name in enumerate(names):
        own = [row for row in rows if row["model"] == name]
        at = [row["number"] for row in own]
        low, high = ([row[key] for row in own] for key in ("p10", "p90"))
        ax.fill_between(at, low, high, color=color(index), alpha=0.18, linewidth=0)
        ax.plot(at, [r["median"] for r in own], color=color(index), marker=marker(index), label=name)
        ax.plot(at, [r["chance"] for r in own], color=color(index), linestyle=":", linewidth=1)
    ax.plot([], [], color="#555555", linestyle=":", linewidth=1, label="random kernels of that shape")
    ax.set(ylim=(0, 1.02), xlabel="convolution, in order", ylabel="share of one blueprint (1 = BSConv-U)")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=min(len(names) + 1, 4))
    _slices(right, layer, weight)
    return figure


def _slices(part: Any, layer: str, weight: Tensor) -> None:
    """Kernels from the most to the least alike, some of their slices side by side."""
    shares = similarity(weight)
    order = np.argsort(np.nan_to_num(shares, nan=-1.0))[::-1]
    picked = list(dict.fromkeys(int(order[round(q * (len(order) - 1))]) for q in (0, 0.25, 0.5, 0.75, 1)))
    kinds = {picked[0]: "most alike", picked[-1]: "least alike"}
    for line, number in zip(part.subplots(len(picked), 1, squeeze=False), picked, strict=True):
        ax: Axes = line[0]
        slices = weight[number, :SLICES].detach().cpu().numpy()
        k = slices.shape[-1]
        strip = np.full((k, len(slices) * (k + 1) - 1), np.nan)
        for i, piece in enumerate(slices):
            strip[:, i * (k + 1) : i * (k + 1) + k] = piece / (np.abs(piece).max() or 1.0)
        ax.imshow(strip, cmap="PuOr", vmin=-1, vmax=1, interpolation="nearest")
        ax.set_axis_off()
        ax.set_title(f"kernel {number}: {shares[number]:.2f} {kinds.get(number, '')}", loc="left")
    shown = f"the first {min(SLICES, weight.shape[1])} of {weight.shape[1]} slices"
    part.suptitle(f"{layer}: {shown},\neach in its own contrast, violet positive, orange negative", fontsize=9)
