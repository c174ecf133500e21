"""The test sets of the papers.

Set5 (Bevilacqua et al., 2012), Set14 (Zeyde et al., 2010), B100 (Martin et al., 2001), Urban100 (Huang et al., 2015).
"""

from pathlib import Path
from typing import Any, ClassVar

from sr.data.archives import BENCHMARKS, Archive
from sr.data.missing import images_in, missing
from sr.data.module import SRDataModule
from sr.data.pairs import ImagePair, pair_by_name
from sr.errors import UserError

SELFEXSR = "image_SRF_"  # folders of github jbhuang0604/SelfExSR: HR and LR of one scale side by side


class Benchmark(SRDataModule):
    """One test set; for measuring only.

    Looked for in `data_dir`, first found: benchmarks/Set5/HR, benchmark/Set5/HR (the EDSR authors' archive),
    Set5/HR, Set5/image_SRF_4 (SelfExSR, with img_001_SRF_4_HR.png), Set5 with the images in it.

    Args:
        data_dir: the folder of all data.
        lr: None makes LR from HR; else the folder of LR beside HR, as in LR_bicubic (LR_bicubic/X4/babyx4.png), or
            image_SRF for the LR of the SelfExSR layout.
        settings: see `SRDataModule`.
    """

    parts = ("val", "test")
    names: ClassVar[tuple[str, ...]] = ()  # of the set's folder

    def __init__(self, *, data_dir: str | Path, lr: str | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.data_dir = Path(data_dir).expanduser()
        self.lr = lr

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
            raise missing(f"{self.name}'s images", looked, setting=setting, source=self.archives())
        return pair_by_name(hr, self._lr(hr[0].parent), self.scale)

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
        return ([] if self._hr() else [BENCHMARKS]), self.data_dir


class Set5(Benchmark):
    """5 images."""

    names = ("Set5",)


class Set14(Benchmark):
    """14 images, `bridge` grey; some copies store more of them as grey."""

    names = ("Set14",)


class B100(Benchmark):
    """100 images: the test part of BSDS300."""

    names = ("B100", "BSD100", "BSDS100")


class Urban100(Benchmark):
    """100 images of buildings."""

    names = ("Urban100",)

    def folders(self) -> list[Path]:
        # SelfExSR's image_SRF_2 holds HR at half size; that of image_SRF_4 is whole.
        return [f.with_name(f"{SELFEXSR}4") if f.name == f"{SELFEXSR}2" else f for f in super().folders()]

    def _lr(self, hr: Path) -> list[Path] | None:
        if self.lr is not None and self.scale == 2 and SELFEXSR in hr.name:
            raise UserError(
                "SelfExSR's Urban100 for x2 is made from half-size images: type data.lr=null to make LR from HR"
            )
        return super()._lr(hr)
