"""Small records in folders, each written whole or not at all: how a run ended, and what makes a folder a sweep's."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sr.bounded import text_of
from sr.errors import reason, told_once
from sr.whole import write_whole

log = logging.getLogger(__name__)
SWEEP = "sweep.json"
STATUSES = ("running", "finished", "failed", "interrupted")


def record(folder: Path, status: str, **facts: Any) -> None:
    """Write `run.json`: how it is (running, finished, failed or interrupted), and facts; what is not given stays.

    Facts are `seconds` (of training over all resumes, validation left out), `steps` (of the optimizer, done), `device`,
    `error`, `saw` (images that are measured and that its weights were trained on, in words), `images` (others that it
    was trained on from some step on, in words), `settings` (`identity` of the config in its last checkpoint), `code`
    (see `sr.runs.version.told`, of each process that went on with it with another one) and `digests` (see
    `sr.runs.code.digests`).
    """
    content: dict[str, Any] = {"status": status, "seconds": None, "steps": 0, "device": None, "code": [], "error": None}
    stay = {*content, "images", "digests", "settings"} - {"error"}
    content |= {k: v for k, v in recorded(folder).items() if k in stay}
    write_whole(folder / "run.json", content | {"status": status} | facts)


def recorded(folder: Path) -> dict[str, Any]:
    """The contents of `run.json` that are of the right kinds; empty where there is none that can be read."""
    file = folder / "run.json"
    try:
        content = json.loads(text_of(file))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as error:
        told_once(log, logging.WARNING, f"warning: what {file} tells is left out, as it is damaged: {reason(error)}")
        return {}
    return {k: v for k, v in content.items() if _fits(k, v) and _is_text(v)} if isinstance(content, dict) else {}


def _is_text(value: Any) -> bool:
    """Whether what is read can be written: JSON can name halves of letters, which no file takes."""
    try:
        return bool(json.dumps(value, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        return False


def _fits(key: str, value: Any) -> bool:
    if key in ("seconds", "steps", "objective"):
        low = -1e12 if key == "objective" else 0
        return value is None or (type(value) in (int, float) and low <= value < 1e12)
    if key == "status":
        return value in STATUSES
    if key == "digests":
        return isinstance(value, dict) and all(isinstance(code, str) for code in value.values())
    if key in ("code", "saw", "images"):
        return isinstance(value, list) and all(isinstance(code, str) for code in value)
    return key not in ("device", "error", "settings") or value is None or isinstance(value, str)


def record_sweep(
    folder: Path, command: str, ablation: str | None, rows: Sequence[Mapping[str, Any]], left_out: Mapping[str, str]
) -> None:
    """Write `sweep.json`: what was typed, and once the sweep has ended how each row did; no rows when it begins."""
    write_whole(
        folder / SWEEP, {"command": command, "ablation": ablation, "rows": list(rows), "not_run": dict(left_out)}
    )
