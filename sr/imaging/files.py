"""Reading and writing 8-bit image files, with errors that say what a file is and how to mend it."""

import io
import logging
import os
import struct
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from sr.errors import UserError, some, told_once
from sr.imaging.color import to_uint8
from sr.imaging.image_errors import MODES, ImageError, damaged
from sr.whole import replacing

T = TypeVar("T")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
log = logging.getLogger(__name__)
# Pillow's readers that are used; the others (PostScript, FITS, ...) run code that photos have no need of.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM", "GIF")
# Of a PNG: what the pixels need. Texts and profiles may be larger than Pillow takes, and are not looked at.
_PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"IDAT", b"IEND")

_JPEG: dict[str, Any] = {"quality": 95, "subsampling": 0}
_SAVE = {".jpg": _JPEG, ".jpeg": _JPEG, ".webp": {"lossless": True}}

# What Pillow raises for damaged files, depending on the format and on where the damage lies.
DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, ArithmeticError, TypeError, struct.error,
)  # fmt: skip
# Cameras turn their pictures by an EXIF tag. Pillow turns TIFF itself; a tag in a PNG may follow the pixels
# and would make reading the size as slow as reading the picture, so it is left alone.
_TURNED_BY_EXIF = ("JPEG", "MPO", "WEBP")
_ORIENTATION = 0x0112
_BITS, _PLANES, _SIGN = 258, 284, 339  # a TIFF's tags: bits of a value; 2 of channels that lie apart, of a sign
MOST_COUNTED = 100  # pages of a TIFF
HEAD = 1 << 16  # bytes that tell the size of a picture
MOST_SCANS = 500  # of a JPEG, in each of which all of it is gone through; encoders write a dozen

# Up to twice this many pixels are read; the warning before that would only repeat itself for each image.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class Picture(NamedTuple):
    """A decoded image."""

    pixels: np.ndarray  # uint8 (H, W, 3), RGB
    grey: bool  # stored with one channel; `pixels` then repeats it three times


def is_16_bit(image: Image.Image) -> bool:
    """Pillow reads 16-bit colour as 8-bit without a word; only the decoder's arguments tell."""
    arguments = [tile[3] for tile in getattr(image, "tile", [])]
    whites = [a[-1] for a in arguments if image.format == "PPM" and isinstance(a, tuple)]
    found = image.mode.startswith("I;16") or ";16" in str(arguments) or any(int(w) > 255 for w in whites)
    return found or (lies_apart(image) and max(image.tag_v2.get(_BITS, (1,))) > 8)  # type: ignore[attr-defined]


def lies_apart(image: Image.Image) -> bool:
    """Whether the channels of a TIFF lie one behind the other: of 16 bits Pillow then reads halves of values."""
    return image.format == "TIFF" and image.tag_v2.get(_PLANES) == 2  # type: ignore[attr-defined]


def has_sign(image: Image.Image) -> bool:
    """Whether values of 8 bits may be below 0, which Pillow reads as if they were not."""
    return image.format == "TIFF" and image.mode == "L" and 2 in image.tag_v2.get(_SIGN, ())  # type: ignore[attr-defined]


def opened(path: Path, use: Callable[[Image.Image], T], pixels: bool = True) -> T:
    """What `use` makes of the file, opened by Pillow.

    Args:
        path: of the file.
        use: is given the image.
        pixels: it decodes them; else files are not read for it that need not be.

    Raises:
        ImageError: it cannot be read, is damaged, no image, or so large that a small file could fill the memory.
    """
    for source in (path, None):
        try:
            with Image.open(source or _without_texts(path), formats=FORMATS) as image:
                if image.format in ("JPEG", "MPO") and _scans(path, pixels or "progressive" in image.info) > MOST_SCANS:
                    raise ImageError(path, f"is refused: its pixels are given more than {MOST_SCANS} times, bit by bit")
                return use(image)
        except UserError:
            raise
        except Image.DecompressionBombError as error:
            raise huge(path) from error
        except MemoryError as error:
            raise ImageError(path, "does not fit into the free memory. Free some, or cut it into parts") from error
        except DAMAGE as error:
            if source is None or "MAX_TEXT" not in str(error):
                raise damaged(path, error) from error
    raise AssertionError


def _scans(path: Path, whole: bool) -> int:
    """How often a JPEG's pixels are gone through, as far as its beginning tells or all of it."""
    with path.open("rb") as file:
        return file.read(-1 if whole else HEAD).count(b"\xff\xda")


def most_pixels() -> int:
    """Of a picture that is read: a small file could fill the memory by claiming more."""
    return 2 * (Image.MAX_IMAGE_PIXELS or sys.maxsize)


def huge(path: Path) -> ImageError:
    """That a file claims more than `most_pixels`."""
    megapixels = most_pixels() / 1e6
    what = f"is too large: it claims more than the {megapixels:.0f} megapixels that are read. Cut it into parts"
    return ImageError(path, what)


