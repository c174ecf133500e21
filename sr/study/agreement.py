"""How far raters agree with each other, and which of them did not look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sr.study.answers import Rater, Study, table
from sr.study.design import HR

MOST_MISSED = 0.2  # of the catch trials


def alpha(answers: np.ndarray, ordered: bool) -> float | None:
    """Krippendorff's alpha: 1 where all agree, 0 where they agree no more than by chance.

    Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011. Who did not answer a trial does not count
    there.

    Args:
        answers: (raters, trials), NaN where there is none.
        ordered: two answers differ by the square of their difference (opinions); else two are the same or not.

    Returns:
        None where no trial has two answers, or all answers are the same.
    """
    values = np.unique(answers[~np.isnan(answers)])
    counts = (answers[None] == values[:, None, None]).sum(1)  # (values, trials)
    counts = counts[:, counts.sum(0) > 1]
    apart = np.subtract.outer(values, values) ** 2 if ordered else 1 - np.eye(len(values))
    total = counts.sum(1)
    # Of each trial the pairs of its answers; of an answer and itself the distance is 0.
    observed = (np.einsum("vt,wt,vw->t", counts, counts, apart) / np.maximum(counts.sum(0) - 1, 1)).sum()
    expected = total @ apart @ total / max(total.sum() - 1, 1)
    return float(1 - observed / expected) if expected else None


def alike(answers: np.ndarray) -> np.ndarray:
    """(raters,): how often each gave another's answer, over all trials and others; NaN where no other one answered."""
    both = ~np.isnan(answers)
    found = np.full(len(answers), np.nan)
    for n, own in enumerate(answers):
        others = both & both[n]
        others[n] = False
        if others.any():
            found[n] = (answers == own)[others].mean()
    return found


@dataclass(frozen=True)
class Care:
    """How a rater did on the catch trials.

    Attributes:
        right: of them.
        asked: how many were answered.
        left: the share of choices for the picture that stood left; None where there is none.
    """

    right: int
    asked: int
    left: float | None

    @property
    def failed(self) -> bool:
        """More than a fifth of them were missed: one of six may be, none of four."""
        return self.asked - self.right > MOST_MISSED * self.asked


def care(rater: Rater, study: Study) -> Care:
    """HR must be preferred to its spoiled form, or be rated better than that of the same crop."""
    caught = {n: trial for n, trial in enumerate(study.trials) if trial.catch and n in rater.answers}
    if study.mode == "pairs":
        right = [rater.answers[n] == (trial.shown[0] == HR) for n, trial in caught.items()]
        choices = [value for n, value in rater.answers.items() if value != 0.5 and not study.trials[n].catch]
        left = [(value == 1) != rater.mirrored for value in choices]
        return Care(sum(right), len(right), sum(left) / len(left) if left else None)
    rated: dict[int, dict[object, float]] = {}
    for n, trial in caught.items():
        rated.setdefault(trial.crop, {})[trial.shown[0]] = rater.answers[n]
    both = [of for of in rated.values() if len(of) == 2]
    return Care(sum(of[HR] == max(of.values()) != min(of.values()) for of in both), len(both), None)


def rows(study: Study, raters: Sequence[Rater], cares: Mapping[str, Care]) -> list[dict[str, object]]:
    """A line for each rater, those that are left out too."""
    plain = [n for n, trial in enumerate(study.trials) if not trial.catch]
    near = alike(table(raters, len(study.trials))[:, plain])
    return [
        {
            "rater": rater.label,
            "counted": not cares[rater.id].failed,
            "answers": len(rater.answers),
            "trials": len(study.trials),
            "catch_right": cares[rater.id].right,
            "catch_asked": cares[rater.id].asked,
            "agreement": None if np.isnan(share) else float(share),
            "chose_left": cares[rater.id].left,
            "id": rater.id,
            "file": str(rater.file),
        }
        for rater, share in zip(raters, near, strict=True)
    ]
