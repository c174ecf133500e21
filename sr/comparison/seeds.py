"""The runs of an ablation as its own table has them: a row for each label, averaged over the seeds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from sr.comparison.rows import Row
from sr.errors import UserError
from sr.metrics.metric import declared
from sr.runs.config import typed_words
from sr.runs.differences import choices
from sr.runs.folder import Run
from sr.runs.own import began
from sr.scores.score import Score
from sr.sweeps.ablation_rows import find
from sr.sweeps.changed import edited
from sr.sweeps.lines import table_lines


class Mean(float):
    """A value over several runs, with their sample standard deviation."""

    spread: float

    def __new__(cls, values: Sequence[float]) -> "Mean":
        found = super().__new__(cls, fmean(values))
        found.spread = stdev(values)
        return found


def averaged(rows: Sequence[Row]) -> list[Row]:
    """The rows of ablations under their labels, those that differ in nothing but the seed as one; all others as before.

    Means are over the runs that have a score; `Row.members` holds the rows that became one.
    """
    labels = _labels([row.source.run for row in rows if row.source and row.source.run])
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for n, row in enumerate(rows):
        label = labels.get(id(row.source.run)) if row.source else None
        ending = row.label.removeprefix(row.source.label) if row.source else ""
        groups.setdefault((n,) if label is None else (label, row.scale, ending), []).append(row)
    return [_one(str(key[0]), str(key[2]), group) if len(key) > 1 else group[0] for key, group in groups.items()]


def of_fewer(row: Row) -> list[str]:
    """What to say of means that are not over all of a row's runs."""
    found: dict[int, list[str]] = {}
    for s in row.scores:
        runs = sum(any(_place(own) == _place(s) for own in member.scores) for member in row.members)
        if runs < len(row.members):
            found.setdefault(runs, []).append(f"{declared(s.metric).title} on {s.dataset} ({s.protocol})")
    return [
        f"note: {row.label}: of {runs} of its {len(row.members)} runs: {', '.join(told)}. The others have no figure "
        "there, or one that leaves out other images"
        for runs, told in found.items()
    ]


def _place(s: Score) -> tuple[Any, ...]:
    return s.dataset, s.scale, s.protocol, s.metric, s.images, s.left_out, s.without


def _labels(runs: Sequence[Run]) -> dict[int, str]:
    """The label that a run has in its ablation's table, by the run's id; with the ablation's name where two have it."""
    of_ablation: dict[str, list[Run]] = {}
    for run in {id(run): run for run in runs}.values():
        name, slash, _ = str(choices(run).get("ablation") or "").partition("/")
        if slash and any(word.lstrip("+").startswith("ablation=") for word in run.overrides):  # none of a checkpoint
            of_ablation.setdefault(name, []).append(run)
    found: dict[int, tuple[str, str]] = {}
    for name, own in of_ablation.items():
        dirs = {Path(place) for run in own if began(run.folder) for place in typed_words(run.folder).config_dirs}
        try:
            ablation = find(name, sorted(dirs))
            own = [run for run in own if not edited(run, ablation)]  # nor a row of before it was
            lines = table_lines(own, ablation, {})
        except UserError:  # of another version, or of somebody else's folder
            continue
        places = {run.folder: id(run) for run in own}
        for line in lines:
            if line.plain:
                found |= {places[run.folder]: (name, line.label) for run in line.runs}
    several = {label for _, label in found.values() if len({n for n, other in found.values() if other == label}) > 1}
    return {at: f"{name}: {label}" if label in several else label for at, (name, label) in found.items()}


def _one(label: str, ending: str, rows: Sequence[Row]) -> Row:
    first = rows[0]
    assert first.source is not None
    scores: dict[Score, list[Score]] = {}
    for s in (s for row in rows for s in row.scores):
        scores.setdefault(replace(s, value=0.0, model=label + ending), []).append(s)
    kinds: dict[Score, Score] = {}  # of means that leave out other images those of most runs: they are no one mean
    for place in sorted(scores, key=lambda place: -len(scores[place])):
        kinds.setdefault(replace(place, left_out=0, without=""), place)
    means = tuple(
        replace(place, value=Mean([s.value for s in found]) if len(found) > 1 else found[0].value)
        for place, found in scores.items()
        if place in kinds.values()
    )
    own = ("ablation", "seed")
    kept = {k: v for k, v in first.settings.items() if k not in own and all(r.settings.get(k) == v for r in rows)}
    return replace(
        first, label=label + ending, source=replace(first.source, label=label), scores=means, settings=kept,
        other_lr=frozenset().union(*(row.other_lr for row in rows)), members=tuple(rows),
        each=tuple(s for row in rows for s in row.each),
    )  # fmt: skip
