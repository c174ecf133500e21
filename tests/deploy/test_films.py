"""Films as users type them: every frame at its time, with its sound, and what else the file holds."""

import sys
from fractions import Fraction

import numpy as np
import pytest
from small_films import BASE, CLOCK, RATE, enlarged, frames, moving, packets, pixels, times, write

from sr.deploy.films.times import spaced
from sr.errors import UserError

av = pytest.importorskip("av", reason="PyAV is not installed")
UNEVEN = [0, 1001, 3003, 3503, 9009, 9010 + 600, 48000, 48000 + 1001]


def start_of(path):
    return times(path)[0] - packets(path)[0][0]


def test_films_among_pictures_are_enlarged_and_what_cannot_be_is_named(command, photos, tmp_path):
    source = write(tmp_path / "in/film.mp4", moving(60))
    write(tmp_path / "in/one.mkv", moving(1), sound=None)
    write(tmp_path / "in/odd.mkv", moving(3, 25, 33), codec="ffv1", level="3")
    cut = write(tmp_path / "in/cut.mkv", moving(40))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (tmp_path / "in/text.mp4").write_text("this is no film\n")
    photos(tmp_path / "in", 1, 30, 40)
    typed = ["upscale.py", "input=in", "model=bicubic", "scale=3", "output=out"]
    outcome = command(*typed)
    assert outcome.code == 1 and "Traceback" not in outcome.err, outcome
    assert "1 picture and 5 films" in outcome.out and "2 of 6 are not enlarged:" in outcome.err
    assert "text.mp4 cannot be read as a video" in outcome.err
    assert "cut.mkv" in outcome.err.split("not enlarged:")[-1]
    out = tmp_path / "out"
    assert {p.name for p in out.iterdir() if p.name[0] != "."} == {
        "film_x3.mp4", "one_x3.mkv", "odd_x3.mkv", "0001_x3.png",
    }  # fmt: skip
    assert [len(frames(out / name)) for name in ("film_x3.mp4", "one_x3.mkv", "odd_x3.mkv")] == [60, 1, 3]
    assert "99x75 has an odd side" in outcome.out and frames(out / "odd_x3.mkv")[0].format.name == "yuv444p"
    film = out / "film_x3.mp4"
    assert (frames(film)[0].width, frames(film)[0].height) == (192, 144)
    assert times(film) == times(source) and packets(film) == packets(source)
    with av.open(str(film)) as made:
        assert made.streams.video[0].average_rate == RATE and made.streams.video[0].time_base == BASE
        assert made.streams.audio[0].metadata["language"] == "fra"
    kept = film.read_bytes()
    again = command(*typed)
    assert again.code == 1 and "4 of 6 are there already" in again.out and film.read_bytes() == kept


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("format=png", "there are only films"),
        ("format=avi", "there are png"),
        ("lossless=true format=mp4", r"lossless=true writes Matroska"),
        ("lossless=true quality=90", "knows no quality"),
        ("submission=true", "is for pictures"),
        ("hr=in", "is for pictures"),
    ],
)
def test_what_makes_no_sense_for_films_is_refused(tmp_path, typed, why):
    from omegaconf import OmegaConf

    from sr.compose.schema import UpscaleSchema
    from sr.deploy.upscale import _formats

    cfg = OmegaConf.structured(UpscaleSchema)
    cfg.merge_with_dotlist(typed.split())
    with pytest.raises(UserError, match=why):
        _formats(cfg, [tmp_path / "a.mp4"])


@pytest.mark.parametrize(("name", "late"), [("large.mp4", 0), ("large.mp4", 500), ("large.mkv", 0), ("large.mov", 500)])
def test_uneven_times_and_the_place_of_the_sound(tmp_path, name, late, caplog):
    shift = 0 if late else 12000  # which of the two begins first
    source = write(tmp_path / "a.mkv", moving(8), times=[t + shift for t in UNEVEN], sound=late)
    caplog.set_level("WARNING")
    target, _ = enlarged(source, name)
    assert "a.mkv are not evenly spaced in time" in caplog.text and "are some lost?" in caplog.text
    assert len(frames(target)) == 8
    assert np.abs(np.subtract(times(target), times(source))).max() <= 0.001
    assert start_of(target) == pytest.approx(start_of(source), abs=0.001)
    assert [content for _, content in packets(target)] == [content for _, content in packets(source)]


