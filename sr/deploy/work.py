"""One picture after the other, from its file to its result."""

import errno
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sr.deploy.done import Maker, Results
from sr.deploy.enlarger import Enlarger
from sr.deploy.photos import How, beside_bicubic
from sr.deploy.tiling.walk import ran_out
from sr.errors import UserError, user_error
from sr.imaging.files import most_pixels
from sr.imaging.image_errors import ImageError
from sr.imaging.photo_reading import read_photo, read_photo_size
from sr.imaging.photo_writing import LIMITS, depth_in, too_large, write_photo
from sr.layers.identity import identity
from sr.runs.code import code_of
from sr.whole import replacing

log = logging.getLogger(__name__)
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Job:
    """One picture: its file, its result, and where that lies beside bicubic, if it shall."""

    source: Path
    target: Path
    side: Path | None

    @property
    def targets(self) -> list[Path]:
        """All that is written for it."""
        return [self.target] if self.side is None else [self.side, self.target]


@dataclass(frozen=True)
class Work:
    """What is done to each picture.

    Attributes:
        enlarger: that does it.
        how: see `How`.
        quality: see `write_photo`.
        overwrite: whether what is in the way may be replaced.
        kept: what the output's folder holds.
    """

    enlarger: Enlarger
    how: How
    quality: int | None
    overwrite: bool
    kept: Results

    def __str__(self) -> str:
        return f"{self.enlarger.name} x{self.how.factor:g}"

    @cached_property
    def made_by(self) -> str:
        """What tells results apart that other weights or settings made; tiles make the same."""
        how, told = self.how, self.enlarger.metadata
        settings = {"scale": how.scale, "outscale": how.factor, "self_ensemble": how.ensemble, "quality": self.quality}
        settings |= {"model": told.get("model"), "reads": told.get("reads")} | ({"half": True} if how.half else {})
        if own := code_of(self.enlarger.model).get("code"):  # of a network of the user's own
            settings["code"] = own
        return identity(self.enlarger.model.state_dict(), settings)

    def refuse_in_the_way(self, job: Job) -> None:
        """Raises a UserError where something else lies where a result shall, unless it may be replaced."""
        maker = Maker.of(job.source, self.made_by)
        for target in job.targets:
            self._refuse(job, target, maker)

    def _refuse(self, job: Job, target: Path, maker: Maker) -> None:
        within = target.relative_to(self.kept.folder).parents
        if link := next((p for p in within if (self.kept.folder / p).is_symlink() and p.name), None):
            raise UserError(
                f"{job.source}: {self.kept.folder / link} is a link, and its result would be written where that leads. "
                "Remove the link, or type another output=PATH"
            )
        if not os.path.lexists(target) or self.kept.holds(target, maker):
            return
        file = target.is_file() or target.is_symlink()  # of which the link is replaced
        if not (self.overwrite and file):
            mend = "Type overwrite=true, or another" if file else "Type another"
            raise UserError(f"{job.source}: {target} {self.kept.why_not(target, maker)}. {mend} output=PATH")

    def missing(self, job: Job) -> list[Path]:
        """What of a picture's results is not there as this command makes it."""
        maker = Maker.of(job.source, self.made_by)
        return [target for target in job.targets if not self.kept.holds(target, maker)]

    def pixels(self, job: Job) -> int:
        """Of the picture, by its header.

        Raises:
            UserError: it is none, or its result is larger than its format can hold.
        """
        height, width = read_photo_size(job.source)
        high, wide = self.how.size(height, width)
        for target in job.targets:
            widest = wide * 2 if target == job.side else wide
            if max(high, widest) > LIMITS.get(target.suffix.lower(), 2**31 - 1):
                raise UserError(f"{target} {too_large(high, widest, target.suffix.lower())}")
        if high * wide > most_pixels():
            size = f"{wide}x{high}"
            log.warning(f"note: {job.target} will be {size} pixels, more than Pillow opens without a higher limit")
        return height * width

    def do(self, job: Job, seen: Callable[[float], object]) -> str:
        """Enlarge a picture; what it was and became, how, and how long the network took.

        Args:
            job: one that is not done.
            seen: called now and then with the share of it that is done since.
        """
        maker = Maker.of(job.source, self.made_by)
        photo = read_photo(job.source)
        began = time.perf_counter()
        depth = depth_in(job.target.suffix.lower(), photo.colour.dtype)
        large, tiled = self.enlarger.photo(photo, self.how, depth, seen)
        seconds = time.perf_counter() - began
        for target in self.missing(job):
            with replacing(target) as part:
                write_photo(part, large if target == job.target else beside_bicubic(photo, large), self.quality)
                self._refuse(job, target, maker)  # again: the work may have taken hours
                self.kept.note(target, part, maker, seconds)
        (h, w), (high, wide) = photo.colour.shape[:2], large.colour.shape[:2]
        made = self.enlarger.in_tiles(self.how) if tiled else "whole"
        return f"{w}x{h} -> {wide}x{high}, {made}, {seconds:.1f} s"


def of_one_picture(error: BaseException) -> bool:
    """Whether the next picture may fare better: not where a disk is full, nor where the program is wrong."""
    if isinstance(error, OSError):
        return error.errno not in FULL
    return isinstance(error, UserError) or ran_out(error)


def reason_of(job: Job, error: BaseException) -> str:
    """Why a picture is not enlarged, with its file."""
    if isinstance(error, ImageError):
        return f"{error.path} {error.what}"
    if isinstance(error, RuntimeError):
        return f"{job.source}: memory ran out. Free some, type scratch=PATH, or cut the picture into parts"
    if isinstance(error, FileNotFoundError) and not job.source.exists():
        return f"{job.source} is there no more, or a link that leads nowhere"
    found = str(user_error(error) or error)
    return found if str(job.source) in found else f"{job.source} {found}"
