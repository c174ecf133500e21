"""Any folder of clips."""

from pathlib import Path
from typing import Any

from sr.data.clips import Clip, ClipModule
from sr.data.missing import missing
from sr.data.pairs import ImagePair
from sr.data.split import split_by_name
from sr.data.video_sets import clips_in
from sr.errors import UserError


class ClipFolder(ClipModule):
    """Clips of the user's own: a folder with a sub-folder of frames for each clip.

    Without folders for validation a share of the training clips is held out, chosen by a hash of their names.

    Args:
        root: for whatever has no folder of its own.
        train: clips to train on.
        val: to validate on.
        test: to measure on; None: what validates, or all of `root` where nothing of it is trained on.
        train_lr: LR of `train` (or `root`), in sub-folders of the same names; None makes LR from HR.
        val_lr: the same for `val`.
        test_lr: the same for `test`.
        val_share: part of the training clips to hold out where `val` is not given, 0 to 1.
        name: of the set in tables; None is the folder's name.
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
        if isinstance(val_share, bool) or not isinstance(val_share, (int, float)) or not 0 <= val_share < 1:
            raise UserError(f"data.val_share={val_share!r} must be a number from 0 to below 1")
        self.val_share = val_share
        first = next((folder for folder in self.hr.values() if folder), None)
        self.name = name or (first.absolute().name if first else "clips")

    @property
    def test_name(self) -> str:
        held_out = not self.given & {"val", "test"} and self.trained_on
        return f"{self.name} held-out" if held_out else self.name

    def train_clips(self) -> list[Clip]:
        return self._listed("train") if "val" in self.given else self._split()[0]

    def val_clips(self) -> list[Clip]:
        return self._listed("val") if "val" in self.given else self._split()[1]

    def test_clips(self) -> list[Clip]:
        if "test" in self.given or not (self.trained_on or "val" in self.given):
            return self._listed("test")
        return self.val_clips()

    def _listed(self, part: str) -> list[Clip]:
        folder = self.hr[part]
        if folder is None:
            raise UserError("data=clips does not know where its clips are: type data.root=<a folder of clips>")
        clips = clips_in(folder, self.lr[part], self.scale)
        if not clips:
            raise missing("Clips, each a sub-folder of frames,", [folder], setting="data.root=<a folder of clips>")
        return clips

    def _split(self) -> tuple[list[Clip], list[Clip]]:
        clips = self._listed("train")
        if self.val_share == 0:
            raise UserError("data.val_share=0 holds no clip out to validate on: type data.val_share=0.1, or data.val=")
        train, _ = split_by_name([ImagePair(clip.name, Path(clip.name)) for clip in clips], self.val_share)
        names = {pair.name for pair in train}
        return [c for c in clips if c.name in names], [c for c in clips if c.name not in names]


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given).expanduser()
