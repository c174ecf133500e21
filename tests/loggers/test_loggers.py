"""Each choice of `logger=`, with real runs whose figures are read back. W&B's own are in callbacks/test_wandb.py."""

import csv
import shutil
import sqlite3
import struct
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from sr.errors import UserError
from sr.loggers import mlflow_logger
from sr.loggers.run_ids import id_in, id_of
from sr.loggers.wandb_log import run_id

SMALL = ["model=ecbsr_m4c8", "scale=2", "batch_size=2", "patch_size=8", "loss=l1", "steps=4", "val_every_steps=2"]


@pytest.fixture
def typed(div2k: Path) -> list[str]:
    return [*SMALL, "data=div2k", f"data.root={div2k}"]


def validated(folder: Path) -> dict[int, float]:
    """Steps and figures of metrics.csv."""
    with (folder / "metrics.csv").open(newline="") as f:
        return {int(r["step"]): float(r["val/psnr_y"]) for r in csv.DictReader(f) if r["val/psnr_y"]}


def test_tensorboard_has_curves_pictures_and_config_over_a_resume(command, typed):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    first = command("train.py", *typed, "logger=tensorboard")
    assert first.code == 0, first
    again = command("train.py", f"resume={first.folder}", "steps=6")
    assert again.code == 0, again
    events = accumulator.EventAccumulator(str(first.folder / "tensorboard"), {"images": 0, "tensors": 0})
    events.Reload()
    scalars = {e.step: e.value for e in events.Scalars("val/psnr_y")}
    assert scalars == pytest.approx(validated(first.folder), abs=1e-3) and sorted(scalars) == [2, 4, 6]
    assert events.Scalars("test/DIV2K/psnr_y")[-1].step == 6
    pictures = events.Images("val/panels/0801")
    assert [p.step for p in pictures] == [2, 4, 6] and pictures[0].encoded_image_string.startswith(b"\x89PNG")
    assert [p.step for p in events.Images("test/panels/DIV2K_x2")] == [4, 6]
    table = events.Tensors("test/scores/text_summary")[-1].tensor_proto.string_val[0].decode()
    assert (
        "| model | dataset | scale | protocol | images | psnr | ssim |" in table and "| bicubic | DIV2K | 2 |" in table
    )
    assert b'"steps": 4' in events.Tensors("config/text_summary")[0].tensor_proto.string_val[0]


@pytest.mark.slow
def test_mlflow_has_curves_pictures_and_parameters_in_one_run_over_a_resume(command, typed, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    store = f"sqlite:///{tmp_path}/outputs/mlflow.db"
    first = command("train.py", *typed, "logger=mlflow")
    assert first.code == 0, first
    again = command("train.py", f"resume={first.folder}", "steps=6")
    assert again.code == 0, again
    client = mlflow.MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("sr").experiment_id])
    assert run.info.status == "FINISHED" and run.info.run_name == "ecbsr_m4c8_x2"
    curve = {m.step: m.value for m in client.get_metric_history(run.info.run_id, "val/psnr_y")}
    assert curve == pytest.approx(validated(first.folder), abs=1e-3) and sorted(curve) == [2, 4, 6]
    assert 5 < run.data.metrics["test/DIV2K/psnr_y"] < 60
    assert run.data.params["steps"] == "4" and run.data.params["model.channels"] == "8"
    assert run.data.tags["resumed.steps"] == "6" and run.data.tags["model"] == "ecbsr_m4c8"
    table = client.download_artifacts(run.info.run_id, "test/scores.csv", str(tmp_path))
    with open(table, newline="") as f:
        assert {row["model"] for row in csv.DictReader(f)} == {"bicubic", "ecbsr_m4c8"}
    kept = [f.path for f in client.list_artifacts(run.info.run_id, "val/panels")]
    assert "val/panels/0801_0000002.png" in kept and Path(run.info.artifact_uri).is_relative_to(tmp_path / "outputs")


