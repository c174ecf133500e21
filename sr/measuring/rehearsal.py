"""What can be wrong about measuring, found before a run's first step instead of after its last one."""

from collections.abc import Iterable, Mapping, Sequence

import torch

from sr.compose.image_sets import refuse_same_names
from sr.data.module import SRDataModule
from sr.errors import UserError, reason
from sr.measuring.pictures import Pictures
from sr.measuring.scoring import Entry, chosen_protocols
from sr.metrics.metric import Metric
from sr.metrics.protocol import DEFAULT, Protocol
from sr.metrics.protocols import get_protocol
from sr.metrics.ssim import WINDOW


def rehearse(
    entries: Sequence[Entry],
    sets: Mapping[int, Sequence[SRDataModule]],
    asked: Sequence[str] | None,
    metrics: Sequence[Metric],
    middle: int | None = None,
) -> None:
    """Look for everything that `score_all` would refuse.

    Args:
        entries: the models.
        sets: what each scale's models are measured on, opened.
        asked: names of protocols; None for those of the papers.
        metrics: what is measured.
        middle: HR pixels a side to which images are cut.

    Raises:
        UserError: a protocol that is not known or says nothing of a set, an image that is too small, a metric that
            fails, two sets of one name, pictures that are not of a set's images.
    """
    for name in asked or ():
        get_protocol(name)  # where nothing is measured too
    for scale, of_scale in sets.items():
        used: dict[str, Protocol] = {}
        refuse_same_names(of_scale)
        for data in of_scale:
            here = [p for entry in entries for p in chosen_protocols(entry, entries, data, asked)]
            for protocol in {p.name: p for p in here}.values():
                used[protocol.name] = protocol
                refuse_small(data, "test", protocol, metrics, middle)
            for folder in (entry.pictures for entry in entries if entry.pictures is not None):
                Pictures(folder, data).check(data)
        try_metrics(used.values(), scale, metrics)


def refuse_small(
    data: SRDataModule, part: str, protocol: Protocol, metrics: Sequence[Metric], middle: int | None = None
) -> None:
    """Raises a UserError that names an image of "val" or "test" which a protocol leaves too little of."""
    pairs, scale = data.pairs(part), data.scale
    for path, grid in zip(pairs.paths, pairs.grids, strict=True):
        height, width = (min(side * scale, (middle or side * scale) // scale * scale) for side in grid)
        try:
            protocol.refuse_small(height, width, scale, metrics)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error


def try_metrics(protocols: Iterable[Protocol], scale: int, metrics: Sequence[Metric]) -> None:
    """Raises a UserError where a metric of the user's own fails on a picture of noise."""
    generator = torch.Generator().manual_seed(0)
    for protocol in protocols:
        for metric in (m for m in metrics if m not in DEFAULT and protocol.gives(m)):
            side = (2 * protocol.shave(scale) + max(metric.smallest, WINDOW, 32)) // scale * scale + scale
            hr = torch.rand(1, 3, side, side, generator=generator)
            lossy = (hr + 0.1 * torch.randn(hr.shape, generator=generator)).clamp(0, 1)
            try:
                lr = hr[..., ::scale, ::scale]
                (value,) = protocol.compare(lossy, hr, scale, metrics=[metric], lr=lr).values()
                float(value)
            except UserError:
                raise
            except Exception as error:  # whatever the user's code raises
                raise UserError(
                    f"metrics: {metric.name} fails under protocol {protocol.name} on a picture of {side} x {side} "
                    f"pixels: {type(error).__name__}: {reason(error)}. Its function takes (sr, hr), each (B, C, H, W), "
                    "and returns a value for each image, (B,)"
                ) from error
