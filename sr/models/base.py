"""The contract of every architecture: images in and out, scales, colours, padding, and the form to deploy."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._pytree import tree_leaves

from sr.errors import UserError
from sr.imaging.color import rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb
from sr.imaging.resize import imresize
from sr.models.loops import TrainingLoops
from sr.models.training import Training

__all__ = ["Reads", "SuperResolver", "Training"]


@dataclass(frozen=True)
class Reads:
    """What a file's network takes where its paper's takes something else: gain * x + shift of [0, 1], perhaps BGR."""

    gain: float = 1.0
    shift: float = 0.0
    bgr: bool = False


class SuperResolver(TrainingLoops):
    """A super-resolution network on RGB images in [0, 1].

    A subclass builds its layers in the constructor and implements `network`; what the paper wants instead of
    RGB in [0, 1] (mean shift, range 0-255, an input enlarged beforehand) happens inside `network`. With
    ``colors=1`` the network sees luma only and the base class carries the chroma by bicubic.

    Args:
        scale: enlargement factor, one of `supported_scales`; several for a network that serves them all
            (`scales`) and is told with each batch which one is meant.
        colors: 3 for a network on RGB, 1 for one on Y (BT.601 studio range, divided by 255).

    Raises:
        UserError: the architecture is not defined for this scale or number of colours.
    """

    supported_scales: ClassVar[tuple[int, ...]] = (2, 3, 4, 8)
    protocols: ClassVar[tuple[str, ...]] = ("y", "rgb")  # under which the papers measure this kind of network
    min_patch: ClassVar[int] = 8  # smallest sensible training patch, LR pixels
    min_size: ClassVar[int] = 1  # smallest LR side that `network` survives; `forward` pads below it
    forms: ClassVar[tuple[str, ...]] = ("scale",)  # settings in which a run may differ from the weights it starts from
    float32_convs: ClassVar[int] = 0  # of the first ones, in float32 where it is exported in float16
    clips: ClassVar[bool] = False  # whether `network` takes and returns clips, (B, T, colors, h, w)

    def __init__(self, scale: int | Sequence[int], colors: int = 3) -> None:
        super().__init__()
        self.scales = tuple(scale) if isinstance(scale, Sequence) else (scale,)
        if not self.scales or not set(self.scales) <= set(self.supported_scales):
            raise UserError(
                f"{type(self).__name__} has no scale {scale!r}: it is defined for "
                f"{', '.join(map(str, self.supported_scales))}. Type for example scale={self.supported_scales[0]}"
            )
        if colors not in (1, 3):
            raise UserError(f"colors={colors!r}: a network works on 3 colours (RGB) or on 1 (Y)")
        self.colors = colors
        self.reads: Reads | None = None  # as its paper's

    def network(self, x: Tensor, scale: int) -> Tensor:
        """The paper's network: (B, colors, h, w) in [0, 1] -> (B, colors, scale*h, scale*w)."""
        raise NotImplementedError(f"{type(self).__name__} must implement network(x, scale)")

    @property
    def scale(self) -> int:
        """The scale of a model that serves one."""
        return self.scale_of(None)

    def scale_of(self, asked: int | None) -> int:
        """The scale to work at: the one asked for, or the only one there is.

        Raises:
            UserError: the model does not serve it, or serves several and none was asked for.
        """
        if asked is None and len(self.scales) == 1:
            return self.scales[0]
        if asked not in self.scales:
            raise UserError(
                f"this {type(self).__name__} serves scale {', '.join(map(str, self.scales))}, "
                f"{'and none was given' if asked is None else f'asked was {asked}'}. Type for example "
                f"scale={self.scales[0]}"
            )
        return next(scale for scale in self.scales if scale == asked)  # 4 where 4.0 was asked

    def forward(self, lr: Tensor, scale: int | None = None) -> Tensor:
        """Super-resolve.

        Args:
            lr: (B, 3, h, w) RGB in [0, 1], any h and w, or clips of T >= 1 frames, (B, T, 3, h, w). A network on images
                takes those frame by frame, one on clips takes an image as a clip of one frame.
            scale: needed only by a model that serves several scales.

        Returns:
            (B, 3, s*h, s*w) RGB, not clamped, or (B, T, 3, s*h, s*w).

        Raises:
            UserError: see `scale_of`.
        """
        s = self.scale_of(scale)
        if lr.ndim == 5 and not self.clips:
            return self(lr.flatten(0, 1), s).unflatten(0, lr.shape[:2])
        if lr.ndim == 4 and self.clips:
            return self(lr[:, None], s)[:, 0]
        if self.colors == 3:
            return self.in_own_colors(lr, s)
        ycbcr = rgb_to_ycbcr(lr)
        luma = self.in_own_colors(ycbcr[:, :1], s)
        chroma = imresize(ycbcr[:, 1:], s)
        return ycbcr_to_rgb(torch.cat([luma, chroma.to(luma.dtype)], dim=1))

    def in_own_colors(self, x: Tensor, scale: int) -> Tensor:
        """`network`, with inputs below `min_size` padded by repeating the edge and the result cropped.

        Raises:
            UserError: it returned what is not `scale` times as large.
        """
        h, w = x.shape[-2:]
        pad_h, pad_w = max(0, self.min_size - h), max(0, self.min_size - w)
        if pad_h or pad_w:
            x = F.pad(x, (0, pad_w, 0, pad_h) + (0, 0) * (x.ndim - 4), mode="replicate")
        found = self.network(self._given(x), scale)
        sr, wanted = found[..., : h * scale, : w * scale], (*x.shape[:-2], h * scale, w * scale)
        if not torch.compiler.is_compiling() and sr.shape != wanted:
            raise UserError(
                f"{type(self).__name__}.network returned {tuple(found.shape)} for LR of {tuple(x.shape)} at "
                f"scale={scale}, and expected is {wanted}: mend what it enlarges by, as nn.PixelShuffle({scale}) after "
                f"a convolution with {self.colors} * {scale}**2 channels"
            )
        return self._returned(sr)

    def _given(self, x: Tensor) -> Tensor:
        """(..., C, h, w) in [0, 1] -> the values and the order of channels that the file's network takes."""
        return x if self.reads is None else self.reads.gain * self._ordered(x) + self.reads.shift

    def _returned(self, sr: Tensor) -> Tensor:
        """The other way."""
        return sr if self.reads is None else (self._ordered(sr) - self.reads.shift) / self.reads.gain

    def _ordered(self, x: Tensor) -> Tensor:
        return x.flip(-3) if self.reads is not None and self.reads.bgr else x

    def own_colors(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) RGB -> (B, colors, H, W): what the network sees and the paper's loss compares."""
        return rgb_to_y(image) if self.colors == 1 else image

    def stream(
        self, clip: Sequence[Tensor], scale: int | None = None, wanted: Sequence[int] | None = None
    ) -> Iterator[Tensor]:
        """The frames of `forward`, one after the other, in memory that does not grow with the clip's length.

        Args:
            clip: frames, each (B, 3, h, w); a frame may be asked for several times.
            scale: see `forward`.
            wanted: numbers of the frames that are made, ascending; None for all.
        """
        for n in range(len(clip)) if wanted is None else wanted:
            yield self(clip[n], scale)

    def training_images(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        lr, hr = (image.flatten(0, -4) for image in (batch.lr, batch.hr))  # of clips each frame by itself
        lr = self.own_colors(lr)
        return self.in_own_colors(lr, batch.scale), self.own_colors(hr), lr

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """As any other, also of what is computed from weights as `torch.nn.utils.weight_norm` keeps it."""
        for x in tree_leaves([dict(vars(module)) for module in self.modules()]):
            if isinstance(x, Tensor) and not x.is_leaf:
                memo[id(x)] = x.detach().clone()
        copied = memo[id(self)] = type(self).__new__(type(self))
        copied.__setstate__(copy.deepcopy(self.__getstate__(), memo))  # type: ignore[no-untyped-call]
        return copied

    def merged(self) -> Self:
        """The form to deploy: a copy in eval mode in which every block with a `merge()` is replaced by it."""
        deployed = copy.deepcopy(self)
        deployed.__dict__.pop("network", None)  # a compiled network belongs to the original's weights
        _merge_children(deployed)
        return deployed.eval()


def _merge_children(module: nn.Module) -> None:
    for name, child in module.named_children():
        if callable(merge := getattr(child, "merge", None)):
            setattr(module, name, merge())
        else:
            _merge_children(child)
