"""The decoded cache: every image once as raw pixels of four bytes in one flat, memory-mapped file.

A crop from the map costs microseconds where decoding a 2K PNG costs 40-80 ms, and all processes on a machine
share the same pages. The fourth byte is empty: words of four bytes are flipped and turned six times as fast as three
single ones, and gathered on a device in one read.
"""

import errno
import glob
import hashlib
import json
import logging
import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from tqdm import tqdm

from sr.bounded import RECORD, text_of
from sr.data.compact import Fingerprint, Fingerprints, Sizes
from sr.data.images import (
    AT_ONCE,
    Images,
    digest,
    each,
    fingerprint,
    packed,
    states,
    trusts,
    unpacked,
    user,
    workers,
)  # fmt: skip
from sr.errors import UserError
from sr.imaging.files import Picture
from sr.imaging.image_errors import together
from sr.whole import READ_BY_ALL, replacing, write_whole

log = logging.getLogger(__name__)
PORTION = 2**16  # pixels of small images that are decoded at once
ENTRY = 2**13  # bytes of an image in the index, at most
LAYOUT = 3  # raise it when the files' layout changes: older ones are then made again
OF_TIFF = 1  # raise it when a TIFF gives other pixels than before


class ImageStore(Images):
    """`source`, decoded once into `cache_dir` and read back through a memory map.

    The store is `<label>-<hash>.json` (shape, offset, grey flag, digest and thumbnail of each image) beside one
    `.bin` with the pixels. It is made again when any file has another state (`sr.data.images.states`), and when the
    `.bin` has another one than after it was written and its pixels other digests: zeroed or cut, for example. Two
    processes that need it at once make it once: the second waits. A failed build leaves no `.bin` or `.json`. Beside
    an index of another user than this one, root and the images' owner, one of this user's is made; beside one of these,
    too, where it has to be made again.

    Args:
        source: what is decoded.
        cache_dir: where it is kept.
        label: names it in the progress bar and in the file's name.
        room: part of what is free on the disk that it may take where it has to be made.
        before: called where it has to be made, before anything is decoded.

    Raises:
        UserError: the disk is full or `cache_dir` is not writable, or a file cannot be decoded.
    """

    def __init__(
        self,
        source: Images,
        cache_dir: str | Path,
        label: str = "images",
        room: float = 1.0,
        before: Callable[[], None] | None = None,
    ) -> None:
        self.paths, self.key, self.label, self._room = source.paths, source.key, label, room
        self.cache_dir = Path(cache_dir).expanduser().absolute()
        files = "\n".join(str(p.absolute()) for p in source.paths)
        self._of = name = hashlib.blake2b(os.fsencode(f"{source.key}\n{files}"), digest_size=8).hexdigest()
        slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
        self.index_path, own = (self.cache_dir / f"{slug}{of}-{name}.json" for of in ("", f"-of-{user()}"))
        if os.path.lexists(self.index_path) and not self._trusts(self.index_path):
            log.warning(
                f"warning: {self.index_path} is another user's, or writable by others: {label} is decoded for this user"
            )
            self.index_path = own
        self._pixels: np.ndarray | None = None
        found = self._load()
        if found is None and os.path.lexists(self.index_path) and self.index_path.lstat().st_uid != user():
            self.index_path = own  # theirs, of former images, is not to be written
            found = self._load()
        self._take(found or self._make(source, before))

    def _take(self, index: dict[str, Any]) -> None:
        self._file = self.cache_dir / index["pixels"]
        images = index["images"]
        self._shapes = Sizes((int(i["shape"][0]), int(i["shape"][1])) for i in images)
        self._offsets = np.array([int(i["offset"]) for i in images], np.int64)
        self._grey = np.array([bool(i["grey"]) for i in images])
        self._fingerprints = Fingerprints(
            Fingerprint(i["digest"], np.frombuffer(bytes.fromhex(i["thumbnail"]), np.uint8).reshape(16, 16))
            for i in images
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pixels": None}  # a loader's worker maps the file again by itself

    def size(self, index: int) -> tuple[int, int]:
        return self._shapes[index]

    def picture(self, index: int) -> Picture:
        return Picture(self[index], bool(self._grey[index]))

    def __getitem__(self, index: int) -> np.ndarray:
        """A read-only (H, W, 3) view into the map: nothing is copied."""
        return unpacked(self.packed(index)[0])

    def packed(self, index: int) -> tuple[np.ndarray, bool]:
        (h, w), start = self._shapes[index], int(self._offsets[index])
        return self.pixels[start : start + h * w].reshape(h, w), bool(self._grey[index])

    def begin(self, index: int) -> int:
        """Where an image begins in `pixels`."""
        return int(self._offsets[index])

    @property
    def pixels_path(self) -> Path:
        """The file of `pixels`."""
        return self._file

    @property
    def pixels(self) -> np.ndarray:
        """All pixels in one row, int32, read-only."""
        if self._pixels is None:
            self._pixels = np.asarray(np.memmap(self._file, np.int32, mode="r"))
        return self._pixels

    # ---- making -------------------------------------------------------------------------------------------

    @property
    def _layout(self) -> int | list[int]:
        tiffs = any(path.suffix.lower() in (".tif", ".tiff") for path in self.paths)
        return [LAYOUT, OF_TIFF] if tiffs else LAYOUT

    def _load(self) -> dict[str, Any] | None:
        """The index on disk, if it describes the files and the pixels as they are now."""
        try:
            if not self._trusts(self.index_path):
                return None
            index = json.loads(text_of(self.index_path, RECORD + ENTRY * len(self.paths)))
            pixels = self.cache_dir / index["pixels"]
            present = pixels.name == index["pixels"] and self._trusts(pixels)
            same = index["layout"] == self._layout and index["of"] == self._of  # a file may have been renamed
            present = present and same and index["files"] == states(self.paths)
        except (OSError, ValueError, KeyError, TypeError, RecursionError, UserError):
            return None
        if not present:
            return None
        return index if index["written"] == _written(pixels) else self._verified(index, pixels)

    def _trusts(self, file: Path) -> bool:
        return file.is_file() and trusts(file, self.paths)

    def _verified(self, index: dict[str, Any], pixels: Path) -> dict[str, Any] | None:
        """The index, if the pixels are those that were written: the file may only have been copied or linked.

        All are read, at 0.4 GB/s and core, which is why the file's state is asked first: 16 s of DIV2K's HR.
        """
        self._take(index)
        whole = pixels.stat().st_size == index["bytes"]
        if not whole or any(each(lambda i: digest(self[i]) != self.fingerprints[i].digest, len(self))):
            self._pixels = None
            log.warning(f"warning: {pixels} is damaged: the images of {self.label} are decoded anew")
            return None
        with suppress(OSError):  # of somebody else, for reading only
            write_whole(self.index_path, index | {"written": _written(pixels)}, READ_BY_ALL)
        return index

    def _make(self, source: Images, before: Callable[[], None] | None) -> dict[str, Any]:
        if before is not None:
            before()
        try:
            self.cache_dir.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.index_path.with_suffix(".lock"))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                log.info("waiting for another process that is decoding %s", self.label)
                lock.acquire()
        except OSError as error:
            raise self._cannot_write(error) from error
        try:
            return self._load() or self._build(source)
        finally:
            lock.release()

    def _build(self, source: Images) -> dict[str, Any]:
        state = states(self.paths)
        sizes = Sizes(map(source.size, range(len(source))))
        need = 4 * int(np.array(sizes).prod(1).sum())
        if need > shutil.disk_usage(self.cache_dir).free * self._room:
            raise self._cannot_write(OSError(errno.ENOSPC, "not enough room"), need)
        stamp = hashlib.blake2b(json.dumps(state).encode(), digest_size=4).hexdigest()
        pixels = self.index_path.with_name(f"{self.index_path.stem}-{stamp}.bin")
        for left in self.cache_dir.glob(f".{glob.escape(self.index_path.stem)}*.part.*"):
            left.unlink(missing_ok=True)  # of a process that was killed
        try:
            images, offset = [], 0
            with replacing(pixels, READ_BY_ALL) as part, part.open("wb") as file:
                bar = tqdm(
                    _ordered(source, sizes), f"decoding {self.label}", len(source), unit="image", delay=1, disable=None
                )
                for words, grey, known in bar:
                    entry = {"shape": list(words.shape), "offset": offset, "grey": grey}
                    images.append({**entry, "digest": known.digest, "thumbnail": known.thumbnail.tobytes().hex()})
                    offset += file.write(words.data) // 4
                file.flush()
                os.fsync(file.fileno())  # after a power cut the index must not describe pixels that were not written
            index: dict[str, Any] = {"layout": self._layout, "files": state, "pixels": pixels.name, "bytes": 4 * offset}
            index |= {"images": images, "written": _written(pixels), "of": self._of}
            write_whole(self.index_path, json.dumps(index), READ_BY_ALL)
        except OSError as error:
            raise self._cannot_write(error, need) from error
        for older in {*self.cache_dir.glob(f"{self.index_path.stem}-*.bin")} - {pixels}:
            with suppress(OSError):  # a process that still reads it, on a system that forbids this
                older.unlink()
        return index

    def _cannot_write(self, error: OSError, need: int | None = None) -> UserError:
        room = f" It needs {need / 1e6:,.1f} MB." if need else ""
        return UserError(
            f"cannot write the decoded images of {self.label} into {self.cache_dir}: {error.strerror or error}.{room} "
            "Free some room there, or type cache_dir=<a folder on a disk with room>"
        )