def _without_texts(path: Path) -> io.BytesIO:
    """A PNG's signature and the chunks that its pixels need."""
    content = path.read_bytes()
    kept, at = [content[:8]], 8
    while at + 8 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] in _PNG_CHUNKS:
            kept.append(content[at:end])
        at = end
    return io.BytesIO(b"".join(kept))


def several(image: Image.Image) -> str:
    """That a file holds more than one picture, as it follows "holds"; "" where it holds one.

    Of a TIFF's pages each is looked for among all before it, so no more than `MOST_COUNTED` are counted.
    """
    if image.format == "MPO" or not getattr(image, "is_animated", False):  # MPO: a JPEG with a preview behind it
        return ""
    number = 1
    if image.format == "TIFF":
        with suppress(EOFError):
            while number < MOST_COUNTED:
                image.seek(number)
                number += 1
        image.seek(0)
    else:
        number = image.n_frames  # type: ignore[attr-defined]
    return f"{number} pictures{' or more' * (number == MOST_COUNTED)} (an animation or pages)"


def _refuse_kind(path: Path, image: Image.Image) -> None:
    """Refuse by the header what is not a single 8-bit picture; whether an alpha channel is used only pixels tell."""
    what = None
    if is_16_bit(image):
        what = "has 16 bits per channel"
    elif found := several(image):
        what = f"holds {found}"
    elif has_sign(image):
        raise ImageError(path, "holds values with a sign: save it without, as 8-bit RGB or grey")
    elif image.mode not in ("RGB", "L", "1", "P", "PA", "RGBA", "LA"):
        what = MODES.get(image.mode, f"has the pixel type {image.mode}")
    if what is not None:
        raise ImageError(path, what, convertible=True)


def read_image(path: str | os.PathLike[str]) -> Picture:
    """Decode an 8-bit image file.

    Grey files (one channel of 8 bits or fewer) are repeated to RGB. A palette, and an alpha channel that is opaque
    throughout, are read without loss. A JPEG or WebP that its EXIF tag declares turned is returned upright, as
    viewers show it.

    Raises:
        UserError: for a file that is missing, damaged, cut short, not an image, too large, of 16 bits or floats, with
            transparent parts, CMYK values or several frames; it names the file, what it is, and what mends it.
    """
    path = Path(path)

    def decoded(image: Image.Image) -> Picture:
        try:
            _refuse_kind(path, image)
        except ImageError:
            image.load()  # a damaged file is not offered to be converted
            raise
        turned = upright(image)
        if turned.has_transparency_data and turned.convert("RGBA").getchannel("A").getextrema() != (255, 255):
            raise ImageError(path, "has transparent parts", convertible=True)
        mode = "L" if turned.mode in ("1", "L", "LA") else "RGB"
        pixels = np.array(turned if turned.mode == mode else turned.convert(mode))
        if mode == "L":
            return Picture(np.repeat(pixels[..., None], 3, axis=2), grey=True)
        return Picture(np.ascontiguousarray(pixels), grey=False)

    return opened(path, decoded)


def upright(image: Image.Image) -> Image.Image:
    """As viewers show it."""
    return ImageOps.exif_transpose(image) if image.format in _TURNED_BY_EXIF else image


def read_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(H, W) as `read_image` would return it, from the header alone; the same errors as far as it tells."""
    path = Path(path)

    def size(image: Image.Image) -> tuple[int, int]:
        _refuse_kind(path, image)
        width, height = image.size
        turn = image.getexif().get(_ORIENTATION, 1) if image.format in _TURNED_BY_EXIF else 1
        return (width, height) if turn in (5, 6, 7, 8) else (height, width)

    return opened(path, size, pixels=False)


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
    options: dict[str, Any] = _SAVE.get(path.suffix.lower(), {})
    with replacing(path) as part:
        Image.fromarray(np.ascontiguousarray(array)).save(part, **options)


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """Image files directly in a folder, sorted by name, hidden ones left out; empty where there are none.

    Raises:
        UserError: where the folder is missing, a file, or not to be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise UserError(f"looked for a folder of images at {folder}, which {found}")
    try:
        with os.scandir(folder) as entries:  # which knows what is a file: of 100,000 none is asked for by itself
            names = sorted(entry.name for entry in entries if _is_image(entry.name) and entry.is_file())
    except OSError as error:
        raise UserError(f"the folder {folder} cannot be read: {error.strerror}") from error
    return [folder / name for name in names]


def tell_links(folder: Path, files: Iterable[Path]) -> None:
    """Tell of links that lead out of a folder: in a stranger's they put the user's own pictures into results."""
    inside, files = folder.resolve(), list(files)
    elsewhere = {place for place in {f.parent for f in files} if not place.resolve().is_relative_to(inside)}
    links = [f for f in files if f.parent in elsewhere or (f.is_symlink() and not f.resolve().is_relative_to(inside))]
    if links:
        told = some([f"{file.name} to {file.resolve()}" for file in links], 3)
        told_once(log, logging.WARNING, f"note: {len(links)} in {folder} are links that lead out of it: {told}")


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES)
