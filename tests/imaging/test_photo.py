"""Pictures in their full depth, with all that belongs to them, read and written."""

import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from at_once import at_once
from PIL import Image, ImageCms, ImageOps
from print_profile import CYAN, cmyk_profile

from sr.errors import UserError
from sr.imaging.convert import to_8_bit
from sr.imaging.files import read_image, read_size
from sr.imaging.photo import Photo, in_depth, of_pillow, to_pillow
from sr.imaging.photo_reading import read_photo, read_photo_size
from sr.imaging.photo_writing import NO_ALPHA, WRITTEN, depth_in, write_photo

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY = PROFILE[:16] + b"GRAY" + PROFILE[20:]


def drawn(channels: int, dtype: type, height: int = 5, width: int = 7) -> np.ndarray:
    values = np.random.default_rng(channels).random((height, width, channels)).astype(np.float32)
    return in_depth(values, np.dtype(dtype))


def exif_of(turn: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8298] = turn, "a camera", "mine"
    exif.get_ifd(0x8769).update({0xA002: 7, 0xA003: 5, 0x9003: "2026:01:01 00:00:00"})
    exif.get_ifd(0x8825)[1] = "N"
    return exif.tobytes()


@pytest.mark.parametrize("suffix", WRITTEN)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_is_written_is_read_back(tmp_path, suffix, dtype):
    if depth_in(suffix, np.dtype(dtype)) != dtype:
        return
    for channels in (1, 3) if suffix in NO_ALPHA else (1, 2, 3, 4):
        planes, file = drawn(channels, dtype), tmp_path / f"{channels}{suffix}"
        write_photo(file, photo_of(planes))
        found = read_photo(file)
        if suffix == ".webp" and channels < 3:  # which has no grey
            planes = np.dstack([planes[..., :1]] * 3 + ([planes[..., 1:]] if channels == 2 else []))
        assert found.colour.dtype == dtype and read_photo_size(file) == (5, 7)
        assert found.planes().shape == planes.shape
        assert suffix in (".jpg", ".jpeg") or np.array_equal(found.planes(), planes)
        assert found.icc == (PROFILE if channels > 2 and suffix != ".bmp" else None)


def photo_of(planes: np.ndarray) -> Photo:
    found = Photo.of(planes)
    return Photo(found.colour, found.alpha, PROFILE if planes.shape[2] > 2 else None)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_how_a_png_is_to_be_seen_is_kept(tmp_path, dtype):
    """Linear light and HDR of another PNG would be shown dark or pale."""
    told = {b"gAMA": struct.pack(">I", 100_000), b"cICP": bytes([9, 16, 0, 1])}
    light = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in told.items())
    for channels in (1, 3, 4):
        write_photo(tmp_path / "a.png", Photo.of(drawn(channels, dtype)))
        data = (tmp_path / "a.png").read_bytes()
        (tmp_path / "a.png").write_bytes(data[:33] + 3 * light + data[33:])  # behind its header; the first ones count
        found = read_photo(tmp_path / "a.png")
        assert found.light == light and np.array_equal(found.planes(), drawn(channels, dtype))
        write_photo(tmp_path / "b.png", found)
        again = read_photo(tmp_path / "b.png")
        assert all(k + d in again.light for k, d in told.items()) and np.array_equal(again.planes(), found.planes())


def test_depths_that_a_format_has_not():
    deep, real, small = np.dtype(np.uint16), np.dtype(np.float32), np.dtype(np.uint8)
    assert [depth_in(s, real) for s in (".tif", ".png", ".jpg")] == [real, deep, small]
    assert [depth_in(s, deep) for s in (".tiff", ".png", ".webp")] == [deep, deep, small]


