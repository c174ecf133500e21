"""Clips that are video files: every frame, upright, in the right colours, decoded once and whole or not at all."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from owners import SOMEBODY, US, owned
from PIL import Image
from small_films import turned

from sr.data.clip_folder import ClipFolder
from sr.data.images import states
from sr.data.video_files import frames_of
from sr.data.video_sets import clips_in
from sr.errors import UserError, told_once

av = pytest.importorskip("av", reason="PyAV is not installed")
BT709, BT601 = 1, 5
LIMITED, FULL = 1, 2
COLOURS = [(200, 30, 30), (30, 180, 40), (20, 40, 210), (235, 235, 235), (16, 16, 16), (120, 130, 60)]


def patches(height: int = 64, width: int = 96, shift: int = 0) -> np.ndarray:
    """(H, W, 3) uint8: six flat patches."""
    picture = np.empty((height, width, 3), np.uint8)
    for n in range(6):
        rows, columns = slice(n // 3 * height // 2, None), slice(n % 3 * width // 3, None)
        picture[rows, columns] = COLOURS[(n + shift) % 6]
    return picture


def written(
    path: Path, pictures: list[np.ndarray], codec: str = "libx264", pixels: str = "yuv444p", matrix: int = BT709,
    color_range: int = LIMITED, told: bool = True, **options: str,
) -> Path:  # fmt: skip
    """A video of these pictures, nearly or wholly lossless."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        if told:
            stream.codec_context.colorspace, stream.codec_context.color_range = matrix, color_range
        for n, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if not pixels.startswith(("rgb", "bgr", "gbr")):
                frame = frame.reformat(
                    format=pixels, dst_colorspace=matrix, src_color_range=FULL, dst_color_range=color_range
                )
            if told:
                frame.colorspace, frame.color_range = matrix, color_range
            frame.pts, frame.time_base = n, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read(path: Path, cache: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(p)) for p in frames_of(path, cache)]


@pytest.mark.parametrize(("ending", "free"), [("mp4", [99_000]), ("mkv", [99_000, 50_000, 4_000])])
def test_frames_for_which_there_is_no_room_are_told_before_they_fill_the_disk(tmp_path, monkeypatch, ending, free):
    """Six thousand still frames of a film of 3 MB took 75 GB of a disk."""
    film = written(tmp_path / f"a.{ending}", [patches()] * 6)  # 18 kB a frame
    rooms = iter(free + free[-1:] * 9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=next(rooms)))
    with pytest.raises(UserError, match=r"frames of .* cannot be kept in .*0 MB are free.*Type cache_dir="):
        frames_of(film, tmp_path / "cache")
    assert not [*(tmp_path / "cache").rglob("*.png")]


def test_a_film_that_a_link_leads_to_is_told(tmp_path, caplog):
    film = written(tmp_path / "private.mp4", [patches()] * 2)
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/a.mp4").symlink_to(film)
    clips_in(tmp_path / "clips", None, 2, decoded=tmp_path / "cache")
    assert f"1 in {tmp_path}/clips are links that lead out of it: a.mp4 to {film}" in caplog.text


