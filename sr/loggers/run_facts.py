"""What the loggers are told about a run beside its config."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, cast

from sr.metrics.metric import declared
from sr.runs.occupied import OF_A_SWEEP
from sr.runs.record import SWEEP

SWEEP_FILES = (SWEEP, OF_A_SWEEP)  # either stands in a sweep's folder


class RunFacts(TypedDict):
    """Of one run, in plain values.

    Attributes:
        folder: the run folder.
        name: as it is shown.
        group: name of the sweep that it belongs to, or None.
        tags: `model:...`, `scale:x...`, `recipe:...`.
    """

    folder: str
    name: str
    group: str | None
    tags: list[str]


def run_facts(
    folder: Path, name: str, choices: Mapping[str, Any], scale: str, sweep: Path | None, seed: int = 0
) -> RunFacts:
    """What loggers show of a run.

    Args:
        folder: the run folder.
        name: as it is shown; of a sweep's row with the row and the seed behind it.
        choices: names chosen from the config groups.
        scale: as in folder names: 2, or 2-3-4.
        seed: of the run.
        sweep: folder of the sweep that runs now, if one does; a row that is resumed alone is found in its folder.
    """
    around = (p for p in folder.resolve().parents[:2] if any((p / file).is_file() for file in SWEEP_FILES))
    group = sweep or next(around, None)
    if group:
        row = str(choices.get("ablation") or "").rpartition("/")[2] or re.sub(r"_?[0-9a-f]{8}$", "", folder.name)
        name = " ".join(filter(None, [name, row, "" if f"seed{seed}" in row else f"seed{seed}"]))
    tags = [f"model:{choices['model']}", f"scale:x{scale}", f"recipe:{choices.get('recipe')}"]
    return RunFacts(folder=str(folder), name=name, group=group.name if group else None, tags=tags)


def completed(facts: Mapping[str, Any] | None) -> RunFacts:
    """The facts that a logger was given, with the defaults of one that is built outside a run."""
    return cast(RunFacts, {"folder": ".", "name": "run", "group": None, "tags": [], **(facts or {})})


def at_step(metrics: Mapping[str, float], step: int | None) -> tuple[int, dict[str, float]]:
    """Optimizer steps done (Lightning numbers steps from 0), and the values without `epoch`, which no data here has."""
    return int(step or 0) + 1, {key: value for key, value in metrics.items() if key != "epoch"}


def as_text(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    """The rows of a table of scores with as many digits as its metrics are printed with."""

    def cell(column: str, value: Any) -> str:
        return "" if value is None else declared(column).text(value) if isinstance(value, float) else str(value)

    return [[cell(column, value) for column, value in zip(columns, row, strict=True)] for row in rows]
