"""Copies of image files that can be trained on: `python -P -m sr.imaging.convert PATH...`, 8-bit RGB or grey PNG.

A folder is mended in place: what cannot be read as it is is replaced, the original moved into `<folder>_originals`
beside it. Of a file that is named itself, a copy is made beside it.
"""

import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from sr.errors import UserError, printable, user_error
from sr.imaging.files import list_images, opened, read_image, several, upright, write_image
from sr.imaging.image_errors import ORIGINALS, ImageError
from sr.imaging.photo_reading import misread, read_deep, read_photo
from sr.whole import copy_whole


def to_8_bit(path: Path) -> np.ndarray:
    """(H, W, 3) or (H, W) uint8 of a file that `read_image` refuses.

    What is transparent goes on white; 16 bits are rounded; of several pictures the first is taken. Floats up to 1 are
    taken as 0 to 1, those far above it and integers as 8 or 16 bits, so that all files of a kind are treated alike.

    Raises:
        UserError: the file is damaged, or its values have no such range.
    """

    def small(image: Image.Image) -> np.ndarray | None:
        deep, first = misread(image), image.format == "TIFF" and (image.mode == "I" or bool(several(image)))
        image.load()  # tells a damaged file, of which OpenCV returns what it can
        if deep:
            return _deep(path, read_deep(path)) if first else None
        image = upright(image)
        if image.has_transparency_data:
            rgba = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        elif image.mode == "LAB":
            from PIL import ImageCms

            profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
            return np.array(ImageCms.profileToProfile(image, *profiles, outputMode="RGB"))
        return np.array(image.convert("RGB"))

    try:
        pixels = opened(path, small)
    except ImageError as error:
        if not error.convertible:
            raise
        pixels = None
    return _deep(path, read_photo(path).planes()) if pixels is None else pixels


def _deep(path: Path, values: np.ndarray) -> np.ndarray:
    """Of values that Pillow cannot give."""
    if np.issubdtype(values.dtype, np.signedinteger):
        raise UserError(
            f"{path} holds {values.dtype} values, of which nobody knows what is black and white: save it with 16 bits "
            "without a sign, or as floats"
        )
    top = _range(path, values)
    unit = (values.astype(np.float64) / top).clip(0, 1)
    if unit.ndim == 3 and unit.shape[2] in (2, 4):
        unit = unit[..., :-1] * unit[..., -1:] + 1 - unit[..., -1:]
    if unit.ndim == 3 and unit.shape[2] == 1:
        unit = unit[..., 0]
    return np.ascontiguousarray((unit * 255 + 0.5).astype(np.uint8))


def _range(path: Path, values: np.ndarray) -> float:
    """What stands for white.

    Raises:
        UserError: it is not known: as of floats a little above 1, or of 10 or 12 bits in a file of 16.
    """
    top, floats = float(values.max()), np.issubdtype(values.dtype, np.floating)
    found = next((white for white in (1.0, 255.0, 65535.0) if top <= white), None)
    dim = 1 < top < 16 if floats else values.dtype == np.uint16 and 0 < top < 4096
    if found is None or dim or not np.isfinite(values).all():
        raise UserError(
            f"{path} holds {values.dtype} values up to {top:g}, and what of them is white is not known: scale them to "
            f"{'0-1' if floats else '0-65535'}"
        )
    if values.dtype == np.uint16:
        return 65535.0
    return 1.0 if floats and found == 1 else max(found, 255.0)


def convert(path: Path) -> Path:
    """Write `<name>_8bit.png` beside the file."""
    target = path.with_name(f"{path.stem}_8bit.png")
    if target.exists():
        raise UserError(f"{target} is there already: move it away first")
    write_image(target, to_8_bit(path))
    return target


def mend(folder: Path) -> tuple[int, list[UserError]]:
    """Replace the images of a folder that cannot be read as they are; how many, and why others could not be."""
    originals = folder.absolute().with_name(folder.absolute().name + ORIGINALS)
    replaced, failed = 0, []
    for path in list_images(folder):
        try:
            try:
                read_image(path)
                continue
            except ImageError as error:
                if not error.convertible:
                    raise
            copy = convert(path)
            try:
                _put(path, originals)
            except BaseException:
                copy.unlink()
                raise
            if not (target := path.with_suffix(".png")).exists():
                os.rename(copy, target)
            replaced += 1
        except OSError as error:
            failed.append(UserError(f"{path} is left as it is: {error.strerror}"))
        except (UserError, MemoryError) as error:
            failed.append(user_error(error) or UserError(path))
    return replaced, failed


def _put(path: Path, folder: Path) -> None:
    """Move a file into a folder, also one on another disk."""
    folder.mkdir(exist_ok=True)
    if (kept := folder / path.name).exists():
        raise UserError(f"{kept} is there already, so that {path} is left as it is")
    copy_whole(path, kept)
    try:
        path.unlink()
    except OSError:
        kept.unlink()
        raise


def main(arguments: list[str]) -> int:
    """The command; 0 if all that was named can be read now."""
    if not arguments:
        print(f"{__doc__}\nName folders or files.", file=sys.stderr)
        return 1
    failed: list[UserError] = []
    for path in map(Path, arguments):
        try:
            if path.is_dir():
                replaced, errors = mend(path)
                failed += errors
                print(printable(f"{path}: {replaced} images converted"))
            else:
                print(printable(str(convert(path))))
        except (UserError, MemoryError) as error:
            failed.append(user_error(error) or UserError(path))
        except OSError as error:
            failed.append(UserError(f"{error.filename or path} cannot be written: {error.strerror}"))
    for left in failed:
        print(printable(str(left)), file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
