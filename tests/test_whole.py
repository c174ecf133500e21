"""Files that are written whole or not at all."""

import errno
import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from sr.errors import UserError, user_error
from sr.imaging.files import write_image
from sr.scores.text import write_csv
from sr.whole import OwnLog, copy_whole, in_place, replacing, write_whole


def test_who_stops_in_the_middle_leaves_the_former_content_and_nothing_else(tmp_path):
    file = tmp_path / "results.csv"
    write_csv(file, ["a"], [{"a": 1}])
    before = file.read_bytes()

    def rows():
        yield {"a": 2}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_csv(file, ["a"], rows())
    with pytest.raises(TypeError):
        write_whole(file, {"not": object()})
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]


def test_what_takes_the_place_of_a_commands_folder_is_left_alone(tmp_path):
    """A link that was put there while a run ran: its figures went over those of another one, without a word."""
    run, other = tmp_path / "run", tmp_path / "other"
    write_whole(other / "results.csv", "mine")
    with in_place(run):
        write_whole(run / "results.csv", "1")
        run.rename(moved := tmp_path / "moved")
        with pytest.raises(UserError, match=r"run is not there any more, and results.csv is not written"):
            write_whole(run / "results.csv", "2")
        assert not run.exists()
        run.symlink_to(moved)
        write_whole(run / "x2/results.csv", "3")
        run.unlink()
        run.symlink_to(other)
        with pytest.raises(UserError, match=r"run led to .*run when this command began, and leads to .*other now"):
            write_whole(run / "results.csv", "4")
        run.unlink()
        moved.rename(run)
        with pytest.raises(UserError), replacing(run / "a.csv"):
            run.rename(moved)
            run.symlink_to(other)
    assert [p.read_text() for p in other.iterdir()] == ["mine"]
    write_whole(run / "results.csv", "by its user")


def test_a_disk_that_is_full_is_told_with_the_file(tmp_path):
    """A write names no file: which disk was full, nobody was told."""
    file = tmp_path / "results.csv"
    for number in (errno.ENOSPC, errno.EFBIG):
        with pytest.raises(OSError) as raised, replacing(file):
            raise OSError(number, "full")
        assert str(user_error(raised.value)).startswith(f"{file}: full. ") and not file.exists()
    with pytest.raises(OSError) as raised, replacing(file):
        raise OSError(errno.ENOSPC, "full", "another")
    assert str(user_error(raised.value)).startswith("another: ")


def test_a_reader_sees_the_former_content_until_all_is_written(tmp_path):
    file = tmp_path / "deep/er/table.md"
    write_whole(file, "old")
    with replacing(file) as part:
        part.write_text("new")
        assert file.read_text() == "old" and part.suffix == ".md" and part.name.startswith(".")
    assert file.read_text() == "new" and list(file.parent.iterdir()) == [file]
    write_whole(file, {"a": [1]})
    assert json.loads(file.read_text()) == {"a": [1]}


def test_a_picture_that_cannot_be_written_leaves_the_former_one(tmp_path, photos, monkeypatch):
    (file,) = photos(tmp_path, 1)
    before = file.read_bytes()
    monkeypatch.setattr("PIL.Image.Image.save", lambda self, path, **_: Path(path).write_bytes(b"half") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_image(file, np.zeros((4, 4, 3), np.uint8))
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]


def test_a_copy_replaces_at_once_with_and_without_links(tmp_path, monkeypatch):
    source, file = tmp_path / "a", tmp_path / "b"
    source.write_text("1")
    copy_whole(source, file)
    assert file.read_text() == "1" and os.path.samefile(source, file)
    write_whole(source, "2")
    assert file.read_text() == "1"  # another file has the name now
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    copy_whole(source, file)
    assert file.read_text() == "2" and not os.path.samefile(source, file)


def test_threads_write_one_file_side_by_side(tmp_path):
    both = Barrier(2, timeout=10)

    def write(text):
        with replacing(tmp_path / "a.txt") as part, part.open("w") as file:
            both.wait()
            file.write(text)
            file.flush()
            both.wait()
            return part.read_text()

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(write, ("one", "the other"))) == ["one", "the other"]
    assert (tmp_path / "a.txt").read_text() in ("one", "the other") and len(list(tmp_path.iterdir())) == 1


def test_nobody_knows_beforehand_where_is_written_to(tmp_path, monkeypatch):
    victim, places = tmp_path / "victim", []
    victim.write_text("precious")
    for _ in range(2):
        with replacing(tmp_path / "a.txt") as part:
            assert part.is_file()  # so that no link can take the name
            places.append(part)
    assert places[0] != places[1]
    monkeypatch.setattr("secrets.randbelow", lambda _: 7)
    (tmp_path / ".a.7.part.txt").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "a.txt", "other")
    assert victim.read_text() == "precious"


def test_what_a_killed_process_left_is_removed_a_day_later(tmp_path):
    left, others = tmp_path / ".run.7.part.json", [".run.8.part.json", ".run.x.part.json", ".runs.7.part.json"]
    for part in (left, *(tmp_path / name for name in others)):
        part.write_text("half")
        if part.name != others[0]:  # which somebody may be writing now
            os.utime(part, (0, 0))
    write_whole(tmp_path / "run.json", {})
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*others, "run.json"])
    write_csv(tmp_path / "run.json", ["a"], [])
    assert (tmp_path / others[0]).exists()


def test_a_copy_by_hard_links_keeps_its_lines(tmp_path):
    (tmp_path / "train.log").write_text("former\n")
    os.link(tmp_path / "train.log", tmp_path / "backup.log")
    for _ in range(2):
        OwnLog(tmp_path / "train.log").emit(logging.makeLogRecord({"msg": "later"}))
    assert (tmp_path / "backup.log").read_text() == "former\n"
    assert (tmp_path / "train.log").read_text() == "former\nlater\nlater\n"


def test_a_log_is_not_written_through_a_link(tmp_path):
    (precious := tmp_path / "precious").write_text("mine")
    (tmp_path / "train.log").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"):
        OwnLog(tmp_path / "train.log")
    assert precious.read_text() == "mine"