def test_sound_before_the_first_picture_moves_with_it(tmp_path):
    """As of every mp4 with AAC; Matroska has no times below 0."""
    source = write(tmp_path / "a.mp4", moving(8))
    assert packets(source)[0][0] < 0
    target, _ = enlarged(source, "large.mkv")
    assert start_of(target) == pytest.approx(start_of(source), abs=0.001)


def test_times_that_stand_still_or_are_not_told(tmp_path):
    source = write(tmp_path / "a.avi", moving(5), codec="mpeg4", sound=None, base=1 / RATE)
    target, _ = enlarged(source, "large.mkv")
    assert len(frames(target)) == 5 and np.diff(times(target)) == pytest.approx(float(CLOCK * BASE), abs=0.0011)
    told = [(None, 0), (None, 0), (50, 10), (50, 0), (None, 7)]
    assert spaced(source, told, 20, Fraction(1, 1000)) == ([(0, 20), (20, 30), (50, 1), (51, 20), (71, 7)], [])


def test_what_else_a_film_holds_is_kept_in_mkv_and_named_for_mp4(tmp_path, caplog):
    source = write(tmp_path / "a.mkv", moving(4), words=["deu", "eng"], chapters=True)
    target, _ = enlarged(source, "large.mkv")
    assert not caplog.records
    with av.open(str(target)) as film:
        kinds = [(s.type, s.metadata.get("language")) for s in film.streams]
        assert kinds == [("video", None), ("audio", "fra"), ("subtitle", "deu"), ("subtitle", "eng"),
                         ("attachment", None)]  # fmt: skip
        assert [c["metadata"]["title"] for c in film.chapters()] == ["the first"]
        assert film.streams[4].data == b"a font"
    assert packets(target, "subtitles") == [(0.0, b"words")]
    target, _ = enlarged(source, "large.mp4")
    (told,) = {r.getMessage() for r in caplog.records}
    assert "mp4 has no place for subtitles (srt, deu), subtitles (srt, eng), attachment (font.ttf)" in told
    assert "Type format=mkv" in told
    with av.open(str(target)) as film:
        assert [s.type for s in film.streams if s.type != "data"] == ["video", "audio"]
        assert [c["metadata"]["title"] for c in film.chapters()] == ["the first"]


def test_sound_that_a_container_cannot_hold_is_named(tmp_path, caplog):
    source = write(tmp_path / "a.mkv", moving(2), sound=None)
    with av.open(str(source)) as film, av.open(str(tmp_path / "b.mkv"), "w") as other:
        own = film.streams.video[0]
        stream, voice = other.add_stream_from_template(own), other.add_stream("wavpack", rate=48000)
        for packet in film.demux(own):
            if packet.size:
                packet.stream = stream
                other.mux(packet)
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 2048), np.float32), format="fltp", layout="stereo")
        silence.rate = 48000
        other.mux([*voice.encode(silence), *voice.encode(None)])
    enlarged(tmp_path / "b.mkv")
    assert "mp4 has no place for sound (wavpack)" in caplog.text


def test_beside_bicubic_and_another_factor(tmp_path):
    from sr.models.ecbsr import ECBSR

    source = write(tmp_path / "a.mp4", moving(3))
    target, _ = enlarged(source, model=ECBSR(2, colors=3, num_blocks=1, channels=4), side=True, outscale=1.5)
    side = target.parent / "side_by_side" / target.name
    assert [(f.width, f.height) for f in (*frames(target)[:1], *frames(side)[:1])] == [(96, 72), (192, 72)]
    assert len(frames(side)) == 3 and packets(side) == packets(source)
    plain = enlarged(source, "plain.mp4", outscale=1.5)[0]
    left = frames(side)[1].to_ndarray(format="gray")[:, :96].astype(int)
    assert np.abs(left - frames(plain)[1].to_ndarray(format="gray")).mean() < 4
    assert not list(target.parent.glob(".*.pieces"))


def test_without_pyav_the_command_is_told(tmp_path, monkeypatch):
    source = write(tmp_path / "a.mp4", moving(1))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"pip install -e .*\[video\]"):
        enlarged(source)


def stopped_now():
    raise KeyboardInterrupt


