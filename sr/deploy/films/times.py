"""When what a film holds is shown, also where its times fall back, as of recordings that were joined."""

import logging
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from sr.scores.text import counted

log = logging.getLogger(__name__)
ANEW = Fraction(1, 2)  # seconds: where times fall back by more another recording begins


class Spaced(NamedTuple):
    """Times of frames that grow.

    Attributes:
        times: when each is shown and for how long.
        later: by how much those of each recording behind the first one are shown later than told.
    """

    times: list[tuple[int, int]]
    later: list[int]


def spaced(source: Path, told: Sequence[tuple[int | None, int]], step: int, base: Fraction) -> Spaced:
    """Times that grow, where some are not told, stand still, or begin anew.

    Args:
        source: the film, for messages.
        told: of each frame its time, perhaps, and how long it lasts, in units of `base`.
        step: from one frame to the next.
        base: seconds.
    """
    found: list[int] = []
    later: list[int] = []
    moved = 0
    for one, _ in told:
        next_ = found[-1] + step if found else 0
        time = next_ if one is None else one + (later[-1] if later else 0)
        if found and (found[-1] - time) * base > ANEW:
            later.append((later[-1] if later else 0) + next_ - time)
            time = next_
        elif found and time <= found[-1]:
            time, moved = found[-1] + 1, moved + 1
        found.append(time)
    if later:
        anew = f"{source}: its clock begins anew {counted(len(later), 'time')}"
        log.warning(f"{anew}, as of joined recordings: each goes on behind the former")
    if moved:
        log.warning(f"{source}: {moved} frames have times that do not grow; each is shown right behind its former")
    lasting = [after - time for time, after in pairwise(found)]
    return Spaced(list(zip(found, [*lasting, told[-1][1] or step], strict=True)), later)


class Clock:
    """Of a stream beside the pictures, whose packets are to have times that grow, and go with the pictures.

    Args:
        later: see `Spaced`, seconds.
        least: from one packet to the next, in units of the stream's time base.
    """

    def __init__(self, later: Sequence[Fraction], least: int) -> None:
        self.later, self.least = [Fraction(0), *later], least
        self.recording = 0
        self.told: int | None = None
        self.given: int | None = None

    def set(self, packet: Any) -> None:
        """Give the next packet of PyAV its time."""
        if self.told is not None and (self.told - packet.dts) * packet.time_base > ANEW:
            self.recording = min(self.recording + 1, len(self.later) - 1)
        self.told = packet.dts
        shift = round(self.later[self.recording] / packet.time_base)
        dts = packet.dts + shift
        if self.given is not None:
            dts = max(dts, self.given + self.least)
        if packet.pts is not None:
            packet.pts = max(packet.pts + shift, dts)
        packet.dts = self.given = dts
