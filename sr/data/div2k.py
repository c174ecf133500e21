"""DIV2K and the NTIRE tracks on it (Agustsson and Timofte, CVPRW 2017; Timofte et al., CVPRW 2018)."""

import re
from pathlib import Path
from typing import Any

from sr.data import archives
from sr.data.missing import images_in, missing
from sr.data.module import SRDataModule
from sr.data.pairs import ImagePair, pair_by_name
from sr.errors import UserError

# Scales of each track; the tracks of 2018 have one, and no sub-folder for it.
TRACKS = {"bicubic": (2, 3, 4, 8), "unknown": (2, 3, 4), "x8": (8,), "mild": (4,), "difficult": (4,), "wild": (4,)}
FIRST_VALID, LAST_VALID = 801, 900
SETTING = "data.root=<the folder that holds DIV2K_train_HR>"


class Div2k(SRDataModule):
    """Train 0001-0800, validation 0801-0900, from the official folders.

    `root` holds DIV2K_train_HR and DIV2K_valid_HR (or the first with all 900), and where the track needs them
    DIV2K_train_LR_bicubic/X2, DIV2K_train_LR_x8, DIV2K_train_LR_wild and so on. Images of other names in these
    folders are taken as well, so that a small tree of one's own works.

    Args:
        root: the folder of the folders.
        track: bicubic, unknown, x8, mild, difficult or wild. On `bicubic` LR is read where its folder is there,
            and made from HR where it is not or another degradation is asked for.
        settings: see `SRDataModule`.
    """

    def __init__(self, *, root: str | Path, track: str = "bicubic", **settings: Any) -> None:
        super().__init__(**settings)
        self.name = "DIV2K" if track == "bicubic" else f"DIV2K {track}"
        if track not in TRACKS:
            raise UserError(f"data.track={track} is unknown; there are: {', '.join(TRACKS)}")
        if self.scale not in TRACKS[track]:
            fits = " or ".join(f"scale={s}" for s in TRACKS[track])
            raise UserError(f"DIV2K's track {track} has no scale {self.scale}: type {fits}")
        self.track = track
        if not self.plain and track != "bicubic":
            raise UserError(
                f"DIV2K's track {track} brings its own LR, so another degradation cannot apply: type "
                "degradation=bicubic, or data.track=bicubic to degrade HR yourself"
            )
        root = Path(root).expanduser()
        self.root = root / "DIV2K" if (root / "DIV2K").is_dir() else root

    @property
    def symmetric(self) -> bool:
        # The blur kernels of "unknown" and the shifts of the realistic tracks have a direction.
        return self.track in ("bicubic", "x8") and super().symmetric

    def train_pairs(self) -> list[ImagePair]:
        return self._pairs("train")

    def val_pairs(self) -> list[ImagePair]:
        return self._pairs("valid")

    def _hr(self, part: str) -> list[Path]:
        """HR files of "train" or "valid"; the numbers 0801-0900 are for validation wherever they lie."""
        train = images_in(self.root / "DIV2K_train_HR")
        if part == "train":
            return [p for p in train if not _held_out(p.stem)]
        return images_in(self.root / "DIV2K_valid_HR") or [p for p in train if _held_out(p.stem)]

    def _lr_name(self, part: str) -> str:
        """The folder of LR, relative to `root`."""
        if self.track in ("bicubic", "unknown") and self.scale != 8:
            return f"DIV2K_{part}_LR_{self.track}/X{self.scale}"
        return f"DIV2K_{part}_LR_{'x8' if self.scale == 8 else self.track}"

    def _lr(self, part: str, hr: list[Path]) -> list[Path] | None:
        """LR files, or None if LR is to be made from HR."""
        if not self.plain:
            return None
        own = self.root / self._lr_name(part)
        # In a tree with all 900 images under DIV2K_train_HR, LR lies under the training name as well.
        beside = hr[0].parent.name.removeprefix("DIV2K_").removesuffix("_HR")
        for folder in [own, self.root / self._lr_name(beside)] if beside in ("train", "valid") else [own]:
            if found := images_in(folder):
                return [p for p in found if beside != "train" or _held_out(p.stem) == (part == "valid")]
        if self.track == "bicubic":
            return None
        name = f"DIV2K's LR images of track {self.track}, x{self.scale} ({part})"
        raise missing(name, [own], setting=SETTING, source=self.archives())

    def _pairs(self, part: str) -> list[ImagePair]:
        hr = self._hr(part)
        if not hr:
            what = "training" if part == "train" else "validation"
            looked = [self.root / f"DIV2K_{part}_HR"]
            raise missing(f"DIV2K's {what} images", looked, setting=SETTING, source=self.archives())
        return pair_by_name(hr, self._lr(part, hr), self.scale)

    def archives(self) -> tuple[list[archives.Archive], Path]:
        """HR, and LR where the track needs it (bicubic LR is made from HR, bit for bit the same)."""
        wanted = []
        for part in ("train", "valid"):
            if not self._hr(part):
                wanted.append(f"{part}_HR")
            if self.track != "bicubic" and not images_in(self.root / self._lr_name(part)):
                wanted.append(self._lr_name(part).removeprefix("DIV2K_").replace("/", "_"))
        return [archives.div2k(name) for name in wanted], self.root


def _held_out(stem: str) -> bool:
    """Whether the name begins with an official number of the validation part (0801, 0801x4, 0801x4w1)."""
    number = re.match(r"(\d{4})(?!\d)", stem)
    return number is not None and FIRST_VALID <= int(number[1]) <= LAST_VALID
