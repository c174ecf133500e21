"""Films that are other than they seem: addresses for names, lists of other files, any titles and codecs."""

from fractions import Fraction

import numpy as np
import pytest
from small_films import RATE, enlarged, frames, moving, packets, times, write

from sr.data.video_files import frames_of
from sr.deploy.films.film import Film, glance
from sr.deploy.films.times import Clock
from sr.errors import UserError

av = pytest.importorskip("av")


def changed(path, before, after):
    content = path.read_bytes()
    assert before in content and len(before) == len(after)
    path.write_bytes(content.replace(before, after))
    return path


@pytest.mark.parametrize("name", ["cache:a.mp4", "subfile,,start,0,end,0,,:a.mp4", "http:a.mp4", "fr%03d.mp4"])
def test_a_name_is_a_name_and_no_address(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.mp4", moving(5), sound=None)
    write(tmp_path / "own.mp4", moving(2), sound=None).rename(tmp_path / name)
    relative = tmp_path.joinpath(name).relative_to(tmp_path)
    assert len(Film.of(relative).times) == 2 and glance(relative)[1] == 2


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile private.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nprivate.mp4\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    ],
    ids=["concat", "hls", "sdp"],
)
def test_a_list_of_other_files_is_no_film(tmp_path, text):
    write(tmp_path / "private.mp4", moving(2), sound=None)
    (tmp_path / "film.mp4").write_text(text)
    for read in (Film.of, lambda path: frames_of(path, tmp_path / "cache")):
        with pytest.raises(UserError, match="cannot be read as a video"):
            read(tmp_path / "film.mp4")


def test_a_film_that_shows_its_frames_without_end_is_refused(tmp_path):
    """400 kB of an edit list were 2 GB of memory and 90 million frames, and nobody was told."""
    source = write(tmp_path / "film.mp4", moving(3), sound=None)
    content = source.read_bytes()
    at, whole = content.index(b"elst") - 4, int.from_bytes(content[content.index(b"elst") - 4 :][:4], "big")
    edit = content[at + 16 : at + 28]
    longer = edit * 999
    parts = bytearray(content[: at + 12] + (1000).to_bytes(4, "big") + edit + longer + content[at + whole :])
    for name in (b"moov", b"trak", b"edts", b"elst"):
        begin = content.index(name) - 4
        parts[begin : begin + 4] = (int.from_bytes(content[begin : begin + 4], "big") + len(longer)).to_bytes(4, "big")
    assert content.index(b"mdat") < content.index(b"moov"), "where the frames lie does not change"
    source.write_bytes(parts)
    for read in (Film.of, glance, lambda path: frames_of(path, tmp_path / "cache")):
        with pytest.raises(UserError, match="3 frames and tells to show them 10 times and more"):
            read(source)


def test_a_film_whose_frames_lie_upon_one_another_is_refused(tmp_path):
    """Of 270 kB came 20 million frames: memory grew for minutes, and as a clip they filled the disk."""
    with av.open(str(tmp_path / "film.mov"), "w") as film:
        video = film.add_stream("rawvideo", rate=25, options={})
        video.width, video.height, video.pix_fmt = 16, 16, "rgb24"
        for picture in moving(3, 16, 16):
            film.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        film.mux(video.encode())
    content, chunks = (tmp_path / "film.mov").read_bytes().replace(b"edts", b"free"), 300  # and no list of edits
    at = content.index(b"stco") + 8
    assert content[at : at + 4] == (1).to_bytes(4, "big"), "one chunk of three frames"
    longer = content[at + 4 : at + 8] * (chunks - 1)
    parts = bytearray(content[:at] + chunks.to_bytes(4, "big") + content[at + 4 : at + 8] + longer + content[at + 8 :])
    for table in (b"stsz", b"stts"):
        begin = content.index(table) + 12
        parts[begin : begin + 4] = (3 * chunks).to_bytes(4, "big")
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stco"):
        begin = content.index(name) - 4
        parts[begin : begin + 4] = (int.from_bytes(content[begin : begin + 4], "big") + len(longer)).to_bytes(4, "big")
    (tmp_path / "film.mov").write_bytes(parts)
    for read in (Film.of, glance, lambda path: frames_of(path, tmp_path / "cache")):
        with pytest.raises(UserError, match="lie upon one another, and take more bytes than it has"):
            read(tmp_path / "film.mov")


