"""The frames of a film, enlarged: one by one, in a window that slides, or in parts that a network sees whole."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sr.deploy.enlarger import Enlarger
from sr.deploy.films.film import Film
from sr.deploy.photos import How, refuse_diverged
from sr.errors import UserError
from sr.imaging.photo import Photo
from sr.measuring.frames import outputs_of
from sr.models.clips import ClipResolver, FeatureFile, Made
from sr.precision import full_precision

OVERLAP = 10  # frames that a part sees on either side of those that are taken of it


class Frame(NamedTuple):
    """A frame, what it became, and whether it was made tile by tile."""

    small: Photo
    large: Photo
    tiled: bool = False


def one_by_one(enlarger: Enlarger, film: Film, how: How, start: int) -> Iterator[Frame]:
    """Of a network on pictures: each frame as a picture of its own."""
    for pixels in film.pixels(start):
        small = Photo(pixels)
        yield Frame(small, *enlarger.photo(small, how))


@torch.inference_mode()
def sliding(enlarger: Enlarger, film: Film, how: How, start: int, reach: int) -> Iterator[Frame]:
    """Of a network that sees so many frames on either side of one."""
    first = max(0, start - reach)
    clip = Window(film.pixels(first), first, len(film.times), 2 * reach + 1)
    yield from _streamed(enlarger, clip, how, range(start, len(film.times)))


@torch.inference_mode()
def in_parts(enlarger: Enlarger, film: Film, how: How, start: int, parts: "Parts") -> Iterator[Frame]:
    """Of a network that goes through a clip as a whole: what it sees of the film lies in a file."""
    spans = [span for span in parts.spans if span.stop > start]
    frames = film.pixels(parts.seen(spans[0]).start) if spans else iter(())
    read = parts.seen(spans[0]).start if spans else 0
    with FeatureFile() as kept:
        for span in spans:
            seen = parts.seen(span)
            for number in [n for n in kept if n < seen.start]:
                del kept[number]
            while read < seen.stop:
                kept[read] = _tensor(next(frames))
                read += 1
            clip = Made(seen, kept.__getitem__)
            wanted = range(max(start, span.start) - seen.start, span.stop - seen.start)
            yield from _streamed(enlarger, clip, how, wanted)


def _streamed(enlarger: Enlarger, clip: Sequence[Tensor], how: How, wanted: range) -> Iterator[Frame]:
    model, device = enlarger.deployed(how.scale).model, enlarger.device
    placed = Made(clip, lambda frame: frame.to(device))
    with full_precision(device):
        made = outputs_of(model, placed, how.scale, how.ensemble, wanted=wanted)
        for number, sr in zip(wanted, made, strict=True):
            large = how.reduced(sr.cpu())
            refuse_diverged(large)
            yield Frame(Photo(_pixels(clip[number])), Photo(_pixels(large.clamp(0, 1))))


class Window(Sequence[Tensor]):
    """The frames of a film as they come, of which the last ones are kept."""

    def __init__(self, frames: Iterator[np.ndarray], first: int, length: int, most: int) -> None:
        self.frames, self.next, self.length, self.most = frames, first, length, most
        self.kept: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: Any) -> Any:
        while self.next <= number:
            self.kept[self.next] = _tensor(next(self.frames))
            self.kept.pop(self.next - self.most, None)
            self.next += 1
        return self.kept[number]


@dataclass(frozen=True)
class Parts:
    """In which parts a network goes through a film.

    Attributes:
        total: frames of the film.
        longest: frames that it may see at once.
    """

    total: int
    longest: int

    @property
    def spans(self) -> list[range]:
        """The frames that are taken of each part."""
        if self.total <= self.longest:
            return [range(self.total)]
        number = -(-self.total // (self.longest - 2 * OVERLAP))
        return [range(self.total * n // number, self.total * (n + 1) // number) for n in range(number)]

    def seen(self, span: range) -> range:
        """The frames that the network sees for them."""
        return range(max(0, span.start - OVERLAP), min(self.total, span.stop + OVERLAP))

    def __str__(self) -> str:
        if len(self.spans) == 1:
            return "the whole film at once"
        return (
            f"in {len(self.spans)} parts of up to {max(map(len, self.spans))} frames, exact within each, and {OVERLAP} "
            "more on either side that are seen and not taken"
        )


def longest(model: ClipResolver, film: Film, how: How, room: float | None) -> int:
    """Frames that a network may see at once.

    Args:
        model: that goes through a clip as a whole.
        film: that it goes through.
        how: see `How`.
        room: GiB of disk for what it keeps of each frame; None: half of what is free.

    Raises:
        UserError: the room is too small.
    """
    height, width = film.size
    each = 12 * height * width + model.kept_bytes(height, width) * (8 if how.ensemble else 1)
    free = shutil.disk_usage(tempfile.gettempdir()).free / 2 if room is None else room * 2**30
    if (frames := int(free // each)) < min(len(film.times), 3 * OVERLAP):
        least = -(-each * 3 * OVERLAP // 2**20) / 2**10
        raise UserError(
            f"{film.source}: {frames} frames fit in the room for what the network keeps of them, and {3 * OVERLAP} are "
            f"wanted. Type clip_room={least:.3f} (GiB) or more, or set TMPDIR to a folder on a larger disk"
        )
    return frames


def _tensor(pixels: np.ndarray) -> Tensor:
    """(H, W, 3) -> (1, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]


def _pixels(frame: Tensor) -> np.ndarray:
    return frame[0].movedim(0, -1).numpy()
