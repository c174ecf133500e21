"""Bradley-Terry strengths from comparisons, mean opinions, and bootstrap intervals over raters."""

from statistics import NormalDist

import numpy as np

RESAMPLES = 2000
PRIOR = 0.1  # wins of each model over each other one that nobody gave: who won all has a finite strength, too
FEWEST = 5  # raters, below which drawing raters anew says nothing


def strengths(wins: np.ndarray) -> np.ndarray:
    """The Bradley-Terry model: i is preferred to j with the probability 1 / (1 + exp(s_j - s_i)).

    Bradley and Terry, "Rank Analysis of Incomplete Block Designs", Biometrika 1952; the maximum of the likelihood with
    `PRIOR`, by Newton's method on all tables at once. A tie is half a win for each.

    Args:
        wins: (..., M, M), how often the model of the row was preferred to that of the column.

    Returns:
        (..., M): log-odds, with the mean 0.
    """
    models = wins.shape[-1]
    won = (wins + PRIOR * (1 - np.eye(models))).reshape(-1, models, models)
    met, total = won + won.transpose(0, 2, 1), won.sum(2)
    found = np.zeros(total.shape)
    for _ in range(100):
        p = 1 / (1 + np.exp(found[:, None, :] - found[:, :, None]))
        weight = met * p * (1 - p)
        slope = total - (met * p).sum(2)
        # 1 everywhere is added to the singular matrix: along the mean, in which nothing is to move.
        curve = np.eye(models) * weight.sum(2)[:, :, None] - weight + 1
        step = np.linalg.solve(curve, slope[:, :, None])[:, :, 0]
        found += step / np.maximum(1, np.abs(step).max(1, keepdims=True))  # at most 1 at once: never beyond the hill
        if np.abs(step).max(initial=0) < 1e-9:
            break
    return (found - found.mean(1, keepdims=True)).reshape(wins.shape[:-1])


def drawn(raters: int, seed: int = 0, times: int = RESAMPLES) -> np.ndarray:
    """(times, raters): how often each of them is among as many, drawn with replacement."""
    return np.random.default_rng(seed).multinomial(raters, np.full(raters, 1 / raters), times)


def interval(resampled: np.ndarray, raters: int) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the 95 % interval.

    Plain percentiles are too narrow for few raters (90 % instead of 95 % for ten): they know neither Student's t nor
    that resampled spreads are too small by (n - 1) / n. The percentiles are moved outward by both (the "expanded
    percentile interval" of Hesterberg, "What Teachers Should Know About the Bootstrap", 2015).

    Args:
        resampled: (..., times, M), what was computed from each resample.
        raters: that were drawn from; 0 where something else was, of which there is much.
    """
    from scipy.stats import t  # half a second, which nobody waits for who makes a page

    wide = float(t.ppf(0.975, raters - 1)) * (raters / (raters - 1)) ** 0.5 if raters else 1.96
    tail = 100 * NormalDist().cdf(-wide)
    low, high = np.percentile(resampled, [tail, 100 - tail], axis=-2)
    return low, high


def answers_drawn(wins: np.ndarray, seed: int = 0, times: int = RESAMPLES) -> np.ndarray:
    """(times, M, M): as many comparisons of every two models drawn anew; for raters who are too few to be drawn."""
    generator = np.random.default_rng(seed)
    i, j = np.triu_indices(len(wins), 1)
    met = wins[i, j] + wins[j, i]
    share = np.divide(wins[i, j], met, out=np.full(len(i), 0.5), where=met > 0)
    found = np.zeros((times, *wins.shape))
    found[:, i, j] = generator.binomial(np.rint(met).astype(int), share, (times, len(i)))
    found[:, j, i] = np.rint(met) - found[:, i, j]
    return found