def test_titles_that_are_no_utf_8_and_unknown_codecs_stop_no_other_film(command, tmp_path):
    changed(write(tmp_path / "in/latin.mp4", moving(2)), b"VideoHandler", b"Vid\xe9oHandler")
    changed(write(tmp_path / "in/strange.mp4", moving(2), sound=None), b"avc1", b"zzzz")
    write(tmp_path / "in/usual.mp4", moving(2), sound=None)
    outcome = command("upscale.py", f"input={tmp_path / 'in'}", "model=bicubic", "scale=2", f"output={tmp_path}/out")
    assert outcome.code == 1 and "1 of 3 are not enlarged" in outcome.err, outcome
    assert "strange.mp4 holds video of a kind that this PyAV cannot decode" in outcome.err
    assert {p.name for p in (tmp_path / "out").iterdir() if p.name[0] != "."} == {"latin_x2.mp4", "usual_x2.mp4"}


@pytest.mark.parametrize("name", ["large.mkv", "large.mp4"])
def test_joined_recordings_go_on_behind_each_other_with_their_sound(tmp_path, caplog, name):
    """As `cat a.ts b.ts` makes them: the clock of the second one begins anew."""
    first = write(tmp_path / "a.ts", moving(24))
    (tmp_path / "both.ts").write_bytes(first.read_bytes() * 3)
    target, _ = enlarged(tmp_path / "both.ts", name)
    assert "its clock begins anew 2 times" in caplog.text
    assert len(times(target)) == 72 and np.diff(times(target)) == pytest.approx(float(1 / RATE), abs=0.0011)
    sound = packets(target)
    assert [content for _, content in sound] == [content[7:] for _, content in packets(first)] * 3  # but ADTS's heads
    starts = [time for time, _ in sound][:: len(sound) // 3]
    assert np.diff(starts) == pytest.approx(float(24 / RATE), abs=0.003)


def test_sound_whose_clock_stands_still_or_falls_back_is_written(tmp_path):
    clock = Clock([], least=1)
    given = []
    for dts in (5, 5, 4, 900, 10, 901):
        packet = av.Packet(b"x")
        packet.pts = packet.dts = dts
        packet.time_base = Fraction(1, 1000)
        clock.set(packet)
        given.append((packet.dts, packet.pts))
    assert given == [(n, n) for n in (5, 6, 7, 900, 901, 902)]


def test_a_damaged_moment_of_sound_stops_no_film_at_its_end(tmp_path, caplog):
    source = write(tmp_path / "a.ts", moving(24))
    content = bytearray(source.read_bytes())
    head = packets(source)[-2][1][:7]  # of ADTS
    content[content.index(head) + 5] ^= 0x20  # a bit of its length
    source.write_bytes(content)
    target, _ = enlarged(source, "large.mp4")
    assert len(times(target)) == 24 and "packets of its sound or subtitles are damaged and left out" in caplog.text


def test_sound_with_a_damaged_header_is_told_before_the_work(tmp_path, caplog):
    """Matroska looks at it with the first packet, which was after hours of work."""
    source = write(tmp_path / "a.mp4", moving(4))
    content = bytearray(source.read_bytes())
    content[content.index(b"esds") + 10] ^= 0x80
    source.write_bytes(content)
    target, _ = enlarged(source, "large.mkv")
    assert "large.mkv: mkv has no place for sound" in caplog.text and len(times(target)) == 4
    whole, _ = enlarged(write(tmp_path / "b.mp4", moving(4)), "whole.mkv")
    assert len(packets(whole)) == len(packets(tmp_path / "b.mp4")) > 0


def test_grey_films_that_tell_no_range_keep_black_and_white(tmp_path):
    """As FFmpeg reads them; 16 to 235 would cut what is beyond."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None], 16, 0)
    source = write(tmp_path / "a.mkv", [np.stack([ramp] * 3, -1)] * 2, codec="ffv1", form="gray", sound=None,
                   tags=(2, 0, 2, 2))  # fmt: skip
    assert np.abs(frames(source)[0].to_ndarray().astype(int) - ramp).max() <= 1
    first = next(Film.of(source).pixels())[..., 0] * 255
    assert np.abs(first - frames(source)[0].to_ndarray()).max() < 0.01
    target, _ = enlarged(source, "large.mkv", lossless=True)
    large = frames(target)[0].to_ndarray(format="rgb24")[16, ::2, 0].astype(int)
    assert large[0] <= 2 and large[-1] >= 253 and (np.diff(large) >= 0).all() and np.abs(large - ramp[0]).max() <= 2
