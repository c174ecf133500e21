"""Which LR file belongs to which HR file, checked before anything starts."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sr.errors import LINES, UserError, some
from sr.imaging.files import read_size
from sr.imaging.image_errors import ImageError, together


@dataclass(frozen=True)
class ImagePair:
    """One image: its name in tables, its HR file, and its LR file (None: LR is made from HR)."""

    name: str
    hr: Path
    lr: Path | None = None


def hr_stem(path: Path) -> str:
    """The name that HR and LR share: `0001.png` -> 0001, `img_001_SRF_4_HR.png` -> img_001_SRF_4."""
    return path.stem.removesuffix("_HR")


def lr_stems(path: Path, scale: int) -> list[str]:
    """What HR's stem may be for this LR file, likeliest first.

    `0001.png` and `0001x2.png`, `0001x4m.png`, `0001x4d.png`, `0001x4w1.png`, `img_001_SRF_4_LR.png`.
    """
    suffix = re.fullmatch(rf"(.+)x{scale}(?:m|d|w\d*)?", path.stem)
    return [path.stem, *([suffix[1]] if suffix else []), path.stem.removesuffix("_LR")]


def pair_by_name(hr: Sequence[Path], lr: Sequence[Path] | None, scale: int) -> list[ImagePair]:
    """Pair files by name. Several LR per HR are taken only in the form of the NTIRE wild track (`0001x4w1.png`).

    Args:
        hr: HR files.
        lr: LR files, or None if LR is made from HR.
        scale: the factor in LR's names.

    Raises:
        UserError: a file without its partner, or with two.
    """
    by_stem: dict[str, Path] = {}
    for path in hr:
        if (other := by_stem.setdefault(hr_stem(path), path)) != path:
            raise UserError(f"two HR files have the same name: {other} and {path}. Remove or rename one of them")
    if lr is None:
        return [ImagePair(stem, path) for stem, path in by_stem.items()]
    partners: dict[str, list[Path]] = defaultdict(list)
    no_hr = []
    for path in lr:
        stem = next((s for s in lr_stems(path, scale) if s in by_stem), None)
        no_hr.append(path) if stem is None else partners[stem].append(path)
    no_lr = [path for stem, path in by_stem.items() if stem not in partners]
    if no_lr or no_hr:
        raise UserError(_unpaired(no_lr, no_hr, hr, lr, scale))
    pairs = []
    for stem, path in by_stem.items():
        found = partners[stem]
        if len(found) == 1:
            pairs.append(ImagePair(stem, path, found[0]))
        elif all(re.search(rf"x{scale}w\d+$", f.stem) for f in found):
            pairs += [ImagePair(f.stem, path, f) for f in found]
        else:
            raise UserError(
                f"{len(found)} LR files for {path}: {', '.join(map(str, found))}. Keep one of them in the folder"
            )
    return pairs


def _unpaired(no_lr: list[Path], no_hr: list[Path], hr: Sequence[Path], lr: Sequence[Path], scale: int) -> str:
    lines = [f"HR and LR files do not pair up by name ({len(hr)} HR, {len(lr)} LR, scale {scale})."]
    if no_lr:
        where = lr[0].parent if lr else "an empty LR folder"
        expected = f"{hr_stem(no_lr[0])}x{scale}.png"
        lines.append(f"{len(no_lr)} HR without LR, looked for in {where} as {expected}: {some(no_lr)}")
    if no_hr:
        where = hr[0].parent if hr else "an empty HR folder"
        lines.append(f"{len(no_hr)} LR without HR, looked for in {where}: {some(no_hr)}")
    lines.append("Add the missing files, remove their partners, or let LR be made from HR (leave out the LR folder)")
    return "\n  ".join(lines)


def check_sizes(pairs: Sequence[ImagePair], scale: int) -> None:
    """Every LR side is HR's side / scale, rounded down or up. Reads headers only.

    Raises:
        UserError: names the files and their sizes.
    """
    wrong: list[str] = []
    unusable: dict[Path, UserError] = {}
    for pair in pairs:
        try:
            high, low = read_size(pair.hr), None if pair.lr is None else read_size(pair.lr)
        except ImageError as error:
            unusable[error.path] = error
            continue
        if low is None:
            if min(high) < scale:
                wrong.append(f"{pair.hr} is {high[1]}x{high[0]}, smaller than one LR pixel at scale {scale}")
            continue
        if any(b not in (a // scale, -(-a // scale)) or b < 1 for a, b in zip(high, low, strict=True)):
            wrong.append(
                f"{pair.lr} is {low[1]}x{low[0]} (width x height), expected {high[1] // scale}x{high[0] // scale} "
                f"for scale {scale} of {pair.hr}, which is {high[1]}x{high[0]}"
            )
    if unusable:
        raise together([*unusable.values()], len(pairs))
    if wrong:
        raise UserError(
            f"{len(wrong)} of {len(pairs)} images have sizes that do not match:\n  {some(wrong, between=LINES)}\n  "
            "Check `scale=` and that both folders come from the same release"
        )
