"""A clip over time: one row of pixels of all frames, and PSNR frame by frame."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from sr.data.frame_names import NEIGHBOURS, gaps, refuse_several
from sr.errors import UserError, some
from sr.figures.drawing import Drawing, Figure, color, marker, page, show, styled
from sr.figures.inputs import Photo, common_scale
from sr.imaging.color import to_array
from sr.measuring.scoring import Entry
from sr.metrics.metric import get_metrics
from sr.metrics.protocol import Protocol
from sr.metrics.protocols import get_protocol
from sr.models.bicubic import Bicubic
from sr.models.clips import Made
from sr.precision import full_precision
from sr.scores.score import BASELINE

VIDEO = get_protocol("video_y")
log = logging.getLogger(__name__)


def clip_of(images: Sequence[Photo], scale: int, least: int = 2) -> list[Photo]:
    """The frames of a clip, cropped to multiples of the scale; frames that are missing between them are told.

    Raises:
        UserError: fewer than `least`, of different sizes, or of several clips.
    """
    frames = [photo.cropped(scale) for photo in images]
    sizes = {frame.pixels.shape[-2:] for frame in frames}
    if len(frames) < least or len(sizes) > 1:
        found = f"{len(frames)} images" if len(sizes) < 2 else f"images of {len(sizes)} sizes"
        raise UserError(f"images= has {found}: wanted are {least} or more frames of one clip, as images=CLIP_FOLDER")
    names = [frame.name for frame in frames]
    refuse_several(names)
    if len({re.sub(r"\d+", "", name) for name in names}) > 1:
        log.warning(
            f"warning: the names of images= do not count, and are taken for frames in this order: {some(names)}"
        )
    if lacking := gaps(names):
        log.warning(f"warning: frames are missing, by their numbers: {some(lacking)}. {NEIGHBOURS}")
    return frames


@torch.inference_mode()
def outputs(entry: Entry, frames: Sequence[Photo], scale: int, protocol: Protocol = VIDEO) -> Iterator[torch.Tensor]:
    """What a model makes of each frame, from the LR of a protocol: (1, 3, H, W) on the CPU."""
    model = entry.model.eval()
    lr = Made(frames, lambda frame: protocol.lr(frame.pixels, scale, grey=frame.grey).to(model.device))
    with full_precision(model.device):
        for sr in model.stream(lr, scale):
            yield sr.cpu()


def _with_bicubic(models: Sequence[Entry], scale: int) -> list[Entry]:
    return [Entry(BASELINE, Bicubic(scale)), *(entry for entry in models if entry.name != BASELINE)]


@styled
def temporal_profile(
    models: Sequence[Entry],
    images: Sequence[Photo],
    scale: int | None = None,
    row: int | None = None,
    height: int = 3,
) -> Drawing:
    """One row of pixels of every frame, frame below frame, of HR and of each model.

    Smooth lines are steady edges; what flickers looks frayed. As in the tables' pictures since Sajjadi et al., FRVSR,
    CVPR 2018 (https://arxiv.org/abs/1801.04590), figure 6.

    Args:
        models: of clips or of images.
        images: the frames of a clip, in order.
        scale: for models of several scales.
        row: of HR; None: the middle.
        height: lines that a frame takes in the picture.

    Raises:
        UserError: no clip, or a row that it has not.
    """
    scale = common_scale(models, scale)
    frames = clip_of(images, scale)
    rows, _ = frames[0].array.shape[:2]
    row = rows // 2 if row is None else row
    if not 0 <= row < rows:
        raise UserError(f"figure.row={row}: the frames have rows 0 to {rows - 1}")
    true = np.stack([frame.array[row] for frame in frames])
    profiles = {"HR": true}
    for entry in _with_bicubic(models, scale):
        profiles[entry.name] = np.stack([to_array(sr)[row] for sr in outputs(entry, frames, scale)])
    numbers = []
    for name, profile in profiles.items():
        change = np.abs(np.diff(profile.astype(float), axis=0)).mean()
        error = np.abs(profile.astype(float) - true).mean()
        numbers.append({"model": name, "row": row, "change_between_frames": change, "error": error})
    return Drawing(_draw_profiles(profiles, numbers, height, row), numbers)


def _draw_profiles(
    profiles: Mapping[str, np.ndarray], numbers: Sequence[Mapping[str, Any]], height: int, row: int
) -> Figure:
    time, width = next(iter(profiles.values())).shape[:2]
    figure = page(9, len(profiles) * (8.6 * time * height / width + 0.45) + 0.4)
    axes = figure.subplots(len(profiles), 1, squeeze=False)[:, 0]
    for ax, (name, profile), found in zip(axes, profiles.items(), numbers, strict=True):
        told = "" if name == "HR" else f", error {found['error']:.1f}"
        show(ax, profile.repeat(height, 0), f"{name}: change {found['change_between_frames']:.1f}{told} levels")
    figure.suptitle(f"Row {row} of {time} frames, the first on top")
    return figure


@styled
def frame_psnr(
    models: Sequence[Entry], images: Sequence[Photo], scale: int | None = None, protocol: str = "video_y"
) -> Drawing:
    """PSNR of each frame of a clip, a line for each model.

    Args:
        models: of clips or of images.
        images: the frames of a clip, in order.
        scale: for models of several scales.
        protocol: of the figures, of LR, and of which frames the mean is over.
    """
    scale = common_scale(models, scale)
    frames, compared, psnr = clip_of(images, scale), get_protocol(protocol), get_metrics(["psnr"])
    numbers: list[dict[str, Any]] = []
    counted = compared.scored(len(frames))
    figure = page(7, 3.6)
    ax = figure.subplots()
    for index, entry in enumerate(_with_bicubic(models, scale)):
        values = []
        for frame, sr in zip(frames, outputs(entry, frames, scale, compared), strict=True):
            values.append(float(compared.compare(sr, frame.pixels, scale, frame.grey, psnr)["psnr"]))
            numbers.append({"model": entry.name, "frame": frame.name, "psnr": values[-1]})
        finite = [values[n] for n in counted if np.isfinite(values[n])]
        mean = psnr[0].mean(sum(finite), len(finite), len(counted) - len(finite), len(counted))
        over = "" if len(counted) == len(frames) else f" of {len(counted)} of {len(frames)} frames"
        remark = psnr[0].remark(len(counted) - len(finite), len(counted))
        label = f"{entry.name} (mean {mean:.2f}{over}{remark and f', {remark}'})"
        ax.plot(range(1, len(values) + 1), values, label=label, color=color(index), marker=marker(index))
    ax.set(xlabel="frame", ylabel=f"PSNR, dB ({compared.name})", title=f"{len(frames)} frames, x{scale}")
    ax.legend()
    return Drawing(figure, numbers)
