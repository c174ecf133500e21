"""Films in the colours that they have: what is told of them is kept and right, in 8 and 10 bits, upright."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from conftest import photo
from small_films import enlarged, frames, moving, turned, write

from sr.data.video_colour import rgb_of
from sr.errors import UserError
from sr.imaging.resize import imresize

av = pytest.importorskip("av", reason="PyAV is not installed")
LIMITED, FULL = 1, 2
COLOURS = [(200, 30, 30), (30, 180, 40), (20, 40, 210), (235, 235, 235), (16, 16, 16), (120, 130, 60)]
HDR = (9, LIMITED, 9, 16)  # BT.2020, PQ


def patches() -> np.ndarray:
    """(48, 96, 3): six flat ones, a row of three above another."""
    rows = [np.concatenate([np.full((24, 32, 3), c, np.uint8) for c in COLOURS[n : n + 3]], 1) for n in (0, 3)]
    return np.concatenate(rows)


def tags(frame) -> tuple[int, ...]:
    return frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc


def looks(source, target) -> np.ndarray:
    """By how many of 255 levels the middle of each patch differs, both as the file's tags say."""
    before, after = frames(source)[0], frames(target)[0]
    factor = after.width // before.width
    a, b = rgb_of(source, before), rgb_of(target, after)[::factor, ::factor]
    return np.abs(a - b)[12::24, 16::32].max()


@pytest.mark.parametrize("told", [(1, LIMITED, 1, 1), (1, FULL, 1, 13), (5, LIMITED, 5, 6), (6, FULL, 6, 6), HDR,
                                  (2, 0, 2, 2), (1, LIMITED, 2, 2)])  # fmt: skip
@pytest.mark.parametrize("form", ["yuv420p", "yuv444p10le"])
def test_tags_are_equal_and_flat_patches_look_the_same(tmp_path, told, form):
    codec = "ffv1" if "10" in form else "libx264"
    options = {"level": "3"} if "10" in form else {"qp": "0"}
    written = tuple(told if told[1] else (5, LIMITED, 2, 2))
    source = write(tmp_path / "a.mkv", [patches()], codec=codec, form=form, tags=written, sound=None, **options)
    if not told[1]:
        source = write(
            tmp_path / "a.mkv", [frames(source)[0]], codec=codec, form=form, tags=told, sound=None, **options
        )
    target, how = enlarged(source, "large.mkv" if told[0] == 1 else "large.mp4", quality=100)
    kept = tags(frames(target)[0])
    assert tags(frames(source)[0]) == told and kept in (told, (told[0], told[1] or LIMITED, *told[2:]))
    assert frames(target)[0].format.name.replace("j", "") == form and form in how
    assert looks(source, target) <= 2


def test_an_untold_matrix_is_told_where_players_would_guess_another_one(tmp_path):
    """Of 360 rows they take BT.601's, of 720 BT.709's."""
    small = np.repeat(np.repeat(patches(), 8, 0), 2, 1)[:360]
    source = write(tmp_path / "a.mkv", [small], codec="ffv1", tags=(5, LIMITED, 2, 2), sound=None, level="3")
    source = write(tmp_path / "b.mkv", [frames(source)[0]], codec="ffv1", tags=(2, 0, 2, 2), sound=None, level="3")
    target, _ = enlarged(source)
    assert tags(frames(target)[0]) in [(5, 0, 2, 2), (5, LIMITED, 2, 2)]  # the same, to players and here
    a, b = rgb_of(source, frames(source)[0]), rgb_of(target, frames(target)[0])[::2, ::2]
    assert np.abs(a - b)[90, 32::64].max() <= 2


def test_ten_bits_stay_ten_bits(tmp_path):
    """Every luma code of a ramp, of which 8 bits hold a quarter."""
    ramp = av.VideoFrame(876, 16, "yuv420p10le")
    for plane, values in zip(ramp.planes, (np.arange(64, 940), np.full(438, 512), np.full(438, 512)), strict=True):
        np.frombuffer(plane, "<u2").reshape(plane.height, -1)[:, : plane.width] = values
    source = write(tmp_path / "a.mkv", [ramp], codec="ffv1", form="yuv420p10le", tags=HDR, sound=None, level="3")
    target, how = enlarged(source, "large.mp4", quality=100)
    (frame,) = frames(target)
    assert "libx265 yuv420p10le" in how and tags(frame) == HDR
    luma = np.frombuffer(frame.planes[0], "<u2").reshape(32, -1)[:, : frame.width]
    assert len(np.unique(luma)) > 800 and np.abs(luma[16, ::2] - np.arange(64, 940).astype(float)).max() <= 3


@pytest.mark.parametrize("form", ["yuv420p9le", "gbrp9le", "gray9le"])
def test_nine_bits_become_ten(tmp_path, form):
    """No encoder of a result has nine: they were green and half as bright."""
    grey = np.repeat(patches().mean(2, keepdims=True).astype(np.uint8), 3, 2)
    source = write(tmp_path / "a.mkv", [grey], codec="ffv1", form=form, tags=(5, LIMITED, 2, 2), sound=None, level="3")
    target, how = enlarged(source, "large.mkv", quality=100)
    assert "libx265" in how and looks(source, target) <= 2


@pytest.mark.parametrize("form", ["gray", "monob"])
def test_grey_needs_no_matrix(tmp_path, form):
    """Of PNG frames, as of microscopes, the matrix is told to be that of RGB, and the film was refused for it."""
    grey = np.repeat((patches().mean(2, keepdims=True) > 100) * 255, 3, 2).astype(np.uint8)
    source = write(tmp_path / "a.mov", [grey], codec="png", form=form, tags=(2, 0, 2, 2), sound=None, pred="none")
    assert frames(source)[0].colorspace == 0
    target, how = enlarged(source, "large.mp4", quality=100)
    assert "libx264 yuv420p" in how and looks(source, target) <= 2 and frames(target)[0].colorspace == 2


