"""Writing pictures in the depth that they have, with alpha and colour profile, as far as the format knows these."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sr.errors import UserError
from sr.imaging.photo import Photo

WRITTEN = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
LIMITS = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}  # pixels a side
LOSSY = (".jpg", ".jpeg", ".webp")
NO_ALPHA = (".jpg", ".jpeg", ".bmp")
JPEG_EXIF = 65_533  # bytes: a JPEG has no place for more
QUALITY = 95  # of a JPEG where none is typed; a WebP is then lossless
LIGHT = (b"gAMA", b"cHRM", b"sRGB", b"cICP")  # a PNG's chunks that tell how its values are seen
BAND = 2**18  # bytes of a deep PNG that are filtered and packed at a time
_PNG_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> PNG's number of their kind


def depth_in(suffix: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type of values that a format has for a picture of a type: floats are 16 bits in PNG, all else has 8."""
    if suffix in (".tif", ".tiff") or dtype == np.uint8:
        return dtype
    return np.dtype(np.uint16 if suffix == ".png" else np.uint8)


def write_photo(path: Path, photo: Photo, quality: int | None = None) -> None:
    """Write a picture in the format of the file's suffix. The folder is there; nothing guards a file that is.

    Args:
        path: one of WRITTEN by its suffix.
        photo: of a depth that the format has (`depth_in`).
        quality: 1 to 100, of the formats in LOSSY.

    Raises:
        UserError: an alpha channel that is used and that the format has no place for, or too many pixels a side.
    """
    suffix = path.suffix.lower()
    height, width = photo.colour.shape[:2]
    if max(height, width) > LIMITS.get(suffix, 2**31 - 1):
        raise UserError(too_large(height, width, suffix))
    if suffix in NO_ALPHA and photo.alpha is not None:
        if (photo.alpha < photo.opaque).any():
            raise UserError(f"has an alpha channel, for which {suffix[1:]} has no place: type format=png")
        photo = replace(photo, alpha=None)
    icc = photo.icc
    if icc and icc[16:20] == b"GRAY" and (photo.colour.shape[2] == 3 or suffix == ".webp"):
        icc = None  # of grey files alone
    planes = np.ascontiguousarray(photo.planes())
    if suffix in (".tif", ".tiff"):
        _write_tiff(path, planes, icc)
    elif planes.dtype == np.uint16:
        with path.open("wb") as file:
            file.writelines(_png(planes, icc, photo.exif, photo.light))
    else:
        options = _options(suffix, quality)
        if suffix != ".bmp":
            exif = None if suffix in (".jpg", ".jpeg") and len(photo.exif or b"") > JPEG_EXIF else photo.exif
            options |= {name: value for name, value in (("icc_profile", icc), ("exif", exif)) if value}
        if suffix == ".png" and photo.light:
            options["pnginfo"] = _light(photo.light)
        image = Image.fromarray(planes[..., 0] if planes.shape[2] == 1 else planes)
        image.save(path, {".png": "PNG", ".webp": "WEBP", ".bmp": "BMP"}.get(suffix, "JPEG"), **options)


def too_large(height: int, width: int, suffix: str) -> str:
    """What is wrong with a result, as it follows its name in a sentence."""
    most = LIMITS[suffix]
    return f"would be {width}x{height} pixels, and {suffix[1:]} ends at {most:,} a side: type format=png"


def _options(suffix: str, quality: int | None) -> dict[str, Any]:
    if suffix in (".jpg", ".jpeg"):
        return {"quality": quality or QUALITY, "subsampling": 0}
    if suffix == ".webp":
        return {"quality": quality, "exact": True} if quality else {"lossless": True, "exact": True}
    return {}


def _light(chunks: bytes) -> PngInfo:
    """Chunks of LIGHT, as Pillow takes them."""
    found = PngInfo()
    while chunks:
        end = 8 + int.from_bytes(chunks[:4], "big")
        found.add(chunks[4:8], chunks[8:end])
        chunks = chunks[end + 4 :]
    return found


def _png(planes: np.ndarray, icc: bytes | None, exif: bytes | None, light: bytes) -> Iterator[bytes]:
    """The parts of a PNG of 16 bits, of which Pillow writes grey alone."""
    height, width, channels = planes.shape
    yield b"\x89PNG\r\n\x1a\n"
    yield _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, _PNG_COLOURS[channels], 0, 0, 0))
    yield light
    if icc:
        yield _chunk(b"iCCP", b"ICC\0\0" + zlib.compress(icc))
    if exif:
        yield _chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    pressed, ready = zlib.compressobj(6), b""
    above = np.zeros(width * channels * 2, np.uint8)
    rows = max(1, BAND // above.size)
    for top in range(0, height, rows):
        lines = planes[top : top + rows].astype(">u2").view(np.uint8).reshape(-1, above.size)
        filtered = np.empty((len(lines), above.size + 1), np.uint8)
        filtered[:, 0] = 2  # the difference to the line above
        np.subtract(lines[0], above, out=filtered[0, 1:])
        np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])
        above = lines[-1].copy()
        ready += pressed.compress(filtered.data)
        if len(ready) >= BAND:
            yield _chunk(b"IDAT", ready)
            ready = b""
    yield _chunk(b"IDAT", ready + pressed.flush())
    yield _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _write_tiff(path: Path, planes: np.ndarray, icc: bytes | None) -> None:
    import tifffile  # comes with scikit-image

    channels = planes.shape[2]
    tifffile.imwrite(
        path,
        planes[..., 0] if channels == 1 else planes,
        photometric="minisblack" if channels < 3 else "rgb",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        iccprofile=icc,
        compression="zlib",
        predictor=False,
        metadata=None,
        bigtiff=planes.nbytes > 2**31,
    )
