"""Pixels of LR-HR pairs: whole images and aligned crops, whatever LR is (files, cached, or made on the fly)."""

import functools
import hashlib
import logging
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from sr.data.as_bicubic import is_bicubic
from sr.data.belonging import decoded, looked_at, report
from sr.data.cache import ImageStore
from sr.data.compact import Paths, Sizes, Texts
from sr.data.images import DerivedImages, Images, LazyImages, packed, planes, unpacked
from sr.data.pairs import ImagePair, check_sizes
from sr.degradation import Degradation
from sr.degradation.parts import cut_out
from sr.errors import UserError
from sr.imaging.image_errors import ImagesError

log = logging.getLogger(__name__)
ROOM = 0.25  # of what is free on its disk, the cache of a set that is only measured on may take
Pixels = tuple[np.ndarray, np.ndarray, bool]  # LR, HR and whether HR is stored as grey
Place = tuple[int, int, int, int]  # number of the pair, row and column of a crop in LR pixels, seed


class Stored(NamedTuple):
    """Where the pixels of a set of pairs lie: the decoded images, and which of them belongs to each pair.

    LR is None where `degradation` makes it for each crop.
    """

    hr: ImageStore
    hr_of: list[int]
    lr: ImageStore | None
    lr_of: list[int]
    degradation: Degradation


SEEN = 1000  # of sets of images all


