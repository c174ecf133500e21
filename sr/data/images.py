"""Ordered collections of 8-bit images: decoded on demand, or made from another collection.

All kinds share one interface, so that the loaders do not know whether pixels come from a file, from a
degradation or from the decoded cache (`sr.data.cache.ImageStore`).
"""

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from sr.bounded import others_may_write
from sr.data.compact import THUMBNAIL, Fingerprint, Fingerprints, Paths
from sr.errors import UserError
from sr.imaging.files import Picture, read_image, read_size
from sr.imaging.image_errors import together

T = TypeVar("T")
ROWS = 16
AT_ONCE = 64  # images that a thread is given at once: to give it one takes as long as to shrink a small one


def digest(pixels: np.ndarray) -> str:
    """Of shape and values of (H, W, 3) uint8 pixels: 0.9 GB/s on one core."""
    found = hashlib.blake2b(f"{pixels.shape}".encode(), digest_size=16)
    laid = pixels
    if not pixels.flags.c_contiguous:
        laid = np.empty_like(pixels, order="C")
        for channel in range(pixels.shape[-1]):  # three times as fast as all of a pixel at once
            laid[..., channel] = pixels[..., channel]
    found.update(laid.data)
    return found.hexdigest()


def fingerprint(pixels: np.ndarray, words: np.ndarray | None = None) -> Fingerprint:
    """Digest and area-averaged grey thumbnail of (H, W, 3) uint8 pixels; `words`: the same, `packed`."""
    laid = packed(pixels) if words is None else words
    # Pillow keeps four bytes a pixel, too: read as they lie.
    grey = Image.frombuffer("RGBX", laid.shape[::-1], laid, "raw", "RGBX", 0, 1).convert("L")
    return Fingerprint(digest(pixels), np.asarray(grey.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)))


def states(paths: Sequence[Path]) -> list[list[Any]]:
    """Path, bytes, time of modification and time of change of each file: other contents give another state.

    The time of change (ctime) is the system's: `touch -d`, `rsync -t` and `tar` set the time of modification only.
    To read all of DIV2K's files instead would take most of a minute at each start.

    Raises:
        UserError: a file that is not there.
    """
    try:
        stats = [(p.absolute(), p.stat()) for p in paths]
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error
    return [[str(p), s.st_size, s.st_mtime_ns, s.st_ctime_ns] for p, s in stats]


def user() -> int:
    """Its number; of a system that has none, that of its files."""
    return os.getuid() if hasattr(os, "getuid") else 0


def trusts(kept: Path, sources: Sequence[Path]) -> bool:
    """Whether what a cache keeps is a file or folder, no link, and of nobody who could not have changed its sources.

    Of several people who share a cache these are this user, root, and who owns all of the sources; a file of theirs
    that others may write is anybody's.
    """
    try:
        found = kept.lstat()
        known = found.st_uid in (0, user()) or all(path.stat().st_uid == found.st_uid for path in sources)
    except OSError:  # it is not there
        return False
    known = known and not (stat.S_ISREG(found.st_mode) and others_may_write(found.st_mode, found.st_gid))
    return known and (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode))


