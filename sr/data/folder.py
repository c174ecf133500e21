"""Any folder of images."""

import logging
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sr.data.missing import DEPTH, images_below, left_out, missing
from sr.data.pairs import ImagePair, ImagePairs, hr_stem, lr_stems, pair_by_name
from sr.data.split import SplitModule, split_by_name
from sr.errors import UserError, some
from sr.imaging.files import tell_links

log = logging.getLogger(__name__)
# Names of images that everybody means by them.
SETS = (
    "Set5", "Set14", "B100", "Urban100", "DIV2K", "DIV2K_LSDIR_valid", "DIV2K_LSDIR_test", "Manga109", "Bundled",
    "Vid4", "UDM10", "REDS4", "Vimeo90K",
)  # fmt: skip
TEMPLATES = (
    "Of files that are named in another way say how: 'data.hr_name=*_HR' 'data.lr_name=*_small' (the star is what both "
    "names share)"
)
LR_FOLDER = re.compile(r"(?:^|[_-])(?:LR|LQ)(?:bic)?(?:[xX]?\d|[_-]|$)|^[xX]\d$|(?:^|[_-])BI[xX]?\d", re.IGNORECASE)
LONGEST = 150  # bytes of several folders' names: files of the cache and panels are called by them
Folders = str | Path | Sequence[str | Path]


