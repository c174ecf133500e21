"""A film's result while it is made: closed pieces in a hidden folder, so that a kill loses little of it."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sr.bounded import text_of
from sr.data.video_container import opened, pyav
from sr.deploy.films.coding import Coding
from sr.errors import UserError, reason
from sr.layers.identity import checksum
from sr.runs import own
from sr.whole import replacing, write_whole

LENGTH = 48  # frames of a piece: two seconds of most films
ENDING = ".pieces"


class Piece:
    """A file to which frames are written one after the other."""

    def __init__(self, container: Any, coding: Coding) -> None:
        self.container, self.coding = container, coding
        self.stream, self.count = coding.stream(container), 0

    def add(self, colour: np.ndarray) -> None:
        """(H, W, 3) float32 RGB in [0, 1]."""
        self.container.mux(self.stream.encode(self.coding.frame(colour, self.count)))
        self.count += 1


class Pieces:
    """The pieces of one film's results, each of LENGTH frames but for the last one.

    Args:
        target: the result, beside which the folder lies.
        codings: of what is made of each frame, a film each; a piece is closed when that of each is.
        made_of: all that the pixels depend on; pieces that were made of something else lie in another folder.
    """

    def __init__(self, target: Path, codings: Sequence[Coding], made_of: Any) -> None:
        mark = hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode()).hexdigest()[:12]
        self.target, self.codings, self.film = target, codings, codings[0].film
        self.folder = target.with_name(f".{target.name}.{mark}{ENDING}")
        if self.folder.is_symlink():
            raise UserError(f"{self.folder} is a link, and frames would be written where it leads. Remove the link")
        total = len(self.film.times)
        self.spans = [range(start, min(start + LENGTH, total)) for start in range(0, total, LENGTH)]

    def paths(self, result: int) -> list[Path]:
        """Of all pieces of a result."""
        return [self._path(number, result) for number in range(len(self.spans))]

    def _path(self, number: int, result: int) -> Path:
        return self.folder / f"{number:06d}_{result}.mkv"

    def closed(self) -> int:
        """How many are there, counted up to the first one that is missing, not whole, or not what this user wrote."""
        for number in range(len(self.spans)):
            told = self._told(number)
            try:
                there = text_of(self._record(number))
            except (OSError, ValueError):
                return number
            if told is None or there != own.signed(told, ENDING):
                return number
        return len(self.spans)

    def _record(self, number: int) -> Path:
        return self.folder / f"{number:06d}.txt"

    def _told(self, number: int) -> str | None:
        """Digests of a piece of each result, as they stand in its record; None where one is missing."""
        paths = [self._path(number, result) for result in range(len(self.codings))]
        if any(path.is_symlink() or not path.is_file() for path in paths):
            return None
        return f"{self.folder.name} {number} {' '.join(map(checksum, paths))}\n"

    @contextmanager
    def writing(self, number: int) -> Iterator[list[Piece]]:
        """A piece of each result, closed once all of its frames are written.

        Raises:
            UserError: the encoder refuses them.
            OSError: the disk does, as when it is full.
        """
        av = pyav(self.target)
        with ExitStack() as files:
            paths = [files.enter_context(replacing(self._path(number, n))) for n in range(len(self.codings))]
            try:
                with ExitStack() as stack:
                    opened = [stack.enter_context(av.open(str(path), "w", format="matroska")) for path in paths]
                    pieces = [Piece(container, coding) for container, coding in zip(opened, self.codings, strict=True)]
                    yield pieces
                    for piece in pieces:
                        piece.container.mux(piece.stream.encode(None))
            except av.FFmpegError as error:
                if isinstance(error, OSError):
                    raise
                raise UserError(f"{self.target} cannot be encoded: {reason(error)}") from error
        write_whole(self._record(number), own.signed(self._told(number) or "", ENDING))

    def settled(self, name: str, value: int) -> int:
        """A number that the first of the commands settled, for those that go on from it."""
        note = self.folder / f"{name}.txt"

        def told(number: int) -> str:
            return own.signed(f"{number} {name} {self.folder.name}\n", ENDING)

        try:
            there = text_of(note)
            if there == told(former := int(there.split(maxsplit=1)[0])):
                return former
        except (OSError, ValueError, LookupError):
            pass
        write_whole(note, told(value))
        return value

    def clear(self) -> None:
        """Remove the folder, and those of former commands for the same result."""
        own = re.compile(re.escape(f".{self.target.name}.") + "[0-9a-f]{12}" + re.escape(ENDING))
        for folder in self.target.parent.glob(".*" + ENDING):
            if own.fullmatch(folder.name) and folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)


def frames_in(path: Path) -> int:
    """Of a piece; 0 for what is none."""
    av = pyav(path)
    try:
        with opened(path) as container:
            return sum(packet.size > 0 for packet in container.demux(video=0))
    except (av.FFmpegError, IndexError):
        return 0
