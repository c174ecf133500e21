"""The clips that the papers on video train and measure on."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from sr.bounded import LIST, text_of
from sr.data.clips import Clip, ClipModule, paired
from sr.data.missing import images_in, missing
from sr.data.settings import flags
from sr.data.video_files import frames_of, sources
from sr.errors import UserError, some
from sr.imaging.files import tell_links

TRUTH, GIVEN = "truth", ("input{}", "blur{}")  # of SPMCS and, with its authors' code, of UDM10
REDS4 = ("000", "011", "015", "020")  # of the training clips: what EDVR and its successors are measured on


def clips_in(
    hr: Path, lr: Path | None, scale: int, *, setting: str = "data.lr=null", decoded: Path | None = None
) -> list[Clip]:
    """The clips whose folders of frames lie in a folder, LR in folders of the same names.

    As SPMCS is distributed (Tao et al., ICCV 2017), a clip's folder may hold its frames in `truth`, and in `input4` or
    `blur4` those of LR x4.

    Args:
        hr: the folder.
        lr: that of LR, perhaps the same; None makes LR from HR.
        scale: enlargement factor.
        setting: what to type to make LR from HR.
        decoded: where frames of video files are kept, which are clips, too; None passes over video files.

    Raises:
        UserError: a clip of HR that LR lacks, or a video file that cannot be read.
    """
    small = {} if lr is None else sources(lr, decoded is not None)
    found, seen = [], {folder: list[Path]() for folder in (hr, lr) if folder}
    for name, source in sources(hr, decoded is not None).items():
        if not (frames := frames_of(_within(source, [TRUTH]), decoded)):
            continue
        own = _within(small[name], [word.format(scale) for word in GIVEN]) if name in small else None
        below = None if lr is None else frames_of(own, decoded) if own and own != source else []
        if lr is not None and not below:
            raise missing(f"LR frames of clip {name}", [lr / name], setting=f"{setting} to make LR from HR")
        found.append(paired(name, frames, below, scale))
        seen[hr] += [source] if source.is_file() else frames
        if lr is not None and own is not None:
            seen[lr] += [own] if own.is_file() else below or []
    for folder, files in seen.items():
        tell_links(folder, files)
    return found


def _within(clip: Path, names: Sequence[str]) -> Path:
    """The clip's folder, or that of the names in it which holds the frames.

    Raises:
        UserError: several do.
    """
    found = [clip / name for name in names if images_in(clip / name)] if not images_in(clip) else []
    if len(found) > 1:
        raise UserError(f"{some(found)}: which of them LR is nobody tells. Give the one in a folder of its own")
    return found[0] if found else clip


TRAIN, TEST = "sep_trainlist.txt", "sep_testlist.txt"
SETTING = "data.root=<the folder that holds sequences>"


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
        lr: read LR where its folder is there; false makes it from HR (by the same MATLAB bicubic).
        settings: see `ClipModule`.
    """

    def __init__(self, *, root: str | Path, lr: bool = True, **settings: Any) -> None:
        super().__init__(**settings)
        self.name, self.root = "REDS", Path(root).expanduser()
        flags(lr=lr)
        self.reads_lr = lr and self.plain

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
            levels = [] if lr is None else [lr / f"X{self.scale}", lr]
            own = next((level for level in levels if sources(level).keys() & sources(hr).keys()), None)
            for clip in clips_in(hr, own, self.scale, setting="data.lr=false"):
                merged = part == "val" and clip.name.isdecimal()
                found.append(_renamed(clip, f"{int(clip.name) + 240:03d}") if merged else clip)
        if not found:
            looked = [self.root / "train_sharp"]
            raise missing("REDS's clips", looked, setting="data.root=<the folder that holds train_sharp>")
        by_name = {clip.name: clip for clip in reversed(found)}  # a merged tree may keep val_sharp beside it
        return [by_name[name] for name in sorted(by_name)]


def _renamed(clip: Clip, name: str) -> Clip:
    frames = tuple(type(f)(f"{name}/{f.name.rpartition('/')[2]}", f.hr, f.lr) for f in clip.frames)
    return Clip(name, frames)


class Vimeo90K(ClipModule):
    """Vimeo-90K septuplets: clips of seven frames, 448x256 (Xue et al., IJCV 2019).

    `root` holds sequences/00001/0001/im1.png and the lists sep_trainlist.txt and sep_testlist.txt; without both all
    sequences are for measuring. Papers measure the frame in the middle.

    Args:
        root: the folder.
        lr: None makes LR from HR; else the folder of LR beside sequences, as BIx4.
        settings: see `ClipModule`. While training the first `val_images` of the test list validate.
    """

    protocols: ClassVar[tuple[str, ...]] = ("video_centre",)

    def __init__(self, *, root: str | Path, lr: str | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.name, self.root, self.lr = "Vimeo90K", Path(root).expanduser(), lr

    def train_clips(self) -> list[Clip]:
        return self._listed(TRAIN)

    def val_clips(self) -> list[Clip]:
        return self._listed(TEST)

    def _names(self, file: str) -> list[str]:
        """The clips of a list; without any list all."""
        try:
            text = text_of(self.root / file, LIST)
        except FileNotFoundError:
            if file == TRAIN or (self.root / TRAIN).exists():
                raise missing(f"Vimeo-90K's list {file}", [self.root], setting=SETTING) from None
            parts = sources(self.root / "sequences")
            return [f"{part}/{clip}" for part, folder in parts.items() for clip in sources(folder)]
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{self.root / file} cannot be read: {error}") from error
        names = [PurePosixPath(line.split()[0]).as_posix() for line in text.splitlines() if line.strip()]
        if out := next((name for name in names if name.startswith("/") or ".." in PurePosixPath(name).parts), None):
            raise UserError(
                f"{self.root / file} names {out}, which leads out of the set: clips are named as 00001/0001"
            )
        return list(dict.fromkeys(names))  # each once, however it is spelled

    def _listed(self, file: str) -> list[Clip]:
        clips, seen = [], list[Path]()
        for name in self._names(file):
            folders = [self.root / "sequences" / name, *([self.root / self.lr / name] if self.lr else [])]
            found = [images_in(folder) for folder in folders]
            for folder, frames in zip(folders, found, strict=True):
                if not frames:
                    raise missing(f"Frames of Vimeo-90K's clip {name}", [folder], setting=SETTING)
            clips.append(paired(name, found[0], found[1] if self.lr else None, self.scale))
            seen += [frame for frames in found for frame in frames]
        if not clips:
            raise missing("Vimeo-90K's clips", [self.root / "sequences"], setting=SETTING)
        tell_links(self.root, seen)
        return clips
