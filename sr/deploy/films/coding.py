"""How a film's result is coded: the codec, its pixels and its colours."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from sr.data.video_colour import FULL, MATRICES, RGB
from sr.data.video_container import pyav
from sr.deploy.films.film import Film, Size, Tags
from sr.errors import UserError

CRF = 18  # of x264 and x265 where no quality is typed: what is lost is hardly seen
SIDE = 16_384  # pixels, the most that these take
RATES = (1, 240)  # frames a second, by which a codec shares out its bits


@dataclass(frozen=True)
class Coding:
    """What the frames of a result become.

    Attributes:
        film: whose they are.
        size: of the result, pixels.
        codec: libx264, libx264rgb or libx265.
        form: PyAV's name of the pixels, such as yuv420p.
        options: of the codec.
        tags: of its colours.
        note: what there is to say of the form, perhaps nothing.
    """

    film: Film
    size: Size
    codec: str
    form: str
    options: dict[str, str]
    tags: Tags
    note: str

    @classmethod
    def of(cls, film: Film, size: Size, lossless: bool, quality: int | None) -> "Coding":
        """Chosen before the first frame.

        Args:
            film: that is enlarged.
            size: of the result.
            lossless: every pixel of the network's as a PNG would hold it, in RGB.
            quality: 1 to 100; None for about 80.

        Raises:
            UserError: the size is none that the codec takes, or PyAV was built without it.
        """
        if max(size) > SIDE or (size.width + 128) * (size.height + 128) >= 2**28:
            raise UserError(
                f"{film.source} would be {size.width}x{size.height}: H.264 ends at {SIDE:,} pixels a side, and FFmpeg "
                "at 16,256x16,256 or as many"
            )
        deep, rgb = film.bits > 8, lossless or film.halved is None
        codec = "libx265" if deep else "libx264rgb" if rgb else "libx264"
        av = pyav(film.source)
        if codec not in av.codecs_available:
            raise UserError(f"{film.source} wants the encoder {codec}, which this PyAV lacks: pip install --upgrade av")
        form, note = ("gbrp10le" if deep else "rgb24", "") if rgb else _form(film, size, deep)
        tags = film.told_for(size.height)
        if rgb:
            tags = tags._replace(matrix=RGB, range=FULL)
        crf = CRF if quality is None else round(10 + (100 - quality) * 0.4)
        # Without B-frames: pieces join, and each time stamp is that of its frame in every container.
        always = "bframes=0:log-level=error" + (f":{film.hdr}" if film.hdr else "")
        # Nor x264's macroblock tree, by which it codes the same frames otherwise now and then: 1 of 10 pieces of 48.
        options = {"crf": str(crf), "x265-params": always} if deep else {"crf": str(crf), "bf": "0", "mbtree": "0"}
        if lossless:
            options = {"x265-params": f"lossless=1:{always}"} if deep else {"qp": "0", "bf": "0"}
        return cls(film, size, codec, form, options, tags, note)

    @property
    def rate(self) -> Fraction:
        """Frames a second, of which the codec is told."""
        low, high = RATES
        return self.film.rate if low <= self.film.rate <= high else Fraction(25)

    def stream(self, container: Any) -> Any:
        """A stream in an open file, to which frames can be written."""
        stream = container.add_stream(self.codec, rate=self.rate, options=self.options)
        stream.width, stream.height, stream.pix_fmt = self.size.width, self.size.height, self.form
        context = stream.codec_context
        context.time_base = 1 / self.rate
        self._tag(context)
        if self.film.aspect:
            context.sample_aspect_ratio = self.film.aspect
        return stream

    def frame(self, colour: np.ndarray, number: int) -> Any:
        """(H, W, 3) float32 RGB in [0, 1] as a frame of PyAV, the so-manieth of its piece."""
        av = pyav(self.film.source)
        made = av.VideoFrame(colour.shape[1], colour.shape[0], self.form)
        for plane, values in zip(made.planes, self._planes(colour), strict=True):
            rows = np.frombuffer(plane, values.dtype).reshape(plane.height, -1)
            rows[:, : values.shape[1]] = values
        made.pts, made.time_base = number, 1 / self.rate
        self._tag(made)
        return made

    def _tag(self, holder: Any) -> None:
        holder.colorspace, holder.color_range, holder.color_primaries, holder.color_trc = self.tags

    def _planes(self, colour: np.ndarray) -> list[np.ndarray]:
        white = 2**self.film.bits - 1
        if self.form == "rgb24":
            return [_whole(colour.reshape(len(colour), -1) * np.float32(255), 8)]
        if self.form.startswith("gbr"):
            return [_whole(colour[..., channel] * np.float32(white), self.film.bits) for channel in (1, 2, 0)]
        unit = 2 ** (self.film.bits - 8)  # of an 8-bit step
        black, luma, span = (0, white, white) if self.film.full else (16 * unit, 219 * unit, 224 * unit)
        of_r, of_b = MATRICES[self.film.matrix]
        of_y = np.array([of_r, 1 - of_r - of_b, of_b])
        blue = (np.array([0, 0, 1]) - of_y) / (2 * (1 - of_b)) * span
        red = (np.array([1, 0, 0]) - of_y) / (2 * (1 - of_r)) * span
        y, b, r = np.moveaxis(colour @ np.stack([of_y * luma, blue, red], 1).astype(np.float32), -1, 0)
        kept = (_halved(c, wide="444" not in self.form, high="420" in self.form) for c in (b, r))
        return [_whole(y + black, self.film.bits), *(_whole(c + 128 * unit, self.film.bits) for c in kept)]


def _form(film: Film, size: Size, deep: bool) -> tuple[str, str]:
    assert film.halved is not None
    wide, high = film.halved
    if film.turn.swapped and wide != high:  # 4:2:2 that is turned would halve the other side
        wide = high = False
    wanted = "420" if wide and high else "422" if wide else "444"
    odd = (wanted != "444" and size.width % 2) or (wanted == "420" and size.height % 2)
    note = ""
    if odd:
        note = (
            f"{size.width}x{size.height} has an odd side: written with colour in full resolution (4:4:4), which not "
            "every player shows"
        )
    return f"yuv{'444' if odd else wanted}p{'10le' if deep else ''}", note


def _halved(c: np.ndarray, wide: bool, high: bool) -> np.ndarray:
    """A difference's columns halved about every second one, where H.264 has them unless told, its rows between two."""
    if wide:
        before = np.concatenate([c[:, :1], c[:, 1:-1:2]], 1)
        c = (before + c[:, 1::2]) * np.float32(0.25) + c[:, ::2] * np.float32(0.5)
    return (c[::2] + c[1::2]) * np.float32(0.5) if high else c


def _whole(values: np.ndarray, bits: int) -> np.ndarray:
    return (values + np.float32(0.5)).clip(0, 2**bits - 1).astype(np.uint8 if bits == 8 else "<u2")
