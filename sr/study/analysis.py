"""What the answers of a study say: a figure with an interval for each model, and how they compare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from sr.errors import UserError
from sr.scores.rated import Rated
from sr.scores.rated import apart as rated_apart
from sr.study.agreement import alpha
from sr.study.answers import Model, Rater, Study, table
from sr.study.design import HR
from sr.study.strength import FEWEST, answers_drawn, apart, drawn, interval, raters_drawn, strengths, unanimous


@dataclass(frozen=True)
class Findings:
    """Of one study.

    Attributes:
        rated: a figure for each model, the best one first.
        details: a line for each two models, or for each model and set: `pairs.csv` or `sets.csv`.
        agreement: Krippendorff's alpha; None where it cannot be told.
        notes: what the intervals are over.
    """

    rated: list[Rated]
    details: list[dict[str, object]]
    agreement: float | None
    notes: list[str]


def found(study: Study, raters: Sequence[Rater]) -> Findings:
    """Of raters who are counted."""
    return _compared(study, raters) if study.mode == "pairs" else _opinions(study, raters)


def tally(study: Study, answers: np.ndarray) -> np.ndarray:
    """(raters, trials) -> (raters, M, M): how often the model of the row was preferred to that of the column."""
    models = len(study.models)
    wins = np.zeros((len(answers), models, models))
    for n, trial in enumerate(study.trials):
        if not trial.catch:
            first, second = (int(s) for s in trial.shown)
            wins[:, first, second] += np.nan_to_num(answers[:, n])
            wins[:, second, first] += np.nan_to_num(1 - answers[:, n])
    return wins


def _compared(study: Study, raters: Sequence[Rater]) -> Findings:
    answers = table(raters, len(study.trials))
    each = tally(study, answers)
    wins, few = each.sum(0), len(raters) < FEWEST
    met = wins + wins.T
    seen = np.flatnonzero(met.sum(1))
    if not seen.size:
        raise UserError("none of the answers that count compares two models: there is nothing to say")
    scores = strengths(wins)
    resampled = strengths(answers_drawn(wins) if few else raters_drawn(each))
    number = 0 if few else len(raters)
    groups = [group for group in apart(met) if met[group].any()]
    of = {m: number for number, group in enumerate(groups, 1) for m in group}
    rated = _rated(study, "bt", scores, *interval(resampled, number, scores), len(raters), met.sum(1), of)
    rated = [r for r in rated if r.answers]
    notes = [_over(few, len(raters))]
    if unseen := [model.label for n, model in enumerate(study.models) if n not in seen]:
        notes.append(f"Nobody who counts was shown {', '.join(unseen)}: left out")
    notes += rated_apart(rated)
    details = []
    plain = _plain(study)
    ties, meetings = (answers == 0.5).sum(0), dict[frozenset[int | str], list[int]]()
    for n in plain:
        meetings.setdefault(frozenset(study.trials[n].shown), []).append(n)
    for i, j in combinations([n for n in np.argsort(-scores).tolist() if n in seen], 2):
        low, high = interval((resampled[:, i] - resampled[:, j])[:, None], number, scores[i] - scores[j])
        equal = int(ties[meetings.get(frozenset((i, j)), [])].sum())
        details.append(
            {"model": study.models[i].label, "other": study.models[j].label, "preferred": int(wins[i, j] - equal / 2)}
            | {"equal": equal, "other_preferred": int(wins[j, i] - equal / 2), "difference": scores[i] - scores[j]}
            | {"low": float(low[0]), "high": float(high[0])}
        )
    return Findings(rated, details, alpha(answers[:, plain], ordered=False), notes)


def _opinions(study: Study, raters: Sequence[Rater]) -> Findings:
    """Means over raters and pictures; HR, which stands among the catch trials, is rated like a model."""
    answers = table(raters, len(study.trials))
    shown = [*study.models, Model(HR, HR, "", "")]
    of = np.array([-2 if s not in (HR, *range(len(study.models))) else len(study.models) if s == HR else int(s)
                   for (s,) in (trial.shown for trial in study.trials)])  # fmt: skip
    datasets, at = dict[str | None, None]({None: None}), dict[tuple[int, str | None], list[int]]()
    for n, (model_number, trial) in enumerate(zip(of.tolist(), study.trials, strict=True)):
        datasets[place := study.crops[trial.crop]["dataset"]] = None
        for where in (None, place):
            at.setdefault((model_number, where), []).append(n)
    few, number = len(raters) < FEWEST, 0 if len(raters) < FEWEST else len(raters)
    weights = drawn(len(raters))
    details: list[dict[str, object]] = []
    figures: dict[int, tuple[float, float, float, int]] = {}
    for m, model in enumerate(shown):
        for place in datasets:
            mine = answers[:, at.get((m, place), [])]
            given = mine[~np.isnan(mine)]
            if not given.size:
                continue
            if (given == given[0]).all():
                means = unanimous(given[0], given.size)
            elif few:
                means = np.random.default_rng(0).choice(given, (len(weights), given.size)).mean(1)
            else:
                sums, counts = weights @ np.nansum(mine, 1), weights @ (~np.isnan(mine)).sum(1)
                means = (sums / np.maximum(counts, 1))[counts > 0]
            low, high = (float(end[0]) for end in interval(means[:, None], number, given.mean()))
            figure = float(given.mean()), max(low, 1.0), min(high, 5.0), given.size
            if place is None:
                figures[m] = figure
            else:
                row = dict(zip(("mos", "low", "high", "answers"), figure, strict=True))
                details.append({"model": model.label, "dataset": place, **row})
    rated = [
        Rated(model.label, model.name, model.place, model.weights, study.scale, "mos",
              *figures[m][:3], len(raters), figures[m][3])
        for m, model in enumerate(shown)
        if m in figures
    ]  # fmt: skip
    rated.sort(key=lambda r: -r.value)
    notes = [_over(few, len(raters))]
    crops, seen = {t.crop for t in study.trials}, np.zeros((len(shown) + 1, len(study.crops)))
    np.add.at(seen, (of, np.array([t.crop for t in study.trials])), (~np.isnan(answers)).sum(0))  # -2 falls behind them
    if (seen[: len(study.models)] != seen[0]).any():
        notes.append("Not all rated all pictures: a mean is over a model's answers, on whatever pictures they fell")
    if 0 < (fewer := len({t.crop for t in study.trials if t.shown == (HR,)})) < len(crops):
        notes.append(f"{HR} was shown of {fewer} of {len(crops)} crops, in catch trials: its mean is over those alone")
    return Findings(rated, details, alpha(answers[:, of != -2], ordered=True), notes)


def _plain(study: Study) -> list[int]:
    return [n for n, trial in enumerate(study.trials) if not trial.catch]


def _rated(
    study: Study,
    metric: str,
    values: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    raters: int,
    seen: np.ndarray,
    groups: Mapping[int, int],
) -> list[Rated]:
    return [
        Rated(model.label, model.name, model.place, model.weights, study.scale, metric,
              float(values[m]), float(low[m]), float(high[m]), raters, int(seen[m]), groups.get(m, 1))
        for m in np.argsort(-values).tolist()
        for model in [study.models[m]]
    ]  # fmt: skip


def _over(few: bool, raters: int) -> str:
    if few:
        return (
            f"95 % intervals by bootstrap over the answers of {raters} rater{'s' if raters > 1 else ''}, as fewer than "
            f"{FEWEST} cannot be drawn anew: they say how sure these raters are, and nothing about others"
        )
    return f"95 % intervals by bootstrap over {raters} raters: of what others like them would answer, of these pictures"