@pytest.mark.parametrize("kind", ["jpg", "webp", "png"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_a_turned_picture_is_upright_and_told_so_no_more(tmp_path, kind, turn):
    file = tmp_path / f"turned.{kind}"
    options = {"lossless": True} if kind == "webp" else {"quality": 95} if kind == "jpg" else {}
    Image.fromarray(drawn(3, np.uint8)).save(file, exif=exif_of(turn), **options)
    with Image.open(file) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    found = read_photo(file)
    assert np.array_equal(found.colour, upright)
    write_photo(tmp_path / f"again.{kind}", found)
    with Image.open(tmp_path / f"again.{kind}") as image:
        exif = image.getexif()
        assert np.asarray(image).shape == upright.shape
        assert {*exif} - {0x8769, 0x8825} == {0x010F, 0x8298} and exif[0x010F] == "a camera"
        assert {*exif.get_ifd(0x8769)} == {0x9003} and exif.get_ifd(0x8825)[1] == "N"


@pytest.mark.parametrize("turn", range(1, 9))
def test_deep_pictures_are_turned_too(tmp_path, turn):
    small, deep = (tmp_path / name for name in ("small.tif", "deep.tif"))
    pixels = drawn(3, np.uint8)
    for file, planes in ((small, pixels), (deep, pixels.astype(np.uint16) * 257)):
        tifffile.imwrite(file, planes, photometric="rgb", extratags=[(0x0112, "H", 1, turn, True)])
    assert np.array_equal(read_photo(deep).colour // 257, read_photo(small).colour)


def test_a_grey_profile_stands_on_grey_alone(tmp_path):
    grey = Photo(drawn(1, np.uint8), icc=GREY)
    for name, kept in (("a.png", GREY), ("a.tif", GREY), ("a.webp", None)):
        write_photo(tmp_path / name, grey)
        assert read_photo(tmp_path / name).icc == kept
    for suffix in WRITTEN:  # what became RGB
        write_photo(tmp_path / f"rgb{suffix}", Photo(drawn(3, np.uint8), icc=GREY))
        assert read_photo(tmp_path / f"rgb{suffix}").icc is None


def test_a_print_file_goes_through_its_profile(tmp_path):
    image = Image.new("CMYK", (7, 5), (255, 0, 0, 0))
    image.paste((0, 0, 0, 0), (4, 0, 7, 5))
    for name, profile in (("print.tif", cmyk_profile()), ("plain.tif", None), ("damaged.tif", b"of a printer")):
        image.save(tmp_path / name, icc_profile=profile)
        found = read_photo(tmp_path / name)
        colour = CYAN if name == "print.tif" else (0, 255, 255)
        assert found.icc is None and np.abs(found.colour[0, 0].astype(int) - colour).max() <= 3, name
        assert found.colour[0, 6].min() >= 253  # paper


def test_one_colour_that_is_none_is_alpha_in_every_depth(tmp_path):
    pixels = drawn(1, np.uint8)
    pixels[0, 0] = 77
    Image.fromarray(pixels[..., 0]).save(tmp_path / "a.png", transparency=77)
    found = read_photo(tmp_path / "a.png")
    assert found.alpha[0, 0] == 0 and found.alpha.max() == 255 and found.colour.shape == (5, 7, 1)


def test_floats_keep_what_is_brighter_than_white(tmp_path):
    bright = drawn(3, np.float32) * 4
    write_photo(tmp_path / "a.tif", Photo(bright))
    found = read_photo(tmp_path / "a.tif")
    assert found.white == bright.max() and np.array_equal(found.colour, bright)
    bright[0, 0, 0] = np.nan
    write_photo(tmp_path / "a.tif", Photo(bright))
    with pytest.raises(UserError, match="no numbers"):
        read_photo(tmp_path / "a.tif")


def test_a_small_file_that_claims_much_fills_no_memory(tmp_path):
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.zeros((8, 8, 3), np.float32), photometric="rgb", metadata=None)
    with tifffile.TiffFile(file, mode="r+b") as tiff:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tiff.pages[0].tags[name].overwrite(60_000)
    for read in (read_photo, read_photo_size):
        with pytest.raises(UserError, match="is too large"):
            read(file)


def test_what_a_tiff_s_values_mean_is_what_it_says(tmp_path):
    file = tmp_path / "a.tif"
    for dtype, most in ((np.uint16, 1), (np.float32, 1e-6)):
        colour, alpha = drawn(3, dtype), drawn(1, dtype)
        alpha[0], full = 0, np.iinfo(dtype).max if dtype == np.uint16 else 1
        unit = alpha / np.float32(full)
        multiplied = (colour * unit + (0.5 if full > 1 else 0)).astype(dtype)
        tifffile.imwrite(file, np.dstack([multiplied, alpha]), photometric="rgb", extrasamples=["assocalpha"])
        found = read_photo(file)
        error = np.abs(found.colour.astype(float) - colour) * unit  # as far as rounding tells
        assert error.max() <= most and np.array_equal(found.alpha, alpha[..., 0]) and not found.colour[0].any()
        tifffile.imwrite(file, np.dstack([colour, alpha]), photometric="rgb", extrasamples=["unspecified"])
        assert read_photo(file).alpha is None and np.array_equal(read_photo(file).colour, colour)
    grey, alpha = drawn(1, np.uint16), drawn(1, np.uint16)
    tifffile.imwrite(
        file, np.dstack([~grey, alpha]), photometric="miniswhite", extrasamples=["unassalpha"], planarconfig="contig"
    )
    assert np.array_equal(read_photo(file).planes(), np.dstack([grey, alpha]))
    cv2.imwrite(str(file), ~grey)  # packed in a way that OpenCV alone knows
    with tifffile.TiffFile(file, mode="r+b") as tiff:
        tiff.pages[0].tags["PhotometricInterpretation"].overwrite(0)
    assert np.array_equal(read_photo(file).colour, grey)


@pytest.mark.parametrize(
    ("channels", "dtype", "options"),
    [
        (3, np.uint16, {"photometric": "cielab"}),
        (4, np.float32, {"photometric": "separated"}),
        (5, np.uint16, {"photometric": "rgb", "extrasamples": ["unassalpha", "unspecified"]}),
        (3, np.uint16, {"photometric": "minisblack", "planarconfig": "contig"}),
    ],
)
def test_colours_that_are_not_known_are_refused(tmp_path, channels, dtype, options):
    tifffile.imwrite(tmp_path / "a.tif", drawn(channels, dtype), metadata=None, **options)
    for read in (read_photo, read_photo_size):
        with pytest.raises(UserError, match=rf"a.tif is a TIFF of {channels} channels \("):
            read(tmp_path / "a.tif")


def test_a_deep_print_file_is_what_a_small_one_is(tmp_path):
    values = drawn(4, np.uint8)
    for name, planes in (("small", values), ("deep", values.astype(np.uint16) * 257)):
        tifffile.imwrite(tmp_path / f"{name}.tif", planes, photometric="separated")
    assert np.array_equal(read_photo(tmp_path / "deep.tif").colour, read_photo(tmp_path / "small.tif").colour)


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"compression": "zlib"}, {"byteorder": ">"}])
def test_channels_that_lie_apart_are_the_same_picture(tmp_path, options):
    """Pillow takes halves of 16-bit values for values of 8 bits, and loses alpha of packed grey."""
    file = tmp_path / "a.tif"
    grey = [(2, np.uint8)] if "compression" in options else []  # else it is refused
    for channels, dtype in ((3, np.uint16), (4, np.uint16), (3, np.uint8), *grey):
        planes = drawn(channels, dtype, 21, 18)
        kind = {"photometric": "rgb" if channels > 2 else "minisblack", "planarconfig": "separate"}
        kind |= {"extrasamples": ["unassalpha"]} if channels != 3 else {}
        tifffile.imwrite(file, np.ascontiguousarray(planes.transpose(2, 0, 1)), **kind, **options)
        assert np.array_equal(read_photo(file).planes(), planes)
        if dtype == np.uint16:
            with pytest.raises(UserError, match="16 bits per channel"):
                read_image(file)
    for channels, dtype, kind in ((4, np.uint16, "separated"), (3, np.uint8, "cielab")):
        planes = np.ascontiguousarray(drawn(channels, dtype, 21, 18).transpose(2, 0, 1))
        tifffile.imwrite(file, planes, photometric=kind, planarconfig="separate", **options)
        with pytest.raises(UserError, match="whose colours are not known"):
            read_photo(file)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("kind", ["minisblack", "miniswhite"])
