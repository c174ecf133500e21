"""Clips: sequences of frames, each of which is an image pair like any other."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from sr.data.clip_sampling import ClipPatches, WholeClips
from sr.data.frame_names import NEIGHBOURS, gaps, in_time, refuse_several
from sr.data.images import Images, SomeImages
from sr.data.module import SRDataModule
from sr.data.pairs import ImagePair, pair_by_name
from sr.data.pairset import Pairs
from sr.data.sampling import WholeImages
from sr.data.settings import flags, whole
from sr.errors import UserError, nearest, some, told_once

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clip:
    """Frames in the order of time, their names `<clip>/<frame>`, as `000/00000000`."""

    name: str
    frames: tuple[ImagePair, ...]


def clip_of(frame: str) -> str:
    """The clip of a frame by its name."""
    return frame.rpartition("/")[0]


def paired(name: str, hr: Sequence[Path], lr: Sequence[Path] | None, scale: int) -> Clip:
    """A clip of frames that have one name in HR and LR, in the order of the numbers in them: 2 before 10.

    Raises:
        UserError: they do not pair, or are those of several clips.
    """
    frames = sorted(pair_by_name(hr, lr, scale), key=lambda pair: in_time(pair.name))
    refuse_several([pair.hr.stem for pair in frames], hr[0].parent)
    return Clip(name, tuple(ImagePair(f"{name}/{pair.name}", pair.hr, pair.lr) for pair in frames))


def runs_of(names: Iterable[str]) -> list[range]:
    """Which of the frames, by their names, make a clip."""
    clips = [list(run) for _, run in groupby(enumerate(names), lambda frame: clip_of(frame[1]))]
    return [range(clip[0][0], clip[-1][0] + 1) for clip in clips]


class ClipModule(SRDataModule):
    """Clips of one data set at one scale.

    A subclass lists them in `train_clips`, `val_clips` and `test_clips`. A training sample has one place, one flip and
    turn, one interval and one direction of time for all of its frames.

    Args:
        frames: of a training sample.
        intervals: from one frame of a sample to the next, drawn for each sample among those that its clip is long
            enough for.
        reverse: half of the samples run backward.
        mirror: each sample is followed by itself, run backward: twice as many frames (BasicVSR on Vimeo-90K). So is
            each clip that a network on clips is measured on; of the two outputs for a frame the mean counts.
        clips: names of those that are measured; None for all.
        val_frames: of each validation clip, the first ones; None for all.
        settings: see `SRDataModule`; `val_images` counts clips.
    """

    of_clips = True
    protocols: ClassVar[tuple[str, ...]] = ("video_y", "video_rgb")

    def __init__(
        self,
        *,
        frames: int = 7,
        intervals: Sequence[int] = (1,),
        reverse: bool = False,
        mirror: bool = False,
        clips: Sequence[str] | None = None,
        val_frames: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        if self.augment:
            raise UserError("data.augment: on clips there are flips, quarter turns, data.reverse and data.intervals")
        flags(reverse=reverse, mirror=mirror)
        whole(frames=frames)
        if val_frames is not None:
            whole(val_frames=val_frames)
        intervals = [intervals] if isinstance(intervals, int) else list(intervals)
        for interval in intervals or [0]:
            whole(intervals=interval)
        self.frames, self.intervals, self.reverse, self.mirror = frames, sorted(set(intervals)), reverse, mirror
        self.wanted = clips if clips is None else [clips] if isinstance(clips, str | int | float) else list(clips)
        if self.wanted == []:
            raise UserError("data.clips=[]: name one at least, or type data.clips=null for all")
        self.val_frames = val_frames

    # ---- what a subclass says -----------------------------------------------------------------------------

    def train_clips(self) -> list[Clip]:
        """Clips to train on."""
        raise UserError(f"{self.name} is for measuring only. Type for example data=reds or data=clips to train")

    def val_clips(self) -> list[Clip]:
        """Clips to validate on while training."""
        raise UserError(f"{self.name} has no validation clips")

    def test_clips(self) -> list[Clip]:
        """Clips to measure on; the validation clips unless a subclass has others."""
        return self.val_clips()

    # ---- as frames ----------------------------------------------------------------------------------------

    def train_pairs(self) -> list[ImagePair]:
        return self._frames(self.train_clips())

    def val_pairs(self) -> list[ImagePair]:
        return self._frames(self._chosen(self.val_clips()))

    def test_pairs(self) -> list[ImagePair]:
        return self._frames(self._chosen(self.test_clips()))

    def _frames(self, clips: Sequence[Clip]) -> list[ImagePair]:
        """Of these clips; frames that are missing within one are told, as some sets leave them out on purpose."""
        found = {clip.name: gaps(frame.name.rpartition("/")[2] for frame in clip.frames) for clip in clips}
        if lacking := [f"{some(numbers)} of clip {name}" for name, numbers in found.items() if numbers]:
            text = f"warning: frames of {self.name} are missing, by their numbers: {some(lacking, between='; ')}. "
            told_once(log, logging.WARNING, text + NEIGHBOURS)
        return [frame for clip in clips for frame in clip.frames]

    def _chosen(self, clips: list[Clip]) -> list[Clip]:
        if self.wanted is None:
            return clips
        known = {clip.name: clip for clip in clips}
        if unknown := [name for name in self.wanted if str(name) not in known]:
            hint = nearest(str(unknown[0]), known)
            raise UserError(f"data.clips={unknown[0]}: {self.name} has no such clip.{hint} There are {some(known, 12)}")
        return [known[str(name)] for name in dict.fromkeys(self.wanted)]

    def first(self, pairs: list[ImagePair], count: int | None) -> list[ImagePair]:
        clips = [list(frames) for _, frames in groupby(pairs, lambda pair: clip_of(pair.name))]
        return [frame for clip in clips[:count] for frame in clip[: self.val_frames]]

    def runs(self, part: str) -> list[range]:
        return runs_of(self.pairs(part).names)

    def called(self, pairs: Pairs, number: int) -> str:
        return clip_of(pairs.names[number])

    def make_set(self, part: str) -> Pairs:
        made = super().make_set(part)
        for run in runs_of(made.names):
            if others := [n for n in run if made.grids[n] != made.grids[run[0]]]:
                (h, w), (other_h, other_w) = made.grids[run[0]], made.grids[others[0]]
                raise UserError(
                    f"clip {clip_of(made.names[run[0]])} of {self.name} has frames of several sizes: "
                    f"{made.paths[run[0]]} is {w}x{h} LR pixels, {made.paths[others[0]]} {other_w}x{other_h}. Give "
                    "each size a folder of its own"
                )
        return made

    def images(self, part: str) -> dict[str, Images]:
        """The frame in the middle of each clip, which is like that of another's copy; exact copies are told by all."""
        ((name, frames),) = super().images(part).items()
        return {name: SomeImages(frames, [run[len(run) // 2] for run in self.runs(part)])}

    # ---- loaders ------------------------------------------------------------------------------------------

    def setup(self, stage: str | None = None) -> None:
        super().setup(stage)
        if stage in (None, "fit"):
            self._check_lengths()

    def _check_lengths(self) -> None:
        """Every training clip is long enough for a sample."""
        interval, runs, names = self.intervals[0], self.runs("train"), self.pairs("train").names
        need = (self.frames - 1) * interval + 1
        if short := [clip_of(names[run[0]]) for run in runs if len(run) < need]:
            fits = (min(map(len, runs)) - 1) // interval + 1
            raise UserError(
                f"{len(short)} of {len(runs)} training clips of {self.name} are shorter than the {need} frames of a "
                f"sample: {some(short)}. Remove them, or type frames={fits} or less"
            )

    def patches(self) -> ClipPatches:
        self.check_patch(self.patch_size)
        return ClipPatches(
            self.pairs("train"),
            self.runs("train"),
            scale=self.scale,
            patch=self.patch_size,
            seed=self.seed,
            dihedral=self.dihedral,
            frames=self.frames,
            intervals=self.intervals,
            reverse=self.reverse,
            mirror=self.mirror,
        )

    def whole(self, part: str) -> WholeImages | WholeClips:
        return WholeClips(self.pairs(part), self.scale, self.runs(part)) if part == "val" else super().whole(part)

    def describe(self) -> str:
        told = {part: f"{len(self.runs(part)):,} clips" for part in ("train", "val")}
        return f"{self.name}: {told['train']} ({len(self.pairs('train')):,} frames), validating on {told['val']}"
