"""What the names of a clip's frames say: their order in time, which of them are missing, and whose they are."""

import logging
import re
import shlex
from collections.abc import Iterable, Sequence
from itertools import pairwise, zip_longest
from pathlib import Path

from sr.errors import UserError, some, told_once

log = logging.getLogger(__name__)
NEIGHBOURS = "Those around are taken for neighbours in time"  # of frames that are missing


def in_time(name: str) -> tuple[list[int | str], str]:
    """By which the frames of a clip are sorted: 2 before 10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)], name


def gaps(names: Iterable[str]) -> list[str]:
    """The numbers that are missing between those of a clip's frames, as "3" or "3 to 7".

    None where the names do not count: where something else than one number differs, or not by multiples of a step.
    """
    parts = [in_time(name)[0] for name in names]
    differing = [column for column in zip_longest(*parts) if len(set(column)) > 1]
    numbers = sorted({part for column in differing for part in column if isinstance(part, int)})
    if len(differing) != 1 or len(numbers) != len(set(differing[0])):
        return []
    step = min(b - a for a, b in pairwise(numbers))
    if any((b - a) % step for a, b in pairwise(numbers)):
        return []
    ends = [(a + step, b - step) for a, b in pairwise(numbers) if b - a > step]
    return [str(first) if first == last else f"{first} to {last}" for first, last in ends]


def refuse_several(names: Sequence[str], folder: Path | None = None) -> None:
    """Look whether names count the frames of one clip, as 0001 or im1.

    Args:
        names: of all files of a clip, without their suffix.
        folder: in which they lie, for the command that parts them.

    Raises:
        UserError: they count those of several, as a_0001 and b_0001, or one is none of those that count.
    """
    counted = [(around, files) for around, files in _counted(names) if len(files) > 1]
    others = sorted({*names}.difference(*(files for _, files in counted)))
    where = "images=" if folder is None else folder
    if len(counted) > 1:
        told = [f"{len(files)} as {files[0]}" for _, files in counted]
        text = f"{where} holds frames of several clips: {some(told)}. Give each a folder of its own"
        if folder is not None:
            places, moves = [], []
            for (before, behind), _ in sorted(counted, key=lambda one: -len(one[0][0])):  # a_2_0001 before a_0001
                short = f"{before}{behind}".strip("_-. ") or "frames"
                places.append(shlex.quote(str(folder.with_name(f"{folder.name}_{short}"))))
                moves.append(
                    f"mv -n {shlex.quote(f'{folder}/{before}')}[0-9]*{shlex.quote(f'{behind}.')}* {places[-1]}"
                )
            text += f", and so their LR: mkdir {' && '.join([' '.join(places), *moves])}"
        raise UserError(text)
    if counted and others:
        first, *_, last = counted[0][1]
        raise UserError(
            f"{where} holds {some(others)} beside the {len(counted[0][1])} frames {first} to {last}, taken for frames "
            "of the same clip. Move elsewhere what is none"
        )


def _counted(names: Sequence[str]) -> list[tuple[tuple[str, str], list[str]]]:
    """The names, in order, by what stands before and behind the number that counts, as ("a_", "") and ("b_", "")."""
    forms: dict[tuple[str, ...], list[list[str]]] = {}
    for _, name in sorted(map(in_time, names)):
        parts = re.split(r"(\d+)", name)
        forms.setdefault(tuple(parts[::2]), []).append(parts)
    found: list[tuple[tuple[str, str], list[str]]] = []
    for members in forms.values():
        varying = [n for n, column in enumerate(zip(*members, strict=True)) if len({*column}) > 1]
        at = varying[-1] if varying else len(members[0])
        by_rest: dict[tuple[str, str], list[list[str]]] = {}
        for parts in members:
            by_rest.setdefault(("".join(parts[:at]), "".join(parts[at + 1 :])), []).append(parts)
        anew = len(by_rest) > 1 and _count_anew([[parts[at] for parts in group] for group in by_rest.values()])
        if anew and _of_time([parts[at] for parts in members]):
            first, *_, last = ("".join(parts) for parts in members)
            text = f"the {len(members)} frames {first} to {last} are taken for one clip whose names tell the time"
            hint = f"If they are {len(by_rest)} clips, give each a folder of its own"
            told_once(log, logging.WARNING, f"warning: {text}. {hint}")
            anew = False
        groups = by_rest if anew else {next(iter(by_rest)): members}
        found += [(around, ["".join(parts) for parts in group]) for around, group in groups.items()]
    return found


def _count_anew(groups: list[list[str]]) -> bool:
    """Whether each of several groups counts from one number on."""
    return len({int(group[0]) for group in groups}) == 1 and min(map(len, groups)) > 1


def _of_time(numbers: Sequence[str]) -> bool:
    """Whether they are written as seconds, days or milliseconds are."""
    widths = {*map(len, numbers)}
    return widths == {2} or (widths == {3} and int(numbers[0]) == 0)
