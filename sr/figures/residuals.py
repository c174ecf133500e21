"""How large features grow along residual blocks, with and without EDSR's residual scaling."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.errors import UserError
from sr.figures.drawing import Drawing, Figure, color, marker, page, plain_numbers, styled
from sr.figures.inputs import Photo, answer, common_scale
from sr.layers.residual import ResBlock
from sr.measuring.scoring import Entry
from sr.models.base import SuperResolver
from sr.models.edsr import EDSR
from sr.models.srresnet import NormResBlock


def block_statistics(model: SuperResolver, lr: Tensor, scale: int) -> list[dict[str, float]]:
    """Standard deviations along the residual blocks, in the order in which they run.

    Args:
        model: with blocks ``x + f(x)`` (ResBlock, or SRResNet's).
        lr: (B, 3, h, w) in [0, 1].
        scale: to enlarge by.

    Returns:
        For each block its number from 1, `features`, the deviation over all values of what it puts out, and `branch`,
        that of what it adds; before them number 0, what the first block is given, with a branch of 0.

    Raises:
        UserError: a model without such blocks.
    """
    rows: list[dict[str, float]] = []

    def look(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if not rows:
            rows.append({"block": 0, "features": float(inputs[0].double().std()), "branch": 0.0})
        branch = float((output - inputs[0]).double().std())
        rows.append({"block": len(rows), "features": float(output.double().std()), "branch": branch})

    blocks = [m for m in model.modules() if isinstance(m, ResBlock | NormResBlock)]
    handles = [m.register_forward_hook(look) for m in blocks]
    try:
        answer(model.eval(), lr, scale)
    finally:
        for handle in handles:
            handle.remove()
    if not rows:
        raise UserError(
            f"{type(model).__name__} has no residual blocks of EDSR's or SRResNet's kind. Leave weights= and "
            "checkpoint= out to see new networks, or give an edsr, edsr_baseline, mdsr, srresnet or msrresnet"
        )
    return rows


def new_networks(
    channels: Sequence[int], res_scales: Sequence[float], num_blocks: int, scale: int, seed: int
) -> list[Entry]:
    """EDSRs with fresh weights, the same for each res_scale of one width."""
    entries = []
    for width in channels:
        for factor in res_scales:
            torch.manual_seed(seed)
            model = EDSR(scale, num_blocks, width, factor)
            entries.append(Entry(f"{width} channels, res_scale {factor:g}", model))
    return entries


def train_briefly(model: SuperResolver, photo: Photo, scale: int, steps: int, patch: int, seed: int) -> list[float]:
    """A few steps of EDSR's recipe (L1 in 0-255, Adam 1e-4) on random patches of one image; the losses on the way."""
    random = torch.Generator().manual_seed(seed)
    hr, lr = photo.cropped(scale).floats, photo.lr(scale)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    losses = []
    model.train()
    for _ in range(steps):
        y, x = (int(torch.randint(side - patch + 1, (), generator=random)) for side in lr.shape[-2:])
        target = hr[..., y * scale : (y + patch) * scale, x * scale : (x + patch) * scale]
        loss = 255 * F.l1_loss(model(lr[..., y : y + patch, x : x + patch], scale), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    return losses


@styled
def residuals(
    images: Sequence[Photo],
    models: Sequence[Entry] = (),
    scale: int | None = None,
    channels: Sequence[int] = (64, 256),
    res_scales: Sequence[float] = (1.0, 0.1),
    num_blocks: int = 32,
    steps: int = 8,
    patch: int = 24,
    seed: int = 0,
) -> Drawing:
    """The features' deviation after each block, and that of what each block adds.

    Lim et al., EDSR, CVPRW 2017 (https://arxiv.org/abs/1707.02921), section 3.3: with many features training is
    unstable unless each residual is scaled by 0.1. Trained models are shown as they are. Without any, networks with
    fresh weights are, dotted, and again after a few steps of EDSR's recipe, solid.

    Args:
        images: the first one is what the networks see, and what the brief training is on.
        models: trained ones.
        scale: for models of several scales; 2 for new networks where it is None.
        channels: of the new networks, a network for each.
        res_scales: of the new networks, a network for each.
        num_blocks: of each new network.
        steps: of their training; 0: none.
        patch: LR pixels: side of the middle of the image that is looked at, and half of it the training's.
        seed: of weights and patches.

    Raises:
        UserError: a model without residual blocks; a patch that is larger than the image.
    """
    fresh = not models
    factor = scale or 2 if fresh else common_scale(models, scale)
    lr = images[0].lr(factor)
    h, w = lr.shape[-2:]
    if not 2 <= patch <= min(h, w):
        raise UserError(f"figure.patch={patch}: 2 to {min(h, w)}, the smaller side of {images[0].name}'s LR")
    middle = lr[..., (h - patch) // 2 :, (w - patch) // 2 :][..., :patch, :patch]
    rows: list[dict[str, Any]] = []
    for entry in models or new_networks(channels, res_scales, num_blocks, factor, seed):
        rows += [{"model": entry.name, "steps": 0, **row} for row in block_statistics(entry.model, middle, factor)]
        if fresh and steps:
            train_briefly(entry.model, images[0], factor, steps, patch // 2, seed)
            rows += [{"model": entry.name, "steps": steps, **r} for r in block_statistics(entry.model, middle, factor)]
    return Drawing(_draw(rows, fresh), rows)


def _draw(rows: Sequence[Mapping[str, Any]], fresh: bool) -> Figure:
    figure = page(9.5, 4)
    left, right = figure.subplots(1, 2)
    last = max(row["steps"] for row in rows)
    for index, name in enumerate(dict.fromkeys(row["model"] for row in rows)):
        for steps in dict.fromkeys(row["steps"] for row in rows):
            own = [row for row in rows if row["model"] == name and row["steps"] == steps]
            main = steps == last
            style: dict[str, Any] = {"color": color(index), "linestyle": "-" if main else ":"}
            style |= {"marker": marker(index) if main else "", "markevery": 4}
            at = [row["block"] for row in own]
            left.plot(at, [row["features"] for row in own], label=name if main else "_", **style)
            share = [row["branch"] / before["features"] for before, row in itertools.pairwise(own)]
            right.plot(at[1:], share, **style)
    for ax in (left, right):
        ax.set_yscale("log")
        plain_numbers(ax.yaxis, (2, 3, 5))
        ax.set_xlabel("residual block")
    left.set(title="features after each block", ylabel="standard deviation")
    right.set(title="what each block adds, over what it is given", ylabel="ratio of standard deviations")
    networks = f"new EDSRs (dotted) and after {last} steps of Adam (solid)" if last else "new EDSRs"
    figure.suptitle(f"Features along the residual blocks: {networks if fresh else 'trained models'}")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
