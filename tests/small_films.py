"""Small films: written with sound as cameras write it, and read back."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from conftest import photo

from sr.deploy.done import Results
from sr.deploy.enlarger import Enlarger
from sr.deploy.films.work import FilmWork
from sr.deploy.work import Job
from sr.models.bicubic import Bicubic

RATE = Fraction(24000, 1001)
BASE = Fraction(1, 24000)
BT709 = (1, 1, 1, 1)  # matrix, range, primaries, transfer
CLOCK = 1001  # units of BASE from frame to frame


def moving(frames: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """A photo that moves."""
    whole = photo(height + frames, width + frames)
    return [whole[n : n + height, n : n + width] for n in range(frames)]


def write(
    path: Path, pictures: Sequence[np.ndarray], *, times: Sequence[int] | None = None, codec: str = "libx264",
    form: str = "yuv420p", tags: tuple[int, ...] = BT709, sound: int | None = 0, base: Fraction = BASE,
    words: Sequence[str] = (), chapters: bool = False, aspect: Fraction | None = None, **options: str,
) -> Path:  # fmt: skip
    """A film of RGB pictures (uint8), or of frames of PyAV as they are.

    Args:
        path: its container by its suffix.
        pictures: one a frame.
        times: in units of `base`; None: evenly.
        base: seconds.
        codec: of the pictures.
        form: of their pixels.
        tags: of their colours.
        sound: milliseconds at which it begins; None for none.
        words: languages of subtitles.
        chapters: whether it has some, and an attachment.
        aspect: of a pixel.
        options: of the codec.
    """
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    step = round(1 / RATE / base)
    times = [n * step for n in range(len(pictures))] if times is None else times
    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, rate=RATE, options=options or {"crf": "1"})
        first = pictures[0]
        stream.height, stream.width = (first.height, first.width) if hasattr(first, "planes") else first.shape[:2]
        stream.pix_fmt, stream.codec_context.time_base = form, base
        _tag(stream.codec_context, tags)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        voice = film.add_stream("aac", rate=48000) if sound is not None else None
        others = [film.add_mux_stream("subrip") for _ in words]
        for other, language in zip(others, words, strict=True):
            other.metadata["language"] = language
        if voice:
            voice.metadata["language"] = "fra"
        if chapters:
            film.add_attachment("font.ttf", "application/x-truetype-font", b"a font")
            spoken = {"start": 0, "end": 100, "time_base": Fraction(1, 1000), "metadata": {"title": "the first"}}
            film.set_chapters([{"id": 1, **spoken}])
        for time, picture in zip(times, pictures, strict=True):
            frame = picture if hasattr(picture, "planes") else _frame(picture, form, tags)
            frame.pts, frame.time_base = time, base
            _tag(frame, tags)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
        for other in others:
            packet = av.Packet(b"words")
            packet.stream, packet.time_base = other, Fraction(1, 1000)
            packet.pts = packet.dts = 0
            packet.duration = 40
            film.mux(packet)
        if voice:
            _speak(film, voice, sound * 48, int((times[-1] + step) * base * 48000))
    return path


def turned(path: Path, matrix: Sequence[int]) -> Path:
    """An mp4 with another display matrix, [a, b, 0, c, d, 0], in its track header."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    whole = [*(n << 16 for n in matrix), 0, 0, 1 << 30]
    content[at : at + 36] = b"".join(n.to_bytes(4, "big", signed=True) for n in whole)
    path.write_bytes(bytes(content))
    return path


def _frame(picture: np.ndarray, form: str, tags: tuple[int, ...]) -> Any:
    import av

    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    if form.startswith(("rgb", "gbr")):
        return frame
    return frame.reformat(format=form, dst_colorspace=tags[0], src_color_range=2, dst_color_range=tags[1])


def _tag(holder: Any, tags: tuple[int, ...]) -> None:
    holder.colorspace, holder.color_range, holder.color_primaries, holder.color_trc = tags


def _speak(film: Any, voice: Any, start: int, stop: int) -> None:
    import av

    for at in range(start, stop, 1024):
        tone = np.sin(np.arange(at, at + 1024) / 20).astype(np.float32) * 0.3
        frame = av.AudioFrame.from_ndarray(np.stack([tone, tone]), format="fltp", layout="stereo")
        frame.pts, frame.rate, frame.time_base = at, 48000, Fraction(1, 48000)
        film.mux(voice.encode(frame))
    film.mux(voice.encode(None))


def frames(path: Path) -> list[Any]:
    """Decoded."""
    import av

    with av.open(str(path)) as film:
        return list(film.decode(video=0))


def pixels(path: Path) -> list[np.ndarray]:
    """Of each frame, the planes as they are coded."""
    return [np.concatenate([np.frombuffer(p, np.uint8) for p in frame.planes]) for frame in frames(path)]


def packets(path: Path, kind: str = "audio") -> list[tuple[float, bytes]]:
    """Time in seconds and content of each packet of sound."""
    import av

    with av.open(str(path)) as film:
        stream = getattr(film.streams, kind)[0]
        return [(float(p.pts * p.time_base), bytes(p)) for p in film.demux(stream) if p.size]


def times(path: Path) -> list[float]:
    """Seconds at which each frame is shown."""
    return [float(frame.pts * frame.time_base) for frame in frames(path)]


def enlarged(
    source: Path, name: str = "large.mp4", model: Any = None, side: bool = False, **told: Any
) -> tuple[Path, str]:
    """The result of a film in the folder `out` beside it, and what is said of it; by bicubic x2 unless told."""
    out = source.parent / "out"
    enlarger = Enlarger((model or Bicubic(2)).eval(), "a network")
    asked = {key: told.pop(key) for key in ("outscale", "ensemble") if key in told}
    work = FilmWork(enlarger, enlarger.how(**asked), told.pop("quality", None), False, Results(out), **told)
    out.mkdir(exist_ok=True)
    job = Job(source, out / name, out / "side_by_side" / name if side else None)
    work.pixels(job)
    return job.target, work.do(job, lambda share: None)
