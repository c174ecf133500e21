"""Pictures as they are: in their full depth, with alpha, colour profile and EXIF; grey stays grey.

Networks are trained on 8-bit RGB (`sr.imaging.files`); what is enlarged for its own sake may be anything that a camera
or a program writes.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sr.errors import UserError
from sr.imaging.files import is_16_bit, opened
from sr.imaging.image_errors import ImageError

T = TypeVar("T")
ORIENTATION = 0x0112
TURNS = {2: (0, 1), 3: (2, 0), 4: (2, 1), 5: (3, 1), 6: (3, 0), 7: (1, 1), 8: (1, 0)}  # quarter turns, then mirrored?
# Of EXIF what is true of the enlarged picture too: who, when, with what, where.
_TOLD = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
_INNER = {0x8769: (0xA002, 0xA003, 0xA005, 0x927C), 0x8825: ()}  # folders of tags -> sizes and places, left out


@dataclass(frozen=True)
class Photo:
    """A picture in memory.

    Attributes:
        colour: (H, W, 1) grey or (H, W, 3) RGB of uint8, uint16 or float32, not multiplied by alpha.
        alpha: (H, W) of the same type; None where the file has none.
        icc: its colour profile, as in the file.
        exif: what of its EXIF is true of any size of it, upright.
    """

    colour: np.ndarray
    alpha: np.ndarray | None = None
    icc: bytes | None = None
    exif: bytes | None = None

    @property
    def white(self) -> float:
        """What stands for 1: of floats 1, or what is brightest."""
        if self.colour.dtype.kind == "f":
            return max(1.0, float(self.colour.max()))
        return float(np.iinfo(self.colour.dtype).max)

    @classmethod
    def of(cls, planes: np.ndarray) -> Self:
        """Of (H, W, 1 to 4): the last of two or four channels is alpha."""
        return cls(planes[..., :-1], planes[..., -1]) if planes.shape[2] in (2, 4) else cls(planes)

    def planes(self) -> np.ndarray:
        """(H, W, 1 to 4): alpha as the last channel where there is one."""
        return self.colour if self.alpha is None else np.dstack([self.colour, self.alpha])


def read_photo(path: Path) -> Photo:
    """The picture in a file, upright.

    CMYK and Lab are turned into sRGB, by the file's profile where it has one; a palette into RGB.

    Raises:
        ImageError: the file is missing, damaged, no image, too large, of 32-bit integers, or holds several pictures.
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
        return opened(path, size)
    except ImageError as error:
        return _unknown_tiff(error, lambda page: (int(page.imagelength), int(page.imagewidth)))


def _refuse_several(path: Path, image: Image.Image) -> None:
    if image.format != "MPO":  # a JPEG with a preview behind it
        _refuse_pages(path, getattr(image, "n_frames", 1))


def _refuse_pages(path: Path, number: int) -> None:
    if number > 1:
        what = f"holds {number} pictures (an animation or pages)"
        raise ImageError(path, f"{what}, and one is enlarged at a time: save them as files of their own")


def _decoded(path: Path, image: Image.Image) -> Photo:
    _refuse_several(path, image)
    deep = is_16_bit(image) or image.mode in ("I", "F")  # before anything loads it
    grey = image.mode in ("L", "LA", "I", "F") or "I;16" in image.mode or "LA;16" in str(getattr(image, "tile", ""))
    turn = _orientation(image)
    own: dict[str, Any] = {"icc": image.info.get("icc_profile"), "exif": _told(image)}
    see_through = image.info.get("transparency")
    image.load()  # tells a damaged file, of which OpenCV returns what it can
    if not deep:
        return replace(of_pillow(image), exif=own["exif"])
    photo = _photo(path, read_deep(path))  # Pillow cuts colour down to 8 bits
    if grey:
        photo = replace(photo, colour=photo.colour[..., :1])
    if photo.alpha is None and isinstance(see_through, int | tuple):  # one colour that is none
        hidden = (photo.colour == np.array(see_through).reshape(-1)).all(2)
        photo = replace(photo, alpha=np.where(hidden, 0, photo.white).astype(photo.colour.dtype))
    return replace(_turned(photo, turn), **own)


def _orientation(image: Image.Image) -> int:
    turn = image.getexif().get(ORIENTATION, 1)
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def _turned(photo: Photo, turn: int) -> Photo:
    """Upright, what a tag declares to be turned."""
    if turn not in TURNS:
        return photo
    quarters, mirrored = TURNS[turn]

    def upright(plane: np.ndarray) -> np.ndarray:
        found = np.rot90(plane, quarters)
        return np.ascontiguousarray(found[:, ::-1] if mirrored else found)

    return replace(photo, colour=upright(photo.colour), alpha=None if photo.alpha is None else upright(photo.alpha))