def test_packed_bits_are_read(tmp_path, bits, kind):
    values = drawn(1, np.uint16, 5, 8)[..., 0] >> (16 - bits)
    packed = np.packbits((values[..., None] >> np.arange(bits)[::-1] & 1).astype(np.uint8).reshape(5, -1), axis=1)
    tifffile.imwrite(tmp_path / "a.tif", packed, photometric=kind)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tiff:
        tiff.pages[0].tags["BitsPerSample"].overwrite(bits)
        tiff.pages[0].tags["ImageWidth"].overwrite(8)
    unit = values / (2**bits - 1)
    unit = unit if kind == "minisblack" else 1 - unit
    assert np.abs(read_photo(tmp_path / "a.tif").colour[..., 0] / 65535 - unit).max() < 2 / 2**bits


def test_a_map_of_floats_is_not_black(tmp_path):
    values = drawn(1, np.float32)[..., 0]
    (tmp_path / "a.pgm").write_bytes(b"Pf\n7 5\n-1.0\n" + values[::-1].astype("<f4").tobytes())
    assert np.array_equal(read_photo(tmp_path / "a.pgm").colour[..., 0], values)


def test_a_copy_of_8_bits_shows_what_the_file_shows(tmp_path):
    colour, alpha = drawn(3, np.uint16), drawn(1, np.uint16)
    multiplied = (colour * (alpha / np.float32(65535)) + 0.5).astype(np.uint16)
    kinds = {"assocalpha": np.dstack([multiplied, alpha]), "unspecified": np.dstack([colour, alpha])}
    for kind, planes in kinds.items():
        tifffile.imwrite(tmp_path / f"{kind}.tif", planes, photometric="rgb", extrasamples=[kind])
    tifffile.imwrite(tmp_path / "negative.tif", ~colour[..., 0], photometric="miniswhite")
    tifffile.imwrite(tmp_path / "apart.tif", np.ascontiguousarray(colour.transpose(2, 0, 1)), photometric="rgb")
    (tmp_path / "a.pgm").write_bytes(b"P5 7 5 4095\n" + (colour[..., 0] >> 4).astype(">u2").tobytes())
    shown = colour / 65535
    on_white = shown * (alpha / 65535) + 1 - alpha / 65535
    wanted = {"assocalpha.tif": on_white, "negative.tif": shown[..., 0], "a.pgm": shown[..., 0]}
    for name, values in (wanted | dict.fromkeys(("unspecified.tif", "apart.tif"), shown)).items():
        assert np.abs(to_8_bit(tmp_path / name) / 255 - values).max() < 0.003, name


