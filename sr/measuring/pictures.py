"""Outputs that lie in a folder, made by whatever program, in the place of a model."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sr.data.belonging import decided, pair, report
from sr.data.images import LazyImages, SomeImages, each
from sr.data.module import SRDataModule
from sr.errors import UserError, some
from sr.imaging.files import list_images, read_image

SCALE = re.compile(r"(?:^|[^0-9a-z])(?:x(\d\d?)(?!\d)|(\d\d?)x(?![0-9a-z]))", re.IGNORECASE)  # x4_mine, _4x


class Pictures:
    """SR images of a folder, each named as its HR image, with or without something behind: baby.png, baby_x4_edsr.png.

    Of names that tell a scale behind, those of another one than the set's are left out.

    Args:
        folder: or, where it has one of the set's name, that sub-folder.
        data: the set, checked.

    Raises:
        UserError: there is no such folder, or an image has no picture, or two.
    """

    def __init__(self, folder: Path, data: SRDataModule) -> None:
        dataset, hr = data.test_name, data.pairs("test").paths
        if data.of_clips:
            raise UserError(f"pictures={folder}: {dataset} has clips; outputs of images alone are measured so")
        if not folder.is_dir():
            raise UserError(f"pictures={folder}: there is no such folder")
        own = next((p for p in sorted(folder.iterdir()) if p.is_dir() and p.name.lower() == dataset.lower()), folder)
        of = _by_stem([path.stem for path in hr], list_images(own))
        found = [of[path.stem] for path in hr]
        others = {scale for each in found for scale, _ in each if scale not in (None, data.scale)}
        fitting = [[file for scale, file in each if scale not in others] for each in found]
        if missing := [path for path, each in zip(hr, fitting, strict=True) if not each]:
            told = "".join(
                f". There are some whose names tell x{scale}: type scale={scale}" for scale in sorted(others)
            )
            raise UserError(
                f"pictures={own}: there is none for {len(missing)} images of {dataset} x{data.scale} "
                f"({some(missing)}){told}"
            )
        if double := next((each for each in fitting if len(each) > 1), None):
            raise UserError(f"pictures={own}: {double[0].name} and {double[1].name} are of one image: keep one of them")
        self.folder, self.files, self.scale = own, [each[0] for each in fitting], data.scale

    def check(self, data: SRDataModule) -> None:
        """Hold each picture against its HR, as LR is: shrunk by half of the scale.

        What outputs lack or make up of HR's finest detail would hide a shift.

        Args:
            data: the set, verified.

        Raises:
            UserError: pictures of another size, that show another image, or theirs turned.
        """
        pairs, made = data.pairs("test"), LazyImages(self.files)
        for number, (h, w) in enumerate(pairs.grids):
            self._refuse_size(number, made.size(number), (h * self.scale, w * self.scale))
        if data.check_pairs:
            (stored,) = data.images("test").values()
            numbers = {path: number for number, path in enumerate(stored.paths)}
            hr, half = SomeImages(stored, [numbers[path] for path in pairs.paths]), (self.scale + 1) // 2
            seen = each(lambda n: pair(hr[n], np.asarray(Image.fromarray(made[n]).reduce(half)), half), len(made))
            report(decided(hr, made, range(len(made)), seen, half), str(self.folder), what="pictures")

    def output(self, number: int, hr: Tensor) -> Tensor:
        """The picture of an image, (1, 3, H, W) in [0, 1]; what the set's grid leaves out of HR is left out of it.

        Raises:
            UserError: it has another size than HR (1, 3, H, W).
        """
        pixels = torch.from_numpy(read_image(self.files[number]).pixels).permute(2, 0, 1)[None]
        height, width = hr.shape[-2:]
        self._refuse_size(number, (pixels.shape[-2], pixels.shape[-1]), (height, width))
        return (pixels[..., :height, :width].float() / 255).to(hr.device)

    def _refuse_size(self, number: int, own: tuple[int, int], wanted: tuple[int, int]) -> None:
        (height, width), (h, w) = wanted, own
        if not (0 <= h - height < self.scale and 0 <= w - width < self.scale):
            raise UserError(
                f"{self.files[number]} has {w} x {h} pixels (width x height), where its HR has {width} x {height}"
            )


def _by_stem(stems: Sequence[str], files: Sequence[Path]) -> dict[str, list[tuple[int | None, Path]]]:
    """The files of each stem with the scale that their names tell behind it.

    A file is that one's whose stem it has, or the longest one that it begins with.
    """
    found: dict[str, list[tuple[int | None, Path]]] = {stem: [] for stem in stems}
    for file in files:
        begun = [s for s in found if file.stem == s or re.match(rf"{re.escape(s)}([^0-9A-Za-z]|x\d)", file.stem)]
        if begun:
            stem = max(begun, key=len)
            scale = SCALE.search(file.stem[len(stem) :])
            found[stem].append((int(scale[1] or scale[2]) if scale else None, file))
    return found
