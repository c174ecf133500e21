"""What people said of models, as `sr study answers=...` writes it and `sr compare study=...` shows it."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path

from sr.bounded import Rows, opened
from sr.errors import UserError, reason
from sr.scores.text import from_csv, write_csv

FILES = ("bt.csv", "mos.csv")
TITLES = {"bt": "Bradley-Terry", "mos": "MOS"}
DIGITS = 2
ZOO = Path("zoo")  # stands for the place of what a name of the zoo means
EXPLAINED = {
    "bt": "Bradley-Terry: log-odds, mean 0 over the models of the study; one model is preferred to another with "
    "1 / (1 + exp(-difference)), a tie is half a win",
    "mos": "MOS: mean over raters and pictures, 1 (bad) to 5 (excellent)",
}


@dataclass(frozen=True)
class Rated:
    """A model's figure of one study.

    Attributes:
        entry: the model's label in the study.
        name: as typed for training, or the zoo's.
        place: of its run or file.
        weights: which it had (`Source.weights`).
        scale: enlargement factor.
        metric: "bt" (log-odds, mean 0 over the models of the study) or "mos" (1 to 5).
        value: of it.
        low: end of its 95 % interval.
        high: the other one.
        raters: who were counted.
        answers: in which the model was seen.
        group: number of those with which it was compared, directly or through others; figures of two groups have no
            common zero.
    """

    entry: str
    name: str
    place: str
    weights: str
    scale: int
    metric: str
    value: float
    low: float
    high: float
    raters: int
    answers: int
    group: int = 1

    @property
    def interval(self) -> str:
        return f"[{self.low:.{DIGITS}f}, {self.high:.{DIGITS}f}]"


def place_of(path: Path) -> str:
    """Of a run or a file; "" for a name of the zoo, and for what needs no file."""
    return "" if path == ZOO else str(path.resolve())


def apart(rated: Iterable[Rated]) -> list[str]:
    """What to say of models that were never compared; nothing where there are none."""
    groups: dict[tuple[str, int], dict[int, list[str]]] = {}
    for r in rated:
        groups.setdefault((r.metric, r.scale), {}).setdefault(r.group, []).append(r.entry)
    return [
        "Never compared, neither directly nor through others, are: "
        f"{'; '.join(', '.join(entries) for entries in of.values())}. Figures hold within each group"
        for of in groups.values()
        if len(of) > 1
    ]


def notes(metrics: Iterable[str], study: Iterable[Rated]) -> list[str]:
    """What to say below a table that has these metrics of a study."""
    return [*(f"{EXPLAINED[metric]}; in brackets the 95 % interval" for metric in metrics), *apart(study)]


def write(file: Path, rated: Iterable[Rated]) -> None:
    """One of FILES."""
    write_csv(file, [f.name for f in fields(Rated)], map(asdict, rated))


def read(places: Sequence[str]) -> list[Rated]:
    """The figures of studies.

    Args:
        places: files of theirs, or folders that hold them.

    Raises:
        UserError: there is none, one cannot be read, or two are of one metric at one scale: nobody saw the models of
            the one beside those of the other.
    """
    found: list[Rated] = []
    studies: dict[tuple[str, int], int] = {}
    for number, place in enumerate(map(Path, places)):
        files = [file for file in (place, *(place / name for name in FILES)) if file.is_file()]
        if not files:
            raise UserError(f"study={place}: {' and '.join(FILES)} are not there; sr study answers=[...] writes them")
        for rated in (rated for file in files for rated in _read(file)):
            if (other := studies.setdefault((rated.metric, rated.scale), number)) != number:
                raise UserError(
                    f"study={place}: {places[other]} has a {rated.metric} at x{rated.scale}, too, and figures of two "
                    "studies have no common zero. Name one of them"
                )
            found.append(rated)
    return found


def _read(file: Path) -> list[Rated]:
    try:
        with opened(file) as f:
            found = [_rated(row) for row in Rows(f, file)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(f"study={file} is no {' or '.join(FILES)} of sr study ({reason(error)})") from error
    if wrong := [r for r in found if r.metric not in TITLES or not all(map(isfinite, (r.value, r.low, r.high)))]:
        raise UserError(f"study={file}: {wrong[0].entry} has no {' or '.join(TITLES)} that is a finite number")
    if wrong := [r for r in found if not _may_be(r)]:
        r = wrong[0]
        raise UserError(
            f"study={file}: {r.entry} has {TITLES[r.metric]} {r.value:g} {r.interval} of {r.raters} raters and "
            f"{r.answers} answers, which no study gives ({EXPLAINED[r.metric]}). Analyse its answers anew: "
            "sr study answers=[...]"
        )
    return found


def _may_be(r: Rated) -> bool:
    within = r.metric != "mos" or all(1 <= x <= 5 for x in (r.low, r.value, r.high))
    return within and r.low <= r.high and min(r.raters, r.answers) > 0


def _rated(row: dict[str, str]) -> Rated:
    texts = {name: from_csv(row[name]) for name in ("entry", "name", "place", "weights", "metric")}
    numbers = {name: float(row[name]) for name in ("value", "low", "high")}
    counts = {name: int(row[name]) for name in ("scale", "raters", "answers")}
    return Rated(**texts, **numbers, **counts, group=int(row.get("group") or 1))  # type: ignore[arg-type]