def noisy(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (34, 46, 3), np.uint8)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.mkv", "ffv1", "bgr0"), ("b.mp4", "libx264rgb", "rgb24"), ("c.avi", "png", "rgb24")],
)
def test_lossless_files_come_back_as_they_were(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    options = {"crf": "0"} if codec == "libx264rgb" else {}
    pictures = [noisy(n) for n in range(7)]
    found = read(written(tmp_path / name, pictures, codec, pixels, told=False, **options), tmp_path / "cache")
    assert len(found) == 7 and all(np.array_equal(a, b) for a, b in zip(found, pictures, strict=True))


@pytest.mark.parametrize("matrix", [BT709, BT601])
@pytest.mark.parametrize("color_range", [LIMITED, FULL])
@pytest.mark.parametrize("pixels", ["yuv444p", "yuv420p"])
def test_matrix_and_range_are_those_of_the_file(tmp_path: Path, matrix: int, color_range: int, pixels: str) -> None:
    path = written(tmp_path / "a.mp4", [patches()], "libx264", pixels, matrix, color_range, qp="0")
    (found,) = read(path, tmp_path / "cache")
    for y in (16, 48):
        for x in (16, 48, 80):
            assert np.abs(found[y, x].astype(int) - patches()[y, x]).max() <= 2, (y, x)


def test_an_untold_matrix_is_that_of_the_size(tmp_path: Path) -> None:
    small = written(tmp_path / "s.mkv", [patches()], "ffv1", "yuv444p", BT601, told=False)
    large = written(tmp_path / "l.mkv", [patches(720, 96)], "ffv1", "yuv444p", BT709, told=False)
    for path in (small, large):
        (found,) = read(path, tmp_path / "cache")
        assert np.abs(found[8, 16].astype(int) - COLOURS[0]).max() <= 2


def test_grey_is_grey(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None].repeat(16, 0)[..., None], 3, 2)
    (found,) = read(written(tmp_path / "g.mkv", [ramp], "ffv1", "gray", color_range=FULL), tmp_path / "cache")
    assert np.array_equal(found, ramp)


@pytest.mark.parametrize(
    ("matrix", "quarters", "mirrored"),
    [
        ([0, 1, 0, -1, 0, 0], 3, False), ([-1, 0, 0, 0, -1, 0], 2, False), ([0, -1, 0, 1, 0, 0], 1, False),
        ([-1, 0, 0, 0, 1, 0], 0, True), ([1, 0, 0, 0, -1, 0], 2, True), ([0, 1, 0, 1, 0, 0], 3, True),
        ([0, -1, 0, -1, 0, 0], 1, True),
    ],
    ids=["clockwise", "upside down", "counter-clockwise", "mirror", "flip", "transpose", "other diagonal"],
)  # fmt: skip
def test_a_turned_video_is_read_upright(tmp_path: Path, matrix: list[int], quarters: int, mirrored: bool) -> None:
    """As ffmpeg shows it (-display_rotation, -display_hflip); cameras that face their user write mirrors."""
    path = written(tmp_path / "r.mp4", [noisy(0)], "libx264rgb", "rgb24", told=False, crf="0")
    (found,) = read(turned(path, matrix), tmp_path / "cache")
    upright = np.rot90(noisy(0), quarters)
    assert np.array_equal(found, upright[:, ::-1] if mirrored else upright)


def test_what_is_turned_otherwise_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "r.mp4", [noisy(0)], "libx264rgb", "rgb24", told=False, crf="0")
    with pytest.raises(UserError, match="other than quarters"):
        read(turned(path, [1, 1, 0, 0, 1, 0]), tmp_path / "cache")


def test_a_file_is_decoded_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.mkv", [noisy(0)], "ffv1", "bgr0", told=False)
    first = frames_of(path, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr("sr.data.video_files._frames", lambda *_: pytest.fail("decoded twice"))
        assert frames_of(path, tmp_path / "cache") == first
    written(path, [noisy(1), noisy(2)], "ffv1", "bgr0", told=False)
    again = frames_of(path, tmp_path / "cache")
    assert len(again) == 2 and again[0].parent != first[0].parent


def test_an_interrupted_decoding_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.mkv", [noisy(0)] * 3, "ffv1", "bgr0", told=False)

    def cut(source: Path, told: list[str]) -> Any:
        yield noisy(0)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sr.data.video_files._frames", cut)
        with pytest.raises(KeyboardInterrupt):
            frames_of(path, tmp_path / "cache")
    assert not [p for p in (tmp_path / "cache").iterdir() if p.is_dir()]
    assert len(frames_of(path, tmp_path / "cache")) == 3


def test_frames_that_the_cache_has_lost_are_decoded_again(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mkv", [noisy(n) for n in range(4)], "ffv1", "bgr0", told=False)
    frames = frames_of(path, tmp_path / "cache")
    frames[2].unlink()  # a folder that something else tidies
    assert len(read(path, tmp_path / "cache")) == 4
    frames[1].write_bytes(b"")  # the power went
    assert np.array_equal(read(path, tmp_path / "cache")[1], noisy(1))
    frames[3].write_bytes(frames[3].read_bytes()[:-1] + b"x")  # as long as before
    assert np.array_equal(read(path, tmp_path / "cache")[3], noisy(3))
    assert frames[3].read_bytes()[-1:] != b"x"
    shutil.rmtree(frames[0].parent)
    frames[0].parent.mkdir()
    assert len(read(path, tmp_path / "cache")) == 4


@pytest.fixture(params=["as they are", "one"])
def cores(request: pytest.FixtureRequest) -> Iterator[None]:
    """On one core the decoder runs in this thread and raises errors where others mark their frames."""
    if request.param == "as they are":
        yield
        return
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not tell processes their cores")
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(own)})
    yield
    os.sched_setaffinity(0, own)


