"""Clips on disk: folders of frames, and video files, whose frames are decoded into the cache."""

import errno
import hashlib
import json
import logging
import os
import shlex
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from PIL import Image
from tqdm import tqdm

from sr.bounded import text_of
from sr.data.images import states, trusts, user
from sr.data.missing import images_in
from sr.data.video_colour import bits_of, rgb_of
from sr.data.video_container import film_in, header, opened, pyav, turn_of
from sr.errors import UserError, printable, reason, told_once
from sr.whole import READ_BY_ALL, write_whole

log = logging.getLogger(__name__)
VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".y4m", ".mpg", ".mpeg", ".ts")
DECODING = 4  # raise it when the same file gives other pixels: older frames are then decoded again
LEFT = 0.05  # of what is free on a disk stays so
KEPT = "decoded.json"  # in a folder of frames: their states when they were written, and what there was to tell


def sources(folder: Path, videos: bool = False) -> dict[str, Path]:
    """The sub-folders of a folder by name, in order, perhaps with its video files; hidden ones are left out.

    Raises:
        UserError: two of one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith(".") or not (path.is_dir() or (videos and path.suffix.lower() in VIDEO_SUFFIXES)):
            continue
        name = path.name if path.is_dir() else path.stem
        if (other := found.setdefault(name, path)) is not path:
            raise UserError(f"{other} and {path} would both be clip {name}: rename one of them")
    return found


def frames_of(source: Path, decoded: Path | None) -> list[Path]:
    """The images of a folder, or of a video file the frames, decoded once into the folder `decoded`.

    They are decoded again where some of them are not there any more, and for this user where another one decoded them.

    Raises:
        UserError: the file cannot be read, or not to its end.
    """
    if source.is_dir():
        return images_in(source)
    assert decoded is not None
    if not source.is_file():
        raise UserError(f"{source} is no file, so no video either")
    state = json.dumps([DECODING, *states([source])])
    name = f"{source.stem[:40]}-{hashlib.blake2b(state.encode(), digest_size=8).hexdigest()}"
    if os.path.lexists(decoded / name) and not trusts(decoded / name, [source]):
        log.warning(f"warning: {decoded / name} is another user's, or a link: {source} is decoded for this user")
        name += f"-of-{user()}"
    folder, part = decoded / name, decoded / f".{name}.part"
    try:
        decoded.mkdir(parents=True, exist_ok=True)
        with FileLock(decoded / f".{name}.lock"):  # another process may be decoding it
            if not _trusts(folder, source) or (frames := _kept(folder)) is None:
                for former in (part, folder):  # of one that was killed, or not whole any more
                    shutil.rmtree(former, ignore_errors=True)
                part.mkdir()
                try:
                    _write(source, part)
                    os.replace(part, folder)
                finally:
                    shutil.rmtree(part, ignore_errors=True)
                frames = _kept(folder)
    except OSError as error:
        raise UserError(
            f"frames of {source} cannot be kept in {decoded}: {reason(error)}. Type cache_dir=<a folder with room>"
        ) from error
    return frames or []


def _trusts(folder: Path, source: Path) -> bool:
    """Whether all that is kept of a file's frames in a folder is of somebody who is trusted."""
    return all(trusts(kept, [source]) for kept in (folder, folder / KEPT, *images_in(folder)))


def _kept(folder: Path) -> list[Path] | None:
    """The frames in a folder of the cache, all that were written; None where they are not."""
    frames = images_in(folder)
    try:
        kept = json.loads(text_of(folder / KEPT))
        whole = kept["written"] == _states(frames)
    except (OSError, ValueError, LookupError, TypeError, RecursionError, UserError):
        return None
    if whole and kept["told"]:
        told_once(log, logging.WARNING, f"warning: {kept['told']}")  # they are listed for each part of a set
    return frames if whole else None


def _states(frames: list[Path]) -> list[list[int]]:
    """Bytes and times of each; their folder is renamed once all are written."""
    return [state[1:] for state in states(frames)]


def _write(source: Path, folder: Path) -> None:
    told: list[str] = []
    room, frames_told = shutil.disk_usage(folder).free, 0
    for count, pixels in enumerate(_frames(source, told)):
        frames_told = frames_told if count else header(source).frames
        if (need := pixels.nbytes * frames_told) > room or shutil.disk_usage(folder).free < LEFT * room:
            needs = f", and {frames_told:,} frames need {need / 1e6:,.0f} MB" if frames_told else ""
            raise OSError(errno.ENOSPC, f"{room / 1e6:,.0f} MB are free there{needs}")
        Image.fromarray(pixels).save(folder / f"{count:08d}.png", compress_level=1)
    frames = images_in(folder)
    if not frames:
        raise UserError(f"{source} holds no frame")
    for frame in frames:
        frame.chmod(frame.stat().st_mode & READ_BY_ALL)  # before their times are noted
    kept = {"written": _states(frames), "told": "; ".join(told)}
    write_whole(folder / KEPT, json.dumps(kept), READ_BY_ALL)


