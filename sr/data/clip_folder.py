"""Any folder of clips."""

import logging
from pathlib import Path
from typing import Any

from sr.data.clips import Clip, ClipModule
from sr.data.folder import own_name
from sr.data.missing import images_in, missing
from sr.data.settings import share
from sr.data.split import held_out_names
from sr.data.video_files import sources
from sr.data.video_sets import clips_in
from sr.errors import UserError, some

log = logging.getLogger(__name__)


class ClipFolder(ClipModule):
    """Clips of the user's own: a folder with a sub-folder of frames, or a video file, for each clip.

    Without folders for validation a share of the training clips is held out, chosen by a hash of their names. Frames of
    video files are decoded once into `cache_dir`.

    Args:
        root: for whatever has no folder of its own.
        train: clips to train on.
        val: to validate on.
        test: to measure on; None: what validates, or all of `root` where nothing of it is trained on.
        train_lr: LR of `train` (or `root`), under the same names; None makes LR from HR.
        val_lr: the same for `val`.
        test_lr: the same for `test`.
        val_share: part of the training clips to hold out where `val` is not given, 0 to 1.
        name: of the set in tables; None is the folder's name. A papers' set has its name to itself: "own Vid4".
        settings: see `ClipModule`.
    """

    def __init__(
        self,
        *,
        root: str | Path | None = None,
        train: str | Path | None = None,
        val: str | Path | None = None,
        test: str | Path | None = None,
        train_lr: str | Path | None = None,
        val_lr: str | Path | None = None,
        test_lr: str | Path | None = None,
        val_share: float = 0.1,
        name: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.hr = {part: _path(given or root) for part, given in {"train": train, "val": val, "test": test}.items()}
        self.lr = {part: _path(given) for part, given in {"train": train_lr, "val": val_lr, "test": test_lr}.items()}
        self.given = {part for part, given in {"val": val, "test": test}.items() if given}
        share(val_share=val_share)
        self.val_share, self._given_name = val_share, name
        self._told: set[Path] = set()
        self.name = name or next((folder.absolute().name for folder in self.hr.values() if folder), "clips")

    def _tested(self) -> str:
        """What is measured: "test", "val", or "" for what is held out."""
        if "test" in self.given or not (self.trained_on or "val" in self.given):
            return "test"
        return "val" if "val" in self.given else ""

    @property
    def test_name(self) -> str:
        part = self._tested()
        if not part:
            return f"{self.name} held-out"
        folder = self.hr[part]
        own = None if self.trained_on else self._given_name
        name = own or (folder.absolute().name if folder else self.name)
        return own_name(name)

    @property
    def measured_lr(self) -> list[Path]:
        """As `Folder.measured_lr`."""
        folder = self.lr[self._tested() or "train"]
        return [folder] if folder else []

    def train_clips(self) -> list[Clip]:
        return self._listed("train") if "val" in self.given else self._split()[0]

    def val_clips(self) -> list[Clip]:
        return self._listed("val") if "val" in self.given else self._split()[1]

    def test_clips(self) -> list[Clip]:
        part = self._tested()
        return self._listed(part) if part else self._split()[1]

    def _listed(self, part: str) -> list[Clip]:
        folder = self.hr[part]
        if folder is None:
            raise UserError("data=clips does not know where its clips are: type data.root=<a folder of clips>")
        decoded = self.cache_dir.expanduser() / "videos"
        clips = clips_in(folder, self.lr[part], self.scale, setting=f"data.{part}_lr=null", decoded=decoded)
        if not clips:
            what = "Clips, each a sub-folder of frames or a video file,"
            raise missing(what, [folder], setting="data.root=<a folder of clips>")
        empty, beside = sources(folder).keys() - {clip.name for clip in clips}, images_in(folder)
        parts = [f"{len(empty)} sub-folders without an image in them ({some(sorted(empty))})"] if empty else []
        parts += [f"{len(beside)} images beside them ({some([path.name for path in beside])})"] if beside else []
        if parts and folder not in self._told:
            self._told.add(folder)
            log.warning(f"warning: of {folder} not read as clips: {' and '.join(parts)}")
        return clips

    def _split(self) -> tuple[list[Clip], list[Clip]]:
        clips = self._listed("train")
        if self.val_share == 0:
            raise UserError("data.val_share=0 holds no clip out to validate on: type data.val_share=0.1, or data.val=")
        held_out = held_out_names([clip.name for clip in clips], self.val_share, "clip")
        return [c for c in clips if c.name not in held_out], [c for c in clips if c.name in held_out]


def _path(given: str | Path | None) -> Path | None:
    if not isinstance(given, str | Path | None):
        raise UserError(f"data={given}: of clips one folder is taken for each part, not a list")
    return None if given is None else Path(given).expanduser()
