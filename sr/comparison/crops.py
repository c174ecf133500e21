"""The same crops of every model's output, as pictures inside a web page."""

import base64
import io
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from PIL import Image, features

from sr.imaging.panel import crop, detail, enlarge, pick_crop
from sr.measuring.scoring import Sample

LARGEST = 8_000_000  # bytes of all pictures of a page


Group = dict[str, Any]  # of one image's crop: title, size (width, height) in HR pixels, and by label (HR, LR, the
# models) pictures, which are data URIs, and captions: "28.42 dB (y)"


def crop_groups(dataset: str, scale: int, samples: Mapping[str, Sequence[Sample]], size: int) -> list[Group]:
    """One group for each image of a set, at the place with the most detail in HR: crops of `size` HR pixels a side.

    The samples are by label of the model; the same images, in the same order, for each.
    """
    groups = []
    for shown in zip(*samples.values(), strict=True):
        window = pick_crop(detail(shown[0].hr), size, scale)
        pictures = {"HR": crop(shown[0].hr, window), "LR": enlarge(crop(shown[0].lr, window, scale), scale)}
        pictures |= {label: crop(sample.sr, window) for label, sample in zip(samples, shown, strict=True)}
        group: Group = {"title": f"{dataset} x{scale}: {shown[0].name}", "size": (window[3], window[2])}
        group["pictures"] = {label: data_uri(picture) for label, picture in pictures.items()}
        group["captions"] = {label: sample.score for label, sample in zip(samples, shown, strict=True)}
        groups.append(group)
    return groups


def add(groups: Sequence[Group], more: Sequence[Group]) -> None:
    """Put another model's pictures of the same crops, if there are any, beside those that are there."""
    for group, other in zip(groups, more, strict=False):
        for kind in ("pictures", "captions"):
            group[kind].update(other[kind])


def within(groups: Sequence[Group], largest: int = LARGEST) -> list[Group]:
    """The first groups that a page can hold, one at least."""
    sizes = accumulate(sum(map(len, group["pictures"].values())) for group in groups)
    return [group for n, (group, size) in enumerate(zip(groups, sizes, strict=True)) if n == 0 or size <= largest]


def data_uri(image: np.ndarray) -> str:
    """(H, W, 3) uint8 -> its pixels, unchanged, as a URI."""
    kind = "webp" if features.check("webp") else "png"
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, kind, **({"lossless": True} if kind == "webp" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
