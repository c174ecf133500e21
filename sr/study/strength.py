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


def interval(resampled: np.ndarray, raters: int, figure: np.ndarray | float = np.nan) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the 95 % interval, which holds the figure.

    Plain percentiles are too narrow for few raters (90 % instead of 95 % for ten): they know neither Student's t nor
    that resampled spreads are too small by (n - 1) / n. The percentiles are moved outward by both (the "expanded
    percentile interval" of Hesterberg, "What Teachers Should Know About the Bootstrap", 2015).

    Args:
        resampled: (..., times, M), what was computed from each resample.
        raters: that were drawn from; 0 where something else was, of which there is much.
        figure: what all answers say, (M,): where they are all alike it lies at the end of what can be drawn.
    """
    from scipy.stats import t  # half a second, which nobody waits for who makes a page

    wide = float(t.ppf(0.975, raters - 1)) * (raters / (raters - 1)) ** 0.5 if raters else 1.96
    tail = 100 * NormalDist().cdf(-wide)
    low, high = np.percentile(resampled, [tail, 100 - tail], axis=-2)
    return np.fmin(low, figure), np.fmax(high, figure)


def answers_drawn(wins: np.ndarray, times: int = RESAMPLES) -> np.ndarray:
    """(times, M, M): shares of the comparisons of every two models that fit what was answered.

    For raters who are too few to be drawn, and for two models of which all preferred the same one: drawn anew they
    would all be alike. Each share is from the posterior of Jeffreys' prior, Beta(wins + 1/2, losses + 1/2).
    """
    generator = np.random.default_rng(0)
    i, j = np.triu_indices(len(wins), 1)
    share = generator.beta(wins[i, j] + 0.5, wins[j, i] + 0.5, (times, len(i)))
    found = np.zeros((times, *wins.shape))
    found[:, i, j] = share * (met := wins[i, j] + wins[j, i])
    found[:, j, i] = (1 - share) * met
    return found


def unanimous(opinion: float, answers: int) -> np.ndarray:
    """(RESAMPLES,): means of opinions, 1 to 5, of which so many were alike: drawn anew they would have no spread.

    Shares of the five are from the posterior of Perks' prior, Dirichlet(counts + 1/5).
    """
    values = np.arange(1, 6)
    shares = np.random.default_rng(0).dirichlet((values == opinion) * answers + 0.2, RESAMPLES)
    return np.asarray(shares @ values)


def raters_drawn(each: np.ndarray, times: int = RESAMPLES) -> np.ndarray:
    """(raters, M, M) -> (times, M, M): comparisons of as many raters, drawn anew, but see `answers_drawn`."""
    wins = each.sum(0)
    found = np.einsum("br,rij->bij", drawn(len(each), times=times), each)
    return np.where((wins == 0) | (wins.T == 0), answers_drawn(wins, times=times), found)


def apart(met: np.ndarray) -> list[list[int]]:
    """The groups of models (numbers) between which nothing was compared, neither directly nor through others."""
    left, found = set(range(len(met))), []
    while left:
        group, new = set[int](), {min(left)}
        while new:
            group |= new
            new = {int(n) for m in new for n in np.flatnonzero(met[m])} - group
        found.append(sorted(group))
        left -= group
    return found
