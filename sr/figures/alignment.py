"""How networks on clips bring frames together: flow, offsets and weights of frames."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.colors import hsv_to_rgb
from torch import Tensor, nn

from sr.errors import UserError
from sr.figures.drawing import Drawing, page, show, styled
from sr.figures.inputs import Photo, common_scale
from sr.figures.temporal import clip_of
from sr.imaging.color import to_array
from sr.layers.warp import warp
from sr.measuring.scoring import Entry
from sr.models.basicvsr import BasicVSR
from sr.models.clips import window
from sr.models.edvr import EDVR, TSA
from sr.precision import full_precision

Cells = list[tuple[str, np.ndarray, dict[str, Any]]]  # title, picture, how it is shown


def wheel(flow: np.ndarray, most: float) -> np.ndarray:
    """(2, H, W) pixels right and down -> (H, W, 3) in [0, 1]: hue is the direction, white rest, full colour `most`."""
    right, down = flow
    hue = (np.arctan2(down, right) / (2 * math.pi)) % 1
    strength = np.clip(np.hypot(right, down) / max(most, 1e-9), 0, 1)
    return np.asarray(hsv_to_rgb(np.stack([hue, strength, np.ones_like(hue)], -1)))


def legend(size: int = 65) -> np.ndarray:
    """The colours of all directions, (size, size, 3): strongest at the rim."""
    place = np.linspace(-1, 1, size)
    right, down = np.meshgrid(place, place)
    picture = wheel(np.stack([right, down]), 1.0)
    picture[np.hypot(right, down) > 1] = 1
    return picture


@styled
@torch.inference_mode()
def alignment(
    models: Sequence[Entry], images: Sequence[Photo], scale: int | None = None, frame: int | None = None
) -> Drawing:
    """What a BasicVSR or an EDVR makes of the frames around one frame.

    Of BasicVSR the flow to the next frame and to the one before, as SPyNet finds it, and what is left of the difference
    once the neighbour is warped; of EDVR the offsets of the last deformable convolution, mean over groups and taps, and
    TSA's likeness of each frame to the centre one and its spatial mask, mean over channels (Wang et al., EDVR, CVPRW
    2019, section 3.3). Colours tell the direction.

    Args:
        models: of these kinds.
        images: the frames of a clip, in order.
        scale: for models of several scales.
        frame: number of the frame, from 0; None: the middle.

    Raises:
        UserError: a model of another kind, or one that does not align.
    """
    scale = common_scale(models, scale)
    lr = [photo.lr(scale) for photo in clip_of(images, scale, least=3)]
    at = len(lr) // 2 if frame is None else frame
    if not 0 < at < len(lr) - 1:
        raise UserError(f"figure.frame={at}: 1 to {len(lr) - 2}, a frame with one before and one after it")
    numbers: list[dict[str, Any]] = []
    lines: list[tuple[str, Cells]] = []
    for entry in models:
        model = entry.model.eval()
        clip = [image.to(model.device) for image in lr]
        with full_precision(model.device):
            if isinstance(model, BasicVSR) and model.flow is not None:
                cells = _of_flow(model.flow, clip, at, entry.name, numbers)
            elif isinstance(model, EDVR) and model.align is not None:
                cells = _of_offsets(model, clip, at, entry.name, numbers)
            else:
                raise UserError(f"{entry.name} ({type(model).__name__}) aligns no frames: give a basicvsr or an edvr")
        lines.append((entry.name, cells))
    return Drawing(_draw(lines, at, lr[at]), numbers)


def _of_flow(flow: nn.Module, clip: Sequence[Tensor], at: int, name: str, numbers: list[dict[str, Any]]) -> Cells:
    flows = {other: flow(clip[at], clip[other]) for other in (at - 1, at + 1)}
    most = max(float(f.norm(dim=1).max()) for f in flows.values())
    cells: Cells = []
    for other, found in flows.items():
        before = (clip[other] - clip[at]).abs().mean(1)[0]
        after = (warp(clip[other], found) - clip[at]).abs().mean(1)[0]
        mean = float(found.norm(dim=1).mean())
        numbers.append({
            "model": name, "frame": other - at, "mean_length": mean, "difference": 255 * float(before.mean()),
            "difference_warped": 255 * float(after.mean()),
        })  # fmt: skip
        cells.append((f"flow to frame {other - at:+d}, most {most:.1f} px", wheel(found[0].cpu().numpy(), most), {}))
        level = {"cmap": "gray", "vmin": 0, "vmax": 0.2}
        cells.append((f"difference {255 * float(before.mean()):.1f} levels", before.cpu().numpy(), level))
        cells.append((f"after warping {255 * float(after.mean()):.1f}", after.cpu().numpy(), level))
    return cells


def _of_offsets(model: EDVR, clip: Sequence[Tensor], at: int, name: str, numbers: list[dict[str, Any]]) -> Cells:
    assert model.align is not None
    around = window(at, len(clip), model.frames, model.edges)
    features = {n: model.features(clip[n]) for n in dict.fromkeys(around)}
    seen: list[Tensor] = []
    handle = model.align.last_move.offset.register_forward_hook(lambda _, __, moves: seen.append(moves))
    try:
        aligned = model.aligned([features[n] for n in around])
    finally:
        handle.remove()
    h, w = clip[at].shape[-2:]
    means = [moves[0, : len(moves[0]) * 2 // 3, :h, :w].unflatten(0, (-1, 2)).mean(0).flip(0) for moves in seen]
    most = max(float(mean.norm(dim=0).max()) for mean in means)
    cells: Cells = []
    likeness, level = None, {"cmap": "gray", "vmin": 0, "vmax": 1}
    if isinstance(model.fusion, TSA):
        alike = model.fusion.likeness(aligned)
        likeness = alike[0, :, 0, :h, :w]
        mask = model.fusion.spatial((aligned * alike).flatten(1, 2)).sigmoid().mean(1)[0, :h, :w]
        cells.append((f"spatial mask, mean {float(mask.mean()):.2f}", mask.cpu().numpy(), level))
    for n, (frame, mean) in enumerate(zip(around, means, strict=True)):
        where = n - len(around) // 2
        row = {"model": name, "frame": where, "mean_length": float(mean.norm(dim=0).mean())}
        cells.append((f"offsets of frame {where:+d}, most {most:.1f} px", wheel(mean.cpu().numpy(), most), {}))
        if likeness is not None:
            row["likeness"] = float(likeness[n].mean())
            cells.append((f"likeness, mean {row['likeness']:.2f}", likeness[n].cpu().numpy(), level))
        numbers.append({**row, "shown": frame})
    return cells


def _draw(lines: Sequence[tuple[str, Cells]], at: int, frame: Tensor) -> Any:
    columns = 4
    heights = [-(-(len(cells) + 2) // columns) for _, cells in lines]
    h, w = frame.shape[-2:]
    figure = page(10, sum(heights) * (2.4 * h / w + 0.4) + 0.4)
    axes = figure.subplots(sum(heights), columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    top = 0
    for (name, cells), rows in zip(lines, heights, strict=True):
        shown: Cells = [(f"{name}: frame {at}", to_array(frame), {}), *cells, ("directions", legend(), {})]
        for ax, (title, picture, options) in zip(axes[top : top + rows].flat, shown, strict=False):
            ax.set_axis_on()
            show(ax, picture, title, **options)
        top += rows
    return figure