def packed(pixels: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 -> (...) int32, four bytes a pixel of which the last is 0: turned and gathered in one go."""
    if abs(pixels.strides[-1]) > 1:  # planes: five times as fast as bringing their pixels together first
        words = pixels[..., 2].astype("<i4", order="C")
        for channel in (1, 0):
            words <<= 8
            words |= pixels[..., channel]
        return words.view(np.int32)
    flat = np.ascontiguousarray(pixels).reshape(-1)
    words = np.empty(pixels.shape[:-1], np.uint32)
    # Words that overlap are read and their fourth byte is emptied: three times as fast as copying three bytes of four.
    overlapping = np.ndarray((max(0, words.size - 1),), np.uint32, flat, strides=(3,))
    np.bitwise_and(overlapping, np.array([255, 255, 255, 0], np.uint8).view(np.uint32)[0], out=words.reshape(-1)[:-1])
    words.reshape(-1)[-1:].view(np.uint8)[:] = [*flat[-3:], 0]
    return words.view(np.int32)


def planes(words: np.ndarray) -> np.ndarray:
    """(H, W) int32 of `packed` -> (3, H, W) uint8; some rows at a time, which stay in the processor's cache."""
    made = np.empty((3, *words.shape), np.uint8)
    for top in range(0, len(words), ROWS):
        part = words[top : top + ROWS]
        for channel, plane in enumerate(made):
            np.copyto(plane[top : top + ROWS], part >> 8 * channel, casting="unsafe")
    return made


def unpacked(words: np.ndarray) -> np.ndarray:
    """A (..., 3) uint8 view of `packed` pixels; their last axis must lie together in memory."""
    return words[..., None].view(np.uint8)[..., :3]


class Images:
    """An ordered collection of RGB uint8 images; `images[i]` is (H, W, 3).

    Attributes:
        paths: the file behind each image.
        key: identifies what is done to the files' pixels; empty for the pixels themselves.
    """

    paths: Sequence[Path]
    key: str = ""
    _fingerprints: Sequence[Fingerprint] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.picture(index).pixels

    def picture(self, index: int) -> Picture:
        """Pixels (H, W, 3) uint8, and whether the file stores one channel."""
        raise NotImplementedError

    def pictures(self, numbers: Sequence[int]) -> list[Picture]:
        """Several; of what is computed much is done once for all of one size."""
        return [self.picture(n) for n in numbers]

    def packed(self, index: int) -> tuple[np.ndarray, bool]:
        """The same with pixels as (H, W) int32 (see `packed`)."""
        pixels, grey = self.picture(index)
        return packed(pixels), grey

    def size(self, index: int) -> tuple[int, int]:
        """(H, W) without decoding."""
        raise NotImplementedError

    def decode(self) -> Sequence[Fingerprint]:
        """Decode every image once, in a few threads.

        Returns:
            One fingerprint per image.

        Raises:
            UserError: names all that cannot be decoded.
        """
        if self._fingerprints is None:
            self._fingerprints = Fingerprints(each(lambda i: fingerprint(self[i]), len(self)))
        return self._fingerprints

    @property
    def fingerprints(self) -> Sequence[Fingerprint]:
        """One per image; see `decode`."""
        return self.decode()

    @fingerprints.setter
    def fingerprints(self, known: Sequence[Fingerprint]) -> None:
        self._fingerprints = Fingerprints(known)

    @property
    def everything(self) -> "Images":
        """The collection that these are taken out of."""
        return self


class LazyImages(Images):
    """Image files decoded each time they are asked for; nothing is written to disk."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = Paths(map(Path, paths))
        self._sizes = np.zeros((len(self.paths), 2), np.int32)  # so that no header is read twice

    def picture(self, index: int) -> Picture:
        return read_image(self.paths[index])

    def size(self, index: int) -> tuple[int, int]:
        if not self._sizes[index, 0]:
            self._sizes[index] = read_size(self.paths[index])
        h, w = self._sizes[index].tolist()
        return h, w


class DerivedImages(Images):
    """Images computed from those of another collection, for instance LR made from HR.

    Args:
        source: the collection that they are made from.
        make: paths, and (H, W) int32 of each (see `packed`) -> (H // shrink, W // shrink, 3) uint8 of each; the same
            for the same input, whatever else is asked for with it.
        key: names `make` and its settings: a cache of the result is reused only under the same key.
        shrink: by how much `make` reduces the sides.
    """

    def __init__(
        self,
        source: Images,
        make: Callable[[Sequence[Path], Sequence[np.ndarray]], list[np.ndarray]],
        key: str,
        shrink: int = 1,
    ) -> None:
        self.source, self.make, self.shrink = source, make, shrink
        self.paths = source.paths
        self.key = f"{source.key}>{key}"

    def picture(self, index: int) -> Picture:
        return self.pictures([index])[0]

    def pictures(self, numbers: Sequence[int]) -> list[Picture]:
        words, grey = zip(*map(self.source.packed, numbers), strict=True)
        return list(map(Picture, self.make([self.paths[n] for n in numbers], words), grey))

    def size(self, index: int) -> tuple[int, int]:
        h, w = self.source.size(index)
        return h // self.shrink, w // self.shrink


class SomeImages(Images):
    """A part of a collection, by numbers; nothing is decoded twice."""

    def __init__(self, source: Images, numbers: Sequence[int]) -> None:
        self.source, self.numbers, self.key = source, list(numbers), source.key
        self.paths = [source.paths[n] for n in self.numbers]

    def picture(self, index: int) -> Picture:
        return self.source.picture(self.numbers[index])

    def size(self, index: int) -> tuple[int, int]:
        return self.source.size(self.numbers[index])

    def decode(self) -> Sequence[Fingerprint]:
        known = self.source.fingerprints
        return [known[n] for n in self.numbers]

    @property
    def everything(self) -> "Images":
        return self.source


def attempt(make: Callable[[int], T], index: int) -> T | UserError:
    """What `make` gives, or the error that it ends in."""
    try:
        return make(index)
    except UserError as error:
        return error


def each(make: Callable[[int], T], count: int) -> list[T]:
    """`make` of 0 to `count` - 1, computed in a few threads.

    Raises:
        UserError: of all that fail, together.
    """
    some = max(1, min(AT_ONCE, count // (8 * workers())))
    with ThreadPoolExecutor(workers()) as pool:
        parts = pool.map(
            lambda first: [attempt(make, i) for i in range(first, min(count, first + some))], range(0, count, some)
        )
        made = [m for part in parts for m in part]
    if errors := [m for m in made if isinstance(m, UserError)]:
        raise together(errors, count)
    return [m for m in made if not isinstance(m, UserError)]


def workers() -> int:
    """Threads for decoding: libpng, libjpeg and zlib release the interpreter's lock."""
    return max(1, min(8, os.cpu_count() or 1))
