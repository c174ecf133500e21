"""Measuring protocols: what exactly a printed PSNR or SSIM compares.

The same two images give values half a decibel apart under the conventions in use, so a score is never
printed without its protocol. `Protocol.compare` is the one function that computes it.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sr.errors import UserError, told_once
from sr.imaging.banded import plain, strips
from sr.imaging.color import rgb_to_y, to_uint8, ycbcr_to_rgb
from sr.imaging.resize import imresize
from sr.metrics.metric import Metric
from sr.metrics.psnr import METRIC as PSNR
from sr.metrics.ssim import METRIC as SSIM
from sr.metrics.ssim import ssim, ssim_replicate, ssim_volumetric
from sr.precision import refuse_arrays, with_doubles

log = logging.getLogger(__name__)
DEFAULT = (PSNR, SSIM)  # what papers print
OURS = (PSNR.function, ssim, ssim_replicate, ssim_volumetric)  # that take bytes, and many images at once

Channel = Callable[[Tensor, bool], Tensor]  # 8-bit RGB (B, 3, H, W) and greyness -> 0..255, (B, 1 or 3, H, W)
BEYOND = 1.5  # of HR in [0, 1]
WRONG, LEVELS = 20, 64  # dB, and values of an output, from which on it is likely to be in 0 to 255
_BT601 = 21827, 42851, 8322  # of R, G and B in Y, 85000ths
_BLACK = 16 + 128 * 73 / 85  # Y where 85000 (Y - 16) less 128 levels of each channel is nothing


def rgb(image: Tensor, grey: bool) -> Tensor:
    """All three channels, 0..255, as they are: 8-bit images in bytes."""
    return image


def luma(image: Tensor, grey: bool) -> Tensor:
    """Unrounded Y of 8-bit RGB, 16..235 in float64; a grey image counts as RGB with equal channels."""
    if image.dtype != torch.uint8:
        return rgb_to_y(image.double() / 255).mul_(255)
    if (v := plain(image)) is None:
        return _third(image).double().mul_(1 / 85_000).add_(_BLACK)
    y = np.empty((len(v), 1, *v.shape[-2:]))
    for number, _, rows in strips(y.shape):  # as `_third`, within the processor's cache
        r, g, b = channels = v[number, :, rows].astype(np.float32)
        channels -= 128
        channels *= np.array(_BT601, np.float32)[:, None, None]
        r += g
        r += b
        strip = y[number, 0, rows]
        np.multiply(r, 1 / 85_000, out=strip, dtype=np.float64)
        strip += _BLACK
    return torch.from_numpy(y)


def luma8(image: Tensor, grey: bool) -> Tensor:
    """Y rounded to 8 bit, as MATLAB's rgb2ycbcr gives for uint8; a grey image is its own Y, 0..255."""
    if grey:
        return image[..., :1, :, :].double()
    if image.dtype == torch.uint8:
        return _third(image).double().add_(128 * 73_000 + 42_500).div_(85_000).floor_().add_(16)
    return (luma(image, grey) + 0.5).floor()


def _third(image: Tensor) -> Tensor:
    """85000 (Y - 16) of 8-bit RGB less 128: whole numbers below 2^24, so that float32 is exact, and fast."""
    (r, g, b), (of_r, of_g, of_b) = (channel.float().sub_(128) for channel in image.split(1, -3)), _BT601
    return r.mul_(of_r).add_(g, alpha=of_g).add_(b, alpha=of_b)


