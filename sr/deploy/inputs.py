"""Which files are enlarged, and what the results are called."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from sr.data.video_files import VIDEO_SUFFIXES
from sr.deploy.films.joining import FORMATS
from sr.errors import UserError, nearest
from sr.imaging.files import IMAGE_SUFFIXES, tell_links
from sr.imaging.photo_writing import WRITTEN

SIDES = "side_by_side"  # the folder within the output's for what lies beside bicubic
WILD = "*?["
KNOWN = (*IMAGE_SUFFIXES, ".gif", *VIDEO_SUFFIXES)  # endings of what is looked for in folders


@dataclass(frozen=True)
class Found:
    """What `input=` names.

    Attributes:
        files: images and films, each once, sorted within a folder.
        base: the folder that they all lie in, below which the output's structure is theirs.
        others: files in folders that are neither by their names.
    """

    files: list[Path]
    base: Path
    others: list[Path]


def find(typed: Sequence[str], output: Path | None = None, key: str = "input") -> Found:
    """The files of `input=`, or of another key.

    Each word is a file, a folder with all below it, or a pattern with * ? [] **. What is hidden in folders is left out,
    and so is the folder of the output.

    Raises:
        UserError: a word that names nothing.
    """
    left_out = output.resolve() if output is not None else None
    files: dict[Path, None] = {}
    others: list[Path] = []
    bases: list[Path] = []
    for word in typed:
        path = Path(word).expanduser()
        if path.is_file():
            bases.append(place_of(path).parent)
            files[path] = None
            continue
        if path.is_dir():
            bases.append(place_of(path))
            inside = list(_below(path, left_out))
            tell_links(path, inside)
        elif set(word) & set(WILD):
            bases.append(place_of(_fixed(path)))
            within = _fixed(path).resolve()
            beyond = None if left_out in (within, *within.parents) else left_out  # else all of it is meant
            matches = sorted({Path(name) for name in _matching(path)})
            inside = [p for p in matches if p.is_file() and beyond not in p.resolve().parents]
            tell_links(within, inside)
        else:
            raise UserError(_nothing(key, path))
        own = [p for p in inside if p.suffix.lower() in KNOWN and (p.is_file() or not p.exists())]
        if not own:
            raise UserError(f"{key}={word}: no image or film in it ({' '.join(KNOWN)})")
        others += [p for p in inside if p not in own]
        files |= dict.fromkeys(own)
    unique = {place_of(p): p for p in reversed(files)}
    bases += [place.parent for place in unique]  # a pattern may lead out of its folder
    return Found(list(reversed(unique.values())), Path(os.path.commonpath(bases)), others)


def place_of(path: Path) -> Path:
    """The absolute path without `..`, before which a link's own folder counts, as for the system."""
    back = [n for n, part in enumerate(path.parts, 1) if part == ".."]
    return Path(*path.parts[: back[-1]]).resolve().joinpath(*path.parts[back[-1] :]) if back else path.absolute()


def _below(folder: Path, left_out: Path | None) -> Iterator[Path]:
    def told(error: OSError) -> NoReturn:
        raise error

    for place, folders, names in os.walk(folder, onerror=told):
        folders[:] = sorted(f for f in folders if f[0] != "." and Path(place, f).resolve() != left_out)
        yield from (Path(place, name) for name in sorted(names) if name[0] != ".")


def _matching(pattern: Path) -> Iterator[str]:
    """What a pattern names. `**` follows no links, of which two in a folder could lead around without end."""
    if "**" not in pattern.parts:
        yield from glob.iglob(str(pattern))
        return
    at = pattern.parts.index("**")
    for root in glob.iglob(str(Path(*pattern.parts[:at]))):
        for place, folders, _ in os.walk(root):
            folders[:] = [f for f in folders if f[0] != "."]
            yield from _matching(Path(glob.escape(place), *(pattern.parts[at + 1 :] or "*")))


def _fixed(path: Path) -> Path:
    """The folders of a pattern in front of its first wild sign."""
    parts = path.parts
    return Path(*parts[: next(n for n, part in enumerate(parts) if set(part) & set(WILD))])


def _nothing(key: str, path: Path) -> str:
    beside = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
    there = nearest(path.name, beside) if path.parent.is_dir() else f" The folder {path.parent} does not exist."
    return f"{key}={path}: there is no such file or folder.{there}"


def results(
    found: Found, output: Path, suffix: str, format_: str | None, beside: bool = False, film: str | None = None
) -> dict[Path, tuple[Path, Path | None]]:
    """Each file's result, and where that lies beside bicubic.

    A result has its file's place below the base, in `output`, with `suffix` behind its name. Where two
    would have one name, as those of a.png and a.jpg in one format, each keeps its former ending in it.

    Args:
        found: see `find`.
        output: a folder.
        suffix: such as `_x4`.
        format_: the ending of pictures' results; None for each one's own, of what is not written PNG.
        film: the ending of films' results; None for each one's own, of what is not written Matroska.
        beside: whether each result is also written beside bicubic.

    Raises:
        UserError: what is written would lie upon a file that is enlarged, or upon another result.
    """
    places = {p: output / Path(os.path.relpath(place_of(p), found.base)) for p in found.files}
    typed = {p: film if is_film(p) else format_ for p in found.files}
    endings = {p: f".{own}" if (own := typed[p]) else ending_of(p) for p in found.files}
    marked: set[Path] = set()
    while True:
        named = {
            p: place.with_name(f"{p.stem}{f'_{p.suffix[1:]}' if p in marked else ''}{suffix}{endings[p]}")
            for p, place in places.items()
        }
        if (meeting := _meeting(named)) <= marked:
            break
        marked |= meeting
    made = {p: (target, _side_of(target, output) if beside else None) for p, target in named.items()}
    sources = {place for p in found.files for place in _places(p)}
    owners = {str(target).casefold(): p for p, target in named.items()}
    for p, (target, side) in made.items():
        for file in (target, side):
            if file is not None and sources & _places(file):
                raise UserError(f"the result of {p} would lie upon a file that is enlarged, {file}. Type output=PATH")
        if side is not None and (other := owners.get(str(side).casefold())):
            raise UserError(
                f"the results of {p}, beside bicubic, and of {other} would both be {side}. Leave side_by_side= out, "
                "or enlarge one of the two by a command of its own with another output=PATH"
            )
    return made


def _places(file: Path) -> set[Any]:
    """By what a file is known, where a disk knows no capitals and where a folder has two names, too."""
    there = file.stat() if file.exists() else None
    return {file.resolve(), *([(there.st_dev, there.st_ino)] if there else [])}


def _meeting(named: Mapping[Path, Path]) -> set[Path]:
    """The files whose results would have one name, also for a file system that knows no capitals.

    Two that differ in capitals alone lie in one that does; in their endings alone, they have one name there, too.
    """
    same = Counter(named.values())
    groups: dict[str, dict[str, list[Path]]] = {}
    for p, target in named.items():
        groups.setdefault(str(target).casefold(), {}).setdefault(str(place_of(p)).casefold(), []).append(p)
    found = [(len(group), p) for group in groups.values() for alike in group.values() for p in alike]
    return {p for places, p in found if places > 1 or same[named[p]] > 1}


def is_film(path: Path) -> bool:
    """Whether a file is a film, by its name."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def ending_of(path: Path) -> str:
    """Of a file's result where no format is typed."""
    written, other = (FORMATS, ".mkv") if is_film(path) else (WRITTEN, ".png")
    return path.suffix if path.suffix.lower() in written else other


def _side_of(target: Path, output: Path) -> Path:
    return output / SIDES / target.relative_to(output)
