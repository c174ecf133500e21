"""Named measuring protocols: what exactly a printed PSNR or SSIM compares.

The same two images give values half a decibel apart under the conventions in use, so a score is never
printed without its protocol. `Protocol.compare` is the one function that computes it.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sr.errors import UserError
from sr.imaging.color import rgb_to_y, to_uint8, ycbcr_to_rgb
from sr.imaging.resize import imresize
from sr.metrics.metric import Metric
from sr.metrics.psnr import METRIC as PSNR
from sr.metrics.ssim import METRIC as SSIM
from sr.metrics.ssim import ssim, ssim_replicate, ssim_volumetric

DEFAULT = (PSNR, SSIM)  # what papers print

Channel = Callable[[Tensor, bool], Tensor]  # 8-bit RGB (B, 3, H, W) and greyness -> 0..255, (B, 1 or 3, H, W)


def rgb(image: Tensor, grey: bool) -> Tensor:
    """All three channels, 0..255 in float64."""
    return image.double()


def luma(image: Tensor, grey: bool) -> Tensor:
    """Unrounded Y of 8-bit RGB, 16..235 in float64; a grey image counts as RGB with equal channels."""
    return rgb_to_y(image.double() / 255) * 255


def luma8(image: Tensor, grey: bool) -> Tensor:
    """Y rounded to 8 bit, as MATLAB's rgb2ycbcr gives for uint8; a grey image is its own Y, 0..255."""
    return image[..., :1, :, :].double() if grey else (luma(image, grey) + 0.5).floor()


@dataclass(frozen=True)
class Protocol:
    """How an output is held against HR.

    Attributes:
        name: printed beside each figure.
        description: one line for tables and help; Y is that of BT.601 in studio range.
        channel: what is compared: `rgb`, `luma` or `luma8`.
        border: pixels shaved off each side, besides `border_scales` times the scale.
        border_scales: see `border`.
        ssim: which form of SSIM: (B, C, H, W) twice, 0..255, to (B,).

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
    ssim: Callable[[Tensor, Tensor], Tensor] = ssim

    defines_lr = False  # True: only LR from `lr` serves, stored LR files do not

    def shave(self, scale: int) -> int:
        """Pixels left out on each side of an image at this scale."""
        return self.border + self.border_scales * scale

    def lr(self, hr: Tensor, scale: int, *, grey: bool = False, edge: str = "mirror") -> Tensor:
        """The LR that the model is given: MATLAB bicubic of the 8-bit RGB image, rounded to 8 bit.

        Args:
            hr: (..., 3, H, W), uint8 or floating in [0, 1], H and W multiples of `scale`.
            scale: how much smaller LR is.
            grey: whether the picture was stored with one channel.
            edge: the edge rule of `imresize`.

        Returns:
            (..., 3, H / scale, W / scale) float32 in [0, 1].
        """
        return imresize(to_uint8(hr), 1 / scale, edge=edge).float() / 255

    def reference(self, hr: Tensor, grey: bool) -> Tensor:
        """What of HR (B, 3, H, W) uint8 is compared: (B, C, H, W) float64 in 0..255."""
        return self.channel(hr, grey)

    def measured(self, sr: Tensor, grey: bool) -> Tensor:
        """What of the model's output (B, 3, H, W), about [0, 1], is compared: rounded to 8-bit RGB first."""
        return self.channel(to_uint8(sr), grey)

    def gives(self, metric: Metric) -> bool:
        """Whether a metric has a value under this protocol: one that looks at colours has none where LR has none."""
        return not (metric.rgb and self.defines_lr)

    def compare(
        self,
        sr: Tensor,
        hr: Tensor,
        scale: int,
        grey: bool | Sequence[bool] = False,
        metrics: Sequence[Metric] = DEFAULT,
    ) -> dict[str, Tensor]:
        """The values of every metric, for each image.

        Args:
            sr: the model's RGB output (B, 3, H, W), floating, about [0, 1]; clipped and rounded here.
            hr: the true RGB images (B, 3, H, W), uint8 or floating in [0, 1].
            scale: the factor, which sets the shave.
            grey: whether the images were stored with one channel; one flag, or one per image.
            metrics: PSNR and SSIM unless others are given; those that the protocol does not give are left out.

        Returns:
            {name of the metric: (B,)}, PSNR and SSIM in float64; PSNR is inf for identical images.

        Raises:
            UserError: for different sizes, images too small for the shave and a metric (SSIM's window), or NaN.
        """
        if sr.shape != hr.shape or sr.ndim != 4 or sr.shape[1] != 3:
            raise UserError(
                f"SR {tuple(sr.shape)} and HR {tuple(hr.shape)} must have one shape (B, 3, H, W); crop HR "
                f"to a multiple of the scale before LR is made from it"
            )
        metrics = [m for m in metrics if self.gives(m)]
        border, (height, width) = self.shave(scale), sr.shape[-2:]
        most = max(metrics, key=lambda m: m.smallest, default=SSIM)
        if min(height, width) - 2 * border < most.smallest:
            raise UserError(
                f"an image of {height} x {width} pixels (height x width) is too small for protocol "
                f"{self.name} at scale {scale}: it leaves out {border} on each side and {most.title} needs "
                f"{most.smallest} more, so it takes {2 * border + most.smallest} a side or more"
            )
        if sr.device.type == "mps":  # has no float64
            sr, hr = sr.cpu(), hr.cpu()
        flags = [grey] * len(sr) if isinstance(grey, bool) else list(grey)
        inner = (..., slice(border, height - border), slice(border, width - border))
        values: dict[str, list[Tensor]] = {m.name: [] for m in metrics}
        for one_sr, one_hr, one_grey in zip(sr[inner].split(1), hr[inner].split(1), flags, strict=True):
            one_hr = to_uint8(one_hr)
            compared = self.measured(one_sr, one_grey), self.reference(one_hr, one_grey)
            for m in metrics:
                function = self.ssim if m is SSIM else m.function
                value = function(to_uint8(one_sr), one_hr) if m.rgb else function(*compared)
                values[m.name].append(value.reshape(1))
        return {name: torch.cat(each) for name, each in values.items()}


