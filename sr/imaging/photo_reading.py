"""Reading pictures in their full depth, upright, with what belongs to them."""

import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from sr.errors import UserError
from sr.imaging.files import DAMAGE, has_sign, huge, is_16_bit, lies_apart, most_pixels, opened, several
from sr.imaging.image_errors import ImageError, damaged
from sr.imaging.photo import Photo, in_depth, of_pillow
from sr.imaging.photo_writing import LIGHT

T = TypeVar("T")
ORIENTATION = 0x0112
MOST_LIGHT = 64  # bytes of a chunk on colours
LARGEST_TILE = 2**22  # pixels of a TIFF's tile, which may be larger than the picture
TURNS = {2: (0, 1), 3: (2, 0), 4: (2, 1), 5: (3, 1), 6: (3, 0), 7: (1, 1), 8: (1, 0)}  # quarter turns, then mirrored?
_COLOURS = {0: 1, 1: 1, 2: 3}  # a TIFF's number of what its values mean (white is 0, black is 0, RGB) -> channels
_UNTOLD, _MULTIPLIED = 0, 1  # and what one channel more is: nothing that is seen; alpha that colours are multiplied by
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # how a TIFF begins
# Of EXIF what is true of the enlarged picture too: who, when, with what, where.
_TOLD = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
_INNER = {0x8769: (0xA002, 0xA003, 0xA005, 0x927C), 0x8825: ()}  # folders of tags -> sizes and places, left out


def read_photo(path: Path) -> Photo:
    """The picture in a file, upright.

    CMYK and Lab are turned into 8-bit sRGB, by the file's profile where it has one; a palette into RGB.

    Raises:
        ImageError: the file is missing, damaged, no image, too large, of 32-bit or signed integers, of colours that are
            not known in its depth, or holds several pictures.
    """
    try:
        return opened(path, lambda image: _decoded(path, image))
    except ImageError as error:
        return _unknown_tiff(error, _of_page)


def read_photo_size(path: Path) -> tuple[int, int]:
    """(H, W), perhaps turned, from the header alone; the same errors as `read_photo` as far as it tells."""

    def size(image: Image.Image) -> tuple[int, int]:
        _refuse_several(path, image)
        return image.height, image.width

    try:
        return opened(path, size, pixels=False)
    except ImageError as error:
        return _unknown_tiff(error, lambda page: (int(page.imagelength), int(page.imagewidth)))


def _refuse_several(path: Path, image: Image.Image) -> None:
    if found := several(image):
        raise _several(path, found)


def _several(path: Path, found: str) -> ImageError:
    return ImageError(path, f"holds {found}, and one is enlarged at a time: save them as files of their own")


def _decoded(path: Path, image: Image.Image) -> Photo:
    _refuse_several(path, image)
    deep = misread(image)  # before anything loads it
    grey = image.mode in ("L", "LA", "I", "F") or "I;16" in image.mode or "LA;16" in str(getattr(image, "tile", ""))
    told = [tile[3] for tile in getattr(image, "tile", [])] if image.format == "PPM" and image.mode != "F" else []
    turn = _orientation(image)
    own: dict[str, Any] = {"icc": image.info.get("icc_profile"), "exif": _told(image.getexif())}
    own["light"] = _light(path) if image.format == "PNG" else b""
    see_through = image.info.get("transparency")
    image.load()  # tells a damaged file, of which OpenCV returns what it can
    if not deep:
        return replace(of_pillow(image), exif=own["exif"], light=own["light"])
    tiff = image.format == "TIFF"
    photo = _with_tiff(path, _of_page) if tiff else _turned(_photo(path, read_deep(path)), turn)
    if told and isinstance(told[0], tuple):  # of a PPM what is white
        photo = Photo(in_depth(photo.colour / np.float32(told[0][-1]), photo.colour.dtype))
    if grey:
        photo = replace(photo, colour=photo.colour[..., :1])
    if photo.alpha is None and isinstance(see_through, int | tuple):  # one colour that is none
        hidden = (photo.colour == np.array(see_through).reshape(-1)).all(2)
        photo = replace(photo, alpha=np.where(hidden, 0, photo.opaque).astype(photo.colour.dtype))
    return replace(photo, **own)


def misread(image: Image.Image) -> bool:
    """Whether Pillow gives other values than a file holds: of CMYK alone it rounds 16 bits as wanted here."""
    if lies_apart(image) and image.mode in ("LA", "LAB"):
        return True
    return (
        image.mode in ("I", "F")
        or has_sign(image)
        or (is_16_bit(image) and (image.mode != "CMYK" or lies_apart(image)))
    )


def _light(path: Path) -> bytes:
    """A PNG's chunks on gamma, primaries and HDR, of which Pillow reads some."""
    found, wanted = b"", {*LIGHT}  # of each the first: there is one
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
            length = int.from_bytes(head[:4], "big")
            if head[4:] in wanted and length < MOST_LIGHT:
                wanted.remove(head[4:])
                found += head + file.read(length + 4)
            else:
                file.seek(length + 4, 1)
    return found


def _orientation(image: Image.Image) -> int:
    turn = image.getexif().get(ORIENTATION, 1)
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def _told(former: Image.Exif) -> bytes | None:
    """What is kept of a file's EXIF: not its size, its turn, its preview and places within the file."""
    kept = Image.Exif()
    kept.update({tag: former[tag] for tag in _TOLD if tag in former})
    for folder, left_out in _INNER.items():
        if inner := {tag: value for tag, value in former.get_ifd(folder).items() if tag not in left_out}:
            kept.get_ifd(folder).update(inner)
            kept[folder] = kept.get_ifd(folder)
    return kept.tobytes() if len(kept) else None