def test_a_run_that_somebody_else_began_is_none_of_the_users(begun, tmp_path, caplog):
    """Its wandb_id.txt, in which anybody may write the id of a run of the user's, chose which run was changed."""
    first = run_id(begun(tmp_path / "mine"))
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "composed.yaml").write_text("config: {}\n")
    (theirs / "wandb_id.txt").write_text(f"{first}\n")
    assert run_id(theirs) != first and f"you did not begin the run in {theirs}" in caplog.text
    (theirs / "wandb_id.txt").write_text(f"{first}\n")  # or which artifact a checkpoint is a version of
    assert id_of(theirs / "wandb_id.txt") is None and id_of(tmp_path / "mine/wandb_id.txt") == first


def test_a_copied_run_folder_is_a_run_of_its_own(begun, tmp_path, caplog):
    """Both wrote into one W&B run, and their curves were mixed there; a folder that was moved goes on."""
    first = run_id(begun(tmp_path / "a"))
    assert run_id(tmp_path / "a") == first == id_in(tmp_path / "a/wandb_id.txt") and len(first) == 8
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "again").symlink_to(tmp_path / "a")
    assert run_id(tmp_path / "again") == first and not caplog.text
    second = run_id(tmp_path / "b")
    assert second != first and f"b is a copy of {tmp_path}/a, which goes on under its wandb_id" in caplog.text
    assert (run_id(tmp_path / "a"), run_id(tmp_path / "b")) == (first, second)
    begun(tmp_path / "linked")  # cp -al, rsync --link-dest
    (tmp_path / "linked/wandb_id.txt").hardlink_to(tmp_path / "a/wandb_id.txt")
    assert run_id(tmp_path / "linked") not in (first, second) and run_id(tmp_path / "a") == first
    caplog.clear()
    shutil.move(tmp_path / "a", tmp_path / "c")
    assert run_id(tmp_path / "c") == first
    (tmp_path / "c/wandb_id.txt").write_text(f"{first}\n")  # of an earlier version
    assert run_id(tmp_path / "c") == first and not caplog.text


def test_a_failed_run_is_failed_in_mlflow_too(command, typed, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    outcome = command("train.py", *typed, "logger=mlflow", "optimizer.lr=1e30", "callbacks=[]")
    assert outcome.code == 1 and "Usual remedies" in outcome.err, outcome
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("sr").experiment_id])
    assert run.info.status == "FAILED"


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory) -> Path:
    """A store of MLflow without experiments, which takes seconds to lay out."""
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.mark.parametrize(
    "place",
    [
        *("file://{}/elsewhere", "http://127.0.0.1:9/x", "{}/outputs/mlflow/../../elsewhere"),
        *("http://127.0.0.1:9/../../outputs/mlflow", "s3:outputs/mlflow"),
    ],
)
def test_a_store_that_sends_pictures_elsewhere_is_refused(begun, empty_store, tmp_path, place):
    from mlflow import MlflowClient

    (tmp_path / "outputs").mkdir()
    uri = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'outputs')}"
    place, client = place.format(tmp_path), MlflowClient(uri)
    made = client.create_run(client.create_experiment("sr", place))
    begun(tmp_path / "resumed")
    (tmp_path / "resumed/mlflow_id.txt").write_text(made.info.run_id)
    for folder in ("new", "resumed"):
        logger = mlflow_logger(uri, facts={"folder": str(tmp_path / folder)})
        with pytest.raises(UserError, match="pictures and tables go to") as refused:
            logger.log_hyperparams({"steps": 4})
        assert place in str(refused.value) and f"go to {tmp_path}/outputs/mlflow." in str(refused.value)
        logger.finalize("failed")
    assert len(client.search_runs([made.info.experiment_id])) == 1
    other = mlflow_logger(uri, "other", facts={"folder": str(tmp_path / "other")})
    other.log_hyperparams({"steps": 4})
    assert other.version


