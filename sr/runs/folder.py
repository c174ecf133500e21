"""Runs read back from their folders: configuration, figures, curve, time."""

import logging
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan, nan
from pathlib import Path
from typing import Any, TypeVar

from sr.bounded import Rows, opened
from sr.compose.keys import declared
from sr.compose.words import path_typed
from sr.errors import UserError, reason, told_once
from sr.runs.config import before_budget, flat, hydras_choices, read_config, typed_words
from sr.runs.lock import held
from sr.runs.record import recorded
from sr.scores.results import read
from sr.scores.score import Score

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One run folder of train.py.

    Attributes:
        folder: where it is.
        name: the model's name as typed.
        config: the composed config in plain values, as it stood after the budget where there is a checkpoint.
        overrides: as typed, those of its sweep included.
        scores: the averages of all its results.csv.
        curve: the rows of metrics.csv; each holds `step` and what was logged there.
        seconds: of training, over all resumes; None where it was not recorded.
        steps: optimizer steps done.
        status: finished, failed, running, interrupted (begun, none of these, and no process runs it any more), or
            damaged: it cannot be read.
        seed: of the run.
        error: what a failed run said, or what is damaged.
    """

    folder: Path
    name: str
    config: dict[str, Any]
    overrides: list[str]
    scores: list[Score]
    curve: Sequence[dict[str, float]]
    seconds: float | None
    steps: int
    status: str
    seed: int
    error: str | None = None


def is_run(folder: Path) -> bool:
    """Whether train.py has begun a run in this folder."""
    begun, hydra = (folder / "run.json").is_file() or (folder / "checkpoints").is_dir(), folder / ".hydra"
    return begun and (hydra / "config.yaml").is_file() and not hydra.is_symlink()  # which could lead anywhere


def read_run(folder: Path) -> Run:
    """Read one run folder.

    Raises:
        UserError: it is none, or a file in it is damaged.
    """
    folder = Path(folder)
    if not is_run(folder):
        found = "it holds no training run" if folder.is_dir() else "it does not exist"
        raise UserError(f"{folder}: not a run folder: {found}. Give outputs/<model>_x<scale>/<time>, or a sweep's row")
    facts, config = recorded(folder), _whole(folder / ".hydra", lambda: _config(folder))
    files = [folder / "results.csv", *sorted(folder.glob("x*/results.csv"))]
    scores = [score for file in files if file.is_file() for score in _whole(file, partial(read, file))]
    curve = _whole(folder / "metrics.csv", lambda: _curve(folder / "metrics.csv"))
    status = _state(folder, facts) or _state(folder, {"status": "finished" if scores else "running"})
    done = max((row["step"] for row in curve), default=0)
    return Run(
        folder=folder,
        name=_name(folder, config),
        config=config,
        overrides=typed_words(folder).texts,
        scores=scores,
        curve=curve,
        seconds=facts.get("seconds"),
        # One that is not finished has gone on since it was recorded.
        steps=int(facts.get("steps") or done if status == "finished" else max(facts.get("steps") or 0, done)),
        status=status,
        seed=int(config.get("seed") or 0),
        error=facts.get("error"),
    )


def _state(folder: Path, facts: Mapping[str, Any]) -> str:
    """How a run is, by what it recorded; "" where it did not."""
    status = facts.get("status") or ""
    return "interrupted" if status == "running" and not held(folder) else status  # a killed run wrote nothing


def tell_unfinished(folder: Path | None) -> None:
    """Warn, once, that weights or curves are of a run that goes on or was stopped: they are not what it ends with."""
    facts = {} if folder is None else recorded(folder)
    if folder is not None and (status := _state(folder, facts)) not in ("", "finished"):
        done = f", {facts['steps']:,.0f} steps done" if facts.get("steps") else ""
        told_once(log, logging.WARNING, f"warning: the run {folder} is not finished: it is {status}{done}")


def find_runs(folder: Path) -> list[Run]:
    """Every run in a folder: a run itself, a sweep, or any tree of them; in order of path, numbers as numbers.

    One that cannot be read has the status "damaged" and nothing but its folder and `error`.

    Raises:
        UserError: there is none.
    """
    folder = Path(folder)
    places = {p.parents[1] for p in folder.glob("**/.hydra/config.yaml")} if folder.is_dir() else set()
    found = sorted((p for p in places if is_run(p)), key=lambda p: _natural(str(p.relative_to(folder))))
    if not found and folder.is_file():
        raise UserError(f"{folder} is a file, and runs are folders. A checkpoint is {path_typed('checkpoint', folder)}")
    if not found:
        missing = "" if folder.is_dir() else " (there is no such folder)"
        raise UserError(f"{folder}: no run was found in it{missing}. Give a run folder or one that holds runs: outputs")
    return [_read_or_damaged(p) for p in found]


def _read_or_damaged(folder: Path) -> Run:
    """A run, or what is known of one that cannot be read, so that the others can be."""
    try:
        return read_run(folder)
    except UserError as error:
        return Run(folder, folder.name, {}, [], [], [], None, 0, "damaged", 0, str(error))


def _whole(file: Path, read: Callable[[], T]) -> T:
    """What a file of a run holds.

    Raises:
        UserError: it is damaged, in whatever way.
    """
    try:
        return read()
    except Exception as error:
        raise UserError(f"{file} is damaged: {reason(error)}") from error


def _config(folder: Path) -> dict[str, Any]:
    config = read_config(folder)
    for key in ("model", "choices"):
        if not isinstance(config.get(key) or {}, dict):
            raise ValueError(f"{key} is {config[key]!r}")
    return config


def differing(runs: Sequence[Run]) -> list[str]:
    """Dotted config keys on which the result depends, whose values are not the same in all runs.

    What a budget changes is not known of a run that ended before its budget was applied: there such runs are compared
    only with each other.
    """
    configs = [flat(run.config) for run in runs]
    early = [run.status != "finished" and before_budget(run.folder, run.config) for run in runs]
    groups = [[config for config, e in zip(configs, early, strict=True) if e is which] for which in (False, True)]
    missing = object()

    def differs(key: str) -> bool:
        compared = groups if declared(key).budget else [configs]
        return any(c.get(key, missing) != group[0].get(key, missing) for group in compared for c in group[1:])

    return [
        key for key in dict.fromkeys(k for config in configs for k in config) if declared(key).result and differs(key)
    ]


class _Curve(Sequence[dict[str, float]]):
    """Rows that are made when they are looked at: kept as such they would take thirty times their size in the file."""

    def __init__(self, columns: Mapping[str, "array[float]"]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns["step"])

    def __getitem__(self, index: Any) -> Any:
        return {name: column[index] for name, column in self.columns.items() if not isnan(column[index])}


def _curve(file: Path) -> Sequence[dict[str, float]]:
    if not file.is_file():
        return []
    with opened(file) as f:
        rows = Rows(f, file)
        columns = {name: array("d") for name in ("step", *(rows.fieldnames or ()))}
        for row in rows:
            for count in ("step", "stage"):
                if not 0 <= float(row.get(count) or 0) < 2**53:
                    raise ValueError(f"{count} is {row[count]}")
            for name, value in row.items():
                columns[name].append(float(value or nan))
    return _Curve(columns)


def _name(folder: Path, config: Mapping[str, Any]) -> str:
    name = (config.get("choices") or {}).get("model") or hydras_choices(folder).get("model")
    return str(name or folder.name)


def _natural(path: str) -> list[Any]:
    """Sorts row 2 before row 10."""
    parts: list[Any] = []
    for word in path.replace("_", "/").split("/"):
        parts.append((0, int(word), "") if word.isdecimal() else (1, 0, word))
    return parts
