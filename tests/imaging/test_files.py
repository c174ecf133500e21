"""Image files: what is read exactly, what is refused, and that the printed commands mend what was refused."""

import re
import shlex
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sr.errors import UserError
from sr.imaging.files import list_images, read_image, read_size, write_image

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (12, 17, 3), dtype=np.uint8)


def png16(colour_type: int, channels: int) -> bytes:
    """A 16-bit PNG of 8 x 8, which Pillow cannot write for colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = RNG.integers(0, 65536, (8, 8 * channels)).astype(">u2")
    header = struct.pack(">IIBBBBB", 8, 8, 16, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".ppm"])
def test_colour_comes_back_exactly(tmp_path, suffix):
    path = tmp_path / "deep" / f"a{suffix}"
    write_image(path, COLOUR)
    picture = read_image(path)
    assert not picture.grey and picture.pixels.dtype == np.uint8 and picture.pixels.flags.c_contiguous
    assert (picture.pixels == COLOUR).all()
    assert read_size(path) == (12, 17)


def test_tensors_are_clipped_and_rounded(tmp_path):
    tensor = torch.from_numpy(COLOUR).movedim(-1, 0)
    write_image(tmp_path / "a.png", tensor.float() / 255 + 0.001)
    write_image(tmp_path / "b.png", tensor)
    write_image(tmp_path / "c.png", torch.full((3, 2, 2), 1.5))
    assert (read_image(tmp_path / "a.png").pixels == COLOUR).all()
    assert (read_image(tmp_path / "b.png").pixels == COLOUR).all()
    assert (read_image(tmp_path / "c.png").pixels == 255).all()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".pgm"])
def test_grey_is_repeated(tmp_path, suffix):
    Image.fromarray(COLOUR[..., 0]).save(tmp_path / f"g{suffix}")
    picture = read_image(tmp_path / f"g{suffix}")
    assert picture.grey and picture.pixels.shape == (12, 17, 3)
    assert (picture.pixels == picture.pixels[..., :1]).all()


def test_bilevel_is_grey_with_black_and_white(tmp_path):
    Image.fromarray(COLOUR[..., 0]).convert("1").save(tmp_path / "b.png")
    picture = read_image(tmp_path / "b.png")
    assert picture.grey and set(np.unique(picture.pixels)) == {0, 255}


def test_jpeg_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (16, 8), "red").save(tmp_path / "t.jpg", exif=exif)
    assert read_image(tmp_path / "t.jpg").pixels.shape == (16, 8, 3)
    assert read_size(tmp_path / "t.jpg") == (16, 8)


def make_refused(folder: Path) -> dict[str, tuple[Path, str]]:
    image = Image.fromarray(COLOUR)
    keyed = {"transparency": (1, 2, 3)}
    files: dict[str, tuple[Path, str]] = {}
    for name, picture, options, word in [
        ("palette.png", image.quantize(16), {}, "palette"),
        (
            "anim.gif",
            image.quantize(16),
            {"save_all": True, "append_images": [image.rotate(180).quantize(16)]},
            "2 pictures",
        ),
        ("palette.gif", image.quantize(16), {}, "palette"),
        ("alpha.png", image.convert("RGBA"), {}, "alpha"),
        ("greyalpha.png", image.convert("LA"), {}, "alpha"),
        ("keyed.png", image, keyed, "transparent"),
        ("print.jpg", image.convert("CMYK"), {}, "CMYK"),
        ("float.tif", Image.fromarray(COLOUR[..., 0].astype(np.float32)), {}, "floating point"),
        ("moving.png", image, {"save_all": True, "append_images": [image.rotate(180)]}, "2 pictures"),
        ("pages.tif", image, {"save_all": True, "append_images": [image.rotate(180)]}, "2 pictures"),
    ]:
        picture.save(folder / name, **options)
        files[name] = (folder / name, word)
    for name, data in [
        ("grey16.png", png16(0, 1)),
        ("colour16.png", png16(2, 3)),
        ("alpha16.png", png16(6, 4)),
        ("colour16.ppm", b"P6 8 8 65535\n" + bytes(range(256)) + bytes(128)),
    ]:
        (folder / name).write_bytes(data)
        files[name] = (folder / name, "16 bits")
    return files


def test_other_kinds_are_refused_and_the_command_mends_them(tmp_path):
    for path, word in make_refused(tmp_path).values():
        for read in (read_image, read_size):
            with pytest.raises(UserError, match=re.escape(str(path))) as caught:
                read(path)
            assert word in str(caught.value), (path, str(caught.value))
        command = shlex.split(str(caught.value).splitlines()[-1])
        assert command[:2] == ["python", "-c"]
        # within this process: starting a fresh one for each kind would take most of the test's time
        exec(command[2], {})
        mended = path.with_name(path.stem + "_8bit.png")
        assert read_image(mended).pixels.dtype == np.uint8
        mended.unlink()


def test_a_printed_command_runs_in_a_shell(tmp_path):
    image = tmp_path / "a b.png"
    Image.fromarray(COLOUR).convert("RGBA").save(image)
    with pytest.raises(UserError) as caught:
        read_image(image)
    command = shlex.split(str(caught.value).splitlines()[-1])
    subprocess.run([sys.executable, *command[1:]], check=True)
    assert (read_image(tmp_path / "a b_8bit.png").pixels == COLOUR).all()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_cut_short(tmp_path, suffix):
    write_image(tmp_path / f"whole{suffix}", COLOUR)
    data = (tmp_path / f"whole{suffix}").read_bytes()
    for part in (0, 10, len(data) // 2, len(data) * 9 // 10):
        (tmp_path / f"cut{suffix}").write_bytes(data[:part])
        with pytest.raises(UserError, match="damaged"):
            read_image(tmp_path / f"cut{suffix}")


def test_flipped_bits_in_a_png(tmp_path):
    write_image(tmp_path / "a.png", COLOUR)
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("read", [read_image, read_size])
def test_no_image_at_all(tmp_path, read):
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(UserError, match="not an image"):
        read(tmp_path / "text.png")
    with pytest.raises(UserError, match="no image file"):
        read(tmp_path / "missing.png")
    with pytest.raises(UserError, match="is a folder"):
        read(tmp_path)


def test_writing_refuses(tmp_path):
    with pytest.raises(UserError, match="NaN"):
        write_image(tmp_path / "a.png", torch.full((3, 4, 4), float("nan")))
    with pytest.raises(UserError, match="unknown suffix"):
        write_image(tmp_path / "a.xyz", COLOUR)
    with pytest.raises(UserError, match="float64"):
        write_image(tmp_path / "a.png", COLOUR / 255)
    assert list(tmp_path.iterdir()) == []


def test_listing(tmp_path):
    for name in ("b.PNG", "a.jpg", ".hidden.png", "._a.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [p.name for p in list_images(tmp_path)] == ["a.jpg", "b.PNG"]
    with pytest.raises(UserError, match="does not exist"):
        list_images(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is a file"):
        list_images(tmp_path / "notes.txt")


@pytest.mark.shared
def test_kinds_and_sizes_of_the_real_images(shared: Path):
    rows = [line.split("\t") for line in (shared / "data" / "PIXELS.tsv").read_text().splitlines()[1:]]
    assert len(rows) > 900
    for path, _, width, height, _ in rows:
        assert read_size(shared / "data" / path) == (int(height), int(width))
    for path, mode, width, height, _ in rows[::40] + [row for row in rows if row[1] == "L"]:
        picture = read_image(shared / "data" / path)
        assert picture.grey == (mode == "L")
        assert picture.pixels.shape == (int(height), int(width), 3)
