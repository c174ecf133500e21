"""metrics.csv on disk after every save, new columns, resumes."""

import csv
from pathlib import Path

import pytest

from sr.errors import UserError
from sr.loggers import CsvLog
from sr.whole import in_place


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as f:
        return list(csv.DictReader(f))


def test_rows_are_on_disk_after_save_and_count_steps_done(tmp_path):
    log = CsvLog(tmp_path)
    for step in range(3):
        log.log_metrics({"loss": step / 10}, step)
        log.save()
        assert [r["step"] for r in rows(tmp_path)] == [str(s + 1) for s in range(step + 1)]
    assert rows(tmp_path)[2]["loss"] == "0.2"


def test_a_link_that_somebody_puts_in_its_place_is_not_written_through(tmp_path):
    log = CsvLog(tmp_path)
    log.log_metrics({"loss": 1.0}, 0)
    log.save()
    (precious := tmp_path / "precious").write_text("mine")
    log.file.unlink()
    log.file.symlink_to(precious)
    log.log_metrics({"loss": 2.0}, 1)
    with pytest.raises(OSError, match=r"symbolic links.*metrics\.csv"):
        log.save()
    assert precious.read_text() == "mine"


def test_one_step_is_one_row_whatever_comes_when(tmp_path):
    log = CsvLog(tmp_path)
    log.log_metrics({"loss": 1.0}, 0)
    log.save()
    log.log_metrics({"loss": 2.0}, 1)
    log.save()
    log.log_metrics({"psnr": 30.0}, 1)  # a new column
    log.save()
    log.log_metrics({"psnr": 31.0}, 1)  # the newest row changes
    log.log_metrics({"loss": 3.0}, 2)
    log.save()
    log.log_metrics({"loss": 9.0}, 0)  # an older row changes
    log.save()
    assert rows(tmp_path) == [
        {"step": "1", "loss": "9.0", "psnr": ""},
        {"step": "2", "loss": "2.0", "psnr": "31.0"},
        {"step": "3", "loss": "3.0", "psnr": ""},
    ]


def test_a_resume_keeps_what_was_and_measures_the_rest_again(tmp_path):
    log = CsvLog(tmp_path)
    for step in range(5):
        log.log_metrics({"loss": float(step)}, step)
    log.save()
    again = CsvLog(tmp_path)
    again.resume_at(3)
    again.log_metrics({"loss": 30.0, "psnr": 1.0}, 3)
    again.save()
    assert [(r["step"], r["loss"]) for r in rows(tmp_path)] == [("1", "0.0"), ("2", "1.0"), ("3", "2.0"), ("4", "30.0")]
    last = CsvLog(tmp_path)
    last.resume_at(4)
    last.log_metrics({"loss": 4.0}, 4)  # without the column that the rows so far have
    last.save()
    assert [r["psnr"] for r in rows(tmp_path)] == ["", "", "", "1.0", ""]


@pytest.mark.parametrize("content", [b"my,table\n1,2\n", b"step,loss\nsoon,2\n", b"\xff\xfe\n", b"step,x\n\n1\n,3\n"])
def test_a_table_of_somebody_else_is_refused_and_kept(tmp_path, content):
    (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"metrics\.csv is not what a run writes there"):
        CsvLog(tmp_path).resume_at(5)
    assert (tmp_path / "metrics.csv").read_bytes() == content


def test_appending_does_not_read_or_write_the_rest(tmp_path):
    """The cost of a row does not grow with the file."""
    log = CsvLog(tmp_path)
    for step in range(3):
        log.log_metrics({"loss": float(step)}, step)
        log.save()
    before = (tmp_path / "metrics.csv").stat().st_ino
    log.log_metrics({"loss": 9.0}, 3)
    log.save()
    assert (tmp_path / "metrics.csv").stat().st_ino == before and len(rows(tmp_path)) == 4


def test_a_killed_process_takes_no_row_away_and_a_cut_one_is_measured_again(tmp_path, monkeypatch):
    log = CsvLog(tmp_path)
    for step in range(12):
        log.log_metrics({"loss": step / 8}, step)
    log.save()
    log.log_metrics({"loss": 1.5}, 12)
    with monkeypatch.context() as patch:
        patch.setattr(CsvLog, "_write", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            log.save()
    assert rows(tmp_path)[-1] == {"step": "12", "loss": "1.375"}
    with log.file.open("a", newline="") as f:
        f.write("1")  # of "13,1.5"
    again = CsvLog(tmp_path)
    again.resume_at(12)
    again.log_metrics({"loss": 1.5}, 12)
    again.save()
    assert [r["step"] for r in rows(tmp_path)] == [str(n) for n in range(1, 14)] and rows(tmp_path)[0]["loss"] == "0.0"


def test_a_folder_that_is_moved_or_replaced_while_the_run_goes_on(tmp_path):
    """Where a link took the folder's place, another run's rows were written over."""
    run, moved, other = (tmp_path / name for name in ("run", "moved", "other"))
    other.mkdir()
    (other / "metrics.csv").write_text("step,a\n1,9\n")
    log = CsvLog(run)
    with in_place(run):
        for step in (1, 2, 3, 4):
            log.log_metrics({"a": step}, step)
            log.save()
            if step == 3:  # moved to another place of the disk, with a link to there
                run.rename(moved)
                run.symlink_to(moved)
        run.unlink()
        log.log_metrics({"a": 5}, 5)
        with pytest.raises(UserError, match=r"run is not there any more, and metrics\.csv is not written"):
            log.save()
        run.symlink_to(other)
        with pytest.raises(UserError, match="leads to"):
            log.save()
    assert (other / "metrics.csv").read_text() == "step,a\n1,9\n"
    assert (moved / "metrics.csv").read_text().split()[-1] == "5,4"
