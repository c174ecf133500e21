"""One film after the other, from its file to its result."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from sr.data.video_container import film_in, opened, pyav
from sr.deploy.done import Maker
from sr.deploy.films.coding import Coding
from sr.deploy.films.film import Film, Size, glance
from sr.deploy.films.joining import carried, join
from sr.deploy.films.making import Frame, Parts, in_parts, longest, one_by_one, sliding
from sr.deploy.films.pieces import LENGTH, Pieces, frames_in
from sr.deploy.photos import beside_bicubic
from sr.deploy.work import Job, Work
from sr.errors import UserError, some
from sr.layers.identity import identity
from sr.models.clips import ClipResolver
from sr.scores.text import counted, duration
from sr.whole import replacing

log = logging.getLogger(__name__)
EVERY = 30.0  # seconds between two lines about how far a film is


@dataclass(frozen=True)
class FilmWork(Work):
    """What is done to each film.

    Attributes:
        lossless: every pixel is kept as the network makes it.
        clip_room: GiB of disk for what networks keep that go through a clip as a whole; None: half of what is free.
    """

    lossless: bool = False
    clip_room: float | None = None

    @cached_property
    def made_by(self) -> str:
        """See `Work.made_by`; how long the parts are that a network sees decides its pixels, too."""
        if not (self.lossless or self.clip_room):
            return super().made_by
        return identity({}, {"made_by": super().made_by, "lossless": self.lossless, "clip_room": self.clip_room})

    def pixels(self, job: Job) -> int:
        """Of all frames, by what the file tells of itself.

        Raises:
            UserError: it is no film, or one that is not kept as it is.
        """
        size, frames = glance(job.source)
        _tell_lost(job)
        return size.height * size.width * frames

    def do(self, job: Job, seen: Callable[[float], object]) -> str:
        """See `Work.do`. What is done of it when it is killed is not done again."""
        maker, film, began = Maker.of(job.source, self.made_by), Film.of(job.source), time.perf_counter()
        high, wide = self.how.size(*film.size)
        codings = {t: Coding.of(film, Size(high, wide * (1 + (t == job.side))), self.lossless, self.quality)
                   for t in job.targets}  # fmt: skip
        for target, coding in codings.items():
            if coding.note:
                log.info(f"{target}: {coding.note}")
        by = [self.enlarger.form, str(self.enlarger.device), pyav(job.source).__version__]
        made_of = [maker.source, maker.state, maker.made_by, *by]
        pieces = Pieces(job.target, list(codings.values()), made_of)
        closed = pieces.closed()
        start = closed * LENGTH
        if start:
            log.info(f"{job.source}: {min(start, len(film.times))} of {len(film.times)} frames are there already")
            seen(min(1.0, start / len(film.times)))
        how, frames = self._frames(film, start, pieces)
        tiled = self._write(job, pieces, closed, frames, seen)
        seconds = time.perf_counter() - began
        for result, target in enumerate(job.targets):
            if target in self.missing(job):
                with replacing(target) as part:
                    join(pieces.paths(result), codings[target], part, target.suffix.lower())
                    if (found := frames_in(part)) != len(film.times):
                        raise UserError(f"{target} would have {found} frames, and the film {len(film.times)}")
                    self._refuse(job, target, maker)  # again: the work may have taken hours
                    self.kept.note(target, part, maker, seconds)
        pieces.clear()
        size = f"{film.size.width}x{film.size.height} -> {wide}x{high}"
        made = f", {self.enlarger.in_tiles(self.how)}" if tiled else ""
        told = f"{size}, {counted(len(film.times), 'frame')}, {how}{made}"
        return f"{told}, {coding.codec} {coding.form}, {duration(seconds)}"

    def _frames(self, film: Film, start: int, pieces: Pieces) -> tuple[str, Iterator[Frame]]:
        """How the frames from one onward are made, and they."""
        model = self.enlarger.deployed(self.how.scale).model
        if not isinstance(model, ClipResolver):
            return "frame by frame", one_by_one(self.enlarger, film, self.how, start)
        if self.how.tile or self.how.scratch:
            log.info(f"{self.enlarger.name} makes each frame whole: tile and scratch are for networks on pictures")
        if model.reach is not None:
            return f"each from up to {model.reach} frames on either side", sliding(
                self.enlarger, film, self.how, start, model.reach
            )
        most = pieces.settled("part", longest(model, film, self.how, self.clip_room))
        parts = Parts(len(film.times), most)
        log.info(f"{film.source}: {self.enlarger.name} goes through {parts}")
        return str(parts).split(",")[0], in_parts(self.enlarger, film, self.how, start, parts)

    def _write(
        self, job: Job, pieces: Pieces, first: int, frames: Iterator[Frame], seen: Callable[[float], object]
    ) -> bool:
        """The pieces from one onward; whether some of it was made tile by tile."""
        tiled = False
        total, done, told, began = len(pieces.film.times), 0, time.perf_counter(), time.perf_counter()
        for number, span in enumerate(pieces.spans[first:], first):
            with pieces.writing(number) as opened:
                for _ in span:
                    small, large, in_tiles = next(frames, None) or _gone(job.source)
                    tiled |= in_tiles
                    for target, piece in zip(job.targets, opened, strict=True):
                        piece.add((large if target == job.target else beside_bicubic(small, large)).colour)
                    done += 1
                    seen(1 / total)
            now = time.perf_counter()
            if now - told > EVERY and span.stop < total:
                told, rate = now, done / (now - began)
                left = duration((total - span.stop) / rate)
                log.info(f"{job.source.name}: {span.stop} of {total} frames, {rate:.2f} a second, about {left} left")
        return tiled


def _gone(source: Path) -> NoReturn:
    raise UserError(f"{source} was changed while it was read: frames are missing that were there")


def _tell_lost(job: Job) -> None:
    """Before the work, what of a film its result has no place for."""
    with opened(job.source) as source:
        lost = carried(source, film_in(job.source, source), job.target.suffix.lower())[1]
    if lost:
        ending = job.target.suffix.lower()
        mend = "" if ending == ".mkv" else ". Type format=mkv to keep what Matroska can hold"
        log.warning(f"{job.target}: {ending[1:]} has no place for {some(lost)}{mend}")