def _frames(source: Path, told: list[str]) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 RGB, upright; what there is to tell of them is added to `told`."""
    for frame in decoded(source, told, bar=True):
        yield turn_of(source, frame).upright(rgb(source, frame))
    if (aspect := header(source).aspect) not in (None, 1):
        told.append(f"pixels of {source} are not square ({aspect}); they are taken as such")


def decoded(source: Path, told: list[str], bar: bool = False) -> Iterator[Any]:
    """Every frame of a video file as PyAV decodes it, in the order of time.

    Args:
        source: the file.
        told: what there is to tell of it is added.
        bar: whether progress is shown.

    Raises:
        UserError: PyAV is missing, the file cannot be read, or not to its end.
    """
    av = pyav(source)
    times: list[float | None] | None = None  # of the frames so far, once it is open
    try:
        with opened(source) as container:
            stream = film_in(source, container)
            stream.thread_type = "AUTO"
            times = []
            shown = {"desc": printable(f"decoding {source.name}"), "unit": "frame", "total": stream.frames or None}
            shown |= {"leave": False, "dynamic_ncols": True, "disable": None if bar else True}
            last = 0.0
            ends = [0]  # of its packets, in bytes from its beginning
            for frame in tqdm(_frames_of(container.demux(stream), ends), **shown):
                if frame.is_corrupt:  # or an error, where the decoder runs in one thread, as on one core
                    raise _damaged(source, len(times))
                times.append(frame.time)
                last = float((frame.duration or 0) * frame.time_base)
                yield frame
            if container.format.name == "yuv4mpegpipe" and ends[-1] < source.stat().st_size:  # which tells no length
                raise UserError(
                    f"{source} is cut short: {len(times)} frames are in it, and a part of the next one. Copy or "
                    f"download it again. {_by_hand(source)}"
                )
            _look_whole(source, stream, times, last, told)
    except av.FFmpegError as error:
        if times is not None and isinstance(error, av.InvalidDataError):
            raise _damaged(source, len(times)) from error
        raise UserError(f"{source} cannot be read as a video: {reason(error)}") from error


def _damaged(source: Path, frame: int) -> UserError:
    return UserError(f"{source} is damaged: frame {frame} cannot be decoded. {_by_hand(source)}")


def _frames_of(packets: Iterable[Any], ends: list[int]) -> Iterator[Any]:
    for packet in packets:
        if packet.pos is not None:
            ends.append(packet.pos + packet.size)
        yield from packet.decode()


def _look_whole(source: Path, stream: Any, times: list[float | None], last: float, told: list[str]) -> None:
    """Hold the frames that came, of which the last one lasts for so many seconds, against what the file tells of them.

    Raises:
        UserError: some are missing at the end.
    """
    rate, known = float(stream.average_rate or 0), [time for time in times if time is not None]
    end = _seconds(stream.metadata.get("DURATION"))
    if stream.duration:
        end = float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    # One frame lasts from the last time to the end. A file that counts its frames may hold the last one for longer, and
    # may count some that it does not show, as those before the point where it was trimmed.
    by_time = int((end - max(known) - max(last, 1 / rate)) * rate + 0.5) if end and rate and known else 0
    uncounted = stream.frames - len(times) if stream.frames else by_time
    if min(uncounted, by_time) > 0:
        raise UserError(
            f"{source} is cut short: {len(times)} frames are in it, and about {by_time} more would last to the end "
            f"that it tells, if it does not hold the last one. Copy or download it again. {_by_hand(source)}"
        )
    if rate and len(known) > 2 and (widest := max(np.diff(sorted(known)))) > 1.5 / rate:
        told.append(
            f"frames of {source} are not evenly spaced in time ({widest * rate:.1f} times as far): are some lost?"
        )


def _seconds(clock: str | None) -> float:
    """Of "00:01:02.500000000", as Matroska tells a length; 0 where there is none."""
    try:
        hours, minutes, seconds = map(float, (clock or "").split(":"))
    except ValueError:
        return 0
    return 3600 * hours + 60 * minutes + seconds


def _by_hand(source: Path) -> str:
    name, folder, frames = map(shlex.quote, (f"./{source.name}", f"./{source.stem}", f"./{source.stem}/%08d.png"))
    return (
        f"To take what can be read of it: mkdir {folder}; ffmpeg -i {name} -fps_mode passthrough {frames}, and move "
        "the video elsewhere"
    )


def rgb(source: Path, frame: Any) -> np.ndarray:
    """(H, W, 3) uint8 of a decoded frame, rounded once; see `rgb_of`.

    Raises:
        UserError: more than 8 bits, transparent, interlaced, or another matrix.
    """
    form = frame.format
    if bits_of(form) > 8 or any(c.is_alpha for c in form.components):
        name, made = map(shlex.quote, (f"./{source.name}", f"./{source.stem}_8bit.mkv"))
        raise UserError(
            f"{source} has frames of the kind {form.name}: 8 bits a channel without transparency are read. Convert it, "
            f"for example: ffmpeg -i {name} -pix_fmt yuv444p -c:v ffv1 {made}"
        )
    if frame.interlaced_frame:
        raise UserError(f"{source} is interlaced: two half pictures in each. Convert it with ffmpeg's -vf bwdif")
    return (rgb_of(source, frame) + 0.5).clip(0, 255).astype(np.uint8)
