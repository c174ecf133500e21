"""What figures are made of: photos, their LR and a model's answer."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sr.data.bundled import Bundled
from sr.data.frame_names import in_time
from sr.data.images import Images
from sr.data.missing import left_out
from sr.data.video_files import VIDEO_SUFFIXES
from sr.errors import UserError
from sr.imaging.files import Picture, list_images, read_image, tell_links
from sr.imaging.panel import Window, detail, pick_crop
from sr.imaging.resize import imresize
from sr.measuring.scoring import Entry
from sr.models.base import SuperResolver
from sr.precision import full_precision
from sr.runs.trained_scales import tell_untrained, trained_scales

DARK = 8  # levels from black and from white at which a pixel says little about colours


@dataclass(frozen=True)
class Photo:
    """An HR image: (1, 3, H, W) uint8."""

    name: str
    pixels: Tensor
    grey: bool = False
    path: Path | None = None

    def cropped(self, multiple: int) -> Photo:
        """With sides that are multiples of the scale; right and bottom are cut."""
        h, w = ((side // multiple) * multiple for side in self.pixels.shape[-2:])
        if not (h and w):
            raise UserError(f"image {self.name} is smaller than the scale, {multiple}")
        return replace(self, pixels=self.pixels[..., :h, :w])

    @property
    def floats(self) -> Tensor:
        """(1, 3, H, W) in [0, 1]."""
        return self.pixels.float() / 255

    @property
    def array(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        return self.pixels[0].permute(1, 2, 0).numpy()

    def lr(self, scale: int) -> Tensor:
        """MATLAB's bicubic of the 8-bit image, rounded: (1, 3, H / scale, W / scale) in [0, 1]."""
        return imresize(self.cropped(scale).pixels, 1 / scale).float() / 255


def read_photos(paths: Sequence[str | Path]) -> list[Photo]:
    """The images of files and folders, in the order given, those of a folder by the numbers in their names.

    Raises:
        UserError: a path that is not there, a folder without images, or a file that is no 8-bit image.
    """
    photos = []
    for path in map(Path, paths):
        if path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES:
            raise UserError(
                f"images={path} is a film, and a figure is drawn of frames: give the folder that holds them, as after "
                f"ffmpeg -i {shlex.quote(str(path))} FOLDER/%04d.png"
            )
        files = sorted(list_images(path), key=lambda file: in_time(file.stem)) if path.is_dir() else [path]
        tell_links(path, files if path.is_dir() else ())
        if not files:
            only = f", only {others}. Type the path of a folder with images" if (others := left_out(path)) else ""
            raise UserError(f"images={path}: there is no image in this folder{only}")
        for file in files:
            pixels, grey = read_image(file)
            photos.append(Photo(file.stem, torch.from_numpy(pixels).permute(2, 0, 1)[None], grey, file))
    return photos


class Shown(Images):
    """Photos as what is measured elsewhere: to be held against what a model was trained on."""

    def __init__(self, photos: Sequence[Photo]) -> None:
        self.photos, self.paths = photos, [photo.path or Path(photo.name) for photo in photos]

    def picture(self, index: int) -> Picture:
        return Picture(self.photos[index].array, self.photos[index].grey)


def bundled_photos() -> list[Photo]:
    """The photos of scikit-image's wheel that `data=bundled` does not train on."""
    return read_photos([pair.hr for pair in Bundled(scale=1).val_pairs()])


@torch.inference_mode()
def answer(model: SuperResolver, lr: Tensor, scale: int) -> Tensor:
    """The model's output in full precision, on the CPU: (B, 3, h, w) -> (B, 3, s*h, s*w), not clamped.

    The model stays in the mode (training, eval) that it is in.
    """
    with full_precision(model.device):
        return model(lr.to(model.device), scale).cpu()


def smooth_window(image: np.ndarray, size: int, scale: int) -> Window:
    """The window of (H, W, 3) uint8 with the least detail that is neither black nor white, where there is one."""
    clipped = (image.min(2) <= DARK) | (image.max(2) >= 255 - DARK)
    return pick_crop(-detail(image) - 255.0**2 * clipped, size, scale)


def placed_window(image: np.ndarray, at: Sequence[int], size: int, scale: int) -> Window:
    """The window whose top left corner is near `at`, inside the image, on the grid of LR pixels.

    Raises:
        UserError: the corner is not in the image.
    """
    if len(at) != 2 or not all(0 <= place < side for place, side in zip(at, image.shape, strict=False)):
        size_now = f"{image.shape[0]} x {image.shape[1]}"
        raise UserError(f"figure.at={list(at)}: wanted is [top, left] inside an image of {size_now} pixels")
    height, width = (max(min(size, side) // scale, 1) * scale for side in image.shape[:2])
    top, left = (
        min(p, side - window) // scale * scale
        for p, side, window in zip(at, image.shape, (height, width), strict=False)
    )
    return top, left, height, width


def common_scale(models: Sequence[Entry], asked: int | None) -> int:
    """The scale to work at: the one asked for, or the only one that all models were trained for.

    Raises:
        UserError: there is none, or more than one.
    """
    shared = set.intersection(*(set(entry.model.scales) for entry in models))
    of_models = [trained_scales(entry.model.scales, entry.model.metadata) for entry in models]
    trained = set.intersection(*map(set, of_models)) or shared
    if asked in shared:
        for entry in models:
            tell_untrained(entry.model, entry.name, int(asked))
        return int(asked)
    if asked is None and len(trained) == 1:
        return trained.pop()
    scales = "; ".join(f"{entry.name}: {', '.join(map(str, entry.model.scales))}" for entry in models)
    if asked is None and shared:
        raise UserError(f"these models are of several scales: type scale={min(trained)}, for example ({scales})")
    wanted = "one scale that all models are made for" if asked is None else f"scale={asked}"
    raise UserError(f"wanted is {wanted}, but the models have {scales}. Give models of one scale")
