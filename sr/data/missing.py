"""The error for data that is not there: what was looked for, where, what was found, both ways to mend it."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sr.data.archives import Archive
from sr.errors import UserError, some
from sr.imaging.files import IMAGE_SUFFIXES, list_images
from sr.imaging.image_errors import ORIGINALS

DEPTH = 3  # levels of sub-folders that images are looked for in


def images_in(folder: Path) -> list[Path]:
    """The folder's images, or none if there is no such folder."""
    return list_images(folder) if folder.is_dir() else []


def images_below(folder: Path, deeper: list[Path] | None = None) -> dict[Path, list[Path]]:
    """The images of a folder by the place of their own folder in it; of sub-folders only where it has none itself.

    Args:
        folder: to look into, DEPTH levels down.
        deeper: folders farther down that hold images are added.
    """
    if found := images_in(folder):
        return {Path(): found}
    groups, seen = {}, {os.path.realpath(folder)}
    for name, inside, _ in os.walk(folder, followlinks=True):
        place = Path(name).relative_to(folder)
        inside[:] = sorted(n for n in inside if not n.startswith(".") and not n.endswith(ORIGINALS))
        # Links to a folder that is being looked through, as to `.`, would lead into it again and again.
        inside[:] = [n for n in inside if not (Path(name, n).is_symlink() and os.path.realpath(Path(name, n)) in seen)]
        seen |= {os.path.realpath(Path(name, n)) for n in inside}
        if len(place.parts) == DEPTH:
            if deeper is not None:
                deeper += [Path(name, n) for n in inside if _holds_images(Path(name, n))]
            inside.clear()
        if place.parts and (found := images_in(Path(name))):
            groups[place] = found
    return groups


def _holds_images(folder: Path) -> bool:
    """At any depth; links are not followed, as they could lead around."""
    return any(n.lower().endswith(IMAGE_SUFFIXES) and n[0] != "." for _, _, names in os.walk(folder) for n in names)


def left_out(folder: Path) -> str:
    """How many files and sub-folders of a folder of images are not read; empty if there are none."""
    names = (name for name in os.listdir(folder) if not name.startswith("."))
    others = [folder / name for name in names if not name.lower().endswith(IMAGE_SUFFIXES)]
    kinds = Counter(p.suffix.lower() or "without suffix" for p in others if p.is_file())
    parts = [f"{sum(kinds.values())} files ({', '.join(f'{n} {k}' for k, n in kinds.most_common(5))})"] if kinds else []
    if folders := sum(p.is_dir() for p in others):
        parts.append(f"{folders} sub-folders")
    return " and ".join(parts)


def missing(
    what: str,
    looked: Sequence[Path],
    *,
    setting: str,
    source: tuple[Sequence[Archive], Path] | None = None,
    where: str | None = None,
) -> UserError:
    """Build the error.

    Args:
        what: what is missing, as in "DIV2K's training images".
        looked: folders that were tried.
        setting: what to type to point elsewhere, as in "data.root=<folder>".
        source: the archives in which it is distributed, and the folder where they or their contents belong.
        where: how it is had otherwise, a sentence.
    """
    archives, folder = source or ((), Path())
    lines = [f"{what} not found."]
    lines += [f"  looked in {path.absolute()}: {_found(path)}" for path in looked]
    if archives:
        packed = [a.file for a in archives if (folder / a.file).is_file()]
        lines.append("  To mend it, either place the unpacked files there; they are distributed as")
        lines += [f"    {archive}" for archive in archives]
        if packed:
            lines.append(f"    ({', '.join(packed)} lies in {folder} but is not unpacked)")
        lines.append("  or type data.download=true to download, check and unpack them,")
        lines.append(f"  or type {setting} if you have them elsewhere")
    else:
        lines += [f"  {where}"] if where else []
        lines.append(f"  Place the images there, or type {setting}")
    return UserError("\n".join(lines))


def _found(path: Path) -> str:
    if not path.exists():
        parent = next((p for p in path.absolute().parents if p.exists()), None)
        return f"no such folder (the nearest that exists is {parent})"
    if not path.is_dir():
        return "that is a file, not a folder"
    entries = sorted(p.name + ("/" if p.is_dir() else "") for p in path.iterdir() if not p.name.startswith("."))
    if not entries:
        return "the folder is empty"
    images = "" if list_images(path) else f"no image ({' '.join(sorted(IMAGE_SUFFIXES))}) in it, only "
    return f"{images}{some(entries, 8)}"
