"""Long lists without an object for each entry: what 100,000 images are called, where they lie, what they look like.

A process that reads an object writes its count of references, so that a loader's worker would in time hold a copy of
its own of every list that it looks into. These are a few blocks of memory that all workers share.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar, overload

import numpy as np

T = TypeVar("T")
THUMBNAIL = 16  # pixels a side


class Packed(Sequence[T], Generic[T]):
    """A sequence that cannot be changed, of what `bytes` can say."""

    def __init__(self, values: Iterable[T]) -> None:
        parts = [self._said(value) for value in values]
        self._ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        self._all = np.frombuffer(b"".join(parts), np.uint8)

    def _said(self, value: T) -> bytes:
        raise NotImplementedError

    def _meant(self, said: bytes) -> T:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        begin = int(self._ends[number - 1]) if number else 0
        return self._meant(self._all[begin : int(self._ends[number])].tobytes())

    def __iter__(self) -> Iterator[T]:
        whole, begin = self._all.tobytes(), 0
        for end in self._ends.tolist():
            yield self._meant(whole[begin:end])
            begin = end

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


class Texts(Packed[str]):
    """Names."""

    def _said(self, value: str) -> bytes:
        return value.encode()

    def _meant(self, said: bytes) -> str:
        return said.decode()


class Paths(Packed[Path]):
    """Files."""

    def _said(self, value: Path) -> bytes:
        return os.fsencode(value)

    def _meant(self, said: bytes) -> Path:
        return Path(os.fsdecode(said))


class Sizes(Sequence[tuple[int, int]]):
    """Heights and widths; `np.array` of them costs nothing."""

    def __init__(self, values: Iterable[tuple[int, int]]) -> None:
        self._all = np.array(list(values), np.int64).reshape(-1, 2)

    def __len__(self) -> int:
        return len(self._all)

    @overload
    def __getitem__(self, index: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[int, int]]: ...
    def __getitem__(self, index: int | slice) -> tuple[int, int] | list[tuple[int, int]]:
        if isinstance(index, slice):
            return [(h, w) for h, w in self._all[index].tolist()]
        h, w = self._all[index].tolist()
        return h, w

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((h, w) for h, w in self._all.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._all.astype(dtype or np.int64, copy=bool(copy))

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


class Fingerprint(NamedTuple):
    """What tells images apart without their pixels: an exact digest, and a (16, 16) grey uint8 thumbnail."""

    digest: str
    thumbnail: np.ndarray


class Fingerprints(Sequence[Fingerprint]):
    """Those of many images, in a few blocks of memory."""

    def __init__(self, known: Iterable[Fingerprint]) -> None:
        found = list(known)
        self._digests = Texts(f.digest for f in found)
        self.thumbnails = np.array([f.thumbnail for f in found], np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL)

    def __len__(self) -> int:
        return len(self._digests)

    @overload
    def __getitem__(self, index: int) -> Fingerprint: ...
    @overload
    def __getitem__(self, index: slice) -> list[Fingerprint]: ...
    def __getitem__(self, index: int | slice) -> Fingerprint | list[Fingerprint]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return Fingerprint(self._digests[index], self.thumbnails[index])

    def __iter__(self) -> Iterator[Fingerprint]:
        return map(Fingerprint, self._digests, self.thumbnails)
