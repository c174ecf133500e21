"""The base of all data sets: what is checked up front, cached pairs, and crops of them."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from filelock import FileLock

from sr.data.archives import Archive
from sr.data.augment import Augment, try_out
from sr.data.clip_sampling import ClipPatches, WholeClips
from sr.data.download import fetch_all
from sr.data.images import Images, unpacked
from sr.data.leaks import refuse_shared
from sr.data.loaders import Loaders
from sr.data.pairs import ImagePair
from sr.data.pairset import Pairs, PairSet
from sr.data.sampling import TrainPatches, WholeImages, refuse_small
from sr.data.settings import flags, whole
from sr.degradation import Degradation, matlab_bicubic
from sr.degradation.trial import refuse_undeclared
from sr.errors import UserError, some, told_once
from sr.imaging.image_errors import ImagesError, together

log = logging.getLogger(__name__)
MOST_WORKERS = max(64, 4 * (os.cpu_count() or 1))
PARTS = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ("test",)}


class SRDataModule(Loaders):
    """Training crops and whole images for measuring, of one data set at one scale.

    A subclass lists its files in `train_pairs`, `val_pairs` and `test_pairs`; everything else is here.
    `patch_size` and `batch_size` are read each time a loader is made, so a later stage may change them.

    Args:
        scale: enlargement factor.
        patch_size: side of a training crop, LR pixels.
        batch_size: images per optimizer step, over all processes and accumulated micro-batches together.
        seed: of the order, the crops and the augmentation.
        device: "auto", true or false: see `Loaders`.
        num_workers: loader processes; None is 0 on a CPU, where they only cost, and up to 4 beside a GPU.
        augment: albumentations transforms beyond the flips and quarter turns.
        dihedral: whether to draw from the eight flips and quarter turns.
        degradation: makes LR from HR where LR is not given; None is MATLAB's bicubic.
        cache_dir: folder of the decoded images.
        val_images: how many validation images are used while training; None for all.
        check_leaks: refuse training images that are also validation images.
        check_pairs: refuse LR files that show something else than their HR.
        download: fetch official archives that are missing.
    """

    def __init__(
        self,
        *,
        scale: int,
        patch_size: int = 48,
        batch_size: int = 16,
        seed: int = 0,
        num_workers: int | None = None,
        device: bool | str = "auto",
        augment: Sequence[Any] = (),
        dihedral: bool = True,
        degradation: Degradation | None = None,
        cache_dir: str | Path = "data/cache",
        val_images: int | None = 10,
        check_leaks: bool = True,
        check_pairs: bool = True,
        download: bool = False,
    ) -> None:
        super().__init__()
        self.name: str = type(self).__name__  # in tables and messages
        whole(scale=scale, patch_size=patch_size, batch_size=batch_size)
        whole(None, seed=seed)
        if val_images is not None:
            whole(val_images=val_images)
        if num_workers is not None:
            whole(0, num_workers=num_workers)
            if num_workers > MOST_WORKERS:
                raise UserError(
                    f"data.num_workers={num_workers} must be from 0 to {MOST_WORKERS}: each is a process with memory "
                    "of its own. Type data.num_workers=null for a number that suits this machine"
                )
        flags(dihedral=dihedral, check_leaks=check_leaks, check_pairs=check_pairs, download=download)
        if not isinstance(device, bool) and device != "auto":
            raise UserError(f"data.device={device!r} must be true or false, or auto")
        self.scale, self.patch_size, self.batch_size = scale, patch_size, batch_size
        self.seed, self.num_workers, self.device = seed, num_workers, device
        self.augment, self.dihedral = list(augment or ()), dihedral
        self.degradation = degradation or matlab_bicubic(scale)
        if self.degradation.scale != scale:
            raise UserError(f"the degradation shrinks by {self.degradation.scale}, but scale={scale}")
        refuse_undeclared(self.degradation)
        if cache_dir == "":
            raise UserError("cache_dir is empty, in SR_CACHE_DIR, perhaps. Name a folder, as cache_dir=data/.cache")
        self.cache_dir = Path(cache_dir)
        self.val_images, self.download = val_images, download
        self.check_leaks, self.check_pairs = check_leaks, check_pairs
        self._sets: dict[tuple[str, int], Pairs] = {}  # by part and scale

    parts: ClassVar[tuple[str, ...]] = ("train", "val", "test")  # that the set offers
    of_clips: ClassVar[bool] = False  # whether `runs` are clips
    mirror: bool = False  # whether a network on clips sees each followed by itself, run backward
    protocols: ClassVar[tuple[str, ...]] = ()  # under which papers measure on it; none: as they measure a model's kind

    # ---- what a subclass says -----------------------------------------------------------------------------

    def train_pairs(self) -> list[ImagePair]:
        """Pairs to train on."""
        raise UserError(f"{self.name} is for measuring only. Type for example data=div2k or data=folder to train")

    def val_pairs(self) -> list[ImagePair]:
        """Pairs to validate on while training."""
        raise UserError(f"{self.name} has no validation images")

    def test_pairs(self) -> list[ImagePair]:
        """Pairs to measure on; the validation images unless a subclass has others."""
        return self.val_pairs()

    @property
    def test_name(self) -> str:
        """What the images of `test_pairs` are called in tables and files."""
        return self.name

    def archives(self) -> tuple[list[Archive], Path]:
        """Official archives whose contents are missing, and the folder that they belong into."""
        return [], Path()

    @property
    def symmetric(self) -> bool:
        """Whether LR has no preferred direction, so that x8 self-ensemble is legitimate."""
        return self.degradation.symmetric

    # ---- preparation --------------------------------------------------------------------------------------

    def prepare_data(self) -> None:
        """Download what is missing, if the user asked for it."""
        if not self.download or not self.archives()[0]:
            return
        folder = self.archives()[1]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot download into {folder}: {error.strerror}") from error
        with FileLock(folder / ".download.lock"):  # another process may have fetched it meanwhile
            fetch_all(*self.archives())

    def has(self, part: str) -> bool:
        """Whether the set offers "train", "val" or "test" images."""
        return part in self.parts

    @property
    def trained_on(self) -> bool:
        """Whether the training images were opened: what is measured must be others."""
        return self.opened("train") is not None

    def setup(self, stage: str | None = None) -> None:
        """Check and open the parts that the stage needs; a second call costs nothing."""
        parts, first_time = PARTS[stage] if stage else ("train", "val", "test"), not self.trained_on
        unusable: list[ImagesError] = []
        for part in parts:
            try:
                self.pairs(part)
            except ImagesError as error:  # those of the other parts are told with them
                if all(str(error) != str(other) for other in unusable):
                    unusable.append(error)
        if unusable:
            raise together([e for error in unusable for e in error.errors], sum(error.of for error in unusable))
        if "train" in parts:
            self.check_patch(self.patch_size)
            if self.augment and first_time:
                try_out(self.augment, self._some_crops(), self.scale)
        if "test" in parts:
            self.pairs("test").verify()
        for part in parts:
            self._tell_copies(part)
        if "train" in parts and first_time:
            refuse_shared(self.images("train"), self.images("val"), self.check_leaks)

    def _tell_copies(self, part: str) -> None:
        """Tell, once, what is in a set under several names, as links or copies: it counts so often in each mean."""
        pairs, runs = self.pairs(part), self.runs(part)
        looks, kept = pairs.looks(), dict[tuple[str, ...], range]()
        first = [(run, kept.setdefault(tuple(looks[n] for n in run), run)) for run in runs]
        copies = [(run[0], of[0]) for run, of in first if pairs.paths[run[0]] != pairs.paths[of[0]]]
        if not copies:
            return
        told = some([f"{self.called(pairs, n)} is {self.called(pairs, of)}" for n, of in copies])
        what = f"{len(copies)} of the {len(runs)} {'clips' if self.of_clips else 'images'} of {self.name} are others"
        if part == "train":
            told_once(log, logging.INFO, f"{what} under a second name, and are trained on more often: {told}")
        else:
            text = f"{what} under a second name, and count more than once in each mean: {told}. Keep one of each there"
            told_once(log, logging.WARNING, f"warning: {text}")

    def called(self, pairs: Pairs, number: int) -> str:
        """What the user knows a pair by, or the clip that it is of."""
        return str(pairs.paths[number])

    def make_set(self, part: str) -> Pairs:
        """Open one part: "train" and "val" are decoded into the cache, "test" when it is verified."""
        pairs = {"train": self.train_pairs, "val": self.val_pairs, "test": self.test_pairs}[part]()
        pairs = self.first(pairs, self.val_images) if part == "val" else pairs
        if not pairs:
            raise UserError(f"{self.name} has no images to {'train' if part == 'train' else 'measure'} on")
        return PairSet(
            pairs,
            scale=self.scale,
            degradation=self.degradation,
            cache_dir=self.cache_dir,
            later=part == "test",
            label=f"{self.name} {part}",
            fixed=part != "train",
            check_pairs=self.check_pairs,
        )

    def first(self, pairs: list[ImagePair], count: int | None) -> list[ImagePair]:
        """The first `count` of them; None for all."""
        return pairs[:count]

    def runs(self, part: str) -> list[range]:
        """Which of the pairs of "train", "val" or "test" make a clip; an image is a clip of one frame."""
        return [range(i, i + 1) for i in range(len(self.pairs(part)))]

    def pairs(self, part: str) -> Pairs:
        """The opened pairs of "train", "val" or "test"."""
        key = (part, self.scale)
        if key not in self._sets:
            self._sets[key] = self.make_set(part)
        return self._sets[key]

    def strange(self, stored: bool = False) -> list[str]:
        """Names of the images, once they are opened, that are none of the set's whose name they have, pixel for pixel.

        Or one of them once more; none where the set's pixels are not known here.

        Args:
            stored: it counts, too, whether one is stored in grey.
        """
        return []

    def opened(self, part: str) -> Pairs | None:
        """These pairs where somebody asked for them before."""
        return self._sets.get((part, self.scale))

    def images(self, part: str) -> dict[str, Images]:
        pairs = self.pairs(part)
        assert isinstance(pairs, PairSet)
        return {f"{self.name} {part}": pairs.hr}

    def check_patch(self, patch_size: int) -> None:
        """See `refuse_small`."""
        pairs = self.pairs("train")
        refuse_small(pairs, patch_size, self.scale, lambda i: self.called(pairs, i))

    @property
    def plain(self) -> bool:
        """Whether LR is to be MATLAB's bicubic: then that which a set brings along can be read."""
        return self.degradation.key == matlab_bicubic(self.scale).key

    def _some_crops(self) -> list[np.ndarray]:
        """HR of the middle of a few training images."""
        pairs, p, most = self.pairs("train"), self.patch_size, 4
        chosen = range(0, len(pairs), max(1, len(pairs) // most))
        middles = [(i, (pairs.grids[i][0] - p) // 2, (pairs.grids[i][1] - p) // 2, 0) for i in chosen]
        return [unpacked(hr) for _, hr, _ in pairs.crops(middles[:most], p)]

    # ---- loaders ------------------------------------------------------------------------------------------

    @property
    def scales(self) -> tuple[int, ...]:
        return (self.scale,)

    def patches(self) -> TrainPatches | ClipPatches:
        self.check_patch(self.patch_size)
        return TrainPatches(
            self.pairs("train"),
            scale=self.scale,
            patch=self.patch_size,
            seed=self.seed,
            dihedral=self.dihedral,
            augment=Augment(self.augment) if self.augment else None,
        )

    def whole(self, part: str) -> WholeImages | WholeClips:
        return WholeImages(self.pairs(part), self.scale)

    def describe(self) -> str:
        return f"{self.name}: {len(self.pairs('train')):,} images, validating on {len(self.pairs('val'))}"