def _written(pixels: Path) -> list[int]:
    """Times of modification and of change, bytes."""
    found = pixels.stat()
    return [found.st_mtime_ns, found.st_ctime_ns, found.st_size]


def _portions(sizes: Sizes) -> Iterator[range]:
    """What a thread decodes at once: one image, or some small ones."""
    first, pixels = 0, 0
    for number, (h, w) in enumerate(sizes):
        pixels += h * w
        if number > first and (pixels > PORTION or number - first == AT_ONCE):
            yield range(first, number)
            first, pixels = number, h * w
    yield range(first, len(sizes))


class Decoded(NamedTuple):
    """An image as it is stored."""

    words: np.ndarray  # (H, W), see `packed`
    grey: bool
    known: Fingerprint


def _decoded(pixels: np.ndarray, grey: bool) -> Decoded:
    words = packed(pixels)
    return Decoded(words, grey, fingerprint(pixels, words))


def _ordered(source: Images, sizes: Sizes) -> Iterator[Decoded]:
    """Images in order, decoded a few ahead in threads, so that memory holds only those few.

    Raises:
        UserError: of all that cannot be decoded, together.
    """

    def decode(numbers: Sequence[int]) -> list[Decoded | UserError]:
        try:
            return [_decoded(*picture) for picture in source.pictures(numbers)]
        except UserError as error:
            return [error] if len(numbers) == 1 else [d for n in numbers for d in decode([n])]

    threads, errors = workers(), list[UserError]()
    ahead: deque[Future[list[Decoded | UserError]]] = deque()

    def next_done() -> Iterator[Decoded]:
        for done in ahead.popleft().result():
            if isinstance(done, UserError):
                errors.append(done)
            elif not errors:
                yield done

    with ThreadPoolExecutor(threads) as pool:
        try:
            for numbers in _portions(sizes):
                ahead.append(pool.submit(decode, numbers))
                if len(ahead) > 2 * threads:
                    yield from next_done()
            while ahead:
                yield from next_done()
            if errors:
                raise together(errors, len(source))
        finally:
            for future in ahead:
                future.cancel()