class Pairs:
    """A sequence of LR-HR pairs, cropped at the top left to the same multiple of the scale.

    Attributes:
        names: one per pair.
        grids: (h, w) of each LR image; HR is `scale` times that.
        paths: the HR file of each pair.
    """

    names: Sequence[str]
    grids: Sequence[tuple[int, int]]
    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.names)

    def verify(self) -> None:
        """Decode every file that was not decoded yet, and hold LR files against HR.

        Raises:
            UserError: names all that cannot be used.
        """
        raise NotImplementedError

    @property
    def makes_lr(self) -> bool:
        """Whether LR of any pair is made from HR, by a degradation."""
        raise NotImplementedError

    def looks(self) -> list[str]:
        """Of each pair a digest of HR, and of LR where it is read: of two pairs with one look one is a copy."""
        raise NotImplementedError

    @functools.cached_property
    def plain_lr(self) -> bool:
        """Whether LR is the papers' plain bicubic of HR, by the pixels of `SEEN` pairs, others each time."""
        drawn = random.SystemRandom().sample(range(len(self)), min(SEEN, len(self)))
        looked = (self.whole(n)[:2] for n in drawn)
        return all(is_bicubic(lr, hr, len(hr) // len(lr)) for lr, hr in looked)

    def digests(self) -> dict[str, str]:
        """`looks`, and what LR is drawn by, by set, scale and name; none where decoded on demand."""
        return {}

    def stored(self) -> list[Stored] | None:
        """The decoded images behind the pairs, in order; None where they are not kept."""
        raise NotImplementedError

    def whole(self, index: int) -> Pixels:
        """LR (h, w, 3) and HR (s*h, s*w, 3), both uint8."""
        raise NotImplementedError

    def crops(self, places: Sequence[Place], size: int) -> list[Pixels]:
        """The squares of `size` LR pixels at these places, packed (int32, see `sr.data.images.packed`).

        A random degradation is seeded by the place's seed.
        """
        raise NotImplementedError


class PairSet(Pairs):
    """Pairs of one data set at one scale.

    Args:
        pairs: all with an LR file, or all without (LR is then made from HR).
        scale: enlargement factor.
        degradation: makes LR from HR where there are no LR files.
        cache_dir: where decoded images are kept; None decodes on demand and writes nothing.
        later: decode into the cache only when the set is verified, and on demand where there is little room for it.
        label: names the set in the progress bar and in the cache.
        check_pairs: refuse LR files that show something else than their HR.
        fixed: LR of a random degradation is drawn once for each image (seeded by its name), as measuring needs;
            otherwise anew for each crop.
    """

    def __init__(
        self,
        pairs: Sequence[ImagePair],
        *,
        scale: int,
        degradation: Degradation,
        cache_dir: str | Path | None,
        label: str,
        fixed: bool,
        check_pairs: bool = True,
        later: bool = False,
    ) -> None:
        self.scale, self.degradation, self.label = scale, degradation, label
        self._fixed, self._to_check = fixed or degradation.deterministic, check_pairs
        self._keep_in = Path(cache_dir) if cache_dir is not None and later else None
        self.names = Texts(os.fsencode(p.name).decode(errors="replace") for p in pairs)
        self.paths = Paths(p.hr for p in pairs)
        unique = {path: i for i, path in enumerate(dict.fromkeys(p.hr for p in pairs))}
        self._hr_of = np.array([unique[p.hr] for p in pairs])  # several LR may share one HR
        self._files = Paths(unique), Paths(p.lr for p in pairs if p.lr is not None)
        self._lr_of = np.arange(len(self._files[1])) if self._files[1] else self._hr_of
        checked: list[Images] = []

        def check(hr: Images, lr: Images | None) -> None:  # before they are decoded
            if not checked:
                of_lr = lr.size if lr is not None and self._files[1] else None
                check_sizes(pairs, scale, lambda i: (hr.size(self._hr_of[i]), of_lr and of_lr(self._lr_of[i])))
                checked.append(hr)

        self.hr, self.lr = self._open(None if later else cache_dir, check=check)
        check(self.hr, self.lr)  # of decoded ones that are there: without a look into the files
        if isinstance(self.hr, ImageStore):  # what is decoded on demand is looked at by `verify`
            self._look()
        self.grids = Sizes(self._grid(i) for i in range(len(self)))

    def _open(
        self,
        cache_dir: str | Path | None,
        room: float = 1.0,
        check: Callable[[Images, Images | None], None] = lambda *_: None,
    ) -> tuple[Images, Images | None]:
        """HR and LR, decoded into the cache, after a check, or on demand."""
        hr_files, lr_files, of_lr = *map(LazyImages, self._files), f"LR x{self.scale}"

        def cached(images: Images, name: str) -> Images:
            if cache_dir is None:
                return images
            before = functools.partial(check, hr_files, lr_files)
            return ImageStore(images, cache_dir, f"{self.label} {name}", room, before)

        hr = cached(hr_files, "HR")
        if len(lr_files):
            return hr, cached(lr_files, of_lr)
        if not self._fixed:
            return hr, None
        made = DerivedImages(hr, self._degrade, f"{self.degradation.key} x{self.scale}", self.scale)
        return hr, cached(made, of_lr)

    def _look(self) -> None:
        """Hold LR files against HR, once."""
        if self._to_check and self._files[1]:
            assert self.lr is not None
            if isinstance(self.hr, ImageStore):
                found = looked_at(self.hr, self.lr, self._hr_of.tolist(), self.scale, self.hr.cache_dir)
            else:
                found = decoded(self.hr, self.lr, self._hr_of.tolist(), self.scale)
            report(found, self.label)
        self._to_check = False

    def _grid(self, index: int) -> tuple[int, int]:
        h, w = (side // self.scale for side in self.hr.size(self._hr_of[index]))
        if self.lr is None:
            return h, w
        lr_h, lr_w = self.lr.size(self._lr_of[index])
        return min(h, lr_h), min(w, lr_w)

    def _degrade(self, paths: Sequence[Path], images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """LR of whole images (packed); a random degradation is seeded by the file's name, so it is always the same."""
        s, alike, made = self.scale, dict[tuple[int, int], list[int]](), dict[int, np.ndarray]()
        for number, (height, width) in enumerate(image.shape for image in images):
            alike.setdefault((height // s, width // s), []).append(number)
        for (h, w), some in alike.items():
            names = [hashlib.blake2b(os.fsencode(paths[n].name), digest_size=7).digest() for n in some]
            seeds = [int.from_bytes(name, "big") for name in names]
            hr, together = [images[n][: h * s, : w * s] for n in some], len(some) > 1 and not self.degradation.alone
            lr = self._made(hr, [(0, 0)] * len(some), (h, w), seeds, together)
            made |= zip(some, lr.transpose(0, 2, 3, 1), strict=True)
        return [made[n] for n in range(len(images))]

    def _made(
        self,
        images: Sequence[np.ndarray],
        start: Sequence[tuple[int, int]],
        size: tuple[int, int],
        seeds: Sequence[int],
        together: bool,
    ) -> np.ndarray:
        """(B, 3, h, w): LR's pixels of parts of whole images (packed), made from as much of HR as they depend on."""
        chain, made = self.degradation, np.empty((len(images), 3, *size), np.uint8)
        corners, whole = np.array(start).T, np.array([image.shape[:2] for image in images]).T // self.scale
        for some in chain.groups(corners, size) if together else [[n] for n in range(len(images))]:
            parts = chain.parts(corners[:, some], size, whole[:, some], [seeds[n] for n in some], together)
            given = parts.given[0]
            if not together:
                (top, left), (h, w) = given.start[:, 0].tolist(), given.size
                hr = torch.from_numpy(planes(images[some[0]][top : top + h, left : left + w]))[None]
            else:
                words = np.empty((len(some), *given.size), np.int32)
                for n, place, into in zip(some, given.on_pictures(), words, strict=True):
                    cut_out(images[n], place, chain.edge, into)
                hr = torch.from_numpy(words[..., None].view(np.uint8))[..., :3].permute(0, 3, 1, 2)
            made[some] = chain.batch(hr, parts).numpy()
        return made

    @property
    def makes_lr(self) -> bool:
        return not self._files[1]

    def verify(self) -> None:
        if self._keep_in is not None:
            try:
                self.hr, self.lr = self._open(self._keep_in, ROOM)
            except ImagesError:
                raise
            except UserError as error:  # no room, or no right to write: measuring does without
                log.info("%s: decoded for each model anew: %s", self.label, error)
            self._keep_in = None
        if not self._files[1]:
            self.hr.decode()
        self._look()

    def looks(self) -> list[str]:
        files = [[self.hr.fingerprints[i].digest for i in self._hr_of.tolist()]]
        if self.lr is not None and not self.lr.key:  # of files, not made here: another processor rounds otherwise
            files.append([self.lr.fingerprints[i].digest for i in self._lr_of.tolist()])
        return [" ".join(digests) for digests in zip(*files, strict=True)]

    def digests(self) -> dict[str, str]:
        if not isinstance(self.hr, ImageStore):
            return {}
        looks = self.looks()
        if self.lr is not None and self.lr.key and not self.degradation.deterministic:
            drawn_by = (os.fsencode(path.name).decode(errors="replace") for path in self.paths)
            looks = [f"{look} {name}" for look, name in zip(looks, drawn_by, strict=True)]
        return {f"{self.label} x{self.scale}: {n}": look for n, look in zip(self.names, looks, strict=True)}

    def stored(self) -> list[Stored] | None:
        if isinstance(self.hr, ImageStore) and isinstance(self.lr, ImageStore | None):
            return [Stored(self.hr, self._hr_of.tolist(), self.lr, self._lr_of.tolist(), self.degradation)]
        return None

    def whole(self, index: int) -> Pixels:
        (h, w), s = self.grids[index], self.scale
        if isinstance(self.lr, DerivedImages):  # HR is decoded once for both
            words, grey = self.hr.packed(self._hr_of[index])
            (lr,), hr = self.lr.make([self.paths[index]], [words]), unpacked(words)
        else:
            hr, grey = self.hr.picture(self._hr_of[index])
            assert self.lr is not None, "whole images need LR that is fixed for each image"
            lr = self.lr[self._lr_of[index]]
        return lr[:h, :w], hr[: h * s, : w * s], grey

    def crops(self, places: Sequence[Place], size: int) -> list[Pixels]:
        s = self.scale
        hr = [self.hr.packed(self._hr_of[index]) for index, *_ in places]
        if self.lr is not None:
            lr = [self.lr.packed(self._lr_of[index])[0][y : y + size, x : x + size] for index, y, x, _ in places]
        else:
            whole = []
            for (index, *_), (pixels, _) in zip(places, hr, strict=True):
                h, w = self.grids[index]
                whole.append(pixels[: h * s, : w * s])
            corners, seeds = [(y, x) for _, y, x, _ in places], [seed for *_, seed in places]
            made = self._made(whole, corners, (size, size), seeds, not self.degradation.alone)
            lr = list(packed(made.transpose(0, 2, 3, 1)))
        return [
            (low, pixels[y * s : (y + size) * s, x * s : (x + size) * s], grey)
            for low, (pixels, grey), (_, y, x, _) in zip(lr, hr, places, strict=True)
        ]
