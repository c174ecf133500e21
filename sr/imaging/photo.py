"""Pictures as they are: in their full depth, with alpha, colour profile and EXIF; grey stays grey.

Networks are trained on 8-bit RGB (`sr.imaging.files`); what is enlarged for its own sake may be anything that a camera
or a program writes.
"""

import io
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from PIL import Image, ImageOps

from sr.errors import UserError


@dataclass(frozen=True)
class Photo:
    """A picture in memory.

    Attributes:
        colour: (H, W, 1) grey or (H, W, 3) RGB of uint8, uint16 or float32, not multiplied by alpha.
        alpha: (H, W) of the same type; None where the file has none.
        icc: its colour profile, as in the file.
        exif: what of its EXIF is true of any size of it, upright.
        light: how its values are to be seen, in chunks of a PNG, as in the file.
    """

    colour: np.ndarray
    alpha: np.ndarray | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    light: bytes = b""

    @property
    def opaque(self) -> float:
        """What stands for 1 in alpha: of floats 1, or what is largest."""
        if self.colour.dtype.kind != "f":
            return float(np.iinfo(self.colour.dtype).max)
        return 1.0 if self.alpha is None else max(1.0, float(self.alpha.max()))

    @property
    def white(self) -> float:
        """What stands for 1 in colours: of floats 1, or what is brightest."""
        return max(1.0, float(self.colour.max())) if self.colour.dtype.kind == "f" else self.opaque

    @classmethod
    def of(cls, planes: np.ndarray) -> Self:
        """Of (H, W, 1 to 4): the last of two or four channels is alpha."""
        return cls(planes[..., :-1], planes[..., -1]) if planes.shape[2] in (2, 4) else cls(planes)

    def planes(self) -> np.ndarray:
        """(H, W, 1 to 4): alpha as the last channel where there is one."""
        return self.colour if self.alpha is None else np.dstack([self.colour, self.alpha])


def of_pillow(image: Image.Image) -> Photo:
    """A Pillow image, upright."""
    image = ImageOps.exif_transpose(image)
    icc = image.info.get("icc_profile")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535 or (image.mode == "I" and values.max() < 256):
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
