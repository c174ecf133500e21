"""Whether LR files show what their HR files show: each LR is held against its own HR, shrunk.

So are outputs of other programs (`sr.measuring.pictures`).

Whole images are told apart by their thumbnails, which blur, noise and small shifts hardly change; a shift is measured
on one crop of each image, where it has detail (`sr.data.shift`), and channels and brightness are compared, too
(`sr.data.colours`). Frames of a clip are told apart together (`sr.data.frame_order`).
"""

import json
import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sr.bounded import LIST, text_of
from sr.data.colours import difference
from sr.data.compact import Fingerprint
from sr.data.frame_order import shown_instead
from sr.data.images import Images, each, fingerprint, states, trusts
from sr.data.shift import Fit, fit
from sr.errors import LINES, UserError, some
from sr.whole import READ_BY_ALL, write_whole

log = logging.getLogger(__name__)
RULES = 4  # raise it when other pairs are found: what was found by older rules is then looked at anew

# Correlations of 16x16 grey thumbnails. Of one photo: 0.99 and more.
SAME = 0.9
DOUBTFUL, UNLIKE = 0.8, 0.6  # where the crop does not fit either: below them it is said, and refused
CLEARLY = 0.1  # another image fits only if it does so by this much better
FLAT = 4.0  # standard deviation of a thumbnail, 8-bit levels: below it nothing can be told
ONE_COLOUR = 1.0  # the same of an LR that shows nothing
# Correlations of the gradients of a crop. Of unrelated photos, at the best of all shifts: below 0.3.
UNRELATED = 0.3
SURE = 0.5  # a shift is believed from here on
GAIN = 0.03  # and only if it fits by so much better than none
LEAST_SHIFT = 0.3  # LR pixels
TURNS = ("turned by 90 degrees", "turned by 180 degrees", "turned by 270 degrees", "mirrored", "turned and mirrored")

# The NTIRE tracks of 2018, whose LR are moved, blurred and noisy by design.
REALISTIC = re.compile(r".+x4(m|d|w\d*)")


class Look(NamedTuple):
    """What the pixels of a pair say beyond their thumbnails.

    Attributes:
        fit: of a crop of LR, to HR.
        colours: how LR's differ from HR's, in words.
    """

    fit: Fit
    colours: str


def look_at(hr: np.ndarray, lr: np.ndarray, thumbnail: np.ndarray, scale: int) -> Look:
    """See `sr.data.shift.fit`."""
    return Look(fit(hr, lr, thumbnail, scale), difference(hr, lr, scale))


class Findings(NamedTuple):
    """What was found, a line for each pair."""

    wrong: list[str]  # LR of another image, or of none
    suspicious: list[str]


def judge(hr: Images, lr: Images, hr_of: Sequence[int], looks: Sequence[Look], scale: int) -> Findings:
    """Decide for each LR file what it shows.

    Args:
        hr: HR images.
        lr: LR images.
        hr_of: which HR belongs to each LR.
        looks: at each pair.
        scale: enlargement factor.
    """
    found = Findings([], [])
    large = np.array([f.thumbnail for f in hr.fingerprints], np.float64)
    known, frames = _normalised(large), _other_frames(hr, lr, hr_of)
    for i, own in enumerate(hr_of):
        thumbnail = np.array(lr.fingerprints[i].thumbnail, np.float64)
        name, told = lr.paths[i], large[own].std() >= FLAT
        small = _normalised(thumbnail[None])[0]
        likeness = float((known[own] * small).sum())
        turned = [_normalised(t[None])[0] for t in _turns(thumbnail)]
        wrong = ""
        if told and thumbnail.std() < ONE_COLOUR:
            wrong = f"is of one colour, {hr.paths[own]} is not"
        elif told and likeness < SAME:
            others = (known * small).sum((1, 2))
            other = int(others.argmax())
            turns = [float((known[own] * t).sum()) for t in turned]
            if others[other] > max(SAME, likeness + CLEARLY, *turns):
                wrong = f"shows {hr.paths[other]}, not {hr.paths[own]}"
            elif max(turns) > max(SAME, likeness + CLEARLY):
                wrong = f"is {TURNS[int(np.argmax(turns))]} against {hr.paths[own]}"
            elif likeness < DOUBTFUL and (best := looks[i].fit.best) is not None and best < UNRELATED:
                wrong = f"shows nothing of {hr.paths[own]}"
        if wrong:
            doubt = REALISTIC.fullmatch(name.stem) or ("nothing" in wrong and likeness > UNLIKE)
            (found.suspicious if doubt else found.wrong).append(f"{name} {wrong}")
            continue
        odd, (best, gain, shift) = [looks[i].colours] if looks[i].colours else [], looks[i].fit
        if i in frames:
            odd.append(f"shows {hr.paths[frames[i]].name}, not {hr.paths[own].name}")
        elif best is not None and best > SURE and gain > GAIN and max(map(abs, shift)) >= LEAST_SHIFT:
            odd.append(f"fits {hr.paths[own].name} {_moved(*(round(v * scale) for v in shift))}")
        if odd:
            found.suspicious.append(f"{name} {' and '.join(odd)}")
    return found


