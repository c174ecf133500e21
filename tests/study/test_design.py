"""Everything is shown as often as everything else."""

from collections import Counter
from itertools import combinations

import pytest

from sr.study.design import HR, SPOILED, catches, paired, single


@pytest.mark.parametrize("models", [2, 3, 4, 5, 6, 9])
@pytest.mark.parametrize("crops", [1, 3, 10])
@pytest.mark.parametrize("pairs", [1, 5, 8, 30])
def test_models_sides_and_crops_are_balanced(models, crops, pairs):
    trials = paired(models, crops, pairs, seed=3)
    seen, left = Counter(m for t in trials for m in t.shown), Counter(t.shown[0] for t in trials)
    assert {seen[m] for m in range(models)} == {pairs + (pairs * models) % 2}
    assert all(abs(2 * left[m] - seen[m]) <= 1 for m in range(models))
    meetings = Counter(frozenset(t.shown) for t in trials)
    of_all = [meetings[frozenset(two)] for two in combinations(range(models), 2)]
    assert max(of_all) - min(of_all) <= 1
    at = Counter(t.crop for t in trials)
    assert max(at.values()) - min(at[crop] for crop in range(crops)) <= 1
    placed, turned = Counter((frozenset(t.shown), t.crop) for t in trials), Counter(t.shown for t in trials)
    for a, b in combinations(range(models), 2):
        each = [placed[frozenset((a, b)), crop] for crop in range(crops)]
        assert max(each) - min(each) <= 1 and abs(turned[a, b] - turned[b, a]) <= 1


def test_a_crop_that_comes_again_is_seen_the_other_way_round():
    trials = paired(2, 4, 8)
    assert {(t.crop, t.shown) for t in trials} == {(c, s) for c in range(4) for s in ((0, 1), (1, 0))}


def test_the_seed_decides():
    assert paired(5, 10, 30, seed=1) == paired(5, 10, 30, seed=1) != paired(5, 10, 30, seed=2)


def test_single_pictures_and_catches():
    assert Counter((*t.shown, t.crop) for t in single(3, 4)) == {(m, c): 1 for m in range(3) for c in range(4)}
    assert [t.shown for t in catches([7, 2, 5], True)] == [(HR, SPOILED), (SPOILED, HR), (HR, SPOILED)]
    assert [(t.crop, t.shown) for t in catches([7], False)] == [(7, (HR,)), (7, (SPOILED,))]
    assert all(t.catch for t in catches([1], True)) and not single(1, 1)[0].catch
