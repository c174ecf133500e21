"""`sweep.json`, the file that makes a folder a sweep's: what was typed, and once it has ended how each row did."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RECORD = "sweep.json"


def record(
    folder: Path,
    command: str,
    ablation: str | None,
    rows: Sequence[Mapping[str, Any]],
    left_out: Mapping[str, str],
) -> None:
    """Write `sweep.json`, replaced at once; with no rows yet when a sweep begins."""
    content = {
        "command": command,
        "ablation": ablation,
        "rows": list(rows),
        "not_run": dict(left_out),
    }
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{RECORD}.part"
    part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(part, folder / RECORD)
