"""Which frame of its clip LR shows, by thumbnails: those of neighbours are nearly alike.

What sets LR's thumbnail apart from its own HR's, as how each was shrunk, hardly changes in a clip. So frames are
compared as they are, and without what all of them have in common.
"""

import numpy as np

CLOSER = 0.9  # of the distance to its own HR: nearer LR is to another frame. Of right LR, noisy or not, above 1
LEAST = 0.5  # root mean square of what two frames differ by, 8-bit levels: rounding leaves 0.4
STEPS = (1, -1, 2, -2, 3, -3)  # frames that LR may be early or late by
TOGETHER = 5  # frames in a row that are judged together, fewer of a shorter clip: one may be nearer by chance
BLOCK = 100  # frames among which two are looked for that were exchanged
OPPOSITE = -0.5  # what two of LR differ by, as a share of what their HR does: 1 if they are right, -1 if exchanged


def shown_instead(small: np.ndarray, large: np.ndarray) -> dict[int, int]:
    """The frames that do not show their own HR, and which one they show.

    Args:
        small: thumbnails of one clip's LR in the order of time, (n, h, w), 8-bit levels.
        large: of its HR.
    """
    lr, hr = (frames.reshape(len(frames), -1).astype(np.float32) for frames in (small, large))
    lr, hr = (frames - frames.mean(1, keepdims=True) for frames in (lr, hr))
    contrasts = [np.maximum(frames.std(1, keepdims=True), 1) for frames in (lr, hr)]
    lr, hr = (frames / own * contrasts[1].mean() for frames, own in zip((lr, hr), contrasts, strict=True))
    moved = _moved(lr, hr)
    return moved | {i: j for i, j in _exchanged(lr, hr).items() if not {i, j} & moved.keys()}


def _moved(lr: np.ndarray, hr: np.ndarray) -> dict[int, int]:
    """Frames in a row that come too early or too late, by the step after which they are nearest."""
    nearest, found = np.full(len(lr), CLOSER), dict[int, int]()
    for step in STEPS:
        at = np.arange(max(0, -step), len(lr) - max(0, step))
        if (some := min(TOGETHER, len(at))) < 2:
            continue
        mine, other = _apart(lr[at] - hr[at]), _apart(lr[at] - hr[at + step])
        around = np.pad(_sums(other, some) / np.maximum(_sums(mine, some), 1e-9), some - 1, constant_values=np.inf)
        best = np.lib.stride_tricks.sliding_window_view(around, some).min(1)  # of the rows that a frame is in
        differ = _squares(hr[at] - hr[at + step]) > LEAST**2 * hr.shape[1]
        for n in np.flatnonzero((best < nearest[at]) & (other < mine) & differ).tolist():
            nearest[at[n]], found[int(at[n])] = best[n], int(at[n]) + step
    return found


def _exchanged(lr: np.ndarray, hr: np.ndarray) -> dict[int, int]:
    """Two that are each nearer to the other's HR than to their own."""
    found = dict[int, int]()
    for first in range(0, max(1, len(lr) - BLOCK // 2), BLOCK // 2):
        low, high = lr[first : first + BLOCK], hr[first : first + BLOCK]
        like = (low - low.mean(0)) @ (high - high.mean(0)).T
        apart = _squares(high - high.mean(0)) - 2 * like + _squares(low - low.mean(0))[:, None]
        nearer = apart < CLOSER**2 * apart.diagonal()[:, None]
        for i, j in np.argwhere(nearer & nearer.T).tolist():
            alike, differ = ((low[i] - low[j]) * (high[i] - high[j])).mean(), np.square(high[i] - high[j]).mean()
            if differ > LEAST**2 and alike < OPPOSITE * differ:
                found[first + i] = first + j
    return found


def _apart(rest: np.ndarray) -> np.ndarray:
    """How large what is left of each frame is, as it is and without what all have in common, (n,)."""
    return np.asarray(np.abs(rest).mean(1) + np.abs(rest - rest.mean(0)).mean(1))


def _squares(frames: np.ndarray) -> np.ndarray:
    return np.square(frames).sum(1)


def _sums(values: np.ndarray, some: int) -> np.ndarray:
    """Of so many in a row."""
    return np.convolve(values, np.ones(some), "valid")