def of_pillow(image: Image.Image) -> Photo:
    """A Pillow image, upright."""
    image = ImageOps.exif_transpose(image)
    icc = image.info.get("icc_profile")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise UserError("an image of 32-bit integers: what of them is white is not known. Scale them to 16 bits")
        return Photo(values.astype(np.uint16)[..., None], icc=icc)
    if image.mode == "F":
        return Photo(np.array(image)[..., None], icc=icc)
    if image.mode in ("CMYK", "LAB"):
        return Photo(np.array(_through_profile(image, icc)))
    grey = image.mode in ("1", "L", "LA", "La")
    mode = ("L" if grey else "RGB") + ("A" if image.has_transparency_data else "")
    return replace(Photo.of(np.atleast_3d(np.array(image.convert(mode)))), icc=icc)


def to_pillow(photo: Photo) -> Image.Image:
    """The picture for Pillow, which has no colour of 16 bits or floats: those become 8-bit."""
    planes = photo.planes()
    if planes.dtype != np.uint8 and planes.shape[2] > 1:
        planes = in_depth(planes / np.float32(photo.white), np.dtype(np.uint8))
    image = Image.fromarray(planes[..., 0] if planes.shape[2] == 1 else planes)
    if photo.icc:
        image.info["icc_profile"] = photo.icc
    return image


def in_depth(unit: np.ndarray, dtype: np.dtype[Any], white: float = 1.0) -> np.ndarray:
    """Floats in about [0, 1] as values of a type: clipped, then whole numbers rounded half up, floats times `white`."""
    if dtype.kind == "f":
        return (unit.clip(0, 1) * np.float32(white)).astype(dtype)
    return (unit.clip(0, 1) * np.float32(np.iinfo(dtype).max) + np.float32(0.5)).astype(dtype)  # towards 0


def _through_profile(image: Image.Image, icc: bytes | None) -> Image.Image:
    """A print file's values, or CIE Lab's, in sRGB."""
    from PIL import ImageCms

    if image.mode == "CMYK" and not icc:
        return image.convert("RGB")
    own: Any = ImageCms.createProfile("LAB")
    try:
        if image.mode == "CMYK":
            own = ImageCms.ImageCmsProfile(io.BytesIO(icc or b""))
        found = ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):  # a profile that is damaged, or of other colours
        return image.convert("RGB")
    assert found is not None
    return found


def _told(image: Image.Image) -> bytes | None:
    """What is kept of a file's EXIF: not its size, its turn, its preview and places within the file."""
    former, kept = image.getexif(), Image.Exif()
    kept.update({tag: former[tag] for tag in _TOLD if tag in former})
    for folder, left_out in _INNER.items():
        if inner := {tag: value for tag, value in former.get_ifd(folder).items() if tag not in left_out}:
            kept.get_ifd(folder).update(inner)
            kept[folder] = kept.get_ifd(folder)
    return kept.tobytes() if len(kept) else None


def _photo(path: Path, values: np.ndarray) -> Photo:
    """Of (H, W) or (H, W, 1 to 4), the last of two or four channels being alpha."""
    if values.dtype not in (np.uint8, np.uint16, np.float32) or not np.isfinite(values).all():
        what = "holds values that are no numbers" if values.dtype.kind == "f" else "holds 32-bit integers"
        raise ImageError(path, f"{what}: save it with 16 bits, or as floats")
    return Photo.of(np.atleast_3d(values))


def read_deep(path: Path) -> np.ndarray:
    """(H, W) or (H, W, C) in the file's own type, RGB, as it lies in the file: not turned.

    Raises:
        ImageError: OpenCV cannot read it either.
    """
    import cv2  # comes with albumentations

    try:
        values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        values = None
    if values is None:
        raise ImageError(path, "cannot be read: save it as PNG with the program that it comes from")
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(values.shape[2] if values.ndim == 3 else 1)
    return values if order is None else np.ascontiguousarray(values[..., order])  # OpenCV's is blue, green, red


def _unknown_tiff(error: ImageError, use: Callable[[Any], T]) -> T:
    """What `use` makes of a TIFF that Pillow does not know, as those of three floats or of 16-bit grey with alpha.

    Raises:
        ImageError: it is none.
    """
    import tifffile  # comes with scikit-image

    if not isinstance(error.__cause__, UnidentifiedImageError):
        raise error
    try:
        with tifffile.TiffFile(error.path) as file:
            _refuse_pages(error.path, len(file.pages))
            if file.pages.first.photometric in (1, 2):  # black is 0, or RGB
                return use(file.pages.first)
    except (tifffile.TiffFileError, OSError, LookupError):
        pass
    raise error


def _of_page(page: Any) -> Photo:
    path = Path(page.parent.filehandle.path)
    try:
        values = np.moveaxis(page.asarray(), 0, -1) if page.axes == "SYX" else page.asarray()
    except ValueError:  # packed in a way that OpenCV alone knows
        values = read_deep(path)
    return replace(_turned(_photo(path, values), page.tags.valueof(ORIENTATION, 1)), icc=page.tags.valueof(34675))
