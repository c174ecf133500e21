"""Training samples of clips by their numbers, and whole clips (what a sample is stands in `sr.data.draws`)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sr.data.augment import turned
from sr.data.batch import Batch
from sr.data.draws import ClipDraws
from sr.data.images import unpacked
from sr.data.pairset import Pairs
from sr.data.sampling import WholeImages


class ClipPatches(Dataset[Batch]):
    """Whole training batches of clips: `patches[[5, 6]]` is the Batch (uint8, (B, T, 3, h, w)) of samples 5 and 6.

    Args:
        pairs: the frames.
        runs: which of them make a clip.
        scale: enlargement factor.
        patch: side of a crop, LR pixels.
        seed: the run's.
        dihedral: whether to draw from the eight flips and quarter turns.
        frames: see `sr.data.clips.ClipModule`, as those below.
        intervals: ascending.
        reverse: of half of the samples.
        mirror: followed by itself, run backward.
    """

    augment = None

    def __init__(
        self, pairs: Pairs, runs: Sequence[range], *, scale: int, patch: int, seed: int, dihedral: bool = True,
        frames: int = 7, intervals: Sequence[int] = (1,), reverse: bool = False, mirror: bool = False,
    ) -> None:  # fmt: skip
        self.pairs, self.runs, self.scale, self.patch = pairs, list(runs), scale, patch
        self.frames, self.mirror = frames, mirror
        grids = [pairs.grids[run[0]] for run in runs]
        lengths = [len(run) for run in runs]
        self.draws = ClipDraws(grids, patch, seed, dihedral, lengths, frames, intervals, reverse)

    def __getitem__(self, samples: list[int]) -> Batch:
        p, s = self.patch, self.scale
        lr = np.empty((len(samples), self.frames, p, p), np.int32)
        hr = np.empty((len(samples), self.frames, p * s, p * s), np.int32)
        names = []
        for row, sample in enumerate(samples):
            drawn, (begin, step) = self.draws[sample], self.draws.times(sample)
            run = self.runs[drawn.image]
            places = [(run[begin + step * t], drawn.y, drawn.x, drawn.seed) for t in range(self.frames)]
            for t, (small, large, _) in enumerate(self.pairs.crops(places, p)):
                lr[row, t], hr[row, t] = turned(small, drawn.turn), turned(large, drawn.turn)
            names.append(self.pairs.names[places[self.frames // 2][0]])
        return Batch(self._clips(lr), self._clips(hr), s, names, [False] * len(samples))

    def _clips(self, pixels: np.ndarray) -> Tensor:
        """(B, T, H, W) packed -> (B, T, 3, H, W) uint8."""
        clips = torch.from_numpy(unpacked(pixels)).permute(0, 1, 4, 2, 3)
        return torch.cat([clips, clips.flip(1)], 1) if self.mirror else clips


class WholeClips(Dataset[Batch]):
    """Whole clips, as batches of one: (1, T, 3, h, w)."""

    def __init__(self, pairs: Pairs, scale: int, runs: Sequence[range]) -> None:
        self.images, self.scale, self.runs = WholeImages(pairs, scale), scale, list(runs)

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, index: int) -> Batch:
        frames = [self.images[n] for n in self.runs[index]]
        lr, hr = (torch.stack([getattr(f, name) for f in frames], 1) for name in ("lr", "hr"))
        name = frames[0].name[0].rpartition("/")[0]
        return Batch(lr, hr, self.scale, [name], [all(f.grey[0] for f in frames)])
