"""What sample number i is: a function of the run's seed and i alone, wherever its pixels are cut.

Every epoch shows each image once, in an order of its own. What is drawn is kept in tables of many samples, which
`sr.data.sampling` cuts from on the host and `sr.data.device` on a device.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sr.philox import below, philox, words

STREAM = 2  # raise it when the same seed draws other samples: older runs cannot go on then
BLOCK = 4096  # samples that are drawn at once
PLACE, OWN, ORDER, STEP, TIME = range(5)  # which numbers of a counter: no two uses share any


class Draw(NamedTuple):
    """One sample, or an array of each for many.

    Attributes:
        image: number of the image.
        y: top row of the crop, LR pixels.
        x: its left column.
        turn: 0 to 7: the sum of 1 for upside down, 2 for left to right, and 4 for rows and columns exchanged first.
        seed: 0 to 2^62 - 1, of what else is random in the sample: its degradation, the user's augmentation.
    """

    image: int
    y: int
    x: int
    turn: int
    seed: int


class Draws:
    """The samples of one data set at one patch size.

    Args:
        grids: (h, w) of each image, LR pixels.
        patch: side of a crop, LR pixels.
        seed: the run's.
        dihedral: whether to draw from the eight flips and quarter turns.
    """

    def __init__(self, grids: Sequence[tuple[int, int]], patch: int, seed: int, dihedral: bool = True) -> None:
        self.seed, self.dihedral = seed, dihedral
        self.room = np.array(grids, np.int64).reshape(-1, 2) - patch + 1  # places in each direction
        self._listed: tuple[int, list[Draw]] = (-1, [])

    def table(self, first: int, count: int) -> np.ndarray:
        """(5, count) int64: the fields of `Draw`, of samples `first` to `first + count - 1`."""
        images = len(self.room)
        samples = np.arange(first, first + count, dtype=np.int64)
        epochs, position = samples // images, samples % images
        orders = epoch_orders(self.seed, int(epochs[0]), int(epochs[-1]) + 1, images)
        image = orders[epochs - epochs[0], position]
        rows, columns, turns, _ = philox(_counter(samples, PLACE), words(self.seed))
        y, x = below(rows, self.room[image, 0]), below(columns, self.room[image, 1])
        turn = below(turns, 8 if self.dihedral else 1)
        low, high, _, _ = philox(_counter(samples, OWN), words(self.seed))
        return np.stack([image, y, x, turn, (high >> 2) << 32 | low])

    def __getitem__(self, sample: int) -> Draw:
        block, row = divmod(sample, BLOCK)
        if self._listed[0] != block:
            self._listed = block, [Draw(*column) for column in self.table(block * BLOCK, BLOCK).T.tolist()]
        return self._listed[1][row]


@lru_cache(maxsize=2)
def epoch_orders(seed: int, first: int, end: int, images: int) -> np.ndarray:
    """(end - first, images): the order in which each epoch goes through the images."""
    epochs, image = np.arange(first, end, dtype=np.int64)[:, None], np.arange(images, dtype=np.int64)
    low, high, _, _ = philox(_counter(epochs, ORDER, image), words(seed))
    return np.argsort((high >> 1) << 32 | low, axis=1, kind="stable")


def step_choice(seed: int, step: int, choices: int) -> int:
    """One of 0 to choices - 1, which all samples of an optimizer step share."""
    return int(below(philox(_counter(np.array([step]), STEP), words(seed))[0], choices)[0])


def _counter(numbers: np.ndarray, use: int, within: np.ndarray | int = 0) -> tuple[np.ndarray | int, ...]:
    return (*words(numbers), within, use)


class ClipDraws(Draws):
    """The samples of clips: of each, beside the place that all of its frames share, where it begins and how it runs.

    Args:
        grids: (h, w) of each clip's frames, LR pixels.
        patch: side of a crop, LR pixels.
        seed: the run's.
        dihedral: whether to draw from the eight flips and quarter turns.
        lengths: frames of each clip.
        frames: of a sample.
        intervals: from a frame of a sample to the next, ascending; the first fits every clip.
        reverse: half of the samples run backward.
    """

    def __init__(
        self,
        grids: Sequence[tuple[int, int]],
        patch: int,
        seed: int,
        dihedral: bool,
        lengths: Sequence[int],
        frames: int,
        intervals: Sequence[int] = (1,),
        reverse: bool = False,
    ) -> None:
        super().__init__(grids, patch, seed, dihedral)
        self.lengths, self.reverse = np.array(lengths, np.int64), reverse
        self.spans = (frames - 1) * np.array(intervals, np.int64)  # from the first frame to the last
        self.intervals = np.array(intervals, np.int64)
        self._timed: tuple[int, list[list[int]]] = (-1, [])

    def time_table(self, first: int, count: int) -> np.ndarray:
        """(2, count) int64: first frame and step to the next, of samples `first` to `first + count - 1`."""
        length = self.lengths[self.table(first, count)[0]]
        samples = np.arange(first, first + count, dtype=np.int64)
        starts, choices, directions, _ = philox(_counter(samples, TIME), words(self.seed))
        chosen = below(choices, (self.spans[None] < length[:, None]).sum(1))
        span, step = self.spans[chosen], self.intervals[chosen]
        begin = below(starts, length - span)
        backward = below(directions, 2 if self.reverse else 1) == 1
        return np.stack([np.where(backward, begin + span, begin), np.where(backward, -step, step)])

    def times(self, sample: int) -> list[int]:
        """The first frame of a sample, and the step to the next."""
        block, row = divmod(sample, BLOCK)
        if self._timed[0] != block:
            self._timed = block, self.time_table(block * BLOCK, BLOCK).T.tolist()
        return self._timed[1][row]
