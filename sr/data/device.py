"""Training samples cut on a device that holds the decoded images: nothing is done or sent for a single sample.

The samples are those of the host (`sr.data.draws`), to the last bit.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from sr.data.batch import Batch
from sr.data.cache import ImageStore
from sr.data.clip_sampling import ClipPatches
from sr.data.draws import BLOCK
from sr.data.images import unpacked
from sr.data.sampling import MixedScales, TrainPatches
from sr.degradation.base import Parts
from sr.imaging.banded import plain
from sr.memory import sent

log = logging.getLogger(__name__)
SHARE = 3  # the images may take one part in so many of the device's memory


class DeviceImages:
    """Stores of decoded images, one after the other in one tensor of int32 pixels (see `sr.data.images.packed`).

    Args:
        stores: to hold; one that comes twice is held once.
        device: where.
    """

    def __init__(self, stores: Sequence[ImageStore], device: torch.device) -> None:
        unique = _unique(stores)
        count = sum(len(store.pixels) for store in unique)
        if device.type == "cpu":
            self.pixels = torch.from_numpy(np.empty(count, np.int32))  # which lies in large pages: 5 % faster to read
        else:
            self.pixels = torch.empty(count, dtype=torch.int32, device=device)
        self._begin: dict[object, int] = {}
        at = 0
        for store in unique:
            for part in np.array_split(store.pixels, max(1, len(store.pixels) // 2**24)):  # 64 MiB at a time
                self.pixels[at : at + len(part)] = torch.from_numpy(part.copy())
                self._begin.setdefault(store.pixels_path, at)
                at += len(part)

    def places(self, parts: Sequence[tuple[ImageStore, Sequence[int]]]) -> np.ndarray:
        """(2, images): where images begin, and their widths; of images by their numbers in each store."""
        begins = [self._begin[store.pixels_path] + store.begin(i) for store, numbers in parts for i in numbers]
        return np.array([begins, [store.size(i)[1] for store, numbers in parts for i in numbers]], np.int64)


class Table(NamedTuple):
    """Consecutive samples as the device needs them.

    Attributes:
        first: number of the first.
        images: the number of each one's image.
        lr: (3, samples) tensor: see `_walk`; of LR that is made, within the crop.
        hr: the same of HR.
        parts: where LR is made: of which parts of HR.
        places: (2, samples): where the images of those parts begin, and their widths.
    """

    first: int
    images: list[int]
    lr: Tensor
    hr: Tensor
    parts: Parts | None
    places: Tensor


class DevicePatches(Dataset[Batch]):
    """What `TrainPatches` gives, of consecutive sample numbers, on the device."""

    def __init__(self, patches: TrainPatches, images: DeviceImages) -> None:
        self.patches, self.pixels = patches, images.pixels
        stored = patches.pairs.stored()
        assert stored is not None, "images that are decoded on demand are the host's"
        self.hr = images.places([(part.hr, part.hr_of) for part in stored])
        lr = [(part.lr, part.lr_of) for part in stored if part.lr is not None]
        self.lr = images.places(lr) if lr else None
        self.chain = stored[0].degradation
        self.greys = [part.hr.packed(i)[1] for part in stored for i in part.hr_of]
        self._host = plain(self.pixels)
        self._index = torch.int32 if len(self.pixels) < 2**31 else torch.int64  # half as many bytes to read
        self._table: Table | None = None

    def _drawn(self, first: int, count: int) -> Table:
        image, y, x, turn, seed = self.patches.draws.table(first, count)
        p, s, device = self.patches.patch, self.patches.scale, self.pixels.device
        hr = _walk(self.hr[:, image], y * s, x * s, turn, p * s)
        if self.lr is None:
            grids = np.array(self.patches.pairs.grids)[image].T
            parts = self.chain.parts(np.stack([y, x]), (p, p), grids, seed, True).to(device)
            lr = _walk(np.array([[0], [p]]), 0, 0, turn, p)
        else:
            parts, lr = None, _walk(self.lr[:, image], y, x, turn, p)
        lr_walk, hr_walk = (sent(torch.from_numpy(v).to(self._index), device) for v in (lr, hr))
        places = sent(torch.from_numpy(self.hr[:, image]), device)
        return Table(first, image.tolist(), lr_walk, hr_walk, parts, places)

    def __getitem__(self, samples: list[int]) -> Batch:
        first, end = samples[0], samples[-1] + 1
        if self._table is None or not self._table.first <= first < end <= self._table.first + len(self._table.images):
            self._table = self._drawn(first, max(BLOCK, end - first))
        table, rows = self._table, slice(first - self._table.first, end - self._table.first)
        p, s = self.patches.patch, self.patches.scale
        hr, walk = self._cut(table.hr[:, rows], p * s), table.lr[:, rows]
        if table.parts is None:
            lr = self._cut(walk, p)
        else:
            lr = _turned(self._made(table, table.parts.of(rows), rows), _steps(walk, p))
        images, names = table.images[rows], self.patches.pairs.names
        return Batch(lr, hr, s, [names[i] for i in images], [self.greys[i] for i in images])

    def _made(self, table: Table, parts: Parts, rows: slice) -> Tensor:
        """(B, 3, p, p) uint8: LR of the crops as they lie."""
        (begin, width), (row, column) = table.places[:, rows, None], parts.given[0].places(self.chain.edge)
        index = (begin + row * width).to(self._index)[:, :, None] + column.to(self._index)[:, None]
        return self.chain.batch(self._read(index).contiguous(), parts)

    def _cut(self, walk: Tensor, p: int) -> Tensor:
        """(B, 3, p, p) uint8: turned crops."""
        if self._host is None:
            return self._read(_steps(walk, p))
        words = np.empty((walk.shape[1], p, p), np.int32)  # a processor copies views faster than it gathers
        for row, (begin, down, right) in enumerate(walk.T.tolist()):
            words[row] = np.ndarray((p, p), np.int32, self._host, 4 * begin, (4 * down, 4 * right))
        return torch.from_numpy(unpacked(words).transpose(0, 3, 1, 2))

    def _read(self, index: Tensor) -> Tensor:
        """(B, 3, h, w) uint8."""
        words = self.pixels.index_select(0, index.flatten())
        return words.view(torch.uint8).view(*index.shape, 4)[..., :3].permute(0, 3, 1, 2)


def _steps(walk: Tensor, p: int) -> Tensor:
    """(B, p, p): one read for crop, flip and turn."""
    side = torch.arange(p, device=walk.device, dtype=walk.dtype)
    begin, down, right = walk[..., None]
    return (begin + down * side)[:, :, None] + (right * side)[:, None]


def _turned(x: Tensor, walk: Tensor) -> Tensor:
    return x.flatten(2).gather(2, walk.long().flatten(1)[:, None].expand(-1, 3, -1)).view(x.shape)


def _walk(places: np.ndarray, y: Any, x: Any, turn: np.ndarray, p: int) -> np.ndarray:
    """Where each turned crop of p x p begins in memory, and how far on the next row and the next column are."""
    begin, width = places
    swapped = turn & 4 != 0
    down, right = np.where(swapped, 1, width), np.where(swapped, width, 1)
    up, left = turn & 1, turn >> 1 & 1  # upside down, left to right
    begin = begin + y * width + x + (p - 1) * (up * down + left * right)
    return np.stack([begin, (1 - 2 * up) * down, (1 - 2 * left) * right])


class DeviceBatches:
    """Endless micro-batches on the device."""

    def __init__(self, patches: Dataset[Batch], numbers: Sampler[list[int]]) -> None:
        self.patches, self.numbers = patches, numbers

    def __iter__(self) -> Iterator[Batch]:
        return (self.patches[samples] for samples in self.numbers)


def why_not(patches: TrainPatches | ClipPatches | MixedScales) -> str:
    """What keeps samples from being cut on a device; empty if nothing does."""
    if isinstance(patches, ClipPatches):
        return "clips are cut on the host"
    for each in _each(patches):
        if each.augment is not None:
            return "data.augment's transforms run on the host"
        if (stored := each.pairs.stored()) is None:
            return "images that are decoded on demand are cut on the host"
        if all(part.lr is not None for part in stored):
            continue
        if any(part.lr is not None or part.degradation.key != stored[0].degradation.key for part in stored):
            return "LR of sets that are degraded differently is made on the host"
        if alone := stored[0].degradation.alone:
            return f"{alone} degrades one image at a time, on the host"
    return ""


def fits(patches: TrainPatches | MixedScales, device: torch.device) -> bool:
    """Whether the images take no more than their share of a GPU's memory; on a processor it gains nothing."""
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
    elif device.type == "mps":
        memory = torch.mps.recommended_max_memory()
    else:
        return False
    return SHARE * 4 * sum(len(store.pixels) for store in _unique(_stores(patches))) <= memory


def on_device(patches: TrainPatches | MixedScales, device: torch.device) -> Dataset[Batch]:
    """The same batches, cut on the device."""
    images = DeviceImages(_stores(patches), device)
    log.info(f"training images on {device}: {images.pixels.nbytes / 2**30:.2f} GiB")
    if isinstance(patches, MixedScales):
        on = [DevicePatches(each, images) for each in patches.patches]
        return MixedScales(on, batch_size=patches.batch_size, seed=patches.seed)
    return DevicePatches(patches, images)


def _each(patches: TrainPatches | MixedScales) -> Sequence[TrainPatches]:
    return patches.patches if isinstance(patches, MixedScales) else [patches]


def _stores(patches: TrainPatches | MixedScales) -> list[ImageStore]:
    return [s for each in _each(patches) for part in each.pairs.stored() or () for s in (part.hr, part.lr) if s]


def _unique(stores: Sequence[ImageStore]) -> list[ImageStore]:
    return list({store.pixels_path: store for store in stores}.values())