@dataclass(frozen=True)
class Protocol:
    """How an output is held against HR.

    Attributes:
        name: printed beside each figure.
        description: one line for tables and help; Y is that of BT.601 in studio range.
        channel: what is compared: `rgb`, `luma` or `luma8`.
        border: pixels shaved off each side, besides `border_scales` times the scale.
        border_scales: see `border`.
        ends: frames of a clip at each end that do not count; None counts the frame in the middle alone.
        ssim: which form of SSIM: (1, C, H, W) twice, 0..255 in float64, to (1,).

    Example:
        >>> import sr, torch
        >>> mine = sr.Protocol("mine", "Y, 8 pixels left out on each side", border=8, border_scales=0)
        >>> hr = torch.full((1, 3, 48, 48), 0.5)
        >>> mine.compare(hr + 0.02, hr, scale=4)["psnr"]
        tensor([35.4733], dtype=torch.float64)
    """

    name: str
    description: str
    channel: Channel = luma
    border: int = 0
    border_scales: int = 1
    ends: int | None = 0
    ssim: Callable[[Tensor, Tensor], Tensor] = ssim

    def __post_init__(self) -> None:
        counts = {"border": self.border, "border_scales": self.border_scales, "ends": self.ends or 0}
        for key, value in counts.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise UserError(f"protocol {self.name}: {key}={value!r} must be a whole number, 0 or more")
        if not callable(self.channel):
            raise UserError(
                f"protocol {self.name}: channel={self.channel!r} must be one of {rgb.__name__}, {luma.__name__} and "
                f"{luma8.__name__} of {__name__}"
            )

    defines_lr = False  # True: only LR from `lr` serves, stored LR files do not
    rounds = True  # False: the output stays as it is, and HR goes through the same arithmetic, so that equal is equal

    def shave(self, scale: int) -> int:
        """Pixels left out on each side of an image at this scale."""
        return self.border + self.border_scales * scale

    def scored(self, frames: int) -> range:
        """Which frames of a clip count; all of one that is `too_short` to lose some."""
        if self.too_short(frames):
            return range(frames)
        return range(frames // 2, frames // 2 + 1) if self.ends is None else range(self.ends, frames - self.ends)

    def too_short(self, frames: int) -> bool:
        """Whether nothing would be left of a clip without its `ends`."""
        return bool(self.ends) and frames <= 2 * (self.ends or 0)

    def lr(self, hr: Tensor, scale: int, *, grey: bool = False, edge: str = "mirror") -> Tensor:
        """The LR that the model is given: MATLAB bicubic of the 8-bit RGB image, rounded to 8 bit.

        Args:
            hr: (..., 3, H, W), uint8 or floating in [0, 1], H and W multiples of `scale`.
            scale: how much smaller LR is.
            grey: whether the picture was stored with one channel.
            edge: the edge rule of `imresize`.

        Returns:
            (..., 3, H / scale, W / scale) float32 in [0, 1]; of a protocol that computes in float64 it lies on the
            host where HR's device has none.
        """
        return imresize(to_uint8(hr), 1 / scale, edge=edge).float() / 255

    def reference(self, hr: Tensor, grey: bool) -> Tensor:
        """What of HR (B, 3, H, W) uint8 is compared: (B, C, H, W), 0..255, in bytes or float64."""
        return self.channel(hr if self.rounds else hr.double(), grey)

    def measured(self, sr: Tensor, grey: bool) -> Tensor:
        """What of the model's output (B, 3, H, W), about [0, 1], is compared: rounded to 8-bit RGB first."""
        return self.channel(to_uint8(sr), grey)

    def gives(self, metric: Metric) -> bool:
        """Whether a metric has a value under this protocol: one that looks at colours has none where LR has none."""
        return not ((metric.rgb or metric.of_lr) and self.defines_lr)

    def refuse_small(self, height: int, width: int, scale: int, metrics: Sequence[Metric] = DEFAULT) -> None:
        """Raises a UserError where an image of HR's size has too little left for the metrics."""
        border, most = self.shave(scale), max(filter(self.gives, metrics), key=lambda m: m.smallest, default=SSIM)
        if min(height, width) - 2 * border < most.smallest:
            raise UserError(
                f"an image of {height} x {width} pixels (height x width) is too small for protocol "
                f"{self.name} at scale {scale}: it leaves out {border} on each side and {most.title} needs "
                f"{most.smallest} more, so it takes {2 * border + most.smallest} a side or more"
            )

    def compare(
        self,
        sr: Tensor,
        hr: Tensor,
        scale: int,
        grey: bool | Sequence[bool] = False,
        metrics: Sequence[Metric] = DEFAULT,
        lr: Tensor | None = None,
        reference: Channel | None = None,
    ) -> dict[str, Tensor]:
        """The values of every metric, for each image.

        Args:
            sr: the model's RGB output (B, 3, H, W), floating, about [0, 1]; clipped and rounded here.
            hr: the true RGB images (B, 3, H, W), uint8 or floating in [0, 1].
            scale: the factor, which sets the shave.
            grey: whether the images were stored with one channel; one flag, or one per image.
            metrics: PSNR and SSIM unless others are given; those that the protocol does not give are left out.
            lr: what the model was given (B, 3, h, w), uint8 or floating in [0, 1]; without it metrics `of_lr` are left
                out.
            reference: what gives the same as `reference`, and may have kept it.

        Returns:
            {name of the metric: (B,)}, PSNR and SSIM in float64; PSNR is inf for identical images.

        Raises:
            UserError: for different sizes, images too small for the shave and a metric (SSIM's window), or NaN.
        """
        refuse_arrays("compare", sr, hr)
        if sr.shape != hr.shape or sr.ndim != 4 or sr.shape[1] != 3:
            raise UserError(
                f"SR {tuple(sr.shape)} and HR {tuple(hr.shape)} must have one shape (B, 3, H, W); crop HR "
                f"to a multiple of the scale before LR is made from it"
            )
        if hr.is_floating_point() and hr.is_cpu and float(hr.max()) > BEYOND:
            raise UserError(f"HR's floats are in [0, 1], and these reach {float(hr.max()):g}: divide them, as by 255")
        metrics = [m for m in metrics if self.gives(m) and not (m.of_lr and lr is None)]
        border, (height, width) = self.shave(scale), sr.shape[-2:]
        self.refuse_small(height, width, scale, metrics)
        sr, hr = with_doubles(sr), with_doubles(hr)
        small = imresize(to_uint8(sr), 1 / scale) if any(m.of_lr for m in metrics) else None
        flags = [grey] * len(sr) if isinstance(grey, bool) else list(grey)
        inner = (..., slice(border, height - border), slice(border, width - border))
        sr, hr = sr[inner], hr[inner]
        values: dict[str, list[Tensor]] = {m.name: [] for m in metrics}
        order: list[int] = []
        for one_grey in dict.fromkeys(flags):
            rows = [i for i, flag in enumerate(flags) if flag == one_grey]
            order += rows
            one_sr, one_hr = (t if len(rows) == len(t) else t[rows] for t in (sr, hr))
            one_hr = to_uint8(one_hr)
            compared = self.measured(one_sr, one_grey), (reference or self.reference)(one_hr, one_grey)
            for m in metrics:
                function = self.ssim if m is SSIM else m.function
                if m.of_lr and small is not None and lr is not None:
                    found = function(small[rows], to_uint8(lr[rows].to(small.device)))
                elif function in OURS:
                    found = function(*compared)
                else:  # image by image: others may need much memory, and their authors may have thought of one
                    seen = (to_uint8(one_sr), one_hr) if m.rgb else tuple(t.double() for t in compared)
                    each = zip(*(t.split(1) for t in seen), strict=True)  # copies, as one may write into what it gets
                    found = torch.cat([function(a.clone(), b.clone()).reshape(1) for a, b in each])
                values[m.name].append(found)
        back = [order.index(i) for i in range(len(order))]
        result = {name: torch.cat(each)[back] for name, each in values.items()}
        if sr.is_cpu and "psnr" in result and bool((result["psnr"] < WRONG).any()) and float(sr.max()) > LEVELS:
            told = f"warning: an output reaches {float(sr.max()):g}, and is clipped to [0, 1]: is it in 0 to 255"
            told_once(log, logging.WARNING, f"{told}? Divide it, as by 255")
        return result


class ClassicProtocol(Protocol):
    """The older papers' way, in which no RGB image is ever rounded.

    HR is converted to 8-bit Y (a grey image is its own Y), Y is reduced in floating point and *not* rounded,
    the model is given it with neutral chroma, and only the Y of its output is rounded.
    """

    defines_lr = True

    def lr(self, hr: Tensor, scale: int, *, grey: bool = False, edge: str = "mirror") -> Tensor:
        """LR as `Protocol.lr`, but unrounded and without colour; a grey image may leave [0, 1] slightly."""
        small = imresize(self.reference(to_uint8(with_doubles(hr)), grey) / 255, 1 / scale, edge=edge)
        neutral = torch.full_like(small, 128 / 255)
        return ycbcr_to_rgb(torch.cat((small, neutral, neutral), -3)).float()

    def measured(self, sr: Tensor, grey: bool) -> Tensor:
        """Y of the unrounded output, rounded to 8 bit."""
        return to_uint8(rgb_to_y(sr)).double()


class FloatProtocol(ClassicProtocol):
    """Nothing is rounded anywhere: not Y of HR, not LR, not the output (LapSRN's published figures)."""

    rounds = False

    def measured(self, sr: Tensor, grey: bool) -> Tensor:
        """Y of the output as it is, clipped to what an image can hold."""
        return rgb_to_y(sr.double()).clamp(0, 1) * 255


class UnroundedProtocol(Protocol):
    """The output is not rounded, only clipped to what an image can hold; LR is the data's."""

    rounds = False

    def measured(self, sr: Tensor, grey: bool) -> Tensor:
        """The channel of the output as it is."""
        return self.channel(sr.double().clamp(0, 1) * 255, grey)