@pytest.mark.usefixtures("cores")
@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.mp4", "a.avi"])
def test_a_video_that_is_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    kinds = {".webm": ("libvpx", "yuv420p"), ".mp4": ("libx264", "yuv420p")}
    kind = kinds.get(Path(name).suffix, ("mpeg4", "yuv420p"))
    options = {"qp": "0", "bf": "0"} if kind[0] == "libx264" else {}
    path = written(tmp_path / name, [noisy(n) for n in range(12)], *kind, told=False, **options)
    if name == "a.mp4":  # whose index stands at its end, but here before its frames
        moved = tmp_path / "moved.mp4"
        with av.open(str(path)) as old, av.open(str(moved), "w", options={"movflags": "faststart"}) as new:
            stream = new.add_stream_from_template(old.streams.video[0])
            for packet in old.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    new.mux(packet)
        path = moved.replace(path)
    assert len(frames_of(path, tmp_path / "cache")) == 12
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(UserError, match=r"a\.\w+ is (cut short: \d+ frames are in it|damaged).*ffmpeg -i \./a\."):
        frames_of(path, tmp_path / "cache")


@pytest.mark.parametrize("case", ["its last frame is held", "trimmed before a frame that is no key frame"])
def test_a_whole_video_of_another_length_than_its_frames_is_read(tmp_path: Path, case: str) -> None:
    path, other = tmp_path / "whole.mp4", tmp_path / "other.mp4"
    written(path, [noisy(n) for n in range(12)], "libx264", "yuv420p", told=False, qp="0", bf="0")
    held, shift = (25, 0) if case.startswith("its") else (1, 5)
    with av.open(str(path)) as old, av.open(str(other), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [p for p in old.demux(video=0) if p.dts is not None]
        length = packets[0].duration
        for packet in packets:
            packet.pts, packet.dts = packet.pts - shift * length, packet.dts - shift * length
            packet.duration = length * (held if packet is packets[-1] else 1)
            packet.stream = stream
            new.mux(packet)
    assert len(frames_of(other, tmp_path / "cache")) == 12 - shift


def test_a_file_of_bare_frames_is_held_against_its_size(tmp_path: Path) -> None:
    path = written(tmp_path / "a.y4m", [noisy(n) for n in range(3)], "wrapped_avframe", "yuv420p", told=False)
    assert len(frames_of(path, tmp_path / "cache")) == 3
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UserError, match="cut short: 2 frames are in it, and a part of the next one"):
        frames_of(path, tmp_path / "cache")


@pytest.mark.usefixtures("cores")
def test_a_damaged_frame_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a b.mkv", [noisy(n) for n in range(12)], "mpeg4", "yuv420p", told=False)
    content = bytearray(path.read_bytes())
    for at in range(len(content) // 3, len(content) * 2 // 3, 97):
        content[at] ^= 0x55
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"damaged: frame \d+ cannot be decoded.*ffmpeg -i './a b.mkv'"):
        frames_of(path, tmp_path / "cache")
    assert not [p for p in (tmp_path / "cache").iterdir() if p.is_dir()]


