"""What a model is given of a set, frame by frame."""

from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor

from sr.data.batch import Batch
from sr.data.module import SRDataModule
from sr.imaging.ensemble import VIEWS, averaged
from sr.metrics.protocol import Protocol
from sr.models.base import SuperResolver
from sr.models.clips import FeatureFile, Made
from sr.scores.text import counted


def measured_runs(data: SRDataModule, images: int | None) -> list[range]:
    """The clips of a checked set, or as much of them as the first `images` frames hold."""
    runs, left = list[range](), len(data.pairs("test")) if images is None else images
    for run in data.runs("test"):
        runs.append(run[:left])
        left -= len(runs[-1])
    return [run for run in runs if run]


def told_short(data: SRDataModule, runs: Sequence[range], protocols: Iterable[Protocol]) -> list[str]:
    """What to say of clips that are too short to be measured without their ends, as a protocol asks for it."""
    told = []
    for protocol in protocols if data.of_clips else ():
        if short := sum(protocol.too_short(len(run)) for run in runs):
            told.append(
                f"note: {short} of {counted(len(runs), 'clip')} of {data.test_name}: too short for {protocol.name} to "
                f"leave out {protocol.ends} frames at each end, so that all of theirs count. Measure longer clips, or "
                "type protocols=[video_y]"
            )
    return told


def outputs_of(
    model: SuperResolver,
    clip: Sequence[Tensor],
    scale: int,
    ensemble: bool = False,
    mirror: bool = False,
    wanted: Sequence[int] | None = None,
) -> Iterator[Tensor]:
    """The frames of SR, one after the other.

    Args:
        model: in eval mode.
        clip: frames of LR, made when they are asked for.
        scale: enlargement factor.
        ensemble: average over the eight flips and quarter turns of the clip (see `self_ensemble`).
        mirror: a network on clips sees the clip followed by itself, run backward; each frame is the mean of its two
            outputs, as mmagic and BasicSR measure BasicVSR on Vimeo-90K.
        wanted: numbers of the frames that are made, ascending; None for all.
    """
    views = VIEWS if ensemble else [None]
    length = len(clip)
    made = wanted = range(length) if wanted is None else wanted
    if mirror and model.clips:
        made = [*wanted, *(2 * length - 1 - n for n in reversed(wanted))]
        clip = Made([*range(length), *reversed(range(length))], clip.__getitem__)
    streams = [model.stream(clip if view is None else Made(clip, view), scale, made) for view in views]
    outputs = (averaged(frames) if ensemble else frames[0] for frames in zip(*streams, strict=True))
    return _folded(outputs, len(wanted)) if mirror and model.clips else outputs


def _folded(outputs: Iterator[Tensor], length: int) -> Iterator[Tensor]:
    """Of the outputs for frames there and back the mean of both of each, in the order of time."""
    with FeatureFile() as kept:
        for number in range(length):
            kept[number] = next(outputs)
        for number in reversed(range(length)):
            other = next(outputs)
            kept[number] = (kept[number].to(other) + other) / 2
            device = other.device
        for number in range(length):
            yield kept[number].to(device)


def middle_of(batch: Batch, side: int) -> Batch:
    """The middle of an image, at most `side` HR pixels a side."""
    scale, (h, w), most = batch.scale, batch.lr.shape[-2:], side // batch.scale
    top, left = max(0, h - most) // 2, max(0, w - most) // 2
    lr = batch.lr[..., top : top + most, left : left + most]
    top, left, most = top * scale, left * scale, most * scale
    return batch._replace(lr=lr, hr=batch.hr[..., top : top + most, left : left + most])
