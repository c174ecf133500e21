"""What a model is given of a set, frame by frame."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from sr.data.batch import Batch
from sr.imaging.ensemble import VIEWS, averaged
from sr.models.base import SuperResolver
from sr.models.clips import Made


def ensembled(model: SuperResolver, clip: Sequence[Tensor], scale: int) -> Iterator[Tensor]:
    """`stream`, each frame averaged over the eight flips and quarter turns of the clip (see `self_ensemble`)."""
    turned = [model.stream(Made(clip, view), scale) for view in VIEWS]
    for outputs in zip(*turned, strict=True):
        yield averaged(outputs)


def middle_of(batch: Batch, side: int) -> Batch:
    """The middle of an image, at most `side` HR pixels a side."""
    scale, (h, w), most = batch.scale, batch.lr.shape[-2:], side // batch.scale
    top, left = max(0, h - most) // 2, max(0, w - most) // 2
    lr = batch.lr[..., top : top + most, left : left + most]
    top, left, most = top * scale, left * scale, most * scale
    return batch._replace(lr=lr, hr=batch.hr[..., top : top + most, left : left + most])
