"""The same crops of every model's output, as pictures inside a web page."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, features

from sr.imaging.panel import crop, detail, enlarge, pick_crop
from sr.measuring.scoring import Sample

LARGEST = 8_000_000  # bytes of all pictures of a page


@dataclass(frozen=True)
class CropGroup:
    """One image's crop.

    Attributes:
        title: "Set5 x4: baby".
        size: (width, height) in HR pixels.
        pictures: data URIs by label: "LR", "HR", the baseline and the models.
        captions: "28.42 dB (y)" by label.
    """

    title: str
    size: tuple[int, int]
    pictures: dict[str, str] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(map(len, self.pictures.values()))


def crop_groups(dataset: str, scale: int, samples: Mapping[str, Sequence[Sample]], size: int) -> list[CropGroup]:
    """One group for each image of a set, at the place with the most detail in HR.

    Args:
        dataset: as in tables.
        scale: of the samples.
        samples: by label of the model; the same images, in the same order, for each.
        size: side of the crop in HR pixels.
    """
    groups = []
    for shown in zip(*samples.values(), strict=True):
        hr, lr = shown[0].hr, shown[0].lr
        window = pick_crop(detail(hr), size, scale)
        group = CropGroup(f"{dataset} x{scale}: {shown[0].name}", (window[3], window[2]))
        group.pictures["HR"] = data_uri(crop(hr, window))
        group.pictures["LR"] = data_uri(enlarge(crop(lr, window, scale), scale))
        for label, sample in zip(samples, shown, strict=True):
            group.pictures[label] = data_uri(crop(sample.sr, window))
            group.captions[label] = sample.score
        groups.append(group)
    return groups


def add(groups: Sequence[CropGroup], more: Sequence[CropGroup]) -> None:
    """Put another model's pictures of the same crops, if there are any, beside those that are there."""
    for group, other in zip(groups, more, strict=False):
        group.pictures.update(other.pictures)
        group.captions.update(other.captions)


def within(groups: Sequence[CropGroup], largest: int = LARGEST) -> list[CropGroup]:
    """The first groups that a page can hold, one at least."""
    total = 0
    for n, group in enumerate(groups):
        total += group.bytes
        if n and total > largest:
            return list(groups[:n])
    return list(groups)


def data_uri(image: np.ndarray) -> str:
    """(H, W, 3) uint8 -> its pixels, unchanged, as a URI."""
    kind = "webp" if features.check("webp") else "png"
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, kind, **({"lossless": True} if kind == "webp" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