class ClassicProtocol(Protocol):
    """The older papers' way, in which no RGB image is ever rounded.

    HR is converted to 8-bit Y (a grey image is its own Y), Y is reduced in floating point and *not* rounded,
    the model is given it with neutral chroma, and only the Y of its output is rounded.
    """

    defines_lr = True

    def lr(self, hr: Tensor, scale: int, *, grey: bool = False, edge: str = "mirror") -> Tensor:
        """LR as `Protocol.lr`, but unrounded and without colour; a grey image may leave [0, 1] slightly."""
        small = imresize(self.reference(to_uint8(hr), grey) / 255, 1 / scale, edge=edge)
        neutral = torch.full_like(small, 128 / 255)
        return ycbcr_to_rgb(torch.cat((small, neutral, neutral), -3)).float()

    def measured(self, sr: Tensor, grey: bool) -> Tensor:
        """Y of the unrounded output, rounded to 8 bit."""
        return to_uint8(rgb_to_y(sr)).double()


class FloatProtocol(ClassicProtocol):
    """Nothing is rounded anywhere: not Y of HR, not LR, not the output (LapSRN's published figures)."""

    def measured(self, sr: Tensor, grey: bool) -> Tensor:
        """Y of the output as it is, clipped to what an image can hold."""
        return rgb_to_y(sr.double()).clamp(0, 1) * 255


class UnroundedProtocol(Protocol):
    """The output is not rounded, only clipped to what an image can hold; LR is the data's."""

    def measured(self, sr: Tensor, grey: bool) -> Tensor:
        """The channel of the output as it is."""
        return self.channel(sr.double().clamp(0, 1) * 255, grey)


