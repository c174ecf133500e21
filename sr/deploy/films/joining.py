"""A film's result put together: its pieces as one stream, and beside it what the film has besides pictures."""

import heapq
import io
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from sr.data.video_container import film_in, opened, pyav
from sr.deploy.films.coding import Coding
from sr.deploy.films.times import Clock
from sr.errors import UserError, reason

log = logging.getLogger(__name__)
FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}  # of results
STALE = ("encoder", "duration", "number_of_", "_statistics", "bps", "rotate", "major_brand", "minor_version", "compat")
PLAYED = ("audio", "subtitle")
FEW, FAR = 8, 1000  # packets of each sound that its container is tried on, and of all sounds that are read for them


def join(pieces: Sequence[Path], coding: Coding, target: Path, ending: str) -> None:
    """Write the result: every frame at its film's time, sound and the rest as they are, packet by packet.

    Args:
        pieces: in the order of time.
        coding: of their frames.
        target: the file, in a folder that is there.
        ending: of the result, see FORMATS.

    Raises:
        UserError: the container refuses what is written.
        OSError: the disk does.
    """
    av, film = pyav(target), coding.film
    try:
        with (
            opened(film.source) as source,
            opened(pieces[0]) as first,
            av.open(str(target), "w", format=FORMATS[ending]) as made,
        ):
            stream = made.add_stream_from_template(first.streams.video[0])
            stream.time_base = stream.codec_context.time_base = film.base
            stream.codec_context.framerate = coding.rate
            own = film_in(film.source, source)
            _told(own, stream)
            kept = {}
            for other in carried(source, own, ending)[0]:
                kept[other.index] = made.add_stream_from_template(other, opaque=True)
                _told(other, kept[other.index])
            made.metadata.update(_fresh(source.metadata))
            made.set_chapters(source.chapters())
            ways = [_pictures(pieces, coding, stream)]
            if kept:
                ways.append(_others(source, kept, film.later))
            damaged = 0
            for _, packet in heapq.merge(*ways, key=lambda timed: timed[0]):
                try:
                    made.mux(packet)
                except av.FFmpegError as error:
                    if packet.stream is stream or isinstance(error, OSError):
                        raise
                    damaged += 1  # of hours of work not all is lost for a moment of sound
            if damaged:
                log.warning(f"{film.source}: {damaged} packets of its sound or subtitles are damaged and left out")
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise UserError(f"{target} cannot be written: {reason(error)}") from error


def _pictures(pieces: Iterable[Path], coding: Coding, stream: Any) -> Iterator[tuple[float, Any]]:
    film, times = coding.film, iter(coding.film.times)
    for piece in pieces:
        with opened(piece) as container:
            for packet in container.demux(video=0):
                if not packet.size:
                    continue
                time, lasting = next(times)
                packet.time_base, packet.stream = film.base, stream
                packet.pts, packet.dts, packet.duration = time, time, lasting
                yield float(time * film.base), packet


def _others(source: Any, kept: Mapping[int, Any], later: Sequence[Fraction]) -> Iterator[tuple[float, Any]]:
    last = 0.0
    clocks = {index: Clock(later, least=int(source.streams[index].type == "audio")) for index in kept}
    for packet in source.demux([source.streams[index] for index in kept]):
        if packet.dts is None:  # what ends a stream
            continue
        clocks[packet.stream.index].set(packet)
        last = max(last, float(packet.dts * packet.time_base))
        packet.stream = kept[packet.stream.index]
        yield last, packet


def carried(source: Any, own: Any, ending: str) -> tuple[list[Any], list[str]]:
    """The streams besides the pictures that a container takes, and what it does not take, in words."""
    kept, lost = [], []
    sounds = _beginnings(source)
    for stream in source.streams:
        if stream.index == own.index or (stream.type == "data" and source.chapters()):  # titles of chapters
            continue
        if stream.type == "video":
            lost.append("a second stream of pictures, such as a cover")
        elif (stream.type in PLAYED or (stream.type == "attachment" and ending == ".mkv")) and _fits(
            stream, ending, sounds.get(stream.index, [])
        ):
            kept.append(stream)
        else:
            lost.append(_words(stream))
    return kept, lost


def _beginnings(source: Any) -> dict[int, list[Any]]:
    """The first packets of each sound, by its stream's index; the file is opened again, as what is read is gone."""
    with opened(Path(source.name)) as again:
        found: dict[int, list[Any]] = {stream.index: [] for stream in again.streams.audio}
        for number, packet in enumerate(again.demux(list(again.streams.audio)) if found else ()):
            if packet.size:
                found[packet.stream.index].append(packet)
            if number >= FAR or all(len(packets) >= FEW for packets in found.values()):
                break
    return found


def _fits(stream: Any, ending: str, packets: Sequence[Any]) -> bool:
    """Tried, as a container's table of what it takes does not tell all, and looks at a damaged header late.

    Args:
        stream: of the film.
        ending: see `FORMATS`.
        packets: its first ones, of which one at least must be taken; none where they are far.
    """
    av = pyav(Path())
    try:
        with av.open(io.BytesIO(), "w", format=FORMATS[ending]) as trial:
            made = trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
            return not packets or any(_taken(trial, made, packet) for packet in packets)
    except (ValueError, av.FFmpegError):
        return False


def _taken(trial: Any, made: Any, packet: Any) -> bool:
    packet.stream = made
    try:
        trial.mux(packet)
    except pyav(Path()).FFmpegError:
        return False
    return True


def _words(stream: Any) -> str:
    codec = stream.codec_context.name if stream.codec_context is not None else ""
    language = stream.metadata.get("language", "und")
    titles = [stream.metadata.get(key, "") for key in ("title", "filename")]
    told = [word for word in (codec, "" if language == "und" else language, *titles) if word]
    name = {"audio": "sound", "subtitle": "subtitles"}.get(stream.type, stream.type)
    return f"{name} ({', '.join(told)})" if told else name


def _told(own: Any, made: Any) -> None:
    made.metadata.update(_fresh(own.metadata))
    made.disposition = own.disposition.value


def _fresh(metadata: Mapping[str, str]) -> dict[str, str]:
    """What is true of the result, too."""
    return {key: value for key, value in metadata.items() if not key.lower().startswith(STALE)}
