"""What a feature extractor sees of a difference between two images: RLFN's argument for shallow features."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr.degradation.step import Step
from sr.errors import UserError
from sr.figures.drawing import Drawing, Figure, page, show, styled
from sr.figures.inputs import Photo
from sr.layers.pretrained import VGG19
from sr.losses import RandomFeatures, VGG19Features, find_vgg19


@torch.inference_mode()
def difference_maps(extractor: nn.Module, first: Tensor, second: Tensor) -> dict[str, np.ndarray]:
    """Mean over channels k of |phi(first) - phi(second)|, for each layer of the extractor.

    Kong et al., RLFN, CVPRW 2022 (https://arxiv.org/abs/2205.07514), section 3.3, with the mean for its sum over k, so
    that layers of different width can be compared.

    Args:
        extractor: (1, 3, H, W) in [0, 1] -> {layer: (1, C, h, w)}.
        first: (1, 3, H, W) in [0, 1].
        second: as `first`.

    Returns:
        layer -> (h, w).
    """
    seen, other = extractor(first), extractor(second)
    return {name: (seen[name] - other[name]).abs().mean(1)[0].double().numpy() for name in seen}


def correlation(features: np.ndarray, pixels: np.ndarray) -> float:
    """Pearson's correlation of a feature map (h, w), enlarged bilinearly, with the pixels' difference (H, W).

    1: the map is where the pixels differ; 0: it has nothing to do with it. nan where one of them is constant.
    """
    large = F.interpolate(torch.from_numpy(features)[None, None], pixels.shape, mode="bilinear", align_corners=False)
    a, b = large[0, 0].numpy() - large.mean().item(), pixels - pixels.mean()
    spread = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum() / spread) if spread > 0 else float("nan")


@styled
def feature_differences(
    images: Sequence[Photo],
    degrade: Step,
    layers: Sequence[str] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
    random_layers: Sequence[str] = ("tanh", "conv2"),
    width: int = 64,
    seed: int = 0,
    normalize: bool = False,
    vgg_weights: str | None = None,
) -> Drawing:
    """For each image: itself, its degraded copy, their difference in pixels and in the features of each layer.

    The random extractor is always drawn; VGG-19's layers where its weights are at hand.

    Args:
        images: one line of pictures each.
        degrade: makes the second image from the first, of the same size; the paper blurs.
        layers: of VGG-19; the default are convolutions 1, 3, 5, 9 and 13 as in AECR-Net and CSD.
        random_layers: of `RandomFeatures`.
        width: channels of `RandomFeatures`.
        seed: of its weights.
        normalize: bring images to ImageNet's mean first (AECR-Net's code does not).
        vgg_weights: torchvision's weight file; None: looked for where torchvision keeps it.

    Raises:
        UserError: `vgg_weights` is given and not there.
    """
    extractors: list[tuple[str, nn.Module]] = []
    notes = []
    try:
        find_vgg19(vgg_weights)
        extractors.append(("VGG-19 ", VGG19Features(layers, vgg_weights, normalize)))
    except UserError:
        if vgg_weights is not None:
            raise
        get = f"get it from {VGG19.address} ({VGG19.megabytes} MB) and type vgg_weights=PATH"
        notes.append(f"VGG-19's layers are left out, as there is no {VGG19.file} where torchvision keeps it: {get}")
    extractors.append(("random ", RandomFeatures(random_layers, width, seed)))

    rows, pictures = [], []
    for photo in images:
        first = photo.floats
        second = degrade(first[0], None)[None]
        if second.shape != first.shape:
            raise UserError("degrade must keep the size: for example a blur, not a resize")
        pixels = (first - second).abs().mean(1)[0].double().numpy()
        maps = {prefix + k: v for prefix, e in extractors for k, v in difference_maps(e, first, second).items()}
        for name, found in maps.items():
            row = {"image": photo.name, "layer": name, "height": found.shape[0], "width": found.shape[1]}
            row |= {"mean_difference": float(found.mean()), "correlation_with_pixels": correlation(found, pixels)}
            rows.append(row)
        pictures.append((photo, second, {"pixels": pixels, **maps}))
    return Drawing(_draw(pictures, rows), rows, notes)


def _draw(pictures: Sequence[tuple[Photo, Tensor, dict[str, np.ndarray]]], rows: Sequence[Mapping[str, Any]]) -> Figure:
    columns = 2 + len(pictures[0][2])
    heights = [p.pixels.shape[-2] / p.pixels.shape[-1] for p, _, _ in pictures]
    cell = 1.9  # inches
    figure = page(cell * columns, sum(cell * h + 0.45 for h in heights) + 0.3)
    axes = figure.subplots(len(pictures), columns, squeeze=False, height_ratios=heights)
    of_maps = iter(rows)  # as they are drawn: images may share a name
    for line, (photo, second, maps) in zip(axes, pictures, strict=True):
        show(line[0], photo.array, "image")
        line[0].set_ylabel(photo.name)
        show(line[1], second[0].permute(1, 2, 0).clamp(0, 1).numpy(), "degraded")
        for ax, (name, values) in zip(line[2:], maps.items(), strict=True):
            row = None if name == "pixels" else next(of_maps)
            below = f"{row['height']} x {row['width']}, r = {row['correlation_with_pixels']:.2f}" if row else ""
            title = "|difference| in pixels" if name == "pixels" else name
            show(ax, values, title, below, cmap="magma", vmin=0, vmax=max(float(np.quantile(values, 0.995)), 1e-12))
    figure.suptitle("Mean over channels of |difference of features|; r: correlation with the difference in pixels")
    return figure