def _turned(photo: Photo, turn: int) -> Photo:
    """Upright, what a tag declares to be turned."""
    if turn not in TURNS:
        return photo
    quarters, mirrored = TURNS[turn]

    def upright(plane: np.ndarray) -> np.ndarray:
        found = np.rot90(plane, quarters)
        return np.ascontiguousarray(found[:, ::-1] if mirrored else found)

    return replace(photo, colour=upright(photo.colour), alpha=None if photo.alpha is None else upright(photo.alpha))


def _photo(path: Path, values: np.ndarray) -> Photo:
    """Of (H, W) or (H, W, 1 to 4), the last of two or four channels being alpha."""
    if not values.size:
        raise ImageError(path, "holds no pixels. Copy or download it again, or delete it")
    values = values.astype(np.float32) if values.dtype.kind == "f" else values
    if values.dtype not in (np.uint8, np.uint16, np.float32) or not np.isfinite(values).all():
        what = "values that are no numbers" if values.dtype.kind == "f" else f"{values.dtype} values"
        raise ImageError(path, f"holds {what}: save it with 16 bits without a sign, or as floats")
    return Photo.of(np.atleast_3d(values))


def read_deep(path: Path) -> np.ndarray:
    """(H, W) or (H, W, C) in the file's own type, RGB; not turned, unless it is a TIFF.

    Raises:
        ImageError: OpenCV cannot read it either.
    """
    import cv2  # comes with albumentations

    try:
        values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        values = None
    if values is None:
        raise ImageError(path, "cannot be read here: save it as 8-bit PNG with the program that it comes from")
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(values.shape[2] if values.ndim == 3 else 1)
    return values if order is None else np.ascontiguousarray(values[..., order])  # OpenCV's is blue, green, red


def _unknown_tiff(error: ImageError, use: Callable[[Any], T]) -> T:
    """What `use` makes of a TIFF that Pillow does not know, as those of three floats or of 16-bit grey with alpha.

    Raises:
        ImageError: it is none.
    """
    if isinstance(error.__cause__, UnidentifiedImageError):
        with error.path.open("rb") as file:
            if file.read(4) in _TIFF:
                return _with_tiff(error.path, use)
    raise error


def _with_tiff(path: Path, use: Callable[[Any], T]) -> T:
    import tifffile  # comes with scikit-image

    try:
        with tifffile.TiffFile(path) as file:
            if (number := len(file.pages)) > 1:
                raise _several(path, f"{number} pictures (pages)")
            page: Any = file.pages.first
            _refuse_colours(path, page)
            pixels, of_tile = page.imagewidth * page.imagelength, page.tilewidth * page.tilelength
            if pixels > most_pixels() or of_tile > max(LARGEST_TILE, 4 * pixels):
                raise huge(path)
            return use(page)
    except UserError:
        raise
    except (*DAMAGE, tifffile.TiffFileError, zlib.error) as error:
        raise damaged(path, error) from error


def _refuse_colours(path: Path, page: Any) -> None:
    more = page.samplesperpixel - _COLOURS.get(page.photometric, 0)
    if page.photometric not in _COLOURS or more not in (0, 1) or page.axes not in ("YX", "YXS", "SYX"):
        kind = getattr(page.photometric, "name", page.photometric)
        what = f"is a TIFF of {page.samplesperpixel} channels ({kind}, {page.dtype}), whose colours are not known here"
        raise ImageError(path, f"{what}: save it as RGB or grey, with alpha alone beside")


def _of_page(page: Any) -> Photo:
    path, turn = Path(page.parent.filehandle.path), page.tags.valueof(ORIENTATION, 1)
    white_is_0 = page.photometric == 0
    try:
        values = np.moveaxis(page.asarray(), 0, -1) if page.axes == "SYX" else page.asarray()
    except (ValueError, NotImplementedError):  # packed in a way that OpenCV alone knows, which turns it
        values, turn = read_deep(path), 1
        white_is_0 &= values.dtype == np.uint16  # of 8 bits it makes what is seen
    photo = _turned(_photo(path, values), turn)
    if photo.alpha is not None and page.extrasamples == (_UNTOLD,):
        photo = replace(photo, alpha=None)
    if photo.alpha is not None and page.extrasamples == (_MULTIPLIED,):
        photo = replace(photo, colour=_divided(photo.colour, photo.alpha[..., None]))
    if white_is_0 and photo.colour.dtype.kind == "u":
        photo = replace(photo, colour=~photo.colour)
    return replace(photo, icc=page.tags.valueof(34675), exif=_exif_of(path, page))


def _divided(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours that were multiplied by alpha as they were before; 0 where nothing is left of them."""
    unit = np.zeros(colour.shape, np.float32)
    np.divide(colour, alpha, out=unit, where=alpha > 0, dtype=np.float32)
    return unit if colour.dtype.kind == "f" else in_depth(unit, colour.dtype)


def _exif_of(path: Path, page: Any) -> bytes | None:
    if page.parent.is_bigtiff and page.parent.byteorder == ">":
        return None  # Pillow cannot read that
    exif = Image.Exif()
    exif.endian, exif.bigtiff = page.parent.byteorder, page.parent.is_bigtiff
    with path.open("rb") as file:
        exif.load_from_fp(file, page.offset)
        return _told(exif)
