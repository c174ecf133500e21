"""Holding out a validation share of a set that has no official one."""

import hashlib
import logging
import os
import re
from collections.abc import Iterable
from math import ceil
from pathlib import Path
from typing import Any

from sr.data.leaks import find_leaks
from sr.data.module import SRDataModule
from sr.data.pairs import ImagePair
from sr.data.pairset import Pairs, PairSet
from sr.data.settings import share
from sr.errors import UserError, some

log = logging.getLogger(__name__)
CROP = re.compile(r"_s\d{3,}(?=(\.\w+)?$)")  # 0001_s001.png, as BasicSR's extract_subimages names them


class SplitModule(SRDataModule):
    """A data module that may hold out images by itself.

    Sets contain the same photo twice (T91 does); where the copies fall on both sides, the held-out one is left
    out, instead of refusing what the user had no hand in.

    Args:
        val_share: part of the training images to hold out, 0 to 1.
        settings: see `SRDataModule`.
    """

    def __init__(self, *, val_share: float, **settings: Any) -> None:
        super().__init__(**settings)
        share(val_share=val_share)
        self.val_share = val_share
        self._copies: set[Path] = set()  # held-out files that show a training image

    @property
    def splits(self) -> bool:
        """Whether validation images are held out from the training images."""
        return True

    @property
    def tests_held_out(self) -> bool:
        """Whether what is held out is measured at the end, too."""
        return True

    @property
    def test_name(self) -> str:
        return f"{self.name} held-out"

    def held_out(self, pairs: list[ImagePair]) -> list[ImagePair]:
        """The validation share of `pairs`, without copies of training images that were found.

        Raises:
            UserError: nothing is held out, or nothing else than such copies.
        """
        if self.val_share == 0:
            raise UserError(
                f"data.val_share=0 holds no image of {self.name} out to validate and measure on: type "
                "data.val_share=0.1, or give data.val=<a folder of other images>"
            )
        held_out = split_by_name(pairs, self.val_share)[1]
        kept = [p for p in held_out if p.hr not in self._copies]
        if not kept:
            more = ceil(100 * (len({p.hr for p in held_out}) + 1) / len({p.hr for p in pairs})) / 100
            raise UserError(
                f"of {self.name} nothing is held out but copies of training images: {some([p.hr for p in held_out])}. "
                f"Delete them, hold out more (data.val_share={min(more, 0.9):g}), give data.val=<a folder "
                "of other images>, or type data.check_leaks=false to measure on copies"
            )
        return kept

    def make_set(self, part: str) -> Pairs:
        made = super().make_set(part)
        held_out = part == "val" or (part == "test" and self.trained_on and self.tests_held_out)
        if not held_out or not self.splits or not self.check_leaks:
            return made
        train = self.pairs("train")
        assert isinstance(train, PairSet) and isinstance(made, PairSet)
        copies = {copy for _, copy in find_leaks(train.hr, made.hr)}
        if not copies:
            return made
        log.info("not measuring on copies of training images: %s", ", ".join(sorted(map(str, copies))))
        self._copies |= copies
        return self.make_set(part)


def split_by_name(pairs: list[ImagePair], part: float) -> tuple[list[ImagePair], list[ImagePair]]:
    """Hold out a share (at least one image unless it is 0); several LR of one HR stay on one side."""
    if part == 0:
        return pairs, []
    held_out = held_out_names({p.hr for p in pairs}, part)
    return [p for p in pairs if p.hr not in held_out], [p for p in pairs if p.hr in held_out]


def held_out_names(paths: Iterable[str | Path], part: float, what: str = "image") -> set[str | Path]:
    """A share of them, one at least, by a hash of their last parts: adding images moves few others.

    Crops that were cut of one photo, which overlap, stay on one side, unless there are no others.

    Raises:
        UserError: there is one alone.
    """
    names = list(paths)
    if len(names) < 2:
        raise UserError(f"one {what} ({names[0]}) cannot serve for training and validation: add more {what}s")
    photos = {p: CROP.sub("", str(p)) for p in names}
    if len({*photos.values()}) == 1:
        photos = {p: str(p) for p in names}

    def drawn(p: str | Path) -> tuple[bytes, str]:
        return hashlib.blake2b(os.fsencode(os.path.basename(photos[p]))).digest(), str(p)

    names.sort(key=drawn)
    most = max(n for n in range(1, len(names)) if photos[names[n]] != photos[names[n - 1]])
    end = min(most, max(1, round(part * len(names))))
    while photos[names[end]] == photos[names[end - 1]]:
        end += 1
    return set(names[:end])
