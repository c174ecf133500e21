"""What a folder of results holds and of what it was made, so that a command that is typed again goes on."""

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sr.bounded import TABLE, refuse_odd, text_of
from sr.errors import UserError
from sr.layers.identity import checksum
from sr.runs import own
from sr.whole import unlinked

RECORD = ".upscaled.jsonl"  # a line for each result, written before the result takes its place
PART = re.compile(r"\.(.+)\.\d+\.part(\.\w+)")  # see sr.whole


@dataclass(frozen=True)
class Maker:
    """Of what a result is made: a file in the state that it is in, and a network with its settings."""

    source: str
    state: tuple[int, int]  # bytes, time of modification in ns
    changed: int  # time of change in ns, which is the system's: touch -d and unzip set that of modification only
    made_by: str

    @classmethod
    def of(cls, source: Path, made_by: str) -> "Maker":
        """Of a file as it is now.

        Raises:
            UserError: it is none that can be read through.
        """
        refuse_odd(source)
        return cls(str(source.resolve()), state_of(source), source.stat().st_ctime_ns, made_by)


def state_of(file: Path) -> tuple[int, int]:
    """Bytes, and time of modification in ns."""
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


def _signature(entry: Mapping[str, Any]) -> str:
    """Of all that is noted of a result; "" where no key can be kept."""
    return own.signature(json.dumps({k: v for k, v in entry.items() if k != "signature"}, sort_keys=True), RECORD)


class Results:
    """The results in a folder. One process at a time writes there.

    Args:
        folder: of the output.

    Raises:
        UserError: its record is a link, so that another file would grow.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if (folder / RECORD).is_symlink():
            raise UserError(f"{folder / RECORD} is a link, and what it leads to would be written to. Remove the link")
        self._known: dict[str, dict[str, Any]] = {}
        self._looked_at: dict[Path, tuple[tuple[int, int], str]] = {}  # state and digest of results
        text = self._text()
        self._torn = not text.endswith("\n") and bool(text)
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                self._known[str(entry["file"])] = entry
            except (ValueError, LookupError, TypeError, RecursionError):  # cut by a kill, or somebody else's
                continue

    def _text(self) -> str:
        try:
            return text_of(self.folder / RECORD, TABLE, errors="replace")
        except FileNotFoundError:
            return ""

    def _entry(self, file: Path) -> dict[str, Any]:
        """What is known of a result that lies there as this user's command wrote it: others may write here, too."""
        entry = self._known.get(file.relative_to(self.folder).as_posix(), {})
        try:
            state = state_of(file)
            if list(state) != entry.get("result") or entry.get("signature") != _signature(entry):
                return {}
            if (known := self._looked_at.get(file)) is None or known[0] != state:
                known = self._looked_at[file] = state, checksum(file)
        except FileNotFoundError:
            return {}
        return entry if known[1] == entry.get("pixels") else {}

    def holds(self, file: Path, maker: Maker) -> bool:
        """Whether a result is there whole, as it was written, and was made of just that."""
        entry = self._entry(file)
        if not entry or [entry.get("source"), entry.get("state"), entry.get("made_by")] != [
            maker.source, list(maker.state), maker.made_by,
        ]:  # fmt: skip
            return False
        # A copy by links and other rights change that time, too.
        return entry.get("changed") == maker.changed or entry.get("digest") == checksum(Path(maker.source))

    def why_not(self, file: Path, maker: Maker) -> str:
        """Why what lies there is not the result, as it follows its name in a sentence."""
        entry = self._entry(file)
        if not entry:
            return "is there already, and not of this command"
        if entry.get("made_by") != maker.made_by:
            return "is there already, made by another network or with other settings"
        return "is there already, made of another file, or of this one before it was changed"

    def seconds(self, file: Path) -> float:
        """How long the network took for it."""
        found = self._entry(file).get("seconds")
        return found if isinstance(found, float) else 0.0

    def note(self, file: Path, part: Path, maker: Maker, seconds: float) -> None:
        """Say of what a result is made that lies in `part` and is about to take its place."""
        entry: dict[str, Any] = {"file": file.relative_to(self.folder).as_posix(), **asdict(maker)}
        entry |= {"result": state_of(part), "seconds": float(round(seconds, 4))}
        with suppress(OSError):  # it may be gone meanwhile
            entry["digest"] = checksum(Path(maker.source))
        entry["pixels"] = checksum(part)
        entry["signature"] = _signature(entry)
        line = json.dumps(entry)
        with open(self.folder / RECORD, "a", encoding="utf-8", opener=unlinked) as lines:
            lines.write(("\n" if self._torn else "") + line + "\n")
        self._torn = False
        self._known[entry["file"]] = json.loads(line)

    def sweep(self, files: Iterable[Path]) -> None:
        """Remove what killed processes left of these results."""
        wanted = {(file.parent, file.stem, file.suffix) for file in files}
        for folder in {place for place, _, _ in wanted if place.is_dir()}:
            for part in folder.glob(".*.part.*"):
                match = PART.fullmatch(part.name)
                if match and (folder, match[1], match[2]) in wanted:
                    part.unlink(missing_ok=True)
