"""Samples by their numbers, cut from images on the host (what a sample is stands in `sr.data.draws`).

Sample numbers are dealt out by micro-batch, process and position, so neither the number of loader workers nor a
resume changes the data, and the global batch does not depend on the number of processes either.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from sr.data.augment import Augment, turned
from sr.data.batch import Batch
from sr.data.draws import Draws, step_choice
from sr.data.images import packed, unpacked
from sr.data.pairset import Pairs
from sr.errors import UserError, some


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


class TrainPatches(Dataset[Batch]):
    """Whole training batches: `patches[[5, 6, 7]]` is the Batch (uint8) of samples 5, 6 and 7.

    Args:
        pairs: where crops are taken from.
        scale: enlargement factor.
        patch: side of a crop, LR pixels.
        seed: the run's.
        dihedral: whether to draw from the eight flips and quarter turns.
        augment: what the user adds, applied to each LR-HR crop; None for nothing.
    """

    def __init__(
        self, pairs: Pairs, *, scale: int, patch: int, seed: int, dihedral: bool = True, augment: Augment | None = None
    ) -> None:
        self.pairs, self.scale, self.patch, self.augment = pairs, scale, patch, augment
        self.draws = Draws(pairs.grids, patch, seed, dihedral)

    def __getitem__(self, samples: list[int]) -> Batch:
        p, s = self.patch, self.scale
        lr = np.empty((len(samples), p, p), np.int32)
        hr = np.empty((len(samples), p * s, p * s), np.int32)
        names, greys = [], []
        drawn = [self.draws[sample] for sample in samples]
        crops = self.pairs.crops([(index, y, x, seed) for index, y, x, _, seed in drawn], p)
        for row, ((index, _, _, turn, seed), (small, large, grey)) in enumerate(zip(drawn, crops, strict=True)):
            lr[row], hr[row] = turned(small, turn), turned(large, turn)
            names.append(self.pairs.names[index])
            greys.append(grey)
            if self.augment is not None:
                lr[row], hr[row] = map(packed, self.augment(unpacked(lr[row]), unpacked(hr[row]), seed))
        return Batch(_channels_first(unpacked(lr)), _channels_first(unpacked(hr)), s, names, greys)


class MixedScales(Dataset[Batch]):
    """Training batches of several scales; each optimizer step draws one of them, all equally likely.

    The draw is a function of the seed and the step's number alone, so that all processes and micro-batches of a step
    share it, and neither a resume nor the number of workers changes it.

    Args:
        patches: the training batches of each scale.
        batch_size: samples per optimizer step; a step's first sample number is a multiple of it.
        seed: the run's.
    """

    def __init__(self, patches: Sequence[Any], *, batch_size: int, seed: int) -> None:
        self.patches, self.batch_size, self.seed = list(patches), batch_size, seed

    def __getitem__(self, samples: list[int]) -> Batch:
        step = samples[0] // self.batch_size
        return self.patches[step_choice(self.seed, step, len(self.patches))][samples]


class WholeImages(Dataset[Batch]):
    """Whole images for measuring, as batches of one."""

    def __init__(self, pairs: Pairs, scale: int) -> None:
        self.pairs, self.scale = pairs, scale

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Batch:
        lr, hr, grey = self.pairs.whole(index)
        first, second = (torch.from_numpy(v.transpose(2, 0, 1).copy())[None] for v in (lr, hr))
        return Batch(first, second, self.scale, [self.pairs.names[index]], [grey])


def _channels_first(images: np.ndarray) -> torch.Tensor:
    """(B, H, W, 3) -> a (B, 3, H, W) view of the same memory; made contiguous on the device, where it is cheap."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def refuse_small(pairs: Pairs, patch: int, scale: int, called: Callable[[int], str]) -> None:
    """Every image holds a crop of `patch` LR pixels; `called` tells what the user knows one by.

    Raises:
        UserError: names images that are smaller and the size that all allow.
    """
    if small := [i for i, grid in enumerate(pairs.grids) if min(grid) < patch]:
        (h, w), fits = pairs.grids[small[0]], min(min(g) for g in pairs.grids)
        raise UserError(
            f"{len(small)} of {len(pairs)} training images are smaller than the patch, {patch} LR pixels "
            f"({patch * scale} of HR at scale {scale}): the first is {w}x{h} LR pixels ({w * scale}x{h * scale} of HR)."
            f"\n  {some([*dict.fromkeys(map(called, small))])}\n  "
            f"Remove them, or type patch_size={fits} (the largest that all allow) or less"
        )