def test_the_screen_that_an_hdr_film_was_made_on_is_told(tmp_path):
    told = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
    source = write(tmp_path / "a.mkv", [patches()], codec="libx265", form="yuv420p10le", tags=HDR, sound=None,
                   **{"x265-params": f"log-level=error:bframes=0:{told}"})  # fmt: skip
    target, _ = enlarged(source, "large.mp4")
    for name in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"):
        wanted, found = (bytes(frames(path)[0].side_data.get(name)) for path in (source, target))
        assert found == wanted, name


@pytest.mark.parametrize(
    ("codec", "form", "why", "options"),
    [
        ("ffv1", "yuv444p12le", "12 bits", {"level": "3"}),
        ("ffv1", "yuva420p", "transparent", {"level": "3"}),
        ("libvpx-vp9", "yuva420p", "transparent", {"auto-alt-ref": "0"}),
    ],
)
def test_what_cannot_be_kept_is_refused_before_the_work(tmp_path, codec, form, why, options):
    source = write(tmp_path / "a.mkv", [patches()], codec=codec, form=form, sound=None, **options)
    with pytest.raises(UserError, match=rf"{why}.*Convert it first: ffmpeg -i IN"):
        enlarged(source)


@pytest.mark.parametrize(
    ("matrix", "quarters"),
    [([0, 1, 0, -1, 0, 0], 3), ([-1, 0, 0, 0, -1, 0], 2), ([0, -1, 0, 1, 0, 0], 1), ([-1, 0, 0, 0, 1, 0], 0)],
)
def test_a_turned_film_is_upright_once_with_its_pixels_shape(tmp_path, matrix, quarters):
    """The last one is a mirror."""
    picture = photo(48, 64)
    source = write(tmp_path / "a.mp4", [picture], form="yuv444p", aspect=Fraction(4, 3), sound=None)
    turned(source, matrix)
    target, _ = enlarged(source, quality=100)
    (made,) = frames(target)
    upright = np.rot90(picture, quarters) if quarters else picture[:, ::-1]
    assert made.rotation == 0 and (made.height, made.width) == (upright.shape[0] * 2, upright.shape[1] * 2)
    assert np.abs(rgb_of(target, made)[::2, ::2] - upright).mean() < 12
    with av.open(str(target)) as film:
        assert film.streams.video[0].sample_aspect_ratio == (Fraction(4, 3) if quarters % 2 == 0 else Fraction(3, 4))


def test_interlaced_frames_are_told(tmp_path, caplog):
    source = write(tmp_path / "a.mp4", moving(2), sound=None, **{"x264-params": "interlaced=1"})
    target, _ = enlarged(source)
    assert len(frames(target)) == 2 and "interlaced" in caplog.text and "bwdif" in caplog.text


@pytest.mark.parametrize("form", ["rgb24", "gbrp10le"])
@pytest.mark.parametrize("name", ["lossless", "told as RGB"])
def test_lossless_is_every_pixel_of_the_network(tmp_path, form, name):
    """Also of a film that is RGB itself, whose result is."""
    deep = "10" in form
    codec = {True: "libx265", False: "libx264rgb"}[deep]
    options = {"x265-params": "lossless=1:log-level=error:bframes=0"} if deep else {"qp": "0"}
    source = write(tmp_path / "a.mkv", [photo(48, 64)], codec=codec, form=form, tags=(0, FULL, 1, 13), sound=None,
                   **options)  # fmt: skip
    target, _ = enlarged(source, "large.mkv", lossless=name == "lossless")
    (made,) = frames(target)
    assert tags(made) == (0, FULL, 1, 13) and made.format.name.replace("24", "p").startswith(("gbrp", "rgbp"))
    lr = torch.from_numpy(rgb_of(source, frames(source)[0])).movedim(-1, 0)[None] / 255
    white = 1023 if deep else 255
    wanted = (imresize(lr, 2)[0].movedim(0, -1).clamp(0, 1) * white + 0.5).floor().numpy()
    found = rgb_of(target, made) / 255 * white
    assert np.abs(found - wanted).max() <= (1.01 if name == "lossless" else 0.08 * white)
    assert (np.abs(found - wanted).mean() < 0.002) == (name == "lossless")  # but for ties in rounding


@pytest.mark.parametrize("form", ["yuv420p", "yuv422p"])
def test_colour_stays_where_it_is(tmp_path, form):
    """H.264 has the columns of colour on every second one of luma, not between two: a ramp keeps its place.

    By six levels a column, so that between two columns there is a whole one: ties are rounded as the library likes.
    """
    ramp = av.VideoFrame(64, 32, form)
    across = 16 + 6 * np.arange(32)
    for plane, values in zip(ramp.planes, (np.full(64, 120), across, np.full(32, 128)), strict=True):
        np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width] = values
    source = write(tmp_path / "a.mp4", [ramp], form=form, sound=None, qp="0")
    target, _ = enlarged(source, quality=100)
    (made,) = frames(target)
    found = np.frombuffer(made.planes[1], np.uint8).reshape(made.planes[1].height, -1)[:, : made.planes[1].width]
    x = np.arange(20, 44)  # before and after, colours leave what RGB can hold
    assert made.format.name == form and abs((found[10, 20:44] - (16 + 6 * (x - 0.25) / 2)).mean()) < 0.3
