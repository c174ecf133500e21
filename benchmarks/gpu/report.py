"""The results as Markdown."""

from collections.abc import Mapping
from typing import Any

import beside

TITLES = {
    "checks": "What must hold",
    "crops": "Training crops a second, uint8 to float32 on the device",
    "numbers": "Metrics and resizing, ms an image",
    "steps": "A training step",
    "deformable": "Deformable convolution, forward and backward",
    "forms": "The network's time, by the form that it runs in",
    "upscaling": "A picture of 960x640 enlarged by four",
    "averaging": "EMA of 346 tensors, ms",
    "waiting": "Where the host waits for the device, over 100 steps",
    "precision": "Equal steps in float32 and bfloat16",
    "learning": "Learning",
    "curve": "Curves",
}


def markdown(found: Mapping[str, Any]) -> str:
    """The machine, the parts and each table.

    Args:
        found: as in gpu.json.
    """
    text = ["# Every GPU check of the project, in one run", ""]
    machine = found["machine"]
    text += ["; ".join(f"{name} {value}" for name, value in machine.items()) + "." if machine else "Machine unknown."]
    text += ["", f"{found['seconds']:.0f} seconds. The parts:", "", table(found["parts"])]
    tables = found["tables"]
    for name in [*TITLES, *(n for n in tables if n not in TITLES)]:
        if name in tables:
            text += ["", f"## {TITLES.get(name, name)}", "", table(tables[name])]
    return "\n".join(text) + "\n"


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table of rows that may have different columns; notes stand last."""
    columns = list(dict.fromkeys(column for row in rows for column in row if column != "note"))
    columns += ["note"] * any("note" in row for row in rows)
    return beside.table(columns, [[shown(row.get(c)) for c in columns] for row in rows])


def shown(value: Any) -> str:
    """A cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value).replace("|", "/").replace("\n", " ")
