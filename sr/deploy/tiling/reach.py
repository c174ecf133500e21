"""How far a network looks, by its operations; files of networks that tell it are walked in tiles, too."""

import logging
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from sr.deploy.tiling.nodes import Node
from sr.deploy.tiling.picture import Picture, local
from sr.deploy.tiling.plan import ancestors, needed, peak
from sr.deploy.tiling.recording import recorded
from sr.deploy.tiling.rules import Enlarging
from sr.errors import told_once
from sr.models.base import SuperResolver
from sr.zoo.onnx_file import FARTHEST, WHOLE, OnnxResolver

log = logging.getLogger(__name__)
BESIDE = 16  # LR pixels of the middle that a file's claim is tried on
_kept: WeakKeyDictionary[OnnxResolver, bool] = WeakKeyDictionary()


def reach(model: SuperResolver, scale: int) -> dict[str, str]:
    """What is told of a network in a file of it.

    Args:
        model: merged, in eval mode.
        scale: the factor.

    Returns:
        `receptive_radius`, LR pixels around one that its enlargement depends on, or `whole`, and of a local network
        `bytes_per_pixel`, of LR, that the tensors alive at once take in float32.
    """
    if model.clips:
        return {"receptive_radius": WHOLE}  # offsets lead anywhere
    side = 2 * FARTHEST
    lr = torch.empty(1, 3, side, side, device="meta")
    result, source = recorded(model, lr, scale, torch.device("cpu"))
    if any(one.finished for one in ancestors([result])):
        return {"receptive_radius": WHOLE}
    middle = (FARTHEST * scale, (FARTHEST + 1) * scale)
    seen = needed(result, (middle, middle), [source])[source]
    radius = max(max(FARTHEST - first, last - 1 - FARTHEST) for first, last in seen)
    if radius >= FARTHEST - 1:
        return {"receptive_radius": WHOLE}
    return {
        "receptive_radius": str(radius),
        "bytes_per_pixel": str(-(-peak(result, result.all, [source]) // side**2)),
    }


def followed(model: OnnxResolver, lr: Tensor, scale: int, device: torch.device, averaged: bool) -> tuple[Node, Node]:
    """See `recorded`, of a file of a local network: one operation with its receptive radius around each pixel."""
    # At the border of the picture a part has surroundings on one side.
    margin = max(model.receptive_radius or 0, model.min_size)
    rule = Enlarging(lambda part: model.network(part, scale), (scale, scale), (margin, margin))
    rule.inside = model.bytes_per_pixel or 0

    def network(x: Picture, factor: int) -> Picture:
        return local(x, (*x.shape[:2], factor * x.shape[2], factor * x.shape[3]), rule)

    return recorded(model, lr, scale, device, averaged, network)


def as_told(model: OnnxResolver) -> bool:
    """Whether a file looks as far as it tells and no farther; tried once, as anybody can write what a file tells."""
    if model.receptive_radius is None or model.bytes_per_pixel is None:
        return False
    if model not in _kept:
        _kept[model] = all(_unmoved(model, model.receptive_radius, turned) for turned in (False, True))
        if not _kept[model]:
            told_once(log, logging.WARNING, f"{model.path} looks farther than the receptive radius that it tells")
    return _kept[model]


def _unmoved(model: OnnxResolver, radius: int, turned: bool) -> bool:
    """Whether the middle of a strip stays the same where all that is farther away becomes something else."""
    draw = torch.Generator().manual_seed(0)
    height, width = max(BESIDE, model.min_size), 2 * radius + 3 * BESIDE
    one = torch.rand(1, 3, height, width, generator=draw)
    other = one / 4 + 0.7
    first, last = radius + BESIDE, radius + 2 * BESIDE
    other[..., BESIDE : width - BESIDE] = one[..., BESIDE : width - BESIDE]
    given = (x.mT if turned else x for x in (one, other))
    found = [model.network(x, model.scale) for x in given]
    a, b = ((y.mT if turned else y)[..., model.scale * first : model.scale * last] for y in found)
    return bool((a - b).abs().max() <= 1e-5 * a.abs().max().clamp(min=1))
