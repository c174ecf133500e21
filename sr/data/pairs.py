"""Which LR file belongs to which HR file, checked before anything starts."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sr.data.compact import Packed
from sr.data.images import each
from sr.errors import LINES, UserError, some
from sr.imaging.files import read_image, read_size, tell_links
from sr.imaging.image_errors import ImageError

RENAME = "0001.png is paired with 0001.png, 0001x{0}.png and 0001_x{0}.png: rename what is called otherwise"
Sides = tuple[tuple[int, int], tuple[int, int] | None]  # (H, W) of HR and of LR


@dataclass(frozen=True)
class ImagePair:
    """One image: its name in tables, its HR file, and its LR file (None: LR is made from HR)."""

    name: str
    hr: Path
    lr: Path | None = None


class ImagePairs(Packed[ImagePair]):
    """Many of them, to be made again when they are asked for."""

    def _said(self, value: ImagePair) -> bytes:
        return b"\0".join(map(os.fsencode, (value.name, value.hr, value.lr or "")))

    def _meant(self, said: bytes) -> ImagePair:
        name, hr, lr = map(os.fsdecode, said.split(b"\0"))
        return ImagePair(name, Path(hr), Path(lr) if lr else None)


def hr_stem(path: Path, scale: int) -> str:
    """The name that HR and LR share: 0001 of `0001.png`, `0001_HR.png` and `0001_HR_x4.png`."""
    marked = re.fullmatch(rf"(.+?)_(?:HR|GT)(?:[_-]?[xX]{scale})?", path.stem)
    return marked[1] if marked else path.stem


def lr_stems(path: Path, scale: int) -> list[str]:
    """What that name may be for this LR file, likeliest first.

    `0001.png`, `0001x2.png`, `0001_x2.png`, `0001X2.png`, `0001x4m.png`, `0001x4d.png`, `0001x4w1.png` (NTIRE),
    `img_001_SRF_4_LR.png` (SelfExSR), `0001_LRBI_x4.png` (RCAN), `Canon_001_LR4.png` (RealSR).
    """
    forms = (
        rf"(.+)[xX]{scale}(?:m|d|w\d*)?",
        rf"(.+)[_-][xX]{scale}",
        rf"(.+)_(?:LR(?:BI|BD|DN)?|LQ)(?:[_-]?[xX]?{scale})?",
    )
    return [path.stem, *(found[1] for form in forms if (found := re.fullmatch(form, path.stem)))]


def by_template(template: str) -> Callable[[Path, int], str | None]:
    """`*_small` or `{}_small` -> what a file's name has in place of the star; None where it has another form.

    Raises:
        UserError: not one star.
    """
    parts = template.replace("{}", "*").split("*")
    if len(parts) != 2:
        raise UserError(f"{template!r} must have one * that stands for what HR and LR names share, as in *_x4")
    form = re.compile(f"{re.escape(parts[0])}(.+){re.escape(parts[1])}")

    def shared(path: Path, scale: int) -> str | None:
        found = form.fullmatch(path.stem)
        return found[1] if found else None

    return shared


def of_scale(hr: Sequence[Path], scale: int) -> list[Path]:
    """HR files without those that their names declare to be for another scale, where some are for this one."""
    own = {p for p in hr if re.search(rf"_HR[_-]?[xX]{scale}$", p.stem)}
    return [p for p in hr if p in own or not re.search(r"_HR[_-]?[xX]\d$", p.stem)] if own else list(hr)


def pair_by_name(
    hr: Sequence[Path],
    lr: Sequence[Path] | None,
    scale: int,
    hr_name: str | None = None,
    lr_name: str | None = None,
    otherwise: str = RENAME,
) -> list[ImagePair]:
    """Pair files by name. Several LR per HR are taken only in the form of the NTIRE wild track (`0001x4w1.png`).

    LR of other scales in the same folder is left out, and so is what does not have the form of a template.

    Args:
        hr: HR files.
        lr: LR files, or None if LR is made from HR.
        scale: the factor in LR's names.
        hr_name: template of HR's names without their suffix, where they are of none of the known forms.
        lr_name: the same of LR's names.
        otherwise: what to do with files that are named in another way.

    Raises:
        UserError: a file without its partner, or with two.
    """
    marked = [p for p in hr if hr_stem(p, scale) != p.stem]
    if lr is not None and marked and not hr_name and set(hr) == set(lr):  # one folder holds both, as RealSR's do
        of_hr = set(marked)
        hr, lr = marked, [p for p in lr if p not in of_hr]
    name = by_template(hr_name) if hr_name else hr_stem
    by_stem: dict[str, Path] = {}
    for path in of_scale(hr, scale):
        stem = name(path, scale)
        if stem is not None and (other := by_stem.setdefault(stem, path)) != path:
            raise UserError(f"two HR files have the same name: {other} and {path}. Remove or rename one of them")
    if lr is None:
        return [ImagePair(stem, path) for stem, path in by_stem.items()]
    if lr:
        tell_links(Path(os.path.commonpath([path.parent for path in lr])), lr)
    partners: dict[str, list[Path]] = defaultdict(list)
    no_hr = []
    template = by_template(lr_name) if lr_name else None
    for path in lr:
        stems = [template(path, scale)] if template else lr_stems(path, scale)
        stem = next((s for s in stems if s in by_stem), None)
        if stem is not None:
            partners[stem].append(path)
        elif template is None or stems != [None]:
            no_hr.append(path)
    no_lr = [path for stem, path in by_stem.items() if stem not in partners]
    if not no_lr:  # of several scales in one folder those of this one are meant
        no_hr = [p for p in no_hr if not any(s in by_stem for k in range(2, 10) for s in lr_stems(p, k))]
    if no_lr or no_hr or not by_stem:
        raise UserError(_unpaired(no_lr, no_hr, hr, lr, scale, otherwise.format(scale)))
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


def _unpaired(
    no_lr: list[Path], no_hr: list[Path], hr: Sequence[Path], lr: Sequence[Path], scale: int, otherwise: str
) -> str:
    lines = [f"HR and LR files do not pair up by name ({len(hr)} HR, {len(lr)} LR, scale {scale})."]
    if no_lr:
        where = lr[0].parent if lr else "an empty LR folder"
        expected = f"{hr_stem(no_lr[0], scale)}x{scale}.png"
        lines.append(f"{len(no_lr)} HR without LR, looked for in {where} as {expected}: {some(no_lr)}")
    if no_hr:
        where = hr[0].parent if hr else "an empty HR folder"
        lines.append(f"{len(no_hr)} LR without HR, looked for in {where}: {some(no_hr)}")
    lines.append("Add the missing files, remove their partners, or let LR be made from HR (leave out the LR folder).")
    lines.append(otherwise)
    return "\n  ".join(lines)


def check_sizes(pairs: Sequence[ImagePair], scale: int, sizes: Callable[[int], Sides] | None = None) -> None:
    """Every LR side is HR's side / scale, rounded down or up.

    Args:
        pairs: whose files are looked at.
        scale: enlargement factor.
        sizes: (H, W) of a pair's HR and LR by its number, LR's None where there is none; None reads the files' headers.

    Raises:
        UserError: names the files and their sizes.
    """
    wrong: list[str] = []
    sizes = sizes or (lambda i: (read_size(pairs[i].hr), None if (lr := pairs[i].lr) is None else read_size(lr)))
    for number, pair in enumerate(pairs):
        try:
            high, low = sizes(number)
        except ImageError:
            _decode_all(pairs)  # headers do not tell all that is wrong
            raise
        if low is None:
            if min(high) < scale:
                wrong.append(f"{pair.hr} is {high[1]}x{high[0]}, smaller than one LR pixel at scale {scale}")
            continue
        if any(b not in (a // scale, -(-a // scale)) or b < 1 for a, b in zip(high, low, strict=True)):
            wrong.append(
                f"{pair.lr} is {low[1]}x{low[0]} (width x height), expected {high[1] // scale}x{high[0] // scale} "
                f"for scale {scale} of {pair.hr}, which is {high[1]}x{high[0]}"
            )
    if wrong:
        raise UserError(
            f"{len(wrong)} of {len(pairs)} images have sizes that do not match:\n  {some(wrong, between=LINES)}\n  "
            "Check `scale=` and that both folders come from the same release"
        )


def _decode_all(pairs: Sequence[ImagePair]) -> None:
    files = list(dict.fromkeys(path for pair in pairs for path in (pair.hr, pair.lr) if path is not None))
    each(lambda i: read_image(files[i]), len(files))
