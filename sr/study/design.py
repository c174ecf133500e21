"""Which pictures a rater is shown: every model, side and crop as often as any other."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

HR, SPOILED = "HR", "spoiled"  # what is shown beside the models' pictures, to catch who does not look
Shown = int | str  # the number of a model, or one of these


@dataclass(frozen=True)
class Trial:
    """One question: pictures of the same crop, two (the first one stands left) or one."""

    crop: int
    shown: tuple[Shown, ...]

    @property
    def catch(self) -> bool:
        """Whether it is there to catch a rater who does not look."""
        return any(isinstance(s, str) for s in self.shown)


def paired(models: int, crops: int, pairs: int, seed: int = 0) -> list[Trial]:
    """Trials in which each model is seen `pairs` times, once more where both that and the number of models are odd.

    Every two models meet equally often, or once more than others; each stands left as often as right, or once more; of
    two models' meetings, and in all, each crop has its share to within one. Where a model's pairs are no multiple of
    its rivals, who meets once more is chosen so that all models still have the same number.

    Args:
        models: at least two.
        crops: at least one.
        pairs: of each model.
        seed: of what stands where.
    """
    generator = np.random.default_rng(seed)
    name, place = generator.permutation(models), generator.permutation(crops)
    every, more = divmod(pairs, models - 1)
    trials: list[Trial] = []
    for i, j in combinations(range(models), 2):
        apart = min(j - i, models - j + i)  # of two seats around a table
        often = every + _more(apart, models, more)
        # By their distance around the table each model has as many ahead of it as behind it: who stands left once more.
        left, right = (i, j) if j - i == apart and not (2 * apart == models and i % 2) else (j, i)
        for n in range(often):
            # A crop that comes again is seen the other way round.
            turned = (n + (n // crops if crops % 2 == 0 else 0)) % 2
            first, second = (right, left) if turned else (left, right)
            trials.append(Trial(int(place[len(trials) % crops]), (int(name[first]), int(name[second]))))
    return [trials[n] for n in generator.permutation(len(trials))]


def _more(apart: int, models: int, more: int) -> int:
    """Whether two at a distance meet once more, so that each model has `more` such meetings: its nearest neighbours.

    At each distance sit two, only opposite sits one, where the number of models is even: an odd number needs that one.
    """
    if 2 * apart == models:
        return more % 2
    return int(apart <= (more // 2 if models % 2 == 0 else -(-more // 2)))


def single(models: int, crops: int, seed: int = 0) -> list[Trial]:
    """Each model's picture of each crop once."""
    trials = [Trial(crop, (model,)) for crop in range(crops) for model in range(models)]
    return [trials[n] for n in np.random.default_rng(seed).permutation(len(trials))]


def catches(crops: Sequence[int], in_pairs: bool) -> list[Trial]:
    """HR against its spoiled form on each of these crops, HR left and right in turn; or each of the two alone."""
    if in_pairs:
        return [Trial(crop, (SPOILED, HR) if n % 2 else (HR, SPOILED)) for n, crop in enumerate(crops)]
    return [Trial(crop, (kind,)) for crop in crops for kind in (HR, SPOILED)]
