"""Image files: what is read exactly, what is refused, and that the printed commands mend what was refused."""

import errno
import os
import re
import shlex
import shutil
import struct
import time
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from sr.errors import UserError
from sr.imaging import convert
from sr.imaging.files import list_images, read_image, read_size, write_image
from sr.imaging.image_errors import together
from sr.imaging.photo_reading import read_photo

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
    keyed = {"transparency": tuple(int(v) for v in COLOUR[0, 0])}
    half = Image.fromarray(np.concatenate([COLOUR, np.full_like(COLOUR[..., :1], 128)], 2))
    files: dict[str, tuple[Path, str]] = {}
    for name, picture, options, word in [
        ("clear palette.png", image.quantize(16), {"transparency": 0}, "transparent"),
        (
            "anim.gif",
            image.quantize(16),
            {"save_all": True, "append_images": [image.rotate(180).quantize(16)]},
            "2 pictures",
        ),
        ("alpha.png", half, {}, "transparent"),
        ("greyalpha.png", half.convert("LA"), {}, "transparent"),
        ("keyed.png", image, keyed, "transparent"),
        ("$HOME [a]'s.jpg", image.convert("CMYK"), {}, "CMYK"),
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
        ("greyalpha16.png", png16(4, 2)),
        ("colour16.ppm", b"P6 8 8 65535\n" + bytes(range(256)) + bytes(128)),
    ]:
        (folder / name).write_bytes(data)
        files[name] = (folder / name, "16 bits")
    for name, values in (("float3.tif", COLOUR / 255), ("float255.tif", COLOUR)):
        cv2.imwrite(str(folder / name), values[..., ::-1].astype(np.float32))
        files[name] = (folder / name, "floating point")
    return files


def converted(command: str) -> int:
    """Carry the last line of an error out, in this process: a fresh one for each kind would take most of the time."""
    words = shlex.split(command)
    assert words[:4] == ["python", "-P", "-m", "sr.imaging.convert"]
    return convert.main(words[4:])


def test_other_kinds_are_refused_and_the_command_mends_each(tmp_path):
    for path, word in make_refused(tmp_path).values():
        with pytest.raises(UserError, match=re.escape(str(path))) as caught:
            read_image(path)
        assert word in str(caught.value), (path, str(caught.value))
        before = path.read_bytes()
        assert converted(str(caught.value).splitlines()[-1]) == 0
        assert read_image(path.with_name(path.stem + "_8bit.png")).pixels.dtype == np.uint8
        assert path.read_bytes() == before
        path.with_name(path.stem + "_8bit.png").unlink()


def test_one_command_mends_a_folder_and_keeps_the_originals(tmp_path):
    place = tmp_path / "my 'own' $[x]"
    place.mkdir()
    files = make_refused(place)
    before = {name: path.read_bytes() for name, (path, _) in files.items()}
    Image.fromarray(COLOUR).save(place / "good.png")
    errors = []
    for path in list_images(place):
        try:
            read_image(path)
        except UserError as error:
            errors.append(error)
    message = str(together(errors, 20))
    assert all(name in message for name in files if name != "anim.gif")  # a folder is not read for this suffix
    assert converted(message.splitlines()[-1]) == 0
    for path in list_images(place):
        read_image(path)
    originals = place.with_name(place.name + "_originals")
    assert {p.name: p.read_bytes() for p in originals.iterdir()} == {n: b for n, b in before.items() if n != "anim.gif"}
    assert (read_image(place / "float3.png").pixels == COLOUR).all()
    assert (read_image(place / "float255.png").pixels == COLOUR).all()
    half = (COLOUR.astype(int) * 128 + 255 * 127) / 255
    assert np.abs(read_image(place / "alpha.png").pixels - half).max() <= 1
    values = cv2.imdecode(np.frombuffer(before["alpha16.png"], np.uint8), cv2.IMREAD_UNCHANGED) / 65535
    values = values[..., [2, 1, 0, 3]]
    white = values[..., :3] * values[..., 3:] + 1 - values[..., 3:]
    assert np.abs(read_image(place / "alpha16.png").pixels - white * 255).max() <= 0.51


def test_a_conversion_that_cannot_be_written_is_told_and_loses_nothing(tmp_path, capsys, monkeypatch):
    Image.new("I;16", (8, 8)).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()

    def full(image, target, **_):
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    for words in ([str(tmp_path)], [str(tmp_path / "a.png")], [str(tmp_path / "nowhere.png")], []):
        assert convert.main(words) == 1
    assert capsys.readouterr().err.count("No space left") == 2
    assert (tmp_path / "a.png").read_bytes() == before and [*tmp_path.iterdir()] == [tmp_path / "a.png"]


@pytest.mark.parametrize("fails", [False, True])
def test_originals_may_lie_on_another_disk(tmp_path, monkeypatch, capsys, fails):
    place = tmp_path / "mine"
    place.mkdir()
    Image.new("I;16", (8, 8)).save(place / "a.png")
    before = (place / "a.png").read_bytes()
    rename = os.rename

    def apart(source, target):
        if Path(source).parent != Path(target).parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, target)

    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("rename", "replace", "link"):
        monkeypatch.setattr(os, name, apart)
    if fails:
        monkeypatch.setattr(shutil, "copy2", full)
    assert convert.main([str(place)]) == int(fails), capsys.readouterr()
    originals = tmp_path / "mine_originals"
    assert (place / "a.png" if fails else originals / "a.png").read_bytes() == before
    assert [p.name for p in place.iterdir()] == ["a.png"] and len(list(originals.iterdir())) == int(not fails)


