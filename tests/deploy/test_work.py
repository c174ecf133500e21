"""What happens to pictures and results while an enlarging run works on them."""

import errno
import json
import os
from types import SimpleNamespace

import pytest
from conftest import photo
from PIL import Image

import sr
from sr.deploy import work
from sr.deploy.done import RECORD, Maker, Results
from sr.deploy.enlarger import Enlarger
from sr.deploy.photos import How
from sr.deploy.work import of_one_picture
from sr.errors import UserError
from sr.layers.identity import checksum
from sr.models.bicubic import Bicubic


@pytest.fixture
def meanwhile(monkeypatch):
    """Let something happen while a network works."""

    def during(happens) -> None:
        make = Enlarger.photo
        monkeypatch.setattr(Enlarger, "photo", lambda self, *given: (make(self, *given), happens())[0])

    return during


def test_what_befalls_one_picture_does_not_end_the_others(command, meanwhile, tmp_path):
    """A result's place is taken, a folder cannot be made, EXIF is larger than a JPEG holds, a source is gone."""
    exif = Image.Exif()
    exif[0x010E] = "long " * 20_000
    (tmp_path / "in/sub").mkdir(parents=True)
    for name, told in {"a": None, "b": exif, "sub/c": None, "z1": None, "z2": None}.items():
        Image.fromarray(photo(8, 8)).save(tmp_path / f"in/{name}.png", **({"exif": told} if told else {}))

    def happens() -> None:
        out = tmp_path / "out"
        for place in (out / "a_x2.jpg", out / "sub"):
            if not place.exists():
                place.write_text("mine")
        (tmp_path / "in/z1.png").unlink(missing_ok=True)

    meanwhile(happens)
    done = command("upscale.py", "input=in", "model=bicubic", "scale=2", "format=jpg", "output=out")
    assert done.code == 1 and "error: 3 of 5 are not enlarged:" in done.err and "Traceback" not in done.err, done
    assert "a_x2.jpg is there already, and not of this command" in done.err
    assert (tmp_path / "out/a_x2.jpg").read_text() == (tmp_path / "out/sub").read_text() == "mine"
    made = {p.name for p in (tmp_path / "out").iterdir()}
    assert made == {".lock", ".upscaled.jsonl", "a_x2.jpg", "b_x2.jpg", "sub", "z2_x2.jpg"}
    assert {json.loads(line)["file"] for line in (tmp_path / "out/.upscaled.jsonl").read_text().splitlines()} == {
        "b_x2.jpg", "z2_x2.jpg",
    }  # fmt: skip
    assert Image.open(tmp_path / "out/b_x2.jpg").size == (16, 16)


def test_a_record_that_is_none_is_no_record(tmp_path):
    (tmp_path / RECORD).write_text("[" * 100_000 + '\n{"file": ["a"]}\n"file"\n{"file": "b.png", "seconds": 1.5}')
    assert {*Results(tmp_path)._known} == {"['a']", "b.png"}


def test_another_picture_of_the_same_size_and_time_is_seen(tmp_path):
    """As the data's cache sees it: what unzip or touch -d put there had the former picture's result."""
    source, out = tmp_path / "a.bmp", tmp_path / "out"
    out.mkdir()

    def put(value: int) -> Maker:
        source.write_bytes(bytes([value]) * 100)
        os.utime(source, ns=(10**18, 10**18))
        return Maker.of(source, "by")

    maker, result = put(1), out / "a_x2.bmp"
    result.write_bytes(b"large")
    Results(out).note(result, result, maker, 0.1)
    assert Results(out).holds(result, maker)
    source.chmod(0o600)  # another time of change, and the same picture
    assert Results(out).holds(result, Maker.of(source, "by")) and Results(out).holds(result, put(1))
    other = put(2)
    assert not Results(out).holds(result, other) and "made of another file" in Results(out).why_not(result, other)
    source.unlink()
    Results(out).note(result, result, maker, 0.1)  # what was made of it is kept


