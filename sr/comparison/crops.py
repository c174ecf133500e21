"""The same crops of every model's output, as pictures inside a web page."""

import base64
import io
from collections.abc import Mapping, Sequence
from itertools import accumulate, islice
from typing import Any

import numpy as np
from PIL import Image, features

from sr.data.clips import clip_of
from sr.imaging.panel import crop, detail, enlarge, pick_crop
from sr.measuring.scoring import Sample

LARGEST = 8_000_000  # bytes of all pictures of a page


FRAMES = 15  # of a clip, the first ones, that a page plays


Group = dict[str, Any]  # of one clip's crop, or one image's: title, size (width, height) in HR pixels, frames (names),
# and by label (HR, LR, the models) for each frame pictures, which are data URIs, and captions: "28.42 dB (y)"


def crop_groups(
    dataset: str,
    scale: int,
    samples: Mapping[str, Sequence[Sample]],
    size: int,
    lengths: Sequence[int] = (),
    references: bool = True,
) -> list[Group]:
    """One group for each clip, or image, of a set, at one place: that with the most detail in HR's frame in the middle.

    Args:
        dataset: the set's name.
        scale: enlargement factor.
        samples: by label of the model; the same frames, in the same order, for each.
        size: of a crop, HR pixels a side.
        lengths: how many of them make a clip, one after the other; empty: all are images.
        references: HR and LR are among the pictures.
    """
    shown = zip(*samples.values(), strict=True)
    groups = []
    for length in lengths or [1] * len(next(iter(samples.values()))):
        frames = list(islice(shown, length))
        names, hr = [frame[0].name for frame in frames], [frame[0].hr for frame in frames]
        window = pick_crop(detail(hr[length // 2]), size, scale)
        name = names[0] if length == 1 else f"{clip_of(names[0])}, {length} frames"
        group: Group = {"title": f"{dataset} x{scale}: {name}", "size": (window[3], window[2]), "frames": names}
        pictures = {
            "HR": [crop(image, window) for image in hr],
            "LR": [enlarge(crop(frame[0].lr, window, scale), scale) for frame in frames],
        }
        pictures = pictures if references else {}
        of_models = {label: [frame[n] for frame in frames] for n, label in enumerate(samples)}
        pictures |= {label: [crop(sample.sr, window) for sample in of_model] for label, of_model in of_models.items()}
        group["pictures"] = {label: [data_uri(picture) for picture in of] for label, of in pictures.items()}
        group["captions"] = {label: [sample.score for sample in of_model] for label, of_model in of_models.items()}
        groups.append(group)
    return groups


def add(groups: Sequence[Group], more: Sequence[Group]) -> None:
    """Put another model's pictures of the same crops, if there are any, beside those that are there."""
    for group, other in zip(groups, more, strict=False):
        for kind in ("pictures", "captions"):
            group[kind].update(other[kind])


def within(groups: Sequence[Group], largest: int = LARGEST) -> list[Group]:
    """The first groups that a page can hold, one at least."""
    sizes = accumulate(sum(len(uri) for of in group["pictures"].values() for uri in of) for group in groups)
    return [group for n, (group, size) in enumerate(zip(groups, sizes, strict=True)) if n == 0 or size <= largest]


def data_uri(image: np.ndarray) -> str:
    """(H, W, 3) uint8 -> its pixels, unchanged, as a URI."""
    kind = "webp" if features.check("webp") else "png"
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, kind, **({"lossless": True} if kind == "webp" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
