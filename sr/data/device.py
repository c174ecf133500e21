"""Training samples cut on a device that holds the decoded images: nothing is done or sent for a single sample.

The samples are those of the host (`sr.data.draws`), to the last bit.
"""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from sr.data.batch import Batch
from sr.data.cache import ImageStore
from sr.data.draws import BLOCK
from sr.data.sampling import MixedScales, TrainPatches

log = logging.getLogger(__name__)
SHARE = 3  # the images may take one part in so many of the device's memory


class DeviceImages:
    """Stores of decoded images, one after the other in one tensor of int32 pixels (see `sr.data.images.packed`).

    Args:
        stores: to hold; one that comes twice is held once.
        device: where.
    """

    def __init__(self, stores: Sequence[ImageStore], device: torch.device) -> None:
        unique = {store.pixels_path: store for store in stores}
        self.pixels = torch.empty(sum(len(s.pixels) for s in unique.values()), dtype=torch.int32, device=device)
        self._begin: dict[object, int] = {}
        at = 0
        for path, store in unique.items():
            for part in np.array_split(store.pixels, max(1, len(store.pixels) // 2**24)):  # 64 MiB at a time
                self.pixels[at : at + len(part)] = torch.from_numpy(part.copy())
                self._begin.setdefault(path, at)
                at += len(part)

    def places(self, parts: Sequence[tuple[ImageStore, Sequence[int]]]) -> np.ndarray:
        """(2, images): where images begin, and their widths; of images by their numbers in each store."""
        begins = [self._begin[store.pixels_path] + store.begin(i) for store, numbers in parts for i in numbers]
        return np.array([begins, [store.size(i)[1] for store, numbers in parts for i in numbers]], np.int64)


class DevicePatches(Dataset[Batch]):
    """What `TrainPatches` gives, of consecutive sample numbers, on the device."""

    def __init__(self, patches: TrainPatches, images: DeviceImages) -> None:
        self.patches, self.pixels = patches, images.pixels
        stored = patches.pairs.stored()
        assert stored is not None, "LR that is made for each crop is made on the host"
        self.lr = images.places([(part.lr, part.lr_of) for part in stored])
        self.hr = images.places([(part.hr, part.hr_of) for part in stored])
        self.greys = [part.hr.packed(i)[1] for part in stored for i in part.hr_of]
        p, s = patches.patch, patches.scale
        self._sides = [torch.arange(side, device=self.pixels.device) for side in (p, p * s)]
        self._blocks: dict[int, tuple[list[int], Tensor]] = {}

    def _block(self, number: int) -> tuple[list[int], Tensor]:
        """Of a block of samples: the images, and (2, 3, BLOCK) on the device, of LR and HR as `_walk` says."""
        if number not in self._blocks:
            image, y, x, turn, _ = self.patches.draws.table(number * BLOCK, BLOCK)
            p, s = self.patches.patch, self.patches.scale
            walks = [_walk(self.lr[:, image], y, x, turn, p), _walk(self.hr[:, image], y * s, x * s, turn, p * s)]
            self._blocks = {k: v for k, v in self._blocks.items() if k == number - 1}
            self._blocks[number] = image.tolist(), torch.from_numpy(np.stack(walks)).to(self.pixels.device)
        return self._blocks[number]

    def __getitem__(self, samples: list[int]) -> Batch:
        first, end = samples[0], samples[-1] + 1
        images, walks = list[int](), list[Tensor]()
        for number in range(first // BLOCK, (end - 1) // BLOCK + 1):
            rows = slice(max(0, first - number * BLOCK), end - number * BLOCK)
            of, walk = self._block(number)
            images += of[rows]
            walks.append(walk[..., rows])
        lr, hr = map(self._read, walks[0] if len(walks) == 1 else torch.cat(walks, 2), self._sides)
        names = self.patches.pairs.names
        return Batch(lr, hr, self.patches.scale, [names[i] for i in images], [self.greys[i] for i in images])

    def _read(self, walk: Tensor, side: Tensor) -> Tensor:
        """(B, 3, p, p) uint8: one read for crop, flip and turn."""
        begin, down, right = walk[..., None]
        index = (begin + down * side)[:, :, None] + (right * side)[:, None]
        words = self.pixels.index_select(0, index.flatten())
        return words.view(torch.uint8).view(*index.shape, 4)[..., :3].permute(0, 3, 1, 2)


def _walk(places: np.ndarray, y: np.ndarray, x: np.ndarray, turn: np.ndarray, p: int) -> np.ndarray:
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


def why_not(patches: TrainPatches | MixedScales) -> str:
    """What keeps samples from being cut on a device; empty if nothing does."""
    for each in _each(patches):
        if each.augment is not None:
            return "data.augment's transforms run on the host"
        if each.pairs.stored() is None:
            return "a random degradation is drawn on the host"
    return ""


def fits(patches: TrainPatches | MixedScales, device: torch.device) -> bool:
    """Whether the images take no more than their share of a GPU's memory; on a processor the host's way is faster."""
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
    elif device.type == "mps":
        memory = torch.mps.recommended_max_memory()
    else:
        return False
    return SHARE * 4 * sum(len(s.pixels) for s in {s.pixels_path: s for s in _stores(patches)}.values()) <= memory


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
    return [s for each in _each(patches) for part in each.pairs.stored() or () for s in (part.hr, part.lr)]