def test_a_result_that_somebody_else_put_there_is_none(tmp_path):
    """In a folder that others may write in: it was measured as the network's own, 10 dB better."""
    source, result, state = tmp_path / "a.bmp", tmp_path / "a_x2.bmp", (10**18, 10**18)
    source.write_bytes(b"small")
    result.write_bytes(b"large")
    os.utime(result, ns=state)
    maker = Maker.of(source, "by")
    Results(tmp_path).note(result, result, maker, 0.1)
    assert Results(tmp_path).holds(result, maker)
    result.write_bytes(b"LARGE")  # of the same size
    os.utime(result, ns=state)
    assert not Results(tmp_path).holds(result, maker)
    entry = json.loads((tmp_path / RECORD).read_text())
    (tmp_path / RECORD).write_text(json.dumps(entry | {"pixels": checksum(result)}))
    assert not Results(tmp_path).holds(result, maker)
    assert "not of this command" in Results(tmp_path).why_not(result, maker)


def test_a_full_disk_and_a_wrong_program_end_the_run():
    assert not any(map(of_one_picture, (OSError(errno.ENOSPC, "full"), RuntimeError("shapes"), KeyError("x"))))
    assert all(map(of_one_picture, (PermissionError(errno.EACCES, "no"), MemoryError(), UserError("no"))))


def test_a_file_that_comes_while_one_picture_is_enlarged_is_left_alone(network, meanwhile, tmp_path):
    Image.fromarray(photo(8, 8)).save(tmp_path / "p.png")
    model, target = sr.load(network), tmp_path / "p_x2.png"
    target.symlink_to("nowhere")
    with pytest.raises(UserError, match=r"p_x2\.png is there already"):
        model(tmp_path / "p.png")
    target.unlink()
    meanwhile(lambda: target.write_text("mine"))
    with pytest.raises(UserError, match=r"p_x2\.png is there already"):
        model(tmp_path / "p.png")
    assert target.read_text() == "mine" and not list(tmp_path.glob(".p*"))


def test_a_result_that_pillow_does_not_open_again_is_told_before_the_work(command, tmp_path, monkeypatch):
    monkeypatch.setattr(work, "most_pixels", lambda: 8 * 8 * 4 - 1)
    Image.fromarray(photo(8, 8)).save(tmp_path / "p.png")
    outcome = command("upscale.py", "input=p.png", "model=bicubic", "scale=2", "output=out")
    told = "p_x2.png will be 16x16 pixels, more than Pillow opens without a higher limit"
    assert outcome.code == 0 and outcome.out.index(told) < outcome.out.index("1/1"), outcome


def test_a_link_among_the_results_folders_is_not_written_through(command, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/side_by_side").symlink_to("../elsewhere")
    Image.fromarray(photo(8, 8)).save(tmp_path / "p.png")
    typed = ["upscale.py", "input=p.png", "model=bicubic", "scale=2"]
    done = command(*typed, "output=out", "side_by_side=true")
    assert done.code == 1 and "out/side_by_side is a link" in done.err, done
    assert not [*(tmp_path / "elsewhere").iterdir()]
    (tmp_path / "large").symlink_to("elsewhere")  # which is typed, as a folder on another disk
    assert command(*typed, "output=large").code == 0 and (tmp_path / "elsewhere/p_x2.png").is_file()


def test_other_code_of_a_network_of_one_s_own_makes_other_results(monkeypatch):
    """Typed again after it was mended, results of the former code were "there already, as this command makes them"."""

    def made_by(code: dict[str, str]) -> str:
        monkeypatch.setattr(work, "code_of", lambda model: code)
        enlarger = SimpleNamespace(metadata={}, model=Bicubic(2))
        return work.Work(enlarger, How(2), None, False, SimpleNamespace()).made_by

    assert made_by({"code": "3.11 a"}) == made_by({"code": "3.11 a"}) != made_by({"code": "3.11 b"})
    assert made_by({"methods": "a"}) == made_by({"methods": "b"})  # of this package: told, and results kept