@pytest.mark.parametrize(("dtype", "top"), [(np.float32, 1.2), (np.uint16, 4095)])
def test_no_copy_is_made_of_what_may_be_of_two_ranges(tmp_path, dtype, top):
    """Overshoots of floats were taken for 0 to 255, and 12 bits for 16: black pictures in place of a training set."""
    values = (np.linspace(0, 1, 105).reshape(5, 7, 3) * top).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    with pytest.raises(UserError, match="what of them is white is not known: scale them to 0-"):
        to_8_bit(tmp_path / "a.tif")


def test_alpha_has_the_range_of_floats(tmp_path):
    values = drawn(4, np.float32) * 255
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unassalpha"])
    found = read_photo(tmp_path / "a.tif")
    assert found.opaque == values[..., 3].max() > 200


def test_whole_numbers_that_may_be_of_8_or_16_bits_are_refused():
    with pytest.raises(UserError, match="what of them is white is not known"):
        of_pillow(Image.fromarray(np.full((5, 7), 255, np.int32)))


def test_signed_values_are_called_so(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((5, 7), -1, np.int8))
    for read in (read_photo, read_image, to_8_bit):
        with pytest.raises(UserError, match=r"holds (int8 values|values with a sign)"):
            read(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", np.full((5, 7), -1, np.int16))
    with pytest.raises(UserError, match="holds int16 values"):
        read_photo(tmp_path / "a.tif")


@pytest.mark.parametrize(("large", "order"), [(False, "<"), (False, ">"), (True, "<")])
def test_exif_of_a_tiff_that_pillow_does_not_know(tmp_path, large, order):
    told = [(0x010F, "s", 0, "a camera", True), (0x0112, "H", 1, 6, True)]
    tifffile.imwrite(
        tmp_path / "a.tif", drawn(3, np.float32), photometric="rgb", bigtiff=large, byteorder=order, extratags=told
    )
    exif = Image.Exif()
    exif.load(read_photo(tmp_path / "a.tif").exif)
    assert exif[0x010F] == "a camera" and 0x0112 not in exif


def test_a_large_deep_png_is_written_in_bands(tmp_path):
    """In little memory beside it, in several chunks, none of which knows its whole size."""
    shades = np.random.default_rng(0).integers(0, 2**16, (900, 3), np.uint16)
    photo = Photo(np.repeat(shades[:, None], 1000, 1))
    photo.colour[:, ::2] ^= np.arange(500, dtype=np.uint16)[:, None] * 130
    tracemalloc.start()
    write_photo(tmp_path / "a.png", photo)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < photo.colour.nbytes / 2
    assert (tmp_path / "a.png").read_bytes().count(b"IDAT") > 1
    assert np.array_equal(read_photo(tmp_path / "a.png").colour, photo.colour)


@pytest.mark.parametrize("white", [255, 1023, 65535])
@pytest.mark.parametrize(("name", "channels"), [("P5", 1), ("P6", 3)])
def test_white_is_what_a_file_says(tmp_path, white, name, channels):
    values = np.linspace(0, white, 5 * 7 * channels).astype(int).reshape(5, 7, channels)
    body = values.astype(">u2" if white > 255 else np.uint8).tobytes()
    (tmp_path / "a.ppm").write_bytes(f"{name}\n7 5\n{white}\n".encode() + body)
    found = read_photo(tmp_path / "a.ppm")
    assert found.colour.shape == (5, 7, channels)
    assert np.abs(found.colour / found.white - values / white).max() < 1e-4


def test_several_pictures_in_a_file_are_named(tmp_path):
    frames = [Image.fromarray(drawn(3, np.uint8)) for _ in range(3)]
    for n, frame in enumerate(frames):
        frame.putpixel((0, 0), (n * 90, 0, 0))
    for name in ("a.png", "a.webp", "a.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        for read in (read_photo, read_photo_size):
            with pytest.raises(UserError, match="holds 3 pictures"):
                read(tmp_path / name)
    tifffile.imwrite(tmp_path / "deep.tif", np.zeros((2, 5, 7, 3), np.float32), photometric="rgb")
    with pytest.raises(UserError, match="holds 2 pictures"):
        read_photo(tmp_path / "deep.tif")


def test_pages_without_end_are_not_counted(tmp_path):
    """Pillow looks for each page among all before it: 22 MB of pages took minutes, for their number alone."""
    tags = [(256, 4, 4), (257, 4, 4), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 4, 4), (279, 4, 16)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    size, number = 2 + len(entries) + 4, 20_000
    pages = (struct.pack("<H", len(tags)) + entries + struct.pack("<I", 8 + size * n) for n in range(1, number + 1))
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 8) + b"".join(pages) + struct.pack("<HI", 0, 0))
    with at_once():
        for read in (read_photo, read_photo_size, read_image, read_size):
            with pytest.raises(UserError, match="holds 100 pictures or more"):
                read(tmp_path / "a.tif")


