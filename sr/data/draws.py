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
PLACE, OWN, ORDER, STEP = range(4)  # which numbers of a counter: no two uses share any


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