_ALL = (
    Protocol("y", "Y unrounded, SR in 8-bit RGB, shave = scale, SSIM valid window (IMDN, RLFN, BSRN)"),
    ClassicProtocol(
        "y_classic",
        "Y in 8 bit, LR made from Y and unrounded, shave = scale, SSIM valid window (SRCNN to LapSRN)",
        channel=luma8,
    ),
    FloatProtocol("y_float", "Y unrounded, LR made from Y and unrounded, shave = scale, SSIM valid window (LapSRN)"),
    Protocol(
        "y_uint8",
        "Y in 8 bit, SR in 8-bit RGB, shave = scale, SSIM over replicated edges (EDSR)",
        channel=luma8,
        ssim=ssim_replicate,
    ),
    Protocol("rgb", "RGB in 8 bit, shave = scale, SSIM valid window, mean of channels", channel=rgb),
    Protocol(
        "edsr_div2k",
        "RGB in 8 bit, shave = 6 + scale, SSIM volumetric over H x W x 3 (EDSR on DIV2K)",
        channel=rgb,
        border=6,
        ssim=ssim_volumetric,
    ),
    Protocol("ntire17", "RGB in 8 bit, shave = 6 + scale, SSIM valid window, mean of channels", channel=rgb, border=6),
    Protocol(
        "ntire22",
        "RGB in 8 bit, shave = 4, SSIM valid window (the challenge ranks by PSNR alone)",
        channel=rgb,
        border=4,
        border_scales=0,
    ),
    Protocol(
        "srgan",
        "Y unrounded, shave = 4; PSNR comparable, SSIM about 0.011 below the paper's daala tool",
        border=4,
        border_scales=0,
    ),
    Protocol("video_y", "Y unrounded, no shave, mean over frames (Vid4, UDM10, Vimeo-90K)", border_scales=0),
    Protocol("video_rgb", "RGB in 8 bit, no shave, mean over frames (REDS4)", channel=rgb, border_scales=0),
)
PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _ALL}


COMPOSED = re.compile(r"(?P<channel>y|rgb)_shave(_?(?P<shave>\d+|scale\d*))(_(?P<rounding>uint8|float))?")
ROUNDINGS = {"rgb": "SR in 8-bit RGB", "uint8": "SR in 8-bit RGB, then Y in 8 bit", "float": "nothing rounded"}


def get_protocol(name: str | Mapping[str, Any]) -> Protocol:
    """A protocol by its name, or one composed in place.

    Args:
        name: one of PROTOCOLS, or a mapping of `channel` (y: BT.601 in studio range; or rgb), `shave` (pixels left out
            on each side: 4, or scale for as many as the scale, or scale+6; scale unless given) and `rounding` (of the
            output: rgb, to 8-bit RGB, unless given; uint8, of Y to 8 bit too; float, none). LR is the data's, SSIM that
            of the valid window. The name that a composed one gets is understood too: {channel: rgb, shave: 4} is
            `rgb_shave4`, {channel: y, shave: scale+6, rounding: uint8} is `y_shave_scale6_uint8`.

    Raises:
        UserError: there is none of that name, or it cannot be composed.

    Example:
        >>> get_protocol({"channel": "rgb", "shave": 4}) == get_protocol("rgb_shave4")
        True
    """
    if isinstance(name, Mapping):
        return _composed(**{"channel": "", **name})
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    if match := COMPOSED.fullmatch(name):
        return _composed(**{key: value for key, value in match.groupdict().items() if value})
    near = difflib.get_close_matches(name, PROTOCOLS, n=1, cutoff=0)[0]
    raise UserError(f"unknown protocol {name!r}; did you mean {near}? known: {', '.join(PROTOCOLS)}; {HOW}")


HOW = (
    "one that is not listed is composed of channel (y, rgb), shave (4, scale, scale+6) and rounding (rgb, uint8, "
    "float): protocols=[{channel: rgb, shave: 4}], or by the name that it gets, protocols=[rgb_shave4]"
)


def _composed(channel: str, shave: object = "scale", rounding: str = "rgb", **unknown: object) -> Protocol:
    match = re.fullmatch(r"(scale)?\+?(\d*)", str(shave))
    if unknown or channel not in ("y", "rgb") or not (match and match[0]) or rounding not in ROUNDINGS:
        given = {"channel": channel, "shave": shave, "rounding": rounding, **unknown}
        raise UserError(f"there is no protocol {given}: {HOW}")
    scales, border = int(bool(match[1])), int(match[2] or 0)
    name = f"{channel}_shave" + (f"_scale{border or ''}" if scales else str(border))
    name += "" if rounding == "rgb" else f"_{rounding}"
    compared = rgb if channel == "rgb" else luma8 if rounding == "uint8" else luma
    width = " + ".join(["scale"] * scales + [str(border)] * (border > 0 or not scales))
    description = f"{channel.upper()}, {ROUNDINGS[rounding]}, shave = {width}, SSIM valid window (composed)"
    kind = UnroundedProtocol if rounding == "float" else Protocol
    return kind(name, description, compared, border, scales)
