"""Reading and writing 8-bit image files, with errors that say what a file is and how to mend it."""

import os
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from sr.errors import UserError
from sr.imaging.color import to_uint8

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")

_JPEG: dict[str, Any] = {"quality": 95, "subsampling": 0}
_SAVE = {".jpg": _JPEG, ".jpeg": _JPEG, ".webp": {"lossless": True}}

# What Pillow raises for damaged files, depending on the format and on where the damage lies.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, Image.DecompressionBombError)
# Cameras turn their pictures by an EXIF tag. Pillow turns TIFF itself; a tag in a PNG may follow the pixels
# and would make reading the size as slow as reading the picture, so it is left alone.
_TURNED_BY_EXIF = ("JPEG", "MPO", "WEBP")
_ORIENTATION = 0x0112

_OPEN = "Image.open({source!r})"
_TO_RGB = _OPEN + ".convert('RGB').save({target!r})"
_ON_WHITE = (
    "i = " + _OPEN + ".convert('RGBA'); w = Image.new('RGBA', i.size, 'white'); "
    "Image.alpha_composite(w, i).convert('RGB').save({target!r})"
)
_SHIFT_16 = "Image.fromarray((np.asarray(" + _OPEN + ") >> 8).astype('uint8')).save({target!r})"
_STRETCH = (
    "a = np.asarray(" + _OPEN + ", 'float64'); "
    "Image.fromarray((255 * (a - a.min()) / max(a.max() - a.min(), 1e-9)).astype('uint8')).save({target!r})"
)
_MODES = {  # Pillow's mode: what the file is, and the Python that makes an 8-bit RGB or grey copy
    "P": ("has a colour palette", _TO_RGB),
    "PA": ("has a colour palette with transparency", _ON_WHITE),
    **dict.fromkeys(("RGBA", "RGBa", "LA", "La"), ("has an alpha channel", _ON_WHITE)),
    "RGBX": ("has a fourth channel", _TO_RGB),
    "CMYK": ("is a CMYK print file", _TO_RGB),
    "YCbCr": ("holds YCbCr values", _TO_RGB),
    "LAB": ("holds CIE Lab values", "from PIL import ImageCms; " + _TO_RGB),
    "HSV": ("holds HSV values", _TO_RGB),
    "I": ("holds 32-bit integers", _STRETCH),
    "F": ("holds floating point values", _STRETCH),
}


class Picture(NamedTuple):
    """A decoded image."""

    pixels: np.ndarray  # uint8 (H, W, 3), C-contiguous, RGB
    grey: bool  # stored with one channel; `pixels` then repeats it three times


def _damaged(path: Path, error: BaseException) -> UserError:
    if path.is_dir():
        return UserError(f"{path} is a folder, an image file was expected")
    if not path.exists():
        return UserError(f"there is no image file {path}; look with  ls {path.parent}")
    size = path.stat().st_size
    return UserError(
        f"{path} ({size} bytes) is not an image or is damaged: {error}. Copy or download it again, or delete it"
    )


def _is_16_bit(image: Image.Image) -> bool:
    """Pillow reads 16-bit colour as 8-bit without a word; only the decoder's arguments tell."""
    arguments = [tile[3] for tile in getattr(image, "tile", [])]
    whites = [a[-1] for a in arguments if image.format == "PPM" and isinstance(a, tuple)]
    return image.mode.startswith("I;16") or ";16" in str(arguments) or any(int(w) > 255 for w in whites)


def _open(path: Path) -> Image.Image:
    """Open the header and refuse what is not a single 8-bit RGB or grey picture."""
    try:
        image = Image.open(path)
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    refusal = None
    if _is_16_bit(image):
        refusal = ("has 16 bits per channel", _SHIFT_16 if image.mode.startswith("I;16") else _TO_RGB)
    elif getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # MPO: a JPEG with a preview behind it
        refusal = (f"holds {image.n_frames} pictures (an animation or pages)", _TO_RGB)  # type: ignore[attr-defined]
    elif image.mode in _MODES:
        refusal = _MODES[image.mode]
    elif image.mode not in ("RGB", "L", "1"):
        refusal = (f"has the pixel type {image.mode}", _TO_RGB)
    elif "transparency" in image.info:
        refusal = ("has a transparent colour", _ON_WHITE)
    if refusal is not None:
        image.close()
        what, code = refusal
        command = code.format(source=str(path), target=str(path.with_name(path.stem + "_8bit.png")))
        raise UserError(
            f"{path} {what}; images must be 8-bit RGB or grey. To make such a copy beside it, type\n"
            f'  python -c "import numpy as np; from PIL import Image; {command}"'
        )
    return image


def read_image(path: str | os.PathLike[str]) -> Picture:
    """Decode an 8-bit image file.

    Grey files (one channel of 8 bits or fewer) are repeated to RGB. A JPEG or WebP that its EXIF tag declares
    turned is returned upright, as viewers show it.

    Raises:
        UserError: for a file that is missing, damaged, cut short, not an image, of 16 bits, with a palette,
            an alpha channel, CMYK values or several frames; it names the file, what it is, and what mends it.
    """
    path = Path(path)
    with _open(path) as image:
        try:
            turned = ImageOps.exif_transpose(image) if image.format in _TURNED_BY_EXIF else image
            pixels = np.array(turned.convert("L" if turned.mode == "1" else turned.mode))
        except _DAMAGE as error:
            raise _damaged(path, error) from error
    if pixels.ndim == 2:
        return Picture(np.repeat(pixels[..., None], 3, axis=2), grey=True)
    return Picture(np.ascontiguousarray(pixels), grey=False)


def read_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(H, W) as `read_image` would return it, from the header alone; the same errors as far as it tells."""
    path = Path(path)
    with _open(path) as image:
        width, height = image.size
        try:
            turn = image.getexif().get(_ORIENTATION, 1) if image.format in _TURNED_BY_EXIF else 1
        except _DAMAGE as error:
            raise _damaged(path, error) from error
    return (width, height) if turn in (5, 6, 7, 8) else (height, width)


def write_image(path: str | os.PathLike[str], image: np.ndarray | Tensor) -> None:
    """Write an image in the format of the file's suffix; missing folders are made.

    Args:
        path: the file; JPEG is written at quality 95 without chroma subsampling.
        image: an array (H, W, 3) or (H, W) of uint8, or a tensor (3, H, W): uint8, or floating in [0, 1],
            which is clipped and rounded.

    Raises:
        UserError: for NaN values, an unknown suffix, or an array of another shape or type.
    """
    path = Path(path)
    if isinstance(image, Tensor):
        image = image.detach().cpu()
        image = image if image.dtype == torch.uint8 else to_uint8(image)
        array = image.movedim(-3, -1).numpy() if image.ndim == 3 else image.numpy()
    else:
        array = image
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise UserError(f"cannot write {path}: it takes (H, W, 3) uint8, got {array.shape} {array.dtype}")
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise UserError(f"cannot write {path}: unknown suffix; use one of {', '.join(IMAGE_SUFFIXES)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = _SAVE.get(path.suffix.lower(), {})
    Image.fromarray(np.ascontiguousarray(array)).save(path, **options)


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """Image files directly in a folder, sorted by name, hidden ones left out; empty where there are none.

    Raises:
        UserError: where the folder is missing or a file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise UserError(f"looked for a folder of images at {folder}, which {found}")
    visible = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return sorted(path for path in visible if path.suffix.lower() in IMAGE_SUFFIXES)