def test_what_is_done_of_a_film_is_not_done_again(tmp_path, monkeypatch, caplog):
    """The result is that of a run that nobody stopped; what was asked otherwise begins anew."""
    from sr.deploy.films import pieces, work

    monkeypatch.setattr(pieces, "LENGTH", 4)
    monkeypatch.setattr(work, "LENGTH", 4)
    source = write(tmp_path / "a.mp4", moving(15))
    whole = pixels(enlarged(source, "whole.mp4")[0])
    caplog.set_level("INFO")
    made, one_by_one = [], work.one_by_one

    def stopped(*given):
        for frame in one_by_one(*given):
            made.append(given[-1])
            if len(made) == 10:
                raise KeyboardInterrupt
            yield frame

    with monkeypatch.context() as patch:
        patch.setattr(work, "one_by_one", stopped)
        with pytest.raises(KeyboardInterrupt):
            enlarged(source)
    (folder,) = (tmp_path / "out").glob(".large.mp4.*.pieces")
    assert sorted(p.name for p in folder.glob("*.mkv")) == ["000000_0.mkv", "000001_0.mkv"]
    (folder / "000001_0.mkv").write_bytes((folder / "000001_0.mkv").read_bytes()[:700])  # the power went
    monkeypatch.setattr(work, "one_by_one", stopped)
    monkeypatch.setattr(work, "EVERY", 0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(work, "join", lambda *given: stopped_now())
        enlarged(source)
    assert made[10:] == [4] * 11
    assert "a.mp4: 8 of 15 frames" in caplog.text and "a second, about" in caplog.text
    target, _ = enlarged(source)  # only joined
    assert len(made) == 21
    assert len(whole) == 15 and all(np.array_equal(a, b) for a, b in zip(pixels(target), whole, strict=True))
    assert not list((tmp_path / "out").glob(".*.pieces"))


def test_a_piece_that_another_file_took_the_place_of_is_made_anew(tmp_path):
    """By its frames alone it was joined, whatever it showed."""
    from sr.deploy.films.coding import Coding
    from sr.deploy.films.film import Film, Size
    from sr.deploy.films.pieces import Pieces
    from sr.runs import own

    film = Film.of(write(tmp_path / "a.mp4", moving(5)))
    pieces = Pieces(tmp_path / "b.mp4", [Coding.of(film, Size(96, 128), False, None)], ["a"])
    with pieces.writing(0) as (piece,):
        for _ in range(5):
            piece.add(np.zeros((96, 128, 3), np.float32))
    assert pieces.closed() == 1
    (made,) = pieces.paths(0)
    assert not own.is_own((made.parent / "000000.txt").read_text()), "a film's name could be the record of a run"
    content = made.read_bytes()
    other = Pieces(tmp_path / "c.mp4", [Coding.of(film, Size(96, 128), False, None)], ["a"])
    with other.writing(0) as (piece,):
        for _ in range(5):
            piece.add(np.ones((96, 128, 3), np.float32))
    made.write_bytes(other.paths(0)[0].read_bytes())
    assert pieces.closed() == 0
    made.write_bytes(content)
    assert pieces.closed() == 1
    (made.parent / "000000.txt").unlink()
    assert pieces.closed() == 0
    assert pieces.settled("part", 30) == 30 == pieces.settled("part", 40)
    (pieces.folder / "part.txt").write_text("-1\n")  # somebody else's
    assert pieces.settled("part", 40) == 40 == pieces.settled("part", 50)
    pieces.clear()
    pieces.folder.symlink_to(tmp_path)
    with pytest.raises(UserError, match=r"pieces is a link"):
        Pieces(tmp_path / "b.mp4", pieces.codings, ["a"])


def test_pieces_are_of_one_network_and_one_file(tmp_path):
    from sr.deploy.films.coding import Coding
    from sr.deploy.films.film import Film, Size
    from sr.deploy.films.pieces import Pieces

    film = Film.of(write(tmp_path / "a.mp4", moving(1)))
    coding = [Coding.of(film, Size(96, 128), False, None)]
    folders = {Pieces(tmp_path / "b.mp4", coding, of).folder for of in (["a", 1], ["a", 2], ["b", 1], ["a", 1])}
    assert len(folders) == 3
    assert film.rate == RATE and film.base == BASE and film.times == [(0, CLOCK)] and film.aspect is None
    assert Fraction(film.times[0][1]) * film.base == 1 / RATE
