"""Reading back what W&B keeps of an offline run."""

import json
import struct
from pathlib import Path
from typing import Any

BLOCK = 32768  # bytes
HEADER = 7  # bytes, of a file and of each fragment


class Kept:
    """The records of one .wandb file.

    Attributes:
        run: the record that names the run.
        config, summary: as they ended.
        history: rows in order.
        artifacts: records in order, of tables in `tables`.
        kinds: which records there are.
        exit: exit code, or None for a run that did not end.
    """

    def __init__(self, file: Path) -> None:
        from wandb.proto.wandb_internal_pb2 import Record

        self.folder = file.parent
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.artifacts: list[Any] = []
        self.tables: list[Any] = []
        self.kinds: set[str] = set()
        self.exit: int | None = None
        for content in fragments(file.read_bytes()):
            record = Record.FromString(content)
            kind = record.WhichOneof("record_type")
            self.kinds.add(kind)
            if kind == "run":
                self.run = record.run
                read(record.run.config.update, self.config)
            elif kind == "config":
                read(record.config.update, self.config)
            elif kind == "summary":
                read(record.summary.update, self.summary)
            elif kind == "history":
                self.history.append(read(record.history.item, {}))
            elif kind == "artifact":
                (self.tables if record.artifact.type == "run_table" else self.artifacts).append(record.artifact)
            elif kind == "exit":
                self.exit = record.exit.exit_code


def fragments(data: bytes) -> list[bytes]:
    """LevelDB's log format: blocks of fragments, each with checksum, length and kind (1 whole, 2, 3, 4 of several)."""
    at, whole, found = HEADER, b"", []
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + HEADER])
        whole += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (1, 4):
            found.append(whole)
            whole = b""
    return found


def read(items: Any, into: dict[str, Any]) -> dict[str, Any]:
    """Nested keys as dotted ones."""
    for item in items:
        into[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
    return into
