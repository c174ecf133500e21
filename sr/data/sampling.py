"""Which crop is sample number i: a function of the run's seed and i alone.

Sample numbers are dealt out by micro-batch, process and position, so neither the number of loader workers nor a
resume changes the data, and the global batch does not depend on the number of processes either.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from sr.data.augment import Augment
from sr.data.batch import Batch
from sr.data.pairset import Pairs

WORD = 2**64 - 1


class SampleNumbers(Sampler[list[int]]):
    """Endless lists of sample numbers, one list for each micro-batch of one process.

    Args:
        micro_batch: images per process in each micro-batch.
        world: number of processes.
        rank: this process.
        start: micro-batches that each process has seen already.
    """

    def __init__(self, micro_batch: int, world: int = 1, rank: int = 0, start: int = 0) -> None:
        self.micro_batch, self.world, self.rank, self.start = micro_batch, world, rank, start

    def __iter__(self) -> Iterator[list[int]]:
        number = self.start
        while True:
            first = (number * self.world + self.rank) * self.micro_batch
            yield list(range(first, first + self.micro_batch))
            number += 1


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, images: int) -> np.ndarray:
    """The order in which an epoch goes through the images."""
    return np.random.Generator(np.random.Philox(key=_key(seed, WORD - epoch))).permutation(images)


def sample_rng(seed: int, sample: int) -> np.random.Generator:
    """The source of every random number of one sample; counter-based, so that making it is cheap."""
    return np.random.Generator(np.random.Philox(key=_key(seed, sample)))


def step_rng(seed: int, step: int) -> np.random.Generator:
    """The source of what all samples of one optimizer step share; a part of the counter that no sample reaches."""
    return np.random.Generator(np.random.Philox(key=_key(seed, step), counter=2**192))


def _key(seed: int, number: int) -> np.ndarray:
    return np.array([seed & WORD, number], np.uint64)


class TrainPatches(Dataset[Batch]):
    """Whole training batches: `patches[[5, 6, 7]]` is the Batch (uint8) of samples 5, 6 and 7.

    Args:
        pairs: where crops are taken from.
        scale: enlargement factor.
        patch: side of a crop, LR pixels.
        seed: the run's.
        augment: applied to each LR-HR crop.
    """

    def __init__(self, pairs: Pairs, *, scale: int, patch: int, seed: int, augment: Augment) -> None:
        self.pairs, self.scale, self.patch, self.seed, self.augment = pairs, scale, patch, seed, augment

    def __getitem__(self, samples: list[int]) -> Batch:
        p, s = self.patch, self.scale
        lr = np.empty((len(samples), p, p, 3), np.uint8)
        hr = np.empty((len(samples), p * s, p * s, 3), np.uint8)
        names, greys = [], []
        for row, sample in enumerate(samples):
            rng = sample_rng(self.seed, sample)
            epoch, position = divmod(sample, len(self.pairs))
            index = int(epoch_order(self.seed, epoch, len(self.pairs))[position])
            h, w = self.pairs.grids[index]
            y, x = int(rng.integers(h - p + 1)), int(rng.integers(w - p + 1))
            small, large, grey = self.pairs.crop(index, y, x, p, rng)
            lr[row], hr[row] = self.augment(small, large, rng)
            names.append(self.pairs.names[index])
            greys.append(grey)
        return Batch(_channels_first(lr), _channels_first(hr), s, names, greys)


class WholeImages(Dataset[Batch]):
    """Whole images for measuring, as batches of one."""

    def __init__(self, pairs: Pairs, scale: int) -> None:
        self.pairs, self.scale = pairs, scale

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Batch:
        lr, hr, grey = self.pairs.whole(index)
        first, second = (_channels_first(np.array(v)[None]) for v in (lr, hr))
        return Batch(first, second, self.scale, [self.pairs.names[index]], [grey])


def _channels_first(images: np.ndarray) -> torch.Tensor:
    """(B, H, W, 3) -> a (B, 3, H, W) view of the same memory; made contiguous on the device, where it is cheap."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)
