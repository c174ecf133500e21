"""The clips that the papers on video train and measure on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from sr.data.clips import Clip, ClipModule, folders_of_clips, paired
from sr.data.missing import images_in, missing
from sr.degradation import matlab_bicubic
from sr.errors import UserError

REDS4 = ("000", "011", "015", "020")  # of the training clips: what EDVR and its successors are measured on


def clips_in(hr: Path, lr: Path | None, scale: int, names: Sequence[str] | None = None) -> list[Clip]:
    """The clips whose folders of frames lie in a folder, LR in folders of the same names.

    Raises:
        UserError: a clip of HR that LR lacks.
    """
    found = []
    for name, folder in folders_of_clips(hr):
        frames = images_in(folder) if names is None or name in names else []
        if not frames:
            continue
        small = None if lr is None else images_in(lr / name)
        if small == []:
            raise missing(f"LR frames of clip {name}", [lr / name], setting="data.lr=null to make LR from HR")  # type: ignore[operator]
        found.append(paired(name, frames, small, scale))
    return found


class VideoBenchmark(ClipModule):
    """A test set of clips; for measuring only.

    HR lies in GT/<clip>/*.png (or in <clip>/*.png) below one of the folders `homes`, LR beside GT.

    Args:
        data_dir: the folder of all data.
        lr: None makes LR from HR; else the folder of LR beside GT, as BIx4 or BDx4.
        settings: see `ClipModule`.
    """

    parts = ("val", "test")
    homes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, data_dir: str | Path, lr: str | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.data_dir, self.lr = Path(data_dir).expanduser(), lr

    def val_clips(self) -> list[Clip]:
        homes = [self.data_dir / parent / name for parent in ("video", "") for name in self.homes]
        for home in homes:
            for hr in (home / "GT", home):
                if found := clips_in(hr, home / self.lr if self.lr else None, self.scale):
                    return found
        raise missing(f"{self.name}'s clips", homes, setting="data_dir=<the folder that holds them>")


class Vid4(VideoBenchmark):
    """calendar (41 frames), city (34), foliage (49) and walk (47): Liu and Sun, CVPR 2011."""

    homes = ("Vid4", "vid4")


class UDM10(VideoBenchmark):
    """Ten clips of 32 frames: Yi et al., "Progressive Fusion Video Super-Resolution Network", ICCV 2019."""

    homes = ("UDM10", "udm10")


class Reds(ClipModule):
    """REDS: 240 clips to train on and 30 to validate on, of 100 frames (Nah et al., CVPRW 2019).

    Taken as it is distributed (train_sharp, train_sharp_bicubic/X4, val_sharp, val_sharp_bicubic/X4, each perhaps in a
    folder train or val, the level X4 perhaps left out) and as BasicSR merges it (the validation clips as 240 to 269 in
    train_sharp). The clips REDS4 are taken out of training, and measured.

    Args:
        root: the folder of the folders.
        lr: read LR from disk; false makes it from HR (by the same MATLAB bicubic).
        settings: see `ClipModule`.
    """

    def __init__(self, *, root: str | Path, lr: bool = True, **settings: Any) -> None:
        super().__init__(**settings)
        self.name, self.root = "REDS", Path(root).expanduser()
        self.reads_lr = lr and self.degradation.key == matlab_bicubic(self.scale).key

    @property
    def test_name(self) -> str:
        return "REDS4"

    def train_clips(self) -> list[Clip]:
        return [clip for clip in self._clips() if clip.name not in REDS4]

    def val_clips(self) -> list[Clip]:
        return [clip for clip in self._clips() if clip.name in REDS4]

    def _folder(self, name: str) -> Path | None:
        part = name.partition("_")[0]
        return next((p for p in (self.root / name, self.root / part / name) if p.is_dir()), None)

    def _clips(self) -> list[Clip]:
        """All 270, those of the validation part under the numbers 240 to 269."""
        found: list[Clip] = []
        for part in ("train", "val"):
            if (hr := self._folder(f"{part}_sharp")) is None:
                continue
            lr = self._folder(f"{part}_sharp_bicubic") if self.reads_lr else None
            level = None if lr is None else next(p for p in (lr / f"X{self.scale}", lr) if p.is_dir())
            for clip in clips_in(hr, level, self.scale):
                found.append(clip if part == "train" else _renamed(clip, f"{int(clip.name) + 240:03d}"))
        if not found:
            looked = [self.root / "train_sharp"]
            raise missing("REDS's clips", looked, setting="data.root=<the folder that holds train_sharp>")
        merged = {clip.name: clip for clip in reversed(found)}  # a merged tree may keep val_sharp beside it
        return [merged[name] for name in sorted(merged)]


def _renamed(clip: Clip, name: str) -> Clip:
    frames = tuple(type(f)(f"{name}/{f.name.rpartition('/')[2]}", f.hr, f.lr) for f in clip.frames)
    return Clip(name, frames)


class Vimeo90K(ClipModule):
    """Vimeo-90K septuplets: clips of seven frames, 448x256 (Xue et al., IJCV 2019).

    `root` holds sequences/00001/0001/im1.png and the lists sep_trainlist.txt and sep_testlist.txt; without a list all
    sequences are for measuring.

    Args:
        root: the folder.
        lr: None makes LR from HR; else the folder of LR beside sequences, as BIx4.
        settings: see `ClipModule`. While training the first `val_images` of the test list validate.
    """

    def __init__(self, *, root: str | Path, lr: str | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.name, self.root, self.lr = "Vimeo90K", Path(root).expanduser(), lr

    def train_clips(self) -> list[Clip]:
        return self._listed("sep_trainlist.txt")

    def val_clips(self) -> list[Clip]:
        return self._listed("sep_testlist.txt")

    def _listed(self, file: str) -> list[Clip]:
        sequences, setting = self.root / "sequences", "data.root=<the folder that holds sequences>"
        try:
            text = (self.root / file).read_text()
            names = [line.split()[0] for line in text.splitlines() if line.strip()]
        except FileNotFoundError:
            if file == "sep_trainlist.txt":
                raise missing("Vimeo-90K's list of training clips", [self.root / file], setting=setting) from None
            names = [f"{a}/{b}" for a, folder in folders_of_clips(sequences) for b, _ in folders_of_clips(folder)]
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{self.root / file} cannot be read: {error}") from error
        clips = []
        for name in names:
            frames = images_in(sequences / name)
            small = images_in(self.root / self.lr / name) if self.lr else None
            if not frames or small == []:
                looked = sequences / name if not frames else self.root / str(self.lr) / name
                raise missing(f"Frames of Vimeo-90K's clip {name}", [looked], setting=setting)
            clips.append(paired(name, frames, small, self.scale))
        if not clips:
            raise missing("Vimeo-90K's clips", [sequences], setting=setting)
        return clips
