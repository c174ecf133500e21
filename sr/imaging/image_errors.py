"""What is wrong with an image file, and the command that mends it."""

import shlex
import struct
from collections.abc import Sequence
from pathlib import Path

from PIL import UnidentifiedImageError

from sr.errors import LINES, UserError, some

ORIGINALS = "_originals"  # after a folder's name: where its files are put that were converted
MODES = {  # Pillow's modes that are not read: what the file is
    "RGBa": "has an alpha channel",
    "La": "has an alpha channel",
    "RGBX": "has a fourth channel",
    "CMYK": "is a CMYK print file",
    "YCbCr": "holds YCbCr values",
    "LAB": "holds CIE Lab values",
    "HSV": "holds HSV values",
    "I": "holds 32-bit integers",
    "F": "holds floating point values",
}


class ImageError(UserError):
    """An image file that cannot be used as it is.

    Attributes:
        path: the file.
        what: what it is or has, as it follows the path in a sentence.
        convertible: whether `python -P -m sr.imaging.convert` makes an image of it that can be used.
    """

    def __init__(self, path: Path, what: str, convertible: bool = False) -> None:
        self.path, self.what, self.convertible = path, what, convertible
        mend = f"To make such a copy beside it, type\n  {_command([path])}" if convertible else ""
        super().__init__(f"{path} {what}" + (f"; images must be 8-bit RGB or grey. {mend}" if convertible else ""))


def _command(paths: Sequence[Path]) -> str:
    # By -P nothing is imported from where the user stands: a folder of somebody else may hold a numpy.py.
    return f"python -P -m sr.imaging.convert {shlex.join(map(str, paths))}"


class ImagesError(UserError):
    """Several files of a set at once; `errors` has one for each, of the `of` images that were looked at."""

    def __init__(self, message: str, errors: Sequence[UserError], of: int) -> None:
        super().__init__(message)
        self.errors, self.of = list(errors), of


def together(errors: Sequence[UserError], of: int) -> UserError:
    """One error for all of them.

    Args:
        errors: one or more.
        of: how many images were looked at.
    """
    errors = list({getattr(e, "path", e): e for e in errors}.values())
    if len(errors) == 1 and not isinstance(errors[0], ImageError):
        return errors[0]
    mendable = [e.path for e in errors if isinstance(e, ImageError) and e.convertible]
    lines = [f"{e.path} {e.what}" if isinstance(e, ImageError) else str(e) for e in errors]
    text = f"{len(errors)} of {of} images cannot be used as they are:\n  {some(lines, 100, LINES)}"
    if mendable:
        folders = list(dict.fromkeys(p.parent for p in mendable))
        text += (
            "\nImages must be 8-bit RGB or grey. To convert those that can be (what is transparent goes on white; the "
            f"originals are moved into a folder <name>{ORIGINALS} beside theirs), type\n  {_command(folders)}"
        )
    return ImagesError(text, errors, of)


def damaged(path: Path, error: BaseException) -> ImageError:
    """What is wrong with a file that Pillow cannot read: it raised `error`."""
    if path.is_dir():
        return ImageError(path, "is a folder, an image file was expected")
    if isinstance(error, FileNotFoundError):
        return ImageError(path, f"does not exist: there is no image file of this name in {path.parent}")
    if isinstance(error, OSError) and error.errno is not None:
        return ImageError(
            path, f"cannot be read ({error.strerror}): type  ls -l {shlex.quote(str(path))}  to see who may"
        )
    if isinstance(error, UnidentifiedImageError) and _is_float_tiff(path):
        return ImageError(path, MODES["F"], convertible=True)
    size = path.stat().st_size
    told = "not one of the formats that are read" if isinstance(error, UnidentifiedImageError) else error
    return ImageError(
        path, f"({size} bytes) is not an image or is damaged ({told}). Copy or download it again, or delete it"
    )


def _is_float_tiff(path: Path) -> bool:
    """Pillow knows no TIFF of three floating point channels, and says only that it cannot identify it."""
    with path.open("rb") as file:
        head = file.read(8).ljust(8, b"\0")
        if head[:4] not in (b"II*\0", b"MM\0*"):
            return False
        order = "<" if head[:1] == b"I" else ">"
        file.seek(struct.unpack(order + "I", head[4:])[0])
        count = struct.unpack(order + "H", file.read(2).ljust(2, b"\0"))[0]
        entries = (file.read(12) for _ in range(count))
        tags = [(*struct.unpack(order + "HHI", e[:8]), e[8:]) for e in entries if len(e) == 12]
        for tag, _, number, value in tags:
            if tag == 339:  # SampleFormat: 3 is floating point
                if number > 2:
                    file.seek(struct.unpack(order + "I", value)[0])
                    value = file.read(2).ljust(2, b"\0")
                return bool(struct.unpack(order + "H", value[:2])[0] == 3)
    return False
