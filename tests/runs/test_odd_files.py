"""Files of a run folder that nobody can have written in good faith are neither waited for nor read to their end."""

import os
import tracemalloc

import pytest
from at_once import at_once
from small_runs import write

from sr import bounded
from sr.comparison.plots import curves
from sr.compose.words import Words
from sr.errors import UserError, told_once
from sr.layers import torch_file
from sr.loggers.csv_log import CsvLog
from sr.runs import checkpoint, composed, yaml_file
from sr.runs.folder import find_runs, read_run
from sr.runs.occupied import refuse_foreign
from sr.runs.record import recorded
from sr.runs.same_data import begun_with, trained_on
from sr.scores import results
from sr.scores.results import stored
from sr.zoo.files import read_tensors

ROWS = "model,dataset,scale,protocol,psnr,images\nm,set,2,y,30.0,1\n"


@pytest.mark.parametrize("name", ["results.csv", "metrics.csv", "composed.yaml"])
def test_a_run_with_a_file_larger_than_a_run_writes_is_damaged(begun, name):
    (begun / name).touch()
    os.truncate(begun / name, 6 << 30)
    with at_once():
        (run,) = find_runs(begun)
    assert run.status == "damaged" and name in run.error and "6,442,450,944 bytes" in run.error


@pytest.mark.parametrize("odd", ["large", "pipe"])
@pytest.mark.parametrize("read", [recorded, begun_with, trained_on])
def test_records_that_are_no_records_are_left_out_with_a_word(begun, caplog, read, odd):
    told_once.cache_clear()
    name = "run.json" if read is recorded else "sets.json"
    (begun / name).unlink(missing_ok=True)
    os.mkfifo(begun / name) if odd == "pipe" else (begun / name).touch()
    if odd == "large":
        os.truncate(begun / name, 6 << 30)
    with at_once():
        assert not read(begun)
    assert str(begun / name) in caplog.text and "damaged" in caplog.text


def test_figures_by_image_and_curves_that_are_too_large_are_not_read(tmp_path, caplog):
    for name in ("results_per_image.csv", "metrics.csv"):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 6 << 30)
    with at_once():
        assert not list(stored(tmp_path, []))
        with pytest.raises(UserError, match="6,442,450,944 bytes"):
            CsvLog(tmp_path).resume_at(1)
    assert "results_per_image.csv is refused" in caplog.text


@pytest.mark.parametrize("read", [checkpoint.read, torch_file.load, read_tensors])
def test_a_file_that_is_holes_but_for_its_ends_is_not_read(tmp_path, read):
    """8 kB on the disk took 8 GB of memory: an archive's checksums are right, of zeros that nobody wrote."""
    file = tmp_path / "holes.pth"
    file.write_bytes(b"PK\3\4")
    os.truncate(file, 2**28)
    with at_once(), pytest.raises(UserError, match=r"of its 268,435,456 bytes [\d,]+ were ever written"):
        read(file)
    with file.open("r+b") as whole:
        whole.write(bytes(2**26))
    bounded.refuse_odd(file)


@pytest.mark.parametrize("read", [checkpoint.read, torch_file.load, read_tensors, yaml_file.read])
def test_a_named_pipe_is_refused(tmp_path, read):
    (tmp_path / "checkpoints").mkdir()
    pipe = tmp_path / "checkpoints/last.ckpt"
    os.mkfifo(pipe)
    with at_once(), pytest.raises(UserError, match=r"last.ckpt is refused: it is no file but a named pipe"):
        read(tmp_path if read is checkpoint.read else pipe)


