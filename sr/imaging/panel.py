"""Pictures for the eye: LR, bicubic, SR and HR of one crop side by side, with an error map."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ERROR_GAIN = 4
_GAP, _CELL, _FONT = 6, 160, 14  # pixels: between cells, a cell's least width, the labels' height
_WHITE, _BLACK = (255, 255, 255), (20, 20, 20)


Window = tuple[int, int, int, int]  # top, left, height, width in HR pixels


def detail(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) or (H, W) uint8 -> (H, W): the squared gradient of the grey image."""
    grey = _grey(image)
    return np.diff(grey, axis=0, append=grey[-1:]) ** 2 + np.diff(grey, axis=1, append=grey[:, -1:]) ** 2


def disagreement(outputs: Sequence[np.ndarray]) -> np.ndarray:
    """Images (H, W, 3) uint8 of several models -> (H, W): the variance of their grey values."""
    return np.var([_grey(image) for image in outputs], axis=0)


def _grey(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float64).reshape(*image.shape[:2], -1).mean(2)


def pick_crop(energy: np.ndarray, size: int, step: int = 1) -> Window:
    """The window with the most of something: the same one each time for the same image.

    Args:
        energy: (H, W), what is looked for, such as `detail` or `disagreement`.
        size: side of the window in pixels; made smaller, to a multiple of `step`, where the image is smaller.
        step: top, left and sides are multiples of it: the scale, so that LR has a matching window.

    Returns:
        The window whose sum is the largest, the first in reading order among equals.
    """
    height, width = (max(min(size, side) // step, 1) * step for side in energy.shape)
    integral = np.pad(energy, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    inner = integral[height:, width:] - integral[:-height, width:] - integral[height:, :-width]
    inner = (inner + integral[:-height, :-width])[::step, ::step]
    top, left = np.unravel_index(int(np.argmax(inner)), inner.shape)
    return int(top) * step, int(left) * step, height, width


def scaled(window: Window, factor: int | Fraction) -> Window:
    """The same window in an image that is `factor` times as large; Fraction(1, scale) gives that of LR."""
    top, left, height, width = (int(v * factor) for v in window)
    return top, left, height, width


def crop(image: np.ndarray, window: Window, shrink: int = 1) -> np.ndarray:
    """Cut (top, left, height, width), given in HR pixels, out of an image that is `shrink` times smaller."""
    top, left, height, width = scaled(window, Fraction(1, shrink))
    return image[top : top + height, left : left + width]


def enlarge(image: np.ndarray, factor: int) -> np.ndarray:
    """Repeat each pixel of (H, W, 3) `factor` times both ways, so that LR shows what it holds."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def error_levels(sr: np.ndarray, hr: np.ndarray) -> np.ndarray:
    """|SR - HR| of two (H, W, 3) uint8 images, the mean of the channels: (H, W) in levels, 0 to 255."""
    return np.abs(sr.astype(np.float64) - hr.astype(np.float64)).mean(2)


def error_map(sr: np.ndarray, hr: np.ndarray) -> np.ndarray:
    """`error_levels` times `ERROR_GAIN`, as a grey (H, W, 3) uint8 image."""
    levels = (error_levels(sr, hr) * ERROR_GAIN).clip(0, 255).round().astype(np.uint8)
    return levels[..., None].repeat(3, axis=2)


def panel_cells(
    lr: np.ndarray,
    outputs: Sequence[tuple[str, np.ndarray]],
    hr: np.ndarray,
    scale: int,
    size: int = 96,
    window: Window | None = None,
) -> list[tuple[str, np.ndarray]]:
    """The labelled crops of one image: LR, each output, HR, and the error map of the last output.

    Args:
        lr: (h, w, 3) uint8.
        outputs: labels, such as "bicubic 28.42 dB", and images (H, W, 3) uint8; the last is the model's.
        hr: (H, W, 3) uint8.
        scale: H / h.
        size: side of the crop in HR pixels.
        window: the crop; None for the one with the most detail in HR.
    """
    window = window or pick_crop(detail(hr), size, scale)
    row = [("LR", enlarge(crop(lr, window, scale), scale))]
    row += [(label, crop(image, window)) for label, image in outputs]
    row.append(("HR", crop(hr, window)))
    if outputs:
        row.append((f"|SR - HR| x {ERROR_GAIN}", error_map(crop(outputs[-1][1], window), crop(hr, window))))
    return row


def _wrapped(label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """Words of a label in as many lines as the width asks for; a word that is too long stays whole."""
    lines: list[str] = []
    for word in label.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def draw_panel(rows: Sequence[tuple[str, Sequence[tuple[str, np.ndarray]]]]) -> np.ndarray:
    """Stack rows of labelled images into one picture.

    Small crops are enlarged by a whole number, without smoothing, until they are about `_CELL` pixels
    wide, so that pixels and labels can be read.

    Args:
        rows: for each row its title (may be empty) and its (label, image (H, W, 3) uint8) cells, one size within a row.

    Returns:
        (H, W, 3) uint8.
    """
    font = ImageFont.load_default(_FONT)
    line = _FONT + 4
    strips = []
    for title, cells in rows:
        factor = max(1, -(-_CELL // max(image.shape[1] for _, image in cells)))
        images = [(label, enlarge(image, factor)) for label, image in cells]
        labels = [_wrapped(label, font, image.shape[1]) for label, image in images]
        longest = [max([font.getlength(text) for text in lines], default=0) for lines in labels]
        widths = [max(image.shape[1], int(text) + 1) for (_, image), text in zip(images, longest, strict=True)]
        head = (line if title else 0) + line * max(len(lines) for lines in labels) + _GAP
        width = sum(widths) + _GAP * (len(widths) + 1)
        size = max(width, int(font.getlength(title)) + 2 * _GAP), head + max(i.shape[0] for _, i in images) + _GAP
        strip = Image.new("RGB", size, _WHITE)
        pen = ImageDraw.Draw(strip)
        pen.text((_GAP, 2), title, _BLACK, font)
        left = _GAP
        for (_, image), lines, cell in zip(images, labels, widths, strict=True):
            for number, text in enumerate(lines):
                pen.text((left, (line if title else 0) + 2 + number * line), text, _BLACK, font)
            strip.paste(Image.fromarray(image), (left, head))
            left += cell + _GAP
        strips.append(np.asarray(strip))
    width = max(strip.shape[1] for strip in strips)
    padded = [np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in strips]
    return np.concatenate(padded)
