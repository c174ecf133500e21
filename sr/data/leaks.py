"""Refusing to measure on what was trained on: exact copies, and copies re-encoded, resized, mirrored or turned."""

import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from sr.data.compact import THUMBNAIL
from sr.data.images import Images
from sr.data.loaders import Loaders
from sr.errors import LINES, UserError, some

log = logging.getLogger(__name__)
# Between 16x16 grey thumbnails. Measured on 390 training and 219 test photos: the closest two different photos are
# 12.5 levels apart; re-encoding a photo as JPEG of quality 30 moves it by 1.5 at most, of quality 10 by 3.9.
NEAR = 3.0  # RMS difference, 8-bit levels
AT_ONCE = 2**22  # pairs that are compared at once
ROWS = 256  # of neighbours by their mean: 100,000 images against 10,000 are a thousand million pairs, most far apart
FLAT = 4.0  # standard deviation of a thumbnail, 8-bit levels: below it all skies look alike


def find_leaks(train: Images, held_out: Images) -> list[tuple[Path, Path]]:
    """Pairs of (training file, held-out file) that show the same image."""
    if not len(train) or not len(held_out):
        return []
    shown = _near_in_any_view(_thumbnails(train), _thumbnails(held_out))
    near = [(train.paths[i], held_out.paths[j]) for i, j in sorted(shown)]
    every = train.everything
    known = {f.digest: path for path, f in zip(every.paths[::-1], every.fingerprints[::-1], strict=True)}
    same = [(known[digest], copy) for copy, digest in _copies(known, held_out)]
    return list(dict.fromkeys(near + same))


def _near_in_any_view(a: np.ndarray, b: np.ndarray) -> list[tuple[int, int]]:
    """`_near`, of `b` as it is, mirrored and turned: training sees its images so, too."""
    if not len(a) or not len(b):
        return []
    square = b.reshape(len(b), THUMBNAIL, THUMBNAIL)
    views = [np.rot90(one, n, (1, 2)) for one in (square, square[:, :, ::-1]) for n in range(4)]
    return [*dict.fromkeys(pair for view in views for pair in _near(a, view.reshape(len(b), -1)))]


def _near(a: np.ndarray, b: np.ndarray) -> list[tuple[int, int]]:
    """The pairs of detailed thumbnails that are less than NEAR apart; only those of about the same mean are compared.

    Args:
        a: (n, values) uint8.
        b: (m, values) uint8.
    """
    (rows, means), (others, of_others) = _by_mean(a), _by_mean(b)
    found: list[tuple[int, int]] = []
    for first in range(0, len(rows), ROWS):
        some, levels = rows[first : first + ROWS], means[first : first + ROWS]
        begin, end = np.searchsorted(of_others, [levels[0] - NEAR, levels[-1] + NEAR])
        x, step = a[some].astype(np.float64), AT_ONCE // ROWS
        for start in range(begin, end, step):
            near = others[start : min(end, start + step)]
            y = b[near].astype(np.float64)
            squares = (x**2).mean(1)[:, None] + (y**2).mean(1) - 2 * (x @ y.T) / a.shape[1]
            found += [(int(some[i]), int(near[j])) for i, j in np.argwhere(squares < NEAR**2)]
    return found


def _by_mean(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of those that are not flat, and their means, from the darkest to the brightest."""
    means, detailed = thumbnails.mean(1), thumbnails.std(1) >= FLAT
    order = np.argsort(means, kind="stable")
    order = order[detailed[order]]
    return order, means[order]


def find_copies(digests: Collection[str], thumbnails: np.ndarray, held_out: Images) -> list[Path]:
    """Held-out files that show what was trained on, by what is known of images that are not at hand any more.

    Args:
        digests: of their pixels.
        thumbnails: (n, 256) uint8.
        held_out: what is measured on.
    """
    near = [held_out.paths[j] for _, j in _near_in_any_view(thumbnails, _thumbnails(held_out))]
    return list(dict.fromkeys([*(path for path, _ in _copies(digests, held_out)), *near]))


def _thumbnails(images: Images) -> np.ndarray:
    return np.array([f.thumbnail.ravel() for f in images.fingerprints], np.uint8)


def _copies(digests: Collection[str], held_out: Images) -> list[tuple[Path, str]]:
    """Held-out files with one of these digests: of clips among all frames, but for flat ones as between two scenes."""
    every = held_out.everything
    found = [(p, f) for p, f in zip(every.paths, every.fingerprints, strict=True) if f.digest in digests]
    return [(path, f.digest) for path, f in found if every is held_out or f.thumbnail.std() >= FLAT]


def refuse_shared(train: Mapping[str, Images], held_out: Mapping[str, Images], refuse: bool = True) -> None:
    """Compare every training set with every held-out set.

    Args:
        train: collections of HR images by name, as `SRDataModule.images("train")` gives them.
        held_out: the same for validation or test.
        refuse: else what is found is told as a warning.

    Raises:
        UserError: names the files that show the same image and how to go on all the same.
    """
    lines = [
        f"{a} ({name}) is {b} ({other})"
        for name, images in train.items()
        for other, tested in held_out.items()
        for a, b in find_leaks(images, tested)
    ]
    if lines and not refuse:
        log.warning(
            f"warning: {len(lines)} training images are also in the data to measure on, and data.check_leaks=false: "
            f"the figures flatter the result: {some(lines, 3)}"
        )
    elif lines:
        raise UserError(
            f"{len(lines)} training images are also in the data to measure on, which would flatter the result:\n  "
            f"{some(lines, 10, LINES)}\n  "
            "Take them out of one of the two, or type data.check_leaks=false to go on all the same"
        )


def refuse_leaks(data: Loaders, measured_on: Iterable[Loaders]) -> None:
    """Compare what `data` trains on with what each module measures on; a warning where `data.check_leaks` is off.

    Raises:
        UserError: as `refuse_shared`.
    """
    held_out = {name: images for module in measured_on for name, images in module.images("test").items()}
    refuse_shared(data.images("train"), held_out, data.check_leaks)
