"""Raters who were made up: the order of models is found again, and intervals hold the truth as often as they say."""

import re
from pathlib import Path

import numpy as np
import pytest
from raters import STEP, a_study

from sr.study.analysis import tally
from sr.study.strength import answers_drawn, apart, interval, raters_drawn, strengths, unanimous

DOCS = Path(__file__).resolve().parents[2] / "docs/study.md"
TRUTH = STEP * (np.arange(5) - 2)  # five models, neighbours preferred 65 to 35


def studies(number: int, pairs: int, raters: int = 10, times: int = 2000) -> tuple[int, float, float]:
    """Studies of raters who answer independently, each with the trials of one page.

    Args:
        number: of studies.
        pairs: in which each rater sees each model.
        raters: of each study.
        times: resamples.

    Returns:
        In how many the order was found, the share of the models' intervals that hold the truth, and that of plain
        percentiles.
    """
    study, generator = a_study(pairs=pairs, catch=0), np.random.default_rng(16)
    first, second = np.array([trial.shown for trial in study.trials]).T
    share = 1 / (1 + np.exp(TRUTH[second] - TRUTH[first]))
    answers = (generator.random((number, raters, len(share))) < share).astype(float)
    wins = tally(study, answers.reshape(-1, len(share))).reshape(number, raters, 5, 5)
    recovered = (np.diff(strengths(wins.sum(1)), axis=1) > 1e-9).all(1)  # models that came out alike are in no order
    resampled = strengths(np.stack([raters_drawn(each, times) for each in wins]))
    held = [
        ((low <= TRUTH) & (high >= TRUTH)).mean()
        for low, high in (interval(resampled, raters), np.percentile(resampled, [2.5, 97.5], axis=1))
    ]
    return int(recovered.sum()), *map(float, held)


def test_forty_studies():
    recovered, held, _ = studies(40, 30, times=500)
    assert recovered >= 38 and 0.88 <= held <= 0.99


@pytest.mark.slow
def test_two_hundred_studies_are_as_the_page_tells():
    """30 pairs a model of each rater are 75 trials; of all ten raters together they are too few."""
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) of 200 \| ([\d.]+) % \| ([\d.]+) % \|$", DOCS.read_text(), re.M)
    assert [row[0] for row in rows] == ["30", "12", "3"]
    for pairs, trials, *told in rows:
        recovered, held, plain = studies(200, int(pairs))
        assert [str(recovered), f"{100 * held:.1f}", f"{100 * plain:.1f}"] == told
        assert len(a_study(pairs=int(pairs), catch=0).trials) == int(trials)
        assert 0.9 <= held <= 0.98 and (recovered >= 190 or pairs != "30")


def test_strengths_are_those_of_the_likelihood():
    """The exact table of a Bradley-Terry model gives its strengths back, but for the prior; ties are half a win."""
    truth = np.array([-1.0, 0.2, 0.8])
    share = 1 / (1 + np.exp(truth[None, :] - truth[:, None]))
    wins = 1e6 * share * (1 - np.eye(3))
    assert strengths(wins) == pytest.approx(truth, abs=1e-5)
    assert strengths(np.stack([wins, wins.T])) == pytest.approx(np.stack([truth, -truth]), abs=1e-5)
    assert strengths(np.array([[0, 2.5], [1.5, 0]])) == pytest.approx([np.log(2.6 / 1.6) / 2, -np.log(2.6 / 1.6) / 2])


def test_who_wins_all_has_a_finite_strength_and_who_was_not_seen_stands_in_the_middle():
    found = strengths(np.array([[0, 1000, 0], [0, 0, 0], [0, 0, 0]], float))
    assert np.isfinite(found).all() and found[0] > 4 and found[2] == pytest.approx(0, abs=1e-9)


def test_intervals_are_wider_than_percentiles_by_student_and_by_n():
    resampled = np.random.default_rng(0).normal(size=(200_000, 1))
    low, high = interval(resampled, 10)
    assert high[0] == pytest.approx(2.262 * (10 / 9) ** 0.5, abs=0.03) and low[0] == pytest.approx(-high[0], abs=0.05)
    assert interval(resampled, 0)[1][0] == pytest.approx(1.96, abs=0.03)


def test_answers_drawn_anew_are_as_many_and_never_certain():
    wins = np.array([[0, 12.5, 4], [7.5, 0, 0], [0, 0, 0]])
    found = answers_drawn(wins, times=4000)
    assert found + found.transpose(0, 2, 1) == pytest.approx(np.broadcast_to(wins + wins.T, found.shape))
    assert found.mean(0)[0] == pytest.approx([0, 20 * 13 / 21, 4 * 4.5 / 5], abs=0.1)
    low, high = interval(strengths(answers_drawn(np.array([[0, 4.0], [0, 0]]))), 0)
    assert low[0] < 0.3 < 1.6 < high[0] < 2  # four of four: the share lies between a half and one
    wins = np.array([[0, 4.0], [0, 0]])
    low, high = interval(strengths(answers_drawn(wins)), 0, strengths(wins))
    assert (low <= strengths(wins)).all() and (strengths(wins) <= high).all()  # as a picture's bars need it
    low, high = interval(strengths(raters_drawn(np.broadcast_to(wins, (6, 2, 2)))), 6)
    assert high[0] - low[0] > 1


def test_opinions_that_are_all_alike_are_no_certainty_either():
    few, many = (unanimous(5, n) for n in (4, 400))
    assert interval(few[:, None], 0)[0][0] < 4.5 and 4.9 < interval(many[:, None], 0)[0][0] < few.max() <= 5


def test_groups_that_nobody_compared_are_told():
    met = np.zeros((5, 5))
    met[0, 3] = met[3, 0] = met[3, 4] = met[4, 3] = 1
    assert apart(met) == [[0, 3, 4], [1], [2]]
