"""A folder with everything that people keep in one, good and bad."""

from pathlib import Path

import cv2
import numpy as np
import tifffile
from conftest import photo
from PIL import Image, ImageCms
from print_profile import cmyk_profile

ODD = 'it\'s [100%] "ü" $a=b, ${c}.png'
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def turned_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    exif.get_ifd(0x8769).update({0xA002: 40, 0xA003: 30, 0x9003: "2026:01:01 00:00:00"})
    return exif


def fill(folder: Path) -> dict[str, np.ndarray]:
    """Write the good ones; their pixels by name."""
    (folder / "sub").mkdir(parents=True)
    rgb = photo(30, 40)
    grey16 = (np.arange(30 * 40, dtype=np.uint16) * 50).reshape(30, 40)
    alpha = np.full((30, 40), 255, np.uint8)
    alpha[:, 20:] = 0
    hidden = np.where(alpha[..., None] > 0, (200, 40, 90), (0, 255, 0)).astype(np.uint8)
    Image.fromarray(rgb).save(folder / "a.png", icc_profile=PROFILE)
    Image.fromarray(rgb).save(folder / "a.jpg", quality=90)
    Image.fromarray(rgb).save(folder / "sub" / ODD)
    Image.fromarray(rgb[:1, :1]).save(folder / "one.png")
    tifffile.imwrite(folder / "grey16.tif", grey16)
    Image.fromarray(np.dstack([hidden, alpha])).save(folder / "alpha.png")
    palette = Image.fromarray(rgb).quantize(16)
    palette.save(folder / "palette.png", transparency=3)
    palette.save(folder / "colours.png")
    cyan = Image.fromarray(np.full((30, 40, 4), (255, 0, 0, 0), np.uint8), "CMYK")
    cyan.save(folder / "print.jpg", icc_profile=cmyk_profile())
    cyan.save(folder / "inks.jpg")
    Image.fromarray(rgb).save(folder / "turned.jpg", exif=turned_exif(), quality=95)
    wide = np.tile(rgb, (1, 500, 1))[:10]
    Image.fromarray(wide).save(folder / "wide.png")
    cv2.imwrite(str(folder / "rgb16.png"), rgb.astype(np.uint16)[..., ::-1] * 257)
    colours = np.asarray(palette.convert("RGB"))
    clear = np.asarray(palette) == 3
    return {"rgb": rgb, "grey16": grey16, "alpha": alpha, "wide": wide, "colours": colours, "clear": clear}


def spoil(folder: Path) -> None:
    Image.fromarray(photo(30, 40)).save(folder / "whole.jpg")
    (folder / "cut.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:900])
    (folder / "whole.jpg").unlink()
    (folder / "text.png").write_text("this is no picture\n")
    (folder / "empty.png").write_bytes(b"")
    frames = [Image.fromarray(photo(30, 40, seed)) for seed in (1, 2)]
    frames[0].save(folder / "moving.webp", save_all=True, append_images=frames[1:], duration=100)
    Image.fromarray(np.zeros((2, 40_000), np.uint8)).save(folder / "long.jpg")
    Image.fromarray(np.zeros((2, 9_000, 3), np.uint8)).save(folder / "long.webp", quality=1)