class Folder(SplitModule):
    """Images of the user's own: folders for training, validation and test, or one root for all.

    Training without validation folders holds out a share of the training images, chosen by a hash of their
    names, so that it stays the same from run to run. Without test folders the validation images are measured, or all
    of `root` where nothing of it is trained on.

    Args:
        root: a folder, or a list of folders, used for whatever has no folder of its own.
        train: folder or folders of HR images to train on.
        val: the same to validate on.
        test: the same to measure on.
        train_lr: folder or folders of LR images, in the order of `train` (or `root`); None makes LR from HR.
        val_lr: the same for `val`.
        test_lr: the same for `test`.
        val_share: part of the training images to hold out where `val` is not given, 0 to 1.
        hr_name: how HR files are named before their suffix, with a star for what HR and LR names share, as `*_big`;
            None takes the known forms.
        lr_name: the same of LR files, as `*_small`.
        name: of the set in tables; None is the folders' names. A run that trains names the images that it measures by
            their own folders. A papers' set has its name to itself: a folder Set5 is called "own Set5".
        where: how a set with a name is had: told where its images are not there.
        settings: see `SRDataModule`.
    """

    def __init__(
        self,
        *,
        root: Folders | None = None,
        train: Folders | None = None,
        val: Folders | None = None,
        test: Folders | None = None,
        train_lr: Folders | None = None,
        val_lr: Folders | None = None,
        test_lr: Folders | None = None,
        val_share: float = 0.1,
        hr_name: str | None = None,
        lr_name: str | None = None,
        name: str | None = None,
        where: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(val_share=val_share, **settings)
        self.root = _folders(root)
        self.hr = {"train": _folders(train), "val": _folders(val), "test": _folders(test)}
        self.lr = {"train": _folders(train_lr), "val": _folders(val_lr), "test": _folders(test_lr)}
        named = self.hr["train"] or self.root or self.hr["test"] or self.hr["val"]
        self.name = name or _joined(named) or "folder"
        self.hr_name, self.lr_name = hr_name, lr_name
        self._given_name, self._where = name, where
        self._told: set[str] = set()
        self._lists: dict[str, ImagePairs] = {}

    @property
    def splits(self) -> bool:
        return not self.hr["val"] and bool(self.hr["train"] or self.root)

    def _tested(self) -> tuple[str, list[Path]]:
        """What is measured: images of "test", "root", "val" with their folders, or "held-out" ones."""
        if self.hr["test"]:
            return "test", self.hr["test"]
        if self.root and (self.hr["train"] or not self.trained_on):
            return "root", self.root
        return ("val", self.hr["val"]) if self.hr["val"] else ("held-out", [])

    @property
    def tests_held_out(self) -> bool:
        return self._tested()[0] == "held-out"

    @property
    def test_name(self) -> str:
        what, folders = self._tested()
        if what == "held-out":
            return f"{self.name} held-out"
        name = self._given_name if self._given_name and not self.trained_on else _joined(folders)
        return own_name(name)

    @property
    def measured_lr(self) -> list[Path]:
        """The folders of the LR that is measured on; none where it is made of HR."""
        what = self._tested()[0]
        return self.lr[{"root": "test", "held-out": "train"}.get(what, what)]

    def _tell(self, message: str, level: int = logging.WARNING) -> None:
        """Log it once."""
        if message not in self._told:
            self._told.add(message)
            log.log(level, message)

    def _listed(self, part: str) -> list[ImagePair]:
        """The pairs of a part; its folders are looked through once."""
        if part not in self._lists:
            self._lists[part] = ImagePairs(self._looked_up(part))
        return list(self._lists[part])

    def _looked_up(self, part: str) -> list[ImagePair]:
        folders, lr = self.hr[part] or self.root, self.lr[part]
        if not folders:
            raise UserError("data=folder does not know where its images are: type data.root=<a folder of images>")
        if lr and len(lr) != len(folders):
            raise UserError(f"data.{part}_lr has {len(lr)} folders for {len(folders)} HR folders: give one for each")
        setting = f"data.{part if self.hr[part] else 'root'}=<a folder of images>"
        pairs = []
        for i, folder in enumerate(folders):
            groups = images_below(folder, deeper := list[Path]())
            if deeper:
                self._tell(
                    f"warning: not read are the images below {some(deeper)}: sub-folders are looked into {DEPTH} "
                    "levels down. Type the folders in which they lie, as data.root=[A,B]"
                )
            if not groups:
                what = f"Images for data.{part if self.hr[part] else 'root'}"
                raise missing(what, [folder], setting=setting, where=self._where)
            small = self._lr_below(part, lr[i], set(groups)) if lr else None
            if Path() in groups and (others := left_out(folder)):
                self._tell(f"{folder}: {len(groups[Path()])} images; left out: {others}", logging.INFO)
            tell_links(folder, (file for group in groups.values() for file in group))
            if not lr:
                self._tell_of_lr_folders(folder, groups)
            for place, hr in groups.items():
                own = small if small is None else small.get(place, [])
                pairs.append(pair_by_name(hr, own, self.scale, self.hr_name, self.lr_name, TEMPLATES))
        pairs = [group for group in pairs if group]  # of other names than those of a template there are none
        if not pairs:
            raise UserError(
                f"data.hr_name={self.hr_name}: no image of {some(folders)} is named so. Leave it out, or say how they "
                "are named; the star is what HR and LR names share"
            )
        if not lr:
            self._tell_of_lr([pair.hr for group in pairs for pair in group])
        if not lr and (given := [p for p, own in self.lr.items() if own]):
            self._tell(
                f"warning: data.{given[0]}_lr gives LR, but that of {_joined(folders)} is made by the degradation, so "
                f"that figures on it may say little. If its LR is on disk too, type data.{part}_lr=<its folder>"
            )
        return _distinct(pairs)

    def _tell_of_lr(self, files: Sequence[Path]) -> None:
        """Warn where names say that LR lies among what is taken for HR."""
        stems = zip(files, [hr_stem(p, self.scale) for p in files], strict=True)
        if not (marked := {(p.parent, stem) for p, stem in stems if stem != p.stem}):
            return
        if found := [p for p in files if any((p.parent, stem) in marked for stem in lr_stems(p, self.scale)[1:])]:
            self._tell(
                f"warning: {len(found)} files are taken for HR whose names are those of LR: {some(found)}. If they "
                f"are, type their folder for LR, too: data.train_lr (val_lr, test_lr)={found[0].parent}"
            )

    def _tell_of_lr_folders(self, folder: Path, groups: Mapping[Path, Sequence[Path]]) -> None:
        """Warn where sub-folders beside others are called as LR is, as in a papers' set that is taken whole."""
        low = [place for place in groups if any(map(LR_FOLDER.search, place.parts))]
        if low and (high := [place for place in groups if place not in low]):
            self._tell(
                f"warning: {sum(len(groups[place]) for place in low)} images of {folder} are taken for HR that lie in "
                f"folders whose names are those of LR: {some(list(map(str, low)))}. If they are, type the folder of HR "
                f"alone: {folder / high[0]}"
            )

    def _lr_below(self, part: str, folder: Path, places: set[Path]) -> dict[Path, list[Path]]:
        """The LR images that lie as HR's do; in a sub-folder X4 where the folder has them by scale."""
        found = images_below(folder)
        for scaled in (folder / f"{x}{self.scale}" for x in "Xx"):
            if not places & set(found) and scaled.is_dir():
                found = images_below(scaled)
        if not found:
            raise missing(f"LR images for data.{part}_lr", [folder], setting=f"data.{part}_lr=<their folder>")
        if lone := [p for place, files in found.items() if place not in places for p in files]:
            where = {file.parent for file in lone}
            instead = f"data.{part}_lr={where.pop()}" if len(where) == 1 else "sub-folders of the same names in both"
            raise UserError(
                f"{len(lone)} LR files of {folder} lie in sub-folders that HR has none of: {some(lone)}. LR lies as HR "
                f"does: wanted is {instead}"
            )
        return found

    def train_pairs(self) -> list[ImagePair]:
        if self.hr["val"]:
            return self._listed("train")
        train, held_out = split_by_name(self._listed("train"), self.val_share)
        log.info(
            "no data.val is given: %d of %d images are held out for validation, chosen by name (data.val_share=%g)",
            len(held_out), len(train) + len(held_out), self.val_share,
        )  # fmt: skip
        return train

    def val_pairs(self) -> list[ImagePair]:
        if self.hr["val"]:
            return self._listed("val")
        if self.hr["test"] and not self.splits:
            return self._listed("test")
        return self.held_out(self._listed("train"))

    def test_pairs(self) -> list[ImagePair]:
        return self._listed("test") if self._tested()[0] in ("test", "root") else self.val_pairs()


def own_name(name: str) -> str:
    """What a folder of the user's is called in tables: nobody has looked whether its images are those of the papers."""
    return f"own {name}" if name in SETS else name


def _folders(given: Folders | None) -> list[Path]:
    if given is None:
        return []
    listed = [given] if isinstance(given, (str, Path)) else list(given)
    if not all(isinstance(p, (str, Path)) for p in listed):
        told = "each place of a list holds a folder. LR is given for all of them or made for all"
        raise UserError(f"data: [{', '.join('null' if p is None else str(p) for p in listed)}]: {told}")
    return [Path(p).expanduser() for p in listed]


def _joined(folders: Sequence[Path]) -> str:
    names = [p.name or p.absolute().name for p in folders]
    whole = " + ".join(names)
    few = len(names) < 3 or len(os.fsencode(whole)) <= LONGEST
    return whole if few else f"{' + '.join(names[:2])} and {len(names) - 2} more folders"


def _distinct(groups: list[list[ImagePair]]) -> list[ImagePair]:
    """All pairs; names that occur in several folders get what tells their folders apart in front.

    Raises:
        UserError: two images cannot be told apart by name.
    """
    count = Counter(p.name for group in groups for p in group)
    common = os.path.commonpath([group[0].hr.parent.absolute() for group in groups])

    def named(pair: ImagePair) -> ImagePair:
        if count[pair.name] == 1:
            return pair
        return replace(pair, name="_".join((*pair.hr.parent.absolute().relative_to(common).parts, pair.name)))

    pairs = [named(pair) for group in groups for pair in group]
    first: dict[str, ImagePair] = {}
    for pair in pairs:
        if (other := first.setdefault(pair.name, pair)) is not pair:
            raise UserError(
                f"{other.hr} and {pair.hr} would both be called {pair.name} in tables: name each folder once, or "
                "rename one of the two files"
            )
    return pairs