def test_pillow_images_of_every_mode():
    for mode in ("1", "L", "P", "LA", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I;16", "F"):
        image = Image.new("RGB", (7, 5), (10, 200, 30)).convert("L" if mode in ("I;16", "F", "1") else "RGB")
        found = of_pillow(image.convert("RGBA").convert(mode) if mode in ("LA", "PA") else image.convert(mode)
                          if mode != "LAB" else Image.new("LAB", (7, 5)))  # fmt: skip
        assert found.colour.shape[:2] == (5, 7)
        assert to_pillow(found).size == (7, 5)
    with pytest.raises(UserError, match="32-bit"):
        of_pillow(Image.fromarray(np.full((2, 2), 70_000, np.int32)))


def test_what_a_format_cannot_hold_is_said(tmp_path):
    with pytest.raises(UserError, match="ends at 65,500"):
        write_photo(tmp_path / "a.jpg", Photo(np.zeros((1, 65_501, 1), np.uint8)))
    clear = Photo(drawn(3, np.uint8), np.zeros((5, 7), np.uint8))
    with pytest.raises(UserError, match="has an alpha channel"):
        write_photo(tmp_path / "a.jpg", clear)
    opaque = Photo(drawn(3, np.uint8), np.full((5, 7), 255, np.uint8))
    write_photo(tmp_path / "a.jpg", opaque)
    assert read_photo(tmp_path / "a.jpg").alpha is None


@pytest.mark.filterwarnings("ignore:(Tag data|Corrupt EXIF|Truncated)")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg", ".bmp"])
def test_damage_of_any_kind_ends_in_words(tmp_path, suffix, dtype):
    if depth_in(suffix, np.dtype(dtype)) != dtype:
        return
    write_photo(tmp_path / f"whole{suffix}", Photo(drawn(3, dtype, 20, 30)))
    whole = (tmp_path / f"whole{suffix}").read_bytes()
    rng = np.random.default_rng(0)
    for n in range(30):
        broken = bytearray(whole[: rng.integers(1, len(whole))] if n % 2 else whole)
        for place in rng.integers(0, len(broken), 5 * (1 - n % 2)):
            broken[place] ^= 255
        file = tmp_path / f"{n}{suffix}"
        file.write_bytes(broken)
        for read in (read_photo_size, read_photo):
            try:
                read(file)
            except UserError as error:
                assert file.name in str(error)


@pytest.mark.shared
def test_files_that_went_wrong_elsewhere(shared):
    cases = shared / "cases/images"
    deep = {"grey16.png": (1, False), "greyalpha16.png": (1, True), "rgb16.png": (3, False), "rgba16.png": (3, True)}
    for name, (channels, alpha) in deep.items():
        found = read_photo(cases / name)
        assert found.colour.dtype == np.uint16 and found.colour.shape[2] == channels, name
        assert (found.alpha is not None) == alpha, name
    assert read_photo(cases / "rgbfloat.tif").colour.dtype == np.float32
    assert read_photo(cases / "exif6.jpg").colour.shape == (80, 64, 3)
    for name in ("palette_trns.png", "trns.png", "la.png", "rgba_opaque.png"):
        assert read_photo(cases / name).alpha is not None, name
    for name in ("text_huge.png", "palette.png", "cmyk.jpg", "one.png"):
        assert read_photo(cases / name).alpha is None, name
    for name in ("cut.png", "truncated.jpg", "anim.png", "huge_200mp.png"):
        with pytest.raises(UserError, match=name):
            read_photo(cases / name)


def test_a_tile_far_larger_than_its_picture_is_refused(tmp_path):
    """3 MB of it took 6.6 GB."""
    path = tmp_path / "tile.tif"
    tifffile.imwrite(path, np.zeros((64, 64, 3), np.float32), tile=(64, 64), compression="zlib", photometric="rgb")
    assert read_photo(path).colour.shape == (64, 64, 3)
    tifffile.imwrite(path, np.zeros((64, 64, 3), np.float32), tile=(2064, 2064), compression="zlib", photometric="rgb")
    with pytest.raises(UserError, match="is too large"):
        read_photo(path)
