"""Video files opened as what they are: a file of that name, and a container of pictures and sound."""

from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sr.errors import UserError, installing
from sr.imaging.files import huge, most_pixels
from sr.memory import limited_to

# FFmpeg's names. It reads more by what is in a file, as lists of other files and addresses (concat, hls, sdp), by which
# a stranger's film would show the user's own, or call somebody.
CONTAINERS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,av1,obu,ivf,yuv4mpegpipe,flv,asf,ogg,nut,mxf,gxf,dv"
ROOM = 1 << 30  # bytes for a file's table of frames, which hold ten hours of them and more
REPEATED = 10  # times that a film may show its frames
MATRIX = "DISPLAYMATRIX"  # of FFmpeg's frames: how they are turned


def pyav(source: Path) -> Any:
    """The package that reads videos.

    Raises:
        UserError: it is missing.
    """
    try:
        import av
    except ImportError as error:
        raise UserError(f"{source} is a video file, which PyAV reads: {installing('video')}") from error
    return av


def opened(source: Path) -> Any:
    """A video file opened by PyAV, to be closed by `with`; its errors are PyAV's.

    By its absolute path, as FFmpeg takes a name such as `cache:a.mp4` or `http:a.mp4` for an address. Titles in it need
    not be UTF-8.

    Raises:
        UserError: PyAV is missing, or the file shows its frames, or bytes, time and again: a small one could fill the
            memory.
    """
    av, only = pyav(source), {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    with limited_to(ROOM):
        container = av.open(str(source.absolute()), container_options=only, metadata_errors="replace")
    for stream in container.streams:
        if stream.frames and len(stream.index_entries) > 1000 + REPEATED * stream.frames:
            told = (
                f"{source} is refused: it has {stream.frames:,} frames and tells to show them {REPEATED} times and more"
            )
            container.close()
            raise UserError(told)
        size, taken = source.stat().st_size, accumulate(entry.size for entry in stream.index_entries)
        if len(stream.index_entries) > size or any(so_far > REPEATED * size for so_far in taken):
            container.close()
            raise UserError(f"{source} is refused: its frames lie upon one another, and take more bytes than it has")
    return container


def film_in(source: Path, container: Any) -> Any:
    """The stream of pictures in an open file.

    Raises:
        UserError: there is none that can be decoded, or its frames have more pixels than an image that is read, or a
            transparent layer is beside it, which FFmpeg leaves out.
    """
    stream = container.streams.best("video")
    if stream is None:
        raise UserError(f"{source} holds no video")
    if stream.codec_context is None:
        raise UserError(f"{source} holds video of a kind that this PyAV cannot decode, or is damaged")
    if stream.codec_context.width * stream.codec_context.height > most_pixels():
        raise huge(source)
    if stream.metadata.get("alpha_mode") == "1":  # VP8 and VP9, whose frames do not tell it
        mend = "ffmpeg -i IN -pix_fmt yuv420p -c:a copy OUT.mkv"
        raise UserError(f"{source} has a transparent layer, which is not kept. Convert it first: {mend}")
    return stream


class Header(NamedTuple):
    """What a file tells before it is decoded.

    Attributes:
        rate: frames a second in the mean.
        aspect: of a pixel, width to height; None where none is told.
        frames: how many; 0 where it does not tell.
    """

    rate: Fraction
    aspect: Fraction | None
    frames: int


def header(source: Path) -> Header:
    """Of a video file."""
    with opened(source) as container:
        stream = film_in(source, container)
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        return Header(Fraction(rate), stream.sample_aspect_ratio or None, stream.frames)


class Turn(NamedTuple):
    """How a frame is put upright.

    Attributes:
        swapped: its rows become columns.
        bottom_up: then the last row is the first one.
        mirrored: and the last column.
    """

    swapped: bool
    bottom_up: bool
    mirrored: bool

    def upright(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W, ...) of a frame as players show it."""
        pixels = pixels.swapaxes(0, 1) if self.swapped else pixels
        return np.ascontiguousarray(pixels[:: -1 if self.bottom_up else 1, :: -1 if self.mirrored else 1])


def turn_of(source: Path, frame: Any) -> Turn:
    """What a file tells of a decoded frame: quarter turns, and mirrors, as cameras that face their user write.

    Raises:
        UserError: it is turned by something else.
    """
    told = frame.side_data.get(MATRIX)
    if told is None:
        return Turn(False, False, False)
    a, b, _, c, d = np.frombuffer(bytes(told), np.int32)[:5].tolist()  # (x, y) is shown at (a x + c y, b x + d y)
    if a and d and not (b or c):
        return Turn(False, d < 0, a < 0)
    if b and c and not (a or d):
        return Turn(True, b < 0, c < 0)
    raise UserError(f"{source} tells to turn its frames by other than quarters: quarter turns and mirrors are read")
