"""What images a run was begun with: `sets.json` in its folder tells their pixels, wherever the files lie today.

`thumbnails.bin` beside it tells what those that it was trained on look like, by which resized copies are known.
"""

import json
import logging
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from sr.bounded import LIST, bytes_of, text_of
from sr.compose.words import Words
from sr.data.compact import THUMBNAIL
from sr.data.loaders import Loaders
from sr.errors import LINES, UserError, reason, some, told_once
from sr.runs.composed import from_its_weights
from sr.whole import replacing, write_whole

SETS, THUMBNAILS = "sets.json", "thumbnails.bin"
EARLIER = "earlier"  # part of it: what the weights saw before, by digest of HR; in which run
log = logging.getLogger(__name__)
Contents = dict[str, dict[str, str]]  # by part ("train", "val") and image: see `sr.data.pairset.Pairs.digests`


def contents(data: Iterable[Loaders]) -> Contents:
    """What is trained and validated on, as far as it is decoded already."""
    found: Contents = {"train": {}, "val": {}}
    for module in data:
        for part, images in found.items():
            images.update(module.pairs(part).digests())
    return found


def thumbnails(data: Iterable[Loaders]) -> np.ndarray:
    """Those of the HR images that are trained on, of clips of the frame in the middle: (n, 256) uint8."""
    images = [each for module in data for each in module.images("train").values()]
    return _rows(b"".join(f.thumbnail.tobytes() for each in images for f in each.fingerprints))


def refuse_others(folder: Path, now: Contents, words: Words) -> str:
    """Hold the images against those that the run was begun with.

    Other training images are told: they only change what is learned from here on. Other validation images are refused,
    as the best checkpoint and the curve would be of two sets.

    Returns:
        What was told of other training images; empty where they are the same.

    Raises:
        UserError: names the validation images that differ.
    """
    file, then = folder / SETS, begun_with(folder)
    changed = {part: _differing(then[part], images) for part, images in now.items() if images and part in then}
    told = ""
    if images := changed.get("train"):
        told = f"{len(images)} training images are not what the run was begun with: {some(images)}"
        log.warning(f"warning: {told}")
    elif "train" in changed and [*then["train"].values()] != [*now["train"].values()]:
        log.warning("warning: the training images come in another order than the run was begun with: so do its samples")
    if images := changed.get("val"):
        raise UserError(
            f"{len(images)} validation images are not what the run was begun with:\n  {some(images, 10, LINES)}\n  "
            f"Figures before and after would be of other images. Put the former ones back, or remove {file} to go on "
            f"all the same. To begin a new run from its weights: {from_its_weights(folder, words)}"
        )
    return told


def trained_on(folder: Path) -> set[str]:
    """The digests (see `sr.data.images.digest`) of the HR images that a run's weights were trained on, ever.

    Those of the weights that it began from are among them; empty if it tells none.
    """
    kept = begun_with(folder)
    return {files.partition(" ")[0] for files in kept.get("train", {}).values()} | kept.get(EARLIER, {}).keys()


def looked_like(folder: Path) -> np.ndarray:
    """The `thumbnails` of all that a run's weights were trained on; none of a run that kept none."""
    file = folder / THUMBNAILS
    try:
        return _rows(bytes_of(file, LIST))
    except (FileNotFoundError, NotADirectoryError):
        return _rows(b"")
    except (OSError, ValueError) as error:
        told_once(log, logging.WARNING, f"warning: what {file} shows is not known, as it is damaged: {reason(error)}")
        return _rows(b"")


def _rows(values: bytes) -> np.ndarray:
    return np.frombuffer(values, np.uint8).reshape(-1, THUMBNAIL**2)


def begun_with(folder: Path) -> Contents:
    """What `keep` wrote; empty for a run of before there was such a file, or where it cannot be read."""
    try:
        found = json.loads(text_of(folder / SETS, LIST))
        parts = [part for part in ("train", "val", EARLIER) if part in found]
        return {part: {str(name): str(files) for name, files in found[part].items()} for part in parts}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        told = f"warning: which images {folder / SETS} tells of is not known, as it is damaged: {reason(error)}"
        told_once(log, logging.WARNING, told)
        return {}


def keep(folder: Path, now: Contents, begun_from: Collection[Path], shown: np.ndarray | None = None) -> None:
    """Write `sets.json` and `thumbnails.bin`.

    Args:
        folder: of the run.
        now: what it trains and validates on from here on.
        begun_from: folders of the runs whose weights it goes on with; its own where it is resumed.
        shown: `thumbnails` of what it trains on, where they are known.
    """
    known = {digest: str(run) for run in begun_from for digest in trained_on(run)}
    trained = {files.partition(" ")[0] for files in now["train"].values()}
    earlier = {digest: run for digest, run in known.items() if digest not in trained}
    write_whole(folder / SETS, json.dumps(now | ({EARLIER: earlier} if earlier else {}), indent=0))
    looks = [_rows(b"") if shown is None else shown, *map(looked_like, begun_from)]
    with replacing(folder / THUMBNAILS) as part:
        part.write_bytes(np.unique(np.concatenate(looks), axis=0).tobytes())


def _differing(then: dict[str, str], now: dict[str, str]) -> list[str]:
    """Images that are new, that are gone, or whose pixels are others, wherever they lie and under which name."""
    if not any(" " in files for files in then.values()):  # of before random LR was told apart
        now = {name: files.partition(" ")[0] for name, files in now.items()}
    kept, found = Counter(then.values()), Counter(now.values())
    others = {files for files in kept | found if kept[files] != found[files]}
    return [name for name in then | now if {then.get(name), now.get(name)} & others]
