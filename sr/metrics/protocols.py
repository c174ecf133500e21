"""Protocols by name: those of the papers, and others that are composed of channel, shave and rounding."""

import re
from collections.abc import Mapping
from typing import Any

from sr.errors import UserError, nearest
from sr.metrics.metric import OTHER
from sr.metrics.protocol import ClassicProtocol, FloatProtocol, Protocol, UnroundedProtocol, luma, luma8, rgb
from sr.metrics.ssim import ssim_replicate, ssim_volumetric

_ALL = (
    Protocol("y", "Y unrounded, SR in 8-bit RGB, shave = scale, SSIM valid window (IMDN, RLFN, BSRN)"),
    ClassicProtocol(
        "y_classic",
        "Y in 8 bit (grey files as they are), LR made from Y and unrounded, shave = scale, SSIM valid window (SRCNN to "
        "LapSRN)",
        luma8,
    ),
    FloatProtocol("y_float", "Y unrounded, LR made from Y and unrounded, shave = scale, SSIM valid window (LapSRN)"),
    Protocol(
        "y_uint8",
        "Y in 8 bit (grey files as they are), SR in 8-bit RGB, shave = scale, SSIM over replicated edges (EDSR)",
        channel=luma8,
        ssim=ssim_replicate,
    ),
    Protocol("rgb", "RGB in 8 bit, shave = scale, SSIM valid window, mean of channels", rgb),
    Protocol(
        "edsr_div2k",
        "RGB in 8 bit, shave = 6 + scale, SSIM volumetric over H x W x 3 (EDSR on DIV2K)",
        channel=rgb,
        border=6,
        ssim=ssim_volumetric,
    ),
    Protocol("ntire17", "RGB in 8 bit, shave = 6 + scale, SSIM valid window, mean of channels", rgb, 6),
    Protocol("ntire22", "RGB in 8 bit, shave = 4, SSIM valid window (the challenge ranks by PSNR alone)", rgb, 4, 0),
    *(
        Protocol(
            f"ntire{year}",
            "RGB in 8 bit, shave = 4, SSIM valid window (NTIRE's efficient tracks, which rank by cost above a PSNR)",
            rgb,
            4,
            0,
        )
        for year in (23, 24, 25, 26)  # by their published test_demo.py: github ofsoundof and Amazingren/NTIRE20.._ESR
    ),
    Protocol(
        "srgan", "Y unrounded, shave = 4; PSNR comparable, SSIM about 0.011 below the paper's daala tool", luma, 4, 0
    ),
    Protocol("video_y", "Y unrounded, no shave (Vid4, UDM10)", luma, 0, 0),
    Protocol("video_centre", "Y unrounded, no shave, the frame in the middle of a clip (Vimeo-90K)", luma, 0, 0, None),
    Protocol("video_duf", "Y unrounded, shave = 8, not two frames at each end of a clip (DUF, RBPN)", luma, 8, 0, 2),
    Protocol("video_rgb", "RGB in 8 bit, no shave (REDS4)", rgb, 0, 0),
)
PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _ALL}


COMPOSED = re.compile(r"(?P<channel>y|rgb)_shave(_?(?P<shave>\d+|scale\d*))(_(?P<rounding>uint8|float))?")
ROUNDINGS = {
    "rgb": "SR in 8-bit RGB",
    "uint8": "SR in 8-bit RGB, then Y in 8 bit (grey files as they are)",
    "float": "nothing rounded",
}


NAMES = "|".join([*PROTOCOLS, r"(y|rgb)_shave\w*"])  # of protocols, as a regular expression that W&B reads, too


def is_of(column: str, metric: str) -> bool:
    """Whether a logged column is of a metric: `val/psnr_y` is of psnr, `val/psnr_b_y`, of one's own, is not.

    With other weights it is of the metric, too (see `sr.metrics.metric.OTHER`).
    """
    return bool(re.fullmatch(rf"(.*/)?{re.escape(metric)}({OTHER}\w+?)?(_({NAMES}))?", column))


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
    if match := COMPOSED.fullmatch(str(name)):
        return _composed(**{key: value for key, value in match.groupdict().items() if value})
    known = ", ".join(PROTOCOLS)
    raise UserError(f"there is no protocol {name!r}.{nearest(name, PROTOCOLS)} There are {known}; {HOW}")


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
