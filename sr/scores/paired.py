"""Is a difference real? Two models on the same images, image by image: how sure their difference is."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import inf, isfinite
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np

from sr.errors import some
from sr.metrics.metric import declared
from sr.scores.results import Place, Values
from sr.scores.score import alike
from sr.scores.text import write_csv
from sr.scores.wilcoxon import p_values

log = logging.getLogger(__name__)
RESAMPLES = 10_000
FEWEST = 1_000  # of so many images that RESAMPLES would take minutes
MOST_CELLS, CELLS = 20_000_000, 1_000_000  # images times resamples: in all, and in memory at once
NAME = "differences.csv"
MOST_MODELS = 40  # of which every two are compared; of more each is with the best one: pairs grow with the square


class Difference(NamedTuple):
    """The mean difference of two models, with what stands for its certainty.

    Attributes:
        mean: over images, of the means over runs.
        low: end of the 95 % interval (bootstrap: images, and the runs of each model, drawn anew with replacement).
        high: its other end.
        p: of Wilcoxon's signed-rank test over the images, two-sided; 1 where no image differs.
        images: images, or clips.
        runs: of the one model.
        other_runs: of the other one.
    """

    mean: float
    low: float
    high: float
    p: float
    images: int
    runs: int
    other_runs: int


@dataclass
class Paired:
    """Models by place, each with the values of its runs, and what comes of holding them against each other."""

    found: dict[Place, dict[str, list[Values]]] = field(default_factory=dict)
    known: dict[Place, Values] = field(default_factory=dict)
    moved: dict[str, set[str]] = field(default_factory=dict)  # by set: what is another image than of the first run
    doubts: list[str] = field(default_factory=list)  # of single figures

    def add(self, model: str, place: Place, values: Values, baseline: Values | None = None) -> None:
        """Those of one run.

        Args:
            model: a name.
            place: where they stand.
            values: of each image.
            baseline: what the run's baseline reached there: an image on which that differs from the first run's is
                another one under its name.
        """
        baseline = baseline or {}
        known = self.known.setdefault(place, baseline) or baseline
        others = {
            n for n in values.keys() & known.keys() & baseline.keys() if not alike(known[n], baseline[n], place[3])
        }
        if others:
            self.moved.setdefault(place[0], set()).update(others)
            values = {f"{n} {baseline[n]:.2f}" if n in others else n: value for n, value in values.items()}
        self.found.setdefault(place, {}).setdefault(model, []).append(values)

    def write(self, folder: Path) -> tuple[list[list[str]], list[str]]:
        """Every two models on every set and metric into `differences.csv`; nothing where no two have the same images.

        Of more than `MOST_MODELS` each stands beside the best one alone.

        Returns:
            A table of the differences from the best one, by the leading metric of each set and protocol; and what to
            say below it.
        """
        pairs = {place: differences(models, declared(place[3]).better or 1) for place, models in self.found.items()}
        rows = [
            dict(zip(("dataset", "scale", "protocol", "metric", "model", "other"), (*place, *two), strict=True))
            | {"difference": d.mean, "low": d.low, "high": d.high, "p": d.p}
            | {"images": d.images, "runs": d.runs, "other_runs": d.other_runs}
            for place, of_place in pairs.items()
            for two, d in of_place.items()
        ]
        told = [
            f"{name}: runs measured other images than the first under the name{'s' * (len(images) > 1)} "
            f"{some(sorted(images))}: these are not held against each other"
            for name, images in self.moved.items()
        ]
        told += dict.fromkeys(self.doubts)  # a run with self-ensemble is of two rows
        if not rows:
            return [], told
        write_csv(folder / NAME, list(rows[0]), rows)
        leading: dict[tuple[str, int, str], Place] = {}  # by set and protocol: its first metric that has a best
        unknown: dict[str, None] = {}
        for place in filter(pairs.__getitem__, pairs):
            if declared(place[3]).better:
                leading.setdefault(place[:3], place)
            else:
                unknown[place[3]] = None
        columns = list(leading.values())
        told += [
            f"whether more or less of {declared(name).title} is better is not known here, so that none is called the "
            f"best by it: its file tells (better=), as sr compare runs=[...] metrics=[PATH/{name}.py]"
            for name in unknown
            if any(place[3] == name and place[:3] not in leading for place in self.found)
        ]
        if not columns:
            return [], told
        rivals = {place: {model for two in pairs[place] for model in two} for place in columns}
        models = dict.fromkeys(model for place in columns for model in self.found[place] if model in rivals[place])
        titles = dict.fromkeys(declared(place[3]).title for place in columns)
        head = ["difference from the best", *(f"{p[0]} x{p[1]} {p[2]}" for p in columns)]
        if len(titles) > 1:  # as of a metric that has no value under one of the protocols
            head[1:] = [f"{title}, {declared(place[3]).title}" for title, place in zip(head[1:], columns, strict=True)]
        best = {
            place: _best(
                {m: runs for m, runs in self.found[place].items() if m in rivals[place]}, declared(place[3]).better or 1
            )
            for place in columns
        }
        lines = [
            [model, *(self._cell(model, best[place], place, pairs[place]) for place in columns)] for model in models
        ]
        shown = [d for place in columns for d in pairs[place].values()]
        most = max(len(of_place) for of_place in self.found.values())
        return [head, *lines], told + _notes(shown, " / ".join(titles), most)

    def _cell(self, model: str, best: str, place: Place, pairs: Mapping[tuple[str, str], Difference]) -> str:
        metric = declared(place[3])
        if model == best:
            return "best"
        if (d := pairs.get((model, best)) or _turned(pairs.get((best, model)))) is None:
            return ""
        low, high = (metric.text(value, "+") for value in (d.low, d.high))
        return f"{metric.text(d.mean, '+')} [{low}, {high}] p {d.p:.2g}"


def differences(models: Mapping[str, Sequence[Values]], better: int = 1) -> dict[tuple[str, str], Difference]:
    """Every two models that were measured on the same images, at least two; the first one less the second one.

    Of more than `MOST_MODELS` each is held against the best one alone. Images on which one of all has no finite value
    (PSNR of what is HR itself) count for none.

    Args:
        models: the values of each model's runs, which differ in nothing but their seeds.
        better: 1 where more is better, -1 where less is.
    """
    found = {}
    for names in dict.fromkeys(frozenset(_alike(runs)[0]) for runs in models.values()):
        rivals = {m: _alike(runs) for m, runs in models.items() if _alike(runs)[0].keys() == names}
        finite = [n for n in sorted(names) if all(isfinite(run[n]) for runs in rivals.values() for run in runs)]
        if len(finite) < 2 or len(rivals) < 2:
            continue
        tables = {m: np.array([[run[n] for n in finite] for run in runs]) for m, runs in rivals.items()}
        means = _resampled(tables)
        pairs = list(combinations(tables, 2))
        if len(tables) > MOST_MODELS:
            best = _best({m: models[m] for m in tables}, better)
            pairs = [(m, best) for m in tables if m != best]
        over_runs = {m: table.mean(0) for m, table in tables.items()}
        each = np.stack([over_runs[a] - over_runs[b] for a, b in pairs])
        for (a, b), of_images, p in zip(pairs, each, p_values(each), strict=True):
            low, high = np.percentile(means[a] - means[b], [2.5, 97.5]).tolist()
            runs = len(tables[a]), len(tables[b])
            found[a, b] = Difference(float(of_images.mean()), low, high, float(p), len(finite), *runs)
    return found


def _best(models: Mapping[str, Sequence[Values]], better: int) -> str:
    """The one whose mean over runs and images is the best; over images on which all have a finite value."""
    known = {m: _alike(runs) for m, runs in models.items()}
    # Of models that measured other images those of the most count: the others stand beside none of them.
    ((names, _),) = Counter(frozenset(runs[0]) for runs in known.values()).most_common(1)
    known = {m: runs for m, runs in known.items() if runs[0].keys() == names}
    odd = {n for runs in known.values() for run in runs for n, value in run.items() if not isfinite(value)}

    def mean(model: str) -> float:
        values = [value for run in known[model] for n, value in run.items() if n not in odd]
        return better * fmean(values) if values else -inf

    return max(known, key=mean)


def _alike(runs: Sequence[Values]) -> list[Values]:
    """Those of the runs that measured the images which most of them did."""
    ((names, _),) = Counter(frozenset(run) for run in runs).most_common(1)
    return [run for run in runs if run.keys() == names]


def _resampled(tables: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Means over images and runs drawn anew, by model: of (runs, images) as many as RESAMPLES, or fewer of many images.

    The images are the same for all, as models are compared image by image; they are drawn a few resamples at once, as
    all of them would take gigabytes for the images of a large set.
    """
    generator = np.random.default_rng(0)
    images = next(iter(tables.values())).shape[1]
    number = min(RESAMPLES, max(FEWEST, MOST_CELLS // images))
    at_once = max(1, CELLS // images)
    over_images: dict[str, list[np.ndarray]] = {m: [] for m in tables}
    for start in range(0, number, at_once):
        drawn = _drawn(generator, images, min(at_once, number - start))
        for m, table in tables.items():
            over_images[m].append(drawn @ table.T)
    found = {}
    for m, table in tables.items():
        means = np.concatenate(over_images[m])
        # Of one run nothing can be drawn.
        found[m] = (means * _drawn(generator, len(table), number)).sum(1) if len(table) > 1 else means[:, 0]
    return found


def _drawn(generator: np.random.Generator, number: int, times: int) -> np.ndarray:
    """(times, number): the share of each where as many are drawn with replacement."""
    return generator.multinomial(number, np.full(number, 1 / number), times) / number


def _turned(d: Difference | None) -> Difference | None:
    return d and Difference(-d.mean, -d.high, -d.low, d.p, d.images, d.other_runs, d.runs)


def _notes(found: Sequence[Difference], title: str, models: int) -> list[str]:
    few = sorted({d.images for d in found if d.images < 7}, reverse=True)
    over = "images" + (" and seeds" if any(max(d.runs, d.other_runs) > 1 for d in found) else "")
    said = f"{title}, 95 % interval by bootstrap over {over}, p of Wilcoxon's signed-rank test"
    least = f" ({', '.join(f'over {n}: never below {2 / 2**n:.2g}' for n in few)})" if few else ""
    kept = "All pairs" if models <= MOST_MODELS else f"More than {MOST_MODELS} models: each beside the best one"
    return [f"{said} over images{least}. An interval that holds 0 tells no winner. {kept}: {NAME}"]