def _other_frames(hr: Images, lr: Images, hr_of: Sequence[int]) -> dict[int, int]:
    """LR that shows another frame of its clip, though it is near enough to its own HR, and the HR which it shows."""
    clips = defaultdict[tuple[Path, Path], list[int]](list)
    large, small = (np.array([f.thumbnail for f in images.fingerprints]) for images in (hr, lr))
    for i, own in enumerate(hr_of):
        if min(large[own].std(), small[i].std()) >= FLAT:
            clips[hr.paths[own].parent, lr.paths[i].parent].append(i)
    found = dict[int, int]()
    for clip in clips.values():
        own_of = [hr_of[i] for i in clip]
        found |= {clip[i]: own_of[j] for i, j in shown_instead(small[clip], large[own_of]).items()}
    return found


def _normalised(images: np.ndarray) -> np.ndarray:
    """(n, h, w) without mean and of norm 1."""
    centred = images - images.mean((1, 2), keepdims=True)
    return centred / np.maximum(np.sqrt((centred**2).sum((1, 2), keepdims=True)), 1e-9)


def _turns(image: np.ndarray) -> list[np.ndarray]:
    flipped = image[:, ::-1]
    return [np.rot90(image, 1), np.rot90(image, 2), np.rot90(image, 3), flipped, np.rot90(flipped, 2)]


def _moved(down: int, right: int) -> str:
    ways = (down, ("lower", "higher")), (right, ("further right", "further left"))
    parts = [f"{abs(n)} HR pixels {words[n < 0]}" for n, words in ways if n]
    return " and ".join(parts)


def report(
    found: Findings,
    label: str,
    otherwise: str = "type data.check_pairs=false to go on all the same",
    what: str = "LR files",
) -> None:
    """Log what is suspicious.

    Args:
        found: in all pairs.
        label: of the set.
        otherwise: what to do with LR that is meant all the same.
        what: was held against HR.

    Raises:
        UserError: LR of another image.
    """
    if found.suspicious:
        log.warning(
            f"warning: {len(found.suspicious)} {what} of {label} do not fit their HR, which costs decibels "
            f"unless it is meant:\n  {some(found.suspicious, 5, LINES)}"
        )
    if found.wrong:
        raise UserError(
            f"{len(found.wrong)} {what} of {label} do not show what their HR shows:\n  "
            f"{some(found.wrong, 20, LINES)}\n  Put the right files there, or {otherwise}"
        )


def looked_at(hr: Images, lr: Images, hr_of: Sequence[int], scale: int, cache_dir: Path) -> Findings:
    """As `judge`, of decoded images; what was found is kept beside them and read again as long as no file changes.

    Not where another user wrote it, see `trusts`.
    """
    files = states([*hr.paths, *lr.paths])
    digest = blake2b(json.dumps([RULES, scale, list(hr_of), files]).encode(), digest_size=8).hexdigest()
    kept = cache_dir / f"pairs-{digest}.json"
    try:
        content = json.loads(text_of(kept, LIST))
        of, found = content.pop("of"), Findings(**content)
        lists = all(isinstance(lines, list) and all(isinstance(line, str) for line in lines) for lines in found)
        if lists and of == digest and trusts(kept, [*hr.paths, *lr.paths]):
            return found
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError, UserError):
        pass
    thumbnails = [f.thumbnail for f in hr.fingerprints]
    looks = each(lambda i: look_at(hr[hr_of[i]], lr[i], thumbnails[hr_of[i]], scale), len(lr))
    found = judge(hr, lr, hr_of, looks, scale)
    with suppress(OSError):  # looking again costs little
        write_whole(kept, found._asdict() | {"of": digest}, READ_BY_ALL)
    return found


def decoded(hr: Images, lr: Images, hr_of: Sequence[int], scale: int) -> Findings:
    """As `judge`, of images that are decoded here, once; their fingerprints are kept."""
    return decided(hr, lr, hr_of, each(lambda i: pair(hr[hr_of[i]], lr[i], scale), len(lr)), scale)


Seen = tuple[Fingerprint, Fingerprint, Look]  # of HR, of LR, of both


def pair(large: np.ndarray, small: np.ndarray, scale: int) -> Seen:
    """What `decided` needs of one pair, (H, W, 3) and (h, w, 3) uint8."""
    known = fingerprint(large)
    return known, fingerprint(small), look_at(large, small, known.thumbnail, scale)


def decided(hr: Images, lr: Images, hr_of: Sequence[int], looked: Sequence[Seen], scale: int) -> Findings:
    """As `judge`, of images whose pairs were looked at."""
    of_hr = {own: known for own, (known, _, _) in zip(hr_of, looked, strict=True)}
    hr.fingerprints, lr.fingerprints = [of_hr[i] for i in range(len(hr))], [small for _, small, _ in looked]
    return judge(hr, lr, hr_of, [seen for _, _, seen in looked], scale)
