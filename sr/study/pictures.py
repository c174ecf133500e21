"""What raters see: the same crops of every model's output, of HR, and of HR spoiled."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from sr.comparison.crops import data_uri
from sr.comparison.rows import Source
from sr.data.module import SRDataModule
from sr.errors import UserError, reason
from sr.forms.running import AUTO, formed
from sr.imaging.panel import Window, crop, detail, pick_crop
from sr.imaging.resize import imresize
from sr.measuring.entries import tell_trained_on
from sr.measuring.scoring import Entry, Sample, score_set
from sr.metrics.protocols import get_protocol
from sr.models.bicubic import Bicubic
from sr.runs.trained_scales import tell_untrained
from sr.scores.score import BASELINE
from sr.study.design import HR, SPOILED, Shown

LEAST_LOSS = 4  # how much smaller HR is made, at least, before it is enlarged again to be spoiled


@dataclass
class Pictures:
    """Crops, and of each what every model made of it.

    Attributes:
        crops: the set, the image, and the window in HR pixels (top, left, height, width).
        models: for each crop the pictures of the models, (H, W, 3) uint8.
        hr: HR's.
        spoiled: HR's, without its fine detail.
        weights: which each model had (`Source.weights`).
    """

    crops: list[dict[str, Any]] = field(default_factory=list)
    models: list[list[np.ndarray]] = field(default_factory=list)
    hr: list[np.ndarray] = field(default_factory=list)
    spoiled: list[np.ndarray] = field(default_factory=list)
    weights: list[str] = field(default_factory=list)

    def uri(self, number: int, shown: Shown) -> str:
        """A picture of a crop, as it stands in a page."""
        others = {HR: self.hr, SPOILED: self.spoiled}
        return data_uri(self.models[number][shown] if isinstance(shown, int) else others[shown][number])


def of_models(
    named: Sequence[Source], sets: Sequence[SRDataModule], images: int, crops: int, size: int, device: torch.device
) -> Pictures:
    """The crops with the most detail of the first images of each set; of clips their middle frames.

    One model is in memory at a time.

    Args:
        named: the models; without `load` it is bicubic.
        sets: checked.
        images: of each set.
        crops: of each image.
        size: of a crop, HR pixels a side, made smaller where an image is.
        device: where the models run.

    Raises:
        UserError: a model cannot be loaded or run: without it the study would be another one.
    """
    found = Pictures()
    for source in named:
        first, number = source is named[0], 0
        weights, made = _made(source, sets, images, device)
        found.weights.append(weights)
        for data, samples in made:
            for sample in samples:
                windows = _windows(sample.hr, crops, size, data.scale)
                for window in windows:
                    if first:
                        found.crops.append({"dataset": data.test_name, "image": sample.name, "window": list(window)})
                        found.hr.append(crop(sample.hr, window))
                        found.spoiled.append(crop(_spoiled(sample.hr, data.scale), window))
                        found.models.append([])
                    found.models[number].append(crop(sample.sr, window))
                    number += 1
    return found


def _made(
    source: Source, sets: Sequence[SRDataModule], images: int, device: torch.device
) -> tuple[str, list[tuple[SRDataModule, list[Sample]]]]:
    """Which weights one model has, and its outputs on each set."""
    seen = [get_protocol("y")]
    try:
        model = source.load() if source.load else Bicubic(sets[0].scale)
        tell_untrained(model, source.label, sets[0].scale)
        weights = source.weights(model)
        model = formed(model, AUTO, sets[0].scale, device).model
        entry = Entry(source.label if source.load else BASELINE, model, source.published, run=source.folder)
        found = []
        for data in sets:
            tell_trained_on(entry, data)
            _, samples = score_set(entry, data, seen, device, keep=images, images=_frames(data, images))
            found.append((data, samples))
        return weights, found
    except UserError:
        raise
    except Exception as error:  # a torn file, a class that was renamed, memory: whatever its code raises
        raise UserError(f"{source.label} cannot be shown: {reason(error)}. Leave it out, or mend it") from error


def _frames(data: SRDataModule, images: int) -> int:
    """How many frames the first clips hold, or the first images."""
    return sum(map(len, data.runs("test")[:images]))


def _windows(hr: np.ndarray, number: int, size: int, scale: int) -> list[Window]:
    """So many windows beside each other with the most detail, fewer where an image has no room."""
    energy, found = detail(hr), list[Window]()
    free = np.ones(energy.shape, bool)
    for _ in range(number):
        window = pick_crop(np.where(free, energy, -energy.max() - 1), size, scale)
        if not crop(free, window).all():
            break
        crop(free, window)[:] = False
        found.append(window)
    return found


def _spoiled(hr: np.ndarray, scale: int) -> np.ndarray:
    """HR made smaller and enlarged again, by bicubic: at a scale below 4 by 4, as of 2 little is seen."""
    x = torch.from_numpy(np.ascontiguousarray(hr)).permute(2, 0, 1)
    small = imresize(x, 1 / max(scale, LEAST_LOSS))
    return imresize(small, size=(hr.shape[0], hr.shape[1])).permute(1, 2, 0).numpy()


def spoilable(pictures: Pictures, number: int) -> list[int]:
    """The crops that were spoiled most, by their mean squared error; each once."""
    errors = [float(np.square(a.astype(float) - b).mean()) for a, b in zip(pictures.hr, pictures.spoiled, strict=True)]
    return sorted(range(len(errors)), key=lambda n: -errors[n])[:number]
