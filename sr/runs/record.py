"""`run.json`, the one file that says how a run ended.

It holds status (running, finished, failed), seconds (of training over all resumes, validation left out), steps (of the
optimizer, done), device and error.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def record(folder: Path, status: str, **facts: Any) -> None:
    """Write `run.json`, replaced at once; what is not given keeps the value that it had."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"status": status, "seconds": None, "steps": 0, "device": None, "error": None}
    content |= {k: v for k, v in recorded(folder).items() if k in content and k != "error"}
    part = folder / "run.json.part"
    part.write_text(json.dumps(content | {"status": status} | facts, indent=2) + "\n")
    os.replace(part, folder / "run.json")


def recorded(folder: Path) -> dict[str, Any]:
    """The contents of `run.json`; empty where there is none that can be read."""
    try:
        content = json.loads((folder / "run.json").read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