def test_frames_that_may_be_lost_in_between_are_told_each_time(tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 34, 46, "bgr0"
        for n in (0, 1, 2, 5, 6):
            frame = av.VideoFrame.from_ndarray(noisy(n), format="rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for _ in range(2):
        caplog.clear()
        told_once.cache_clear()  # as in another command
        assert len(frames_of(path, tmp_path / "cache")) == 5
        assert "a.mkv are not evenly spaced in time (3.0 times as far)" in caplog.text


def test_names_and_kinds_of_files(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mkv", [noisy(0)], "ffv1", "bgr0", told=False)
    long = path.rename(tmp_path / f"{'ü' * 120}.mkv")
    assert len(frames_of(long, tmp_path / "cache")) == 1
    os.mkfifo(tmp_path / "pipe.mkv")
    with pytest.raises(UserError, match=r"pipe.mkv is no file"):
        frames_of(tmp_path / "pipe.mkv", tmp_path / "cache")


def test_what_cannot_be_read_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    deep = written(tmp_path / "a deep.mkv", [noisy(0)], "ffv1", "yuv444p10le")
    told = r"a deep.mkv has frames of the kind yuv444p10le: 8 bits.*ffmpeg -i './a deep.mkv' .* './a deep_8bit.mkv'$"
    with pytest.raises(UserError, match=told):
        frames_of(deep, cache)
    fields = written(tmp_path / "fields.mkv", [patches()] * 2, "libx264", "yuv420p", **{"x264-params": "interlaced=1"})
    with pytest.raises(UserError, match=r"fields.mkv is interlaced"):
        frames_of(fields, cache)
    with monkeypatch.context() as small, pytest.raises(UserError, match=r"fields.mkv is too large: it claims more"):
        small.setattr("sr.data.video_container.most_pixels", lambda: 9)  # a film of 1 MB took 10 GB
        frames_of(fields, cache)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(UserError, match=r"text.mp4 cannot be read as a video"):
        frames_of(tmp_path / "text.mp4", cache)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"PyAV reads: pip install -e .*\[video\]'?$"):
        frames_of(deep, cache)
    assert not [p for p in cache.iterdir() if p.is_dir()]


def test_video_files_and_folders_are_clips_of_one_set(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    written(root / "a.mkv", [noisy(n) for n in range(4)], "ffv1", "bgr0", told=False)
    (root / "b").mkdir()
    for n in range(3):
        Image.fromarray(noisy(n + 9)).save(root / f"b/{n}.png")
    (root / "notes.txt").write_text("")
    data = ClipFolder(root=root, scale=2, cache_dir=tmp_path / "cache", frames=2, patch_size=8)
    data.setup("test")
    assert data.pairs("test").names == [*(f"a/{n:08d}" for n in range(4)), "b/0", "b/1", "b/2"]
    assert np.array_equal(data.pairs("test").whole(2)[1], noisy(2))
    (root / "b").rename(root / "a")
    with pytest.raises(UserError, match="would both be clip a: rename one"):
        ClipFolder(root=root, scale=2, cache_dir=tmp_path / "cache").test_clips()


@pytest.mark.parametrize("theirs", ["the folder", "a frame", "its record"])
def test_frames_that_another_user_decoded_are_decoded_for_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: str
) -> None:
    film, cache = written(tmp_path / "a.mkv", [noisy(0), noisy(1)]), tmp_path / "videos"
    right = read(film, cache)
    first, second = frames_of(film, cache)
    parts = {"the folder": first.parent, "a frame": first, "its record": first.parent / "decoded.json"}
    shutil.copy2(second, first)  # as somebody may have done who shares the cache
    kept = json.loads((first.parent / "decoded.json").read_text())
    (first.parent / "decoded.json").write_text(json.dumps(kept | {"written": [s[1:] for s in states([first, second])]}))
    assert np.array_equal(read(film, cache)[0], right[1])
    owned(monkeypatch, lambda path: SOMEBODY if path == parts[theirs] else US)
    before = first.read_bytes()
    for _ in range(2):
        assert np.array_equal(read(film, cache), right)
    if theirs == "the folder":
        assert first.read_bytes() == before, "another user's is left as it is"