def test_a_folder_may_be_a_link_and_a_device_is_no_file(tmp_path):
    write(tmp_path / "last.ckpt")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/checkpoints").symlink_to(tmp_path)
    assert checkpoint.read(tmp_path / "run")["sr"]["name"] == "m"
    (tmp_path / "run/metrics.csv").symlink_to("/dev/zero")
    with at_once(), pytest.raises(UserError, match="is a link to /dev/zero"):
        bounded.text_of(tmp_path / "run/metrics.csv")
    (tmp_path / "run/pipe").symlink_to("/dev/zero")
    with at_once(), pytest.raises(UserError, match="a device"):
        bounded.refuse_odd(tmp_path / "run/pipe")


@pytest.mark.parametrize("name", ["metrics.csv", "results.csv", "run.json", "composed.yaml", "wandb_id.txt", ".hydra"])
def test_links_of_a_run_show_no_other_files_of_the_user(begun, tmp_path, name, caplog):
    """A line of ~/.git-credentials, or a whole token, stood in the table that was given on."""
    secret = tmp_path / "hosts"
    (secret / "config.yaml").parent.mkdir()
    (secret / "config.yaml").write_text("first\noauth_token: gho_SECRET\n")
    (begun / name).unlink(missing_ok=True) if name != ".hydra" else (begun / name).rename(begun / "hydra")
    (begun / name).symlink_to(secret if name == ".hydra" else secret / "config.yaml")
    if name == ".hydra":
        with pytest.raises(UserError, match="no run was found"):
            find_runs(begun)
    else:
        run = find_runs(begun)[0]
        assert "SECRET" not in f"{run}{caplog.text}"
        with pytest.raises(UserError, match="is a link to"):
            bounded.text_of(begun / name)


def test_what_would_wait_for_a_reader_is_refused_before_it_is_written_to(begun, tmp_path):
    words = Words([f"resume={begun}"])
    assert composed.with_resumed_run(words)
    os.mkfifo(begun / "train.log")
    with pytest.raises(UserError, match=r"train.log' is a named pipe"):
        composed.with_resumed_run(words)
    (tmp_path / "new").mkdir()
    os.mkfifo(tmp_path / "new/train.log")
    with pytest.raises(UserError, match=r"train.log' is a named pipe"):
        refuse_foreign(tmp_path / "new", "train", "run")


@pytest.mark.parametrize(
    ("text", "message"),
    [("a" + ",a" * 600_000, "longer line"), ("step\n" + "1\n" * 20_000, "more values")],
    ids=["columns", "rows"],
)
def test_tables_that_grow_are_refused(tmp_path, monkeypatch, text, message):
    monkeypatch.setattr(bounded, "MOST_VALUES", 100_000)
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=rf"a.csv is refused.*{message}"), bounded.opened(tmp_path / "a.csv") as lines:
        list(bounded.Rows(lines, tmp_path / "a.csv"))
    (tmp_path / "b.csv").write_text(ROWS)
    with bounded.opened(tmp_path / "b.csv") as lines:
        assert [row["psnr"] for row in bounded.Rows(lines, tmp_path / "b.csv")] == ["30.0"]


def test_tables_of_many_runs_take_little_memory(begun, monkeypatch):
    """A row that was kept took thirty times its size in the file, and all curves of all runs were drawn at once."""
    (begun / "metrics.csv").write_text("step,val/psnr_y\n" + "".join(f"{n},30\n" for n in range(20_000)))
    size = (begun / "metrics.csv").stat().st_size
    tracemalloc.start()
    try:
        kept = [read_run(begun) for _ in range(5)]
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        drawn = curves([(str(n), run) for n, run in enumerate(kept)])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 5 * 4 * size and peak - held < 2 * 40 * size, (held, peak, size)
    assert [len(line) for line in drawn["val/psnr_y"].values()] == [400] * 5
    assert kept[0].steps == 19_999 and kept[0].curve[-1] == {"step": 19_999, "val/psnr_y": 30}
    monkeypatch.setattr(results, "MOST_OF_MEANS", 16)
    (begun / "results.csv").write_text(ROWS + ROWS.partition("\n")[2])
    with pytest.raises(UserError, match=r"results.csv is refused: it holds more values"):
        read_run(begun)
