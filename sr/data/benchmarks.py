"""The test sets of the papers.

Set5 (Bevilacqua et al., 2012), Set14 (Zeyde et al., 2010), B100 (Martin et al., 2001), Urban100 (Huang et al., 2015),
Manga109 (Matsui et al., 2017), DIV2K100, the validation part of DIV2K (Agustsson and Timofte, 2017).
"""

import csv
import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from sr.data.archives import BENCHMARKS, Archive, div2k
from sr.data.images import digest
from sr.data.missing import images_in, missing
from sr.data.module import SRDataModule
from sr.data.pairs import ImagePair, pair_by_name
from sr.data.pairset import PairSet
from sr.errors import UserError
from sr.imaging.files import read_size, tell_links

log = logging.getLogger(__name__)
CROP = 12  # pixels less a side, copies of a set may have: HR cut to multiples of 2, 3, 4, 6, 8 or 12
SELFEXSR = "image_SRF_"  # folders of github jbhuang0604/SelfExSR: HR and LR of one scale side by side


@cache
def _known() -> dict[str, list[list[str]]]:
    """Digests of the images of a set, of each whole and as copies are cut."""
    found: dict[str, list[list[str]]] = {}
    with Path(__file__).with_name("cuts.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["dataset"], []).append(row["digests"].split())
    return found


class Benchmark(SRDataModule):
    """One test set; for measuring only.

    Looked for in `data_dir`, first found: benchmarks/Set5/HR, benchmark/Set5/HR (the EDSR authors' archive),
    Set5/HR, Set5/image_SRF_4 (SelfExSR, with img_001_SRF_4_HR.png), Set5 with the images in it. Images there of another
    number, of other sizes than the set's or saved as JPEG are measured under another name, "other Set5"; other pixels
    than those of Set5, Set14 and B100 are told.

    Args:
        data_dir: the folder of all data.
        lr: None makes LR from HR; else the folder of LR beside HR, as in LR_bicubic (LR_bicubic/X4/babyx4.png), or
            image_SRF for the LR of the SelfExSR layout.
        settings: see `SRDataModule`.
    """

    parts = ("val", "test")
    names: ClassVar[tuple[str, ...]] = ()  # of the set's folder
    count: ClassVar[int]  # of its images
    sizes: ClassVar[Sequence[tuple[int, int]]] = ()  # (H, W) of each, as far as they are known
    grey: ClassVar[Sequence[int]] = ()  # numbers of those that are stored in grey
    exact: ClassVar[bool] = True  # the papers' images are in no file that loses some of them
    archive: ClassVar[Archive | None] = BENCHMARKS
    where: ClassVar[str | None] = None  # how it is had where no archive is public

    def __init__(self, *, data_dir: str | Path, lr: str | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.data_dir = Path(data_dir).expanduser()
        self.lr = lr
        self._is_other = False  # known when the files have been listed
        self._strange: dict[str, str] | None = None  # and when they have been opened: names, and in what they differ

    @property
    def test_name(self) -> str:
        return f"other {self.name}" if self._is_other else self.name

    def folders(self) -> list[Path]:
        """Where HR is looked for, in order."""
        parents = [self.data_dir / "benchmarks", self.data_dir / "benchmark", self.data_dir]
        homes = [p / name for p in parents for name in self.names]
        return [h / sub for h in homes for sub in ("HR", f"{SELFEXSR}{self.scale}", ".")]

    def _hr(self) -> list[Path]:
        for folder in self.folders():
            if found := images_in(folder):
                # The SelfExSR folders hold LR, and the results of several methods, beside HR.
                return [p for p in found if p.stem.endswith("_HR")] if SELFEXSR in folder.name else found
        return []

    def val_pairs(self) -> list[ImagePair]:
        hr = self._hr()
        if not hr:
            looked = [f for f in self.folders() if f.exists()] or self.folders()[::3]
            setting = "data_dir=<the folder that holds benchmarks/>"
            source = self.archives()
            raise missing(f"{self.name}'s images", looked, setting=setting, source=source, where=self.where)
        tell_links(hr[0].parent, hr)
        told, why = self._is_other, self._unlike(hr)
        self._is_other = bool(why)
        if why and not told:
            log.warning(
                f"warning: {hr[0].parent} holds other images than the papers' {self.name}: {why}. They are measured as "
                f"{self.test_name!r}, and no published figure stands beside them"
            )
        return pair_by_name(hr, self._lr(hr[0].parent), self.scale)

    def strange(self, stored: bool = False) -> list[str]:
        pairs, known = self.opened("test"), _known().get(self.names[0])
        if self._is_other or not known or not isinstance(pairs, PairSet):
            return []
        if self._strange is None:
            self._strange, left = {}, dict(enumerate(known))
            for path, (pixels, grey) in zip(pairs.hr.paths, map(pairs.hr.picture, range(len(pairs.hr))), strict=True):
                found = digest(pixels)[:16]
                image = next((number for number, cuts in left.items() if found in cuts), None)
                if image is None or grey != (image in self.grey):
                    self._strange[path.name] = "pixels" if image is None else "storage"
                if image is not None:
                    del left[image]
        return [name for name, what in self._strange.items() if stored or what == "pixels"]

    def _unlike(self, hr: Sequence[Path]) -> str:
        """How files differ from the set's in number or size; empty where they do not."""
        if len(hr) != self.count:
            return f"{len(hr)}, where there are {self.count}"
        if self.exact and any(path.suffix.lower() in (".jpg", ".jpeg") for path in hr):
            return "they were saved again as JPEG"
        try:
            found = sorted((*read_size(path), path.name) for path in hr)
        except UserError:
            return ""  # told when they are opened
        for (h, w, name), (height, width) in zip(found, sorted(self.sizes), strict=False):
            if not (0 <= height - h < CROP and 0 <= width - w < CROP):
                return f"none of them is {w}x{h} pixels as {name}"
        return ""

    def _lr(self, hr: Path) -> list[Path] | None:
        if self.lr is None:
            return None
        if SELFEXSR in hr.name:
            found = [p for p in images_in(hr) if p.stem.endswith("_LR")]
            folder = hr
        else:
            home = hr.parent if hr.name == "HR" else hr
            folder = home / self.lr / f"X{self.scale}"
            found = images_in(folder)
        if not found:
            setting = "data.lr=null to make LR from HR, or data.lr=<a folder beside HR>"
            raise missing(f"{self.name}'s LR images for scale {self.scale}", [folder], setting=setting)
        return found

    def archives(self) -> tuple[list[Archive], Path]:
        return ([] if self._hr() or self.archive is None else [self.archive]), self.data_dir


class Set5(Benchmark):
    """5 images."""

    names = ("Set5",)
    count = 5
    sizes = ((512, 512), (288, 288), (256, 256), (280, 280), (344, 228))


class Set14(Benchmark):
    """14 images, `bridge` grey; some copies store more of them as grey."""

    names = ("Set14",)
    count = 14
    sizes = (
        *((480, 500), (576, 720), (361, 250), (276, 276), (362, 500), (512, 768), (656, 529), (391, 586)),
        *((288, 352),) * 2,
        *((512, 512),) * 4,
    )
    grey = (2,)


class B100(Benchmark):
    """100 images: the test part of BSDS300."""

    names = ("B100", "BSD100", "BSDS100")
    count = 100
    exact = False
    sizes = (*((481, 321),) * 23, *((321, 481),) * 77)


class Urban100(Benchmark):
    """100 images of buildings."""

    names = ("Urban100",)
    count = 100

    def folders(self) -> list[Path]:
        # SelfExSR's image_SRF_2 holds HR at half size; that of image_SRF_4 is whole.
        return [f.with_name(f"{SELFEXSR}4") if f.name == f"{SELFEXSR}2" else f for f in super().folders()]

    def _lr(self, hr: Path) -> list[Path] | None:
        if self.lr is not None and self.scale == 2 and SELFEXSR in hr.name:
            raise UserError(
                "SelfExSR's Urban100 for x2 is made from half-size images: type data.lr=null to make LR from HR"
            )
        return super()._lr(hr)


class Manga109(Benchmark):
    """109 pages, one of each volume; their sizes are not known here."""

    names = ("Manga109",)
    count = 109
    archive = None
    where = (
        "Manga109 is given for research to who asks at http://www.manga109.org; the benchmark is one page of each of "
        "its 109 volumes as PNG, as collections of super-resolution test sets have it"
    )


class DIV2K100(Benchmark):
    """0801-0900 of DIV2K: as DIV2K100/HR among the benchmarks, or where DIV2K itself is."""

    names = ("DIV2K100", "DIV2K/DIV2K_valid_HR", "DIV2K_valid_HR")
    count = 100
    archive = div2k("valid_HR")

    @property
    def test_name(self) -> str:
        """The papers' tables call it DIV2K."""
        return super().test_name.replace("DIV2K100", "DIV2K")

    def archives(self) -> tuple[list[Archive], Path]:
        found, folder = super().archives()
        return found, folder / "DIV2K"