def test_a_run_that_the_store_does_not_know_begins_a_new_one_there(begun, empty_store, tmp_path, caplog):
    """A folder that was moved to where another store is could not be gone on with."""
    (begun(tmp_path / "run") / "mlflow_id.txt").write_text("0" * 32)
    logger = mlflow_logger(f"sqlite:///{shutil.copy(empty_store, tmp_path)}", facts={"folder": str(tmp_path / "run")})
    logger.log_table("scores", ["model"], [["=cmd()"]], 1)
    assert "holds no run 000" in caplog.text and logger.version == id_in(tmp_path / "run/mlflow_id.txt")
    (kept,) = tmp_path.rglob("scores.csv")
    assert kept.read_text().split() == ["model", "'=cmd()"]


@pytest.mark.parametrize("name", ["mlflow.db", "mlflow"])
def test_a_store_that_is_a_link_is_not_written_through(name, tmp_path, monkeypatch):
    """Fifty tables came to be in whatever database it led to, and pictures in any folder."""
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    Path("outputs").mkdir()
    Path("outputs", name).symlink_to(tmp_path / "notes.db")
    with pytest.raises(UserError, match=rf"{name} is a link to .*notes\.db"):
        mlflow_logger(facts={"folder": str(tmp_path / "run")})


def test_mlflow_reports_nothing_home(tmp_path, monkeypatch):
    variables = pytest.importorskip("mlflow").environment_variables
    pytest.importorskip("sqlalchemy")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "")  # so that it is put back
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
    mlflow_logger(f"sqlite:///{tmp_path}/mlflow.db")
    assert variables.MLFLOW_DISABLE_TELEMETRY.get()
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    mlflow_logger(f"sqlite:///{tmp_path}/mlflow.db")
    assert not variables.MLFLOW_DISABLE_TELEMETRY.get()


def test_a_store_that_sends_pictures_elsewhere_later_is_refused_then(empty_store, tmp_path):
    """By triggers, which anybody's store may hold: the place that it told when the run began was its own."""
    (tmp_path / "outputs").mkdir()
    file = Path(shutil.copy(empty_store, tmp_path / "outputs"))
    logger = mlflow_logger(f"sqlite:///{file}", facts={"folder": str(tmp_path / "run")})
    logger.experiment  # noqa: B018  (begins it)
    with closing(sqlite3.connect(file)) as store, store:
        store.execute(
            "CREATE TRIGGER t AFTER INSERT ON metrics BEGIN UPDATE runs "
            f"SET artifact_uri='{tmp_path}/elsewhere' WHERE run_uuid=new.run_uuid; END"
        )
    logger.log_pictures("val/panels", [np.zeros((4, 4, 3), np.uint8)], ["a"], 1)
    logger.log_metrics({"val/psnr_y": 30.0}, step=1)
    for log in (
        lambda: logger.log_pictures("val/panels", [np.zeros((4, 4, 3), np.uint8)], ["a"], 2),
        lambda: logger.log_table("test/scores", ["a"], [[1]], 2),
    ):
        with pytest.raises(UserError, match="pictures and tables go to"):
            log()
    assert not (tmp_path / "elsewhere").exists() and len([*(tmp_path / "outputs/mlflow").rglob("*.png")]) == 1
    with pytest.raises(UserError, match=r"holds triggers or rules \(t\), which change what is logged"):
        mlflow_logger(f"sqlite:///{file}", facts={"folder": str(tmp_path / "other")}).experiment  # noqa: B018


@pytest.mark.parametrize(
    "rule",
    [
        "UNIQUE (run_uuid, key) ON CONFLICT IGNORE",
        "UNIQUE (run_uuid, key) ON/**/\nConflict IGNORE",
        "FOREIGN KEY (value) REFERENCES latest_metrics (value) ON UPDATE CASCADE",
        "is_nan AS (0)",
    ],
)
def test_an_mlflow_store_that_leaves_out_or_changes_what_is_logged_is_refused(tmp_path, rule):
    """The curve of a run kept its first validation alone, or had its newest figure everywhere."""
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(file)) as store, store:
        store.execute(f'CREATE TABLE metrics (run_uuid, key, "on", value, {rule})')
    with pytest.raises(UserError, match=r"holds triggers or rules \(metrics"):
        mlflow_logger(f"sqlite:///{file}", facts={"folder": str(tmp_path / "run")}).experiment  # noqa: B018


