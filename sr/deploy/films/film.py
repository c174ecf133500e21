"""What a film is: its frames' times, size, colours and place upright."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sr.data.video_colour import FULL, HD, RGB, UNSPECIFIED, bits_of, is_full, matrix_of, rgb_of
from sr.data.video_container import Turn, film_in, header, opened, pyav, turn_of
from sr.data.video_files import decoded
from sr.deploy.films.hdr import dynamic, static
from sr.deploy.films.times import spaced
from sr.errors import UserError, reason

log = logging.getLogger(__name__)
MOST_BITS = 10


class Tags(NamedTuple):
    """What a file tells of its colours, as the numbers of a bitstream."""

    matrix: int
    range: int
    primaries: int
    transfer: int


class Size(NamedTuple):
    """Of frames, pixels."""

    height: int
    width: int


@dataclass(frozen=True)
class Film:
    """A film that was looked through.

    Attributes:
        source: its file.
        size: upright.
        times: when each frame is shown and for how long, in units of `base`; times grow.
        later: by how much the frames of joined recordings are shown later than told, see `Spaced`, seconds.
        base: seconds.
        rate: frames a second in the mean.
        tags: as the file tells.
        full: whether luma goes over the whole range.
        bits: of a channel of the result, 8 or 10.
        halved: whether colour has half of luma's columns, and of its rows; None for RGB.
        aspect: of a pixel, width to height, upright; None where none is told.
        turn: that puts it upright.
        hdr: of the screen that it was made on, see `static`.
    """

    source: Path
    size: Size
    times: list[tuple[int, int]]
    later: list[Fraction]
    base: Fraction
    rate: Fraction
    tags: Tags
    full: bool
    bits: int
    halved: tuple[bool, bool] | None
    aspect: Fraction | None
    turn: Turn
    hdr: str

    @classmethod
    def of(cls, source: Path) -> "Film":
        """Decode it once to the end, before hours of work: what is damaged is found, and how many frames there are.

        Raises:
            UserError: PyAV is missing, the file is damaged or no film, or its frames are of a kind that is not kept.
        """
        remarks: list[str] = []
        frames = decoded(source, remarks)
        first = next(frames, None)
        if first is None:
            raise UserError(f"{source} holds no frame")
        refuse_kind(source, first.format)
        kind, told, interlaced = _kind(source, first), [_time(first)], first.interlaced_frame
        for frame in frames:
            if (other := _kind(source, frame)) != kind:
                raise UserError(
                    f"{source} changes within: frame {len(told)} is {other[0]} {other[1]}x{other[2]}, those before "
                    f"are {kind[0]} {kind[1]}x{kind[2]}. Cut it there, for example with ffmpeg's -ss and -t"
                )
            told.append(_time(frame))
            interlaced |= frame.interlaced_frame
        for remark in remarks:
            log.warning(remark)
        if interlaced:
            log.warning(
                f"{source} says that frames of it are interlaced, two half pictures in each: they are enlarged as they "
                f"stand. Where you see combs, undo it first: ffmpeg -i IN -vf bwdif OUT"
            )
        if lost := dynamic(first):
            log.warning(f"{source}: {lost} tells the brightness of each frame by itself, and is not kept")
        rate, aspect, _ = header(source)
        base, turn = first.time_base, turn_of(source, first)
        step = max(1, round(1 / (rate * base)))
        if aspect and turn.swapped:
            aspect = 1 / aspect
        times, later = spaced(source, told, step, base)
        size = Size(first.width, first.height) if turn.swapped else Size(first.height, first.width)
        tags = Tags(*map(int, (first.colorspace, first.color_range, first.color_primaries, first.color_trc)))
        if tags.matrix == RGB and len(first.format.components) == 1:  # grey, whose result has one all the same
            tags = tags._replace(matrix=UNSPECIFIED)
        full, bits = is_full(first), bits_of(first.format)
        found = cls(
            source, size, times, [base * by for by in later], base, rate, tags, full, 10 if bits > 8 else 8,
            _halved(first.format), aspect, turn, static(first),
        )  # fmt: skip
        if found.halved is not None:
            found.matrix  # noqa: B018  (refuses one that is not read)
        return found

    @property
    def coded_rows(self) -> int:
        """Of frames as they are in the file, by whose number a matrix that is not told is guessed."""
        return self.size.width if self.turn.swapped else self.size.height

    @property
    def matrix(self) -> int:
        """By which its colours are read."""
        return matrix_of(self.source, self.tags.matrix, self.coded_rows)

    def told_for(self, rows: int) -> Tags:
        """The tags of a result of so many rows: its own, and its matrix where players would guess another one."""
        guessed_otherwise = self.tags.matrix == UNSPECIFIED and (self.coded_rows >= HD) != (rows >= HD)
        matrix = self.matrix if guessed_otherwise else self.tags.matrix
        return self.tags._replace(matrix=matrix, range=FULL if self.full else self.tags.range)

    def pixels(self, start: int = 0) -> Iterator[np.ndarray]:
        """(H, W, 3) float32 RGB in [0, 1], upright, from a frame onward; those before it are decoded, too."""
        for number, frame in enumerate(decoded(self.source, [])):
            if number >= start:
                rgb = (rgb_of(self.source, frame) * np.float32(1 / 255)).clip(0, 1)
                yield self.turn.upright(rgb)


def refuse_kind(source: Path, form: Any) -> None:
    """Raises a UserError for a format of frames that is not kept in a result."""
    what = None
    if any(c.is_alpha for c in form.components):
        what, mend = "a transparent layer, which is not kept", "-pix_fmt yuv420p"
    elif bits_of(form) > MOST_BITS:
        what = f"{bits_of(form)} bits a channel, of which {MOST_BITS} can be kept"
        mend = "-c:v libx265 -crf 10 -pix_fmt yuv444p10le"
    if what is not None:
        raise UserError(f"{source} has {what}. Convert it first: ffmpeg -i IN {mend} -c:a copy OUT.mkv")


def glance(source: Path) -> tuple[Size, int]:
    """The size and about how many frames there are, without decoding it.

    Raises:
        UserError: PyAV is missing, the file is no film, or its frames are of a kind that is not kept.
    """
    av = pyav(source)
    try:
        with opened(source) as container:
            stream = film_in(source, container)
            if stream.format is None:
                raise UserError(f"{source} holds no video that can be decoded")
            refuse_kind(source, stream.format)
            seconds = float(container.duration or 0) / av.time_base
            frames = stream.frames or round(seconds * float(stream.average_rate or 25)) or 1
            return Size(stream.height, stream.width), frames
    except av.FFmpegError as error:
        raise UserError(f"{source} cannot be read as a video: {reason(error)}") from error


def _kind(source: Path, frame: Any) -> tuple[Any, ...]:
    return frame.format.name, frame.width, frame.height, turn_of(source, frame)


def _time(frame: Any) -> tuple[int | None, int]:
    return frame.pts, frame.duration or 0


def _halved(form: Any) -> tuple[bool, bool] | None:
    if form.is_rgb or form.has_palette:
        return None
    colour = form.components[1:2] or form.components
    return (len(form.components) == 1 or colour[0].width < form.width,
            len(form.components) == 1 or colour[0].height < form.height)  # fmt: skip