def test_an_image_that_does_not_fit_into_memory_is_named(tmp_path, monkeypatch, capsys):
    def none_left(*_, **__):
        raise MemoryError

    Image.new("I;16", (8, 8)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "open", none_left)
    with pytest.raises(UserError, match=r"a.png does not fit into the free memory"):
        read_image(tmp_path / "a.png")
    monkeypatch.setattr(convert, "to_8_bit", none_left)
    assert convert.main([str(tmp_path / "a.png")]) == 1 and "memory ran out" in capsys.readouterr().err


def test_what_is_lost_by_no_one_is_simply_read(tmp_path):
    image = Image.fromarray(COLOUR)
    image.quantize(16).save(tmp_path / "palette.png")
    image.convert("RGBA").save(tmp_path / "opaque.png")
    Image.fromarray(COLOUR[..., 0]).convert("LA").save(tmp_path / "grey.png")
    image.save(tmp_path / "key.png", transparency=(1, 2, 3))
    for name in ("opaque", "key"):
        assert (read_image(tmp_path / f"{name}.png").pixels == COLOUR).all()
    assert (read_image(tmp_path / "palette.png").pixels == np.asarray(image.quantize(16).convert("RGB"))).all()
    grey = read_image(tmp_path / "grey.png")
    assert grey.grey and (grey.pixels[..., 0] == COLOUR[..., 0]).all()


def test_long_texts_in_a_png_do_not_matter(tmp_path):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("prompt", "a" * 3_000_000, zip=True)
    Image.fromarray(COLOUR).save(tmp_path / "a.png", pnginfo=texts)
    assert (read_image(tmp_path / "a.png").pixels == COLOUR).all() and read_size(tmp_path / "a.png") == (12, 17)


@pytest.mark.parametrize("kind", ["EPS", "PCX", "TGA", "ICNS"])
def test_no_other_reader_is_called_whatever_a_file_is_named(tmp_path, kind):
    """Pillow has some fifty readers, and that of PostScript starts an interpreter."""
    Image.fromarray(COLOUR).save(tmp_path / "a.png", format=kind)
    for read in (read_image, read_size, convert.to_8_bit):
        with pytest.raises(UserError, match="not one of the formats that are read"):
            read(tmp_path / "a.png")


def test_large_and_unreadable_are_not_damaged(tmp_path, monkeypatch):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    start = time.perf_counter()
    for read in (read_image, read_size):
        with pytest.raises(UserError, match="too large") as caught:
            read(tmp_path / "bomb.png")
        assert "damaged" not in str(caught.value)
    assert time.perf_counter() - start < 1
    write_image(tmp_path / "locked.png", COLOUR)

    def locked(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", locked)  # a superuser may read everything
    with pytest.raises(UserError, match="Permission denied") as caught:
        read_image(tmp_path / "locked.png")
    assert "damaged" not in str(caught.value)


def test_a_damaged_file_is_not_converted(tmp_path, capsys):
    data = png16(2, 3)
    (tmp_path / "cut.png").write_bytes(data[: len(data) * 2 // 3])
    assert convert.main([str(tmp_path)]) == 1 and "damaged" in capsys.readouterr().err
    with pytest.raises(UserError, match="damaged"):
        read_image(tmp_path / "cut.png")
    assert (tmp_path / "cut.png").read_bytes() == data[: len(data) * 2 // 3] and len([*tmp_path.iterdir()]) == 1


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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "kind", ["png", "palette.png", "jpg", "bmp", "tif", "webp", "ppm", "gif", "deep.png", "float.tif"]
)
def test_damage_of_any_kind_ends_in_words(tmp_path, kind):
    path, rng = tmp_path / f"a.{kind}", np.random.default_rng(len(kind))
    image = Image.fromarray(COLOUR)
    if kind == "deep.png":
        path.write_bytes(png16(6, 4))
    elif kind == "float.tif":
        cv2.imwrite(str(path), COLOUR.astype(np.float32))
    else:
        (image.quantize(16) if kind == "palette.png" else image).save(path)
    whole = path.read_bytes()
    for number in range(60):
        data = bytearray(whole)
        if number % 3:
            end = min(len(data), 160) if number % 3 == 1 else len(data)  # headers are short
            for place in rng.integers(0, end, 2):
                data[place] ^= 1 << int(rng.integers(8))
        else:
            del data[int(rng.integers(len(data))) :]
        path.write_bytes(data)
        for read in (read_image, read_size, convert.to_8_bit):
            with suppress(UserError):  # or the right result, or another picture where the format has no checksum
                read(path)


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


def test_values_with_a_sign_are_not_converted(tmp_path):
    """Half of a microscope's picture became black, the rest half as bright, without a word."""
    values = (np.arange(64, dtype=np.int16).reshape(8, 8) - 32) * 1000
    file = tmp_path / "a.tif"
    Image.frombytes("I;16", (8, 8), values.astype("<i2").tobytes()).save(file, tiffinfo={339: 2})
    with pytest.raises(UserError, match="holds int16 values"):
        convert.to_8_bit(file)


@pytest.mark.parametrize("progressive", [True, False])
def test_a_jpeg_of_thousands_of_scans_is_refused(tmp_path, progressive):
    """libjpeg goes through all pixels for each: 1 MB took minutes, in which nothing stopped it."""
    file = tmp_path / "a.jpg"
    Image.new("L", (64, 64), 128).save(file, progressive=progressive)
    content = file.read_bytes()
    assert read_size(file) == (64, 64)
    last = content.rindex(b"\xff\xda")
    file.write_bytes(content[:-2] + content[last:-2] * 600 + content[-2:])
    for read in (read_image, read_size, read_photo):
        with pytest.raises(UserError, match="more than 500 times"):
            read(file)