def test_a_store_whose_journal_names_a_file_is_refused_and_the_file_stays(empty_store, tmp_path):
    """SQLite deleted it: it takes it for the journal of several stores whose write was interrupted."""
    file, work = Path(shutil.copy(empty_store, tmp_path / "mlflow.db")), tmp_path / "thesis.tex"
    work.write_text("three years")
    magic, page, name = bytes.fromhex("d9d505f920a163d7"), int.from_bytes(file.read_bytes()[16:18]), str(work).encode()
    head = magic + struct.pack(">5I", 0, 1234, file.stat().st_size // page, 512, page)
    locked = struct.pack(">I", 0x40000000 // page + 1)
    named = locked + name + struct.pack(">2I", len(name), sum(name)) + magic
    (journal := tmp_path / "mlflow.db-journal").write_bytes(head.ljust(512, b"\0") + named)
    shutil.copytree(tmp_path, other := tmp_path / "other")
    with closing(sqlite3.connect(other / "mlflow.db")) as store:
        store.execute("SELECT * FROM experiments").fetchall()
    assert not work.exists(), "what SQLite does with it"
    work.write_text("three years")

    def began():
        mlflow_logger(f"sqlite:///{file}", facts={"folder": str(tmp_path / "run")}).experiment  # noqa: B018

    with pytest.raises(UserError, match=r"mlflow\.db-journal.* names a file that would be deleted"):
        began()
    assert work.exists()
    journal.unlink()
    (tmp_path / "mlflow.db-wal").symlink_to(work)
    with pytest.raises(UserError, match=r"mlflow\.db-wal.* leads to, something else"):
        began()


def test_mlflow_takes_parameters_whose_names_it_refuses(command, div2k, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    typed = ["model=fsrcnn", "scale=2", "budget=smoke", "benchmarks=[]", "callbacks=[]", "logger=mlflow"]
    outcome = command("train.py", *typed, "data=div2k", f"data.root={div2k}")
    assert outcome.code == 0, outcome
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("sr").experiment_id])
    assert any(key.startswith("parameter_groups._.") for key in run.data.params), run.data.params


def test_a_run_that_fails_while_it_is_measured_is_failed_in_mlflow_too(command, typed, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.setattr("sr.training.final_scores.score_all", lambda *_: 1 / 0)
    assert command("train.py", *typed, "logger=mlflow", "callbacks=[]").code == 1
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("sr").experiment_id])
    assert run.info.status == "FAILED"


@pytest.mark.slow
def test_several_loggers_at_once_and_none(command, typed):
    both = command("train.py", *typed, "logger=[csv,tensorboard]", "callbacks=[]", folder="both")
    assert both.code == 0 and list((both.folder / "tensorboard").glob("events*")), both
    alone = command("train.py", *typed, "logger=csv", "callbacks=[]", folder="alone")
    assert alone.code == 0 and validated(alone.folder) == validated(both.folder)  # a logger changes no result
    assert not {"wandb", "tensorboard"} & {p.name for p in alone.folder.iterdir()}


@pytest.mark.parametrize("name", ["mlflow", "tensorboard"])
def test_a_logger_that_is_not_installed_says_what_to_install(command, typed, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    outcome = command("train.py", *typed, f"logger={name}", "callbacks=[]")
    assert outcome.code == 1 and f"[{name}]" in outcome.err.partition("pip install -e ")[2], outcome
    assert "Traceback" not in outcome.err and not (outcome.folder / "metrics.csv").exists()
