"""What W&B is given, read back from the files of offline runs."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import small_runs

from sr.callbacks.checkpoints import Checkpoints
from sr.comparison.rows import price
from sr.errors import UserError
from sr.loggers import wandb_connection, wandb_log, wandb_logger
from sr.loggers.run_facts import run_facts
from sr.loggers.wandb_stages import WandbStages, _source
from sr.runs.version import code_version

SMALL = ["model=ecbsr_m4c8", "scale=2", "batch_size=2", "patch_size=8", "loss=l1", "benchmarks=null", "logger=wandb"]

COST = price({"_target_": "sr.models.ecbsr.ECBSR", "scale": 2, "colors": 1, "num_blocks": 4, "channels": 8}, 2)


@pytest.fixture
def typed(div2k: Path, alone: None) -> list[str]:
    return [*SMALL, "data=div2k", f"data.root={div2k}", "steps=4", "val_every_steps=2", "callbacks=[panels]"]


def test_a_run_tells_config_code_figures_pictures_and_checkpoints(command, typed, kept):
    outcome = command("train.py", *typed, "logger.wandb.tags=[mine]")
    assert outcome.code == 0, outcome
    assert "W&B: offline, this machine is not logged in" in outcome.out
    (file,) = kept(outcome.folder)
    assert file.run.project == "sr" and file.run.display_name == "ecbsr_m4c8_x2" and file.run.run_group == ""
    assert list(file.run.tags) == ["model:ecbsr_m4c8", "scale:x2", "recipe:ecbsr", "mine"]
    assert file.config["steps"] == 4 and file.config["model"]["_target_"].endswith("ECBSR")
    assert file.config["code"] == code_version()
    # curves by optimizer steps done, as in metrics.csv; the figures of each set as the summary
    curve = {r["trainer/global_step"]: r["val/psnr_y"] for r in file.history if "val/psnr_y" in r}
    assert sorted(curve) == [2, 4]
    assert all(r["_step"] == r["trainer/global_step"] for r in file.history)
    results = (outcome.folder / "results.csv").read_text()
    assert "ecbsr_m4c8,DIV2K,2,y," in results
    assert file.summary["test/DIV2K/psnr_y"] == pytest.approx(figure(outcome.folder), abs=1e-4)
    shown = [r for r in file.history if "val/panels.captions" in r]
    assert [r["trainer/global_step"] for r in shown] == [2, 4]
    assert shown[0]["val/panels.captions"] == ["0801", "0802", "0803"]
    for name in shown[1]["val/panels.filenames"]:
        assert (file.folder / "files" / name).stat().st_size > 100
    assert file.summary["cost/parameters"] == COST.parameters and file.summary["cost/macs"] == COST.counts.macs
    assert {"stats", "environment"} <= file.kinds and file.exit == 0  # system metrics


def figure(folder: Path) -> float:
    rows = [r.split(",") for r in (folder / "results.csv").read_text().splitlines()]
    return float(next(r[4] for r in rows if r[:4] == ["ecbsr_m4c8", "DIV2K", "2", "y"]))


def versions(file) -> list[tuple[str, set[str], bool]]:
    """Name, aliases (W&B adds `latest` to all) and whether the run uses it, of each artifact that was logged."""
    return [(a.name, set(a.aliases) - {"latest"}, a.use_after_commit) for a in file.artifacts]


def test_figures_of_former_weights_leave_the_table_of_runs(command, typed, kept):
    """A longer resume stopped before its end, or measured other sets: the former figures stood beside the new steps."""
    first = command("train.py", *typed)
    assert command("train.py", f"resume={first.folder}", "steps=6", "benchmarks=[]").code == 0
    assert [file.summary.get("test/DIV2K/psnr_y") is None for file in kept(first.folder)] == [False, True]


@pytest.mark.slow
def test_checkpoints_are_artifacts_with_their_origin(command, typed, kept):
    first = command("train.py", *typed, folder="first")
    assert first.code == 0, first
    (file,) = kept(first.folder)
    own = f"model-{file.run.run_id}"
    assert versions(file) == [(own, {"last"}, False), (own, {"best"}, False)]
    assert {a.type for a in file.artifacts} == {"model"} and "testscores" in file.tables[0].name
    facts = json.loads(file.artifacts[1].metadata)
    assert facts["monitor"] == "val/psnr_y" and facts["figure"] > 5 and facts["step"] == 4
    for artifact in file.artifacts:
        (entry,) = artifact.manifest.contents
        assert entry.path == "model.ckpt" and Path(entry.local_path).stat().st_size == entry.size
    # stages: each begins from the one before; the first from another run's checkpoint
    stages = "+stages={warm: {steps: 2}, long: {steps: 3}, end: {steps: 1, init_from: best}}"
    second = command(
        "train.py",
        *typed,
        stages,
        f"init_from={first.folder}",
        "val_every_steps=1",
        "trainer.log_every_n_steps=1",
        folder="second",
    )
    assert second.code == 0, second
    (file,) = kept(second.folder)
    mine = f"model-{file.run.run_id}"
    assert versions(file) == [
        (own, set(), True), (mine, {"stage1_warm"}, True), (mine, {"stage2_long_best"}, True), (mine, {"last"}, False),
        (mine, {"best"}, False),
    ]  # fmt: skip
    assert file.summary["stage_name"] == "end" and file.config["stage_names"] == ["warm", "long", "end"]
    assert file.config["began_from/long"] == f"{mine}:stage1_warm"
    assert json.loads(file.artifacts[3].metadata)["began_from"] == f"{mine}:stage2_long_best"
    (there,) = kept(first.folder)
    assert file.artifacts[0].digest == there.artifacts[0].digest  # W&B knows it as the first run's
    assert [r["stage"] for r in file.history if "stage" in r][-1] == 3


@pytest.mark.slow
def test_artifacts_can_be_left_out_or_referred_to(command, typed, kept):
    outcome = command("train.py", *typed, "logger.wandb.artifacts=false", folder="none")
    assert outcome.code == 0 and not [*kept(outcome.folder)[0].artifacts, *kept(outcome.folder)[0].tables]
    outcome = command("train.py", *typed, "logger.wandb.artifact_mb=0.001", folder="referred")
    assert outcome.code == 0, outcome
    (entry,) = kept(outcome.folder)[0].artifacts[0].manifest.contents
    assert entry.ref.startswith("file://") and entry.ref.endswith("last_4.ckpt")


def test_a_run_resumed_offline_is_one_run(command, typed, kept):
    first = command("train.py", *typed)
    assert first.code == 0, first
    again = command("train.py", f"resume={first.folder}", "steps=6")
    assert again.code == 0, again
    begin, end = kept(first.folder)
    assert begin.run.run_id == end.run.run_id and begin.run.resume and end.run.resume
    assert [sorted(r["trainer/global_step"] for r in f.history if "val/psnr_y" in r) for f in (begin, end)] == [
        [2, 4],
        [2, 4, 6],  # what a killed part may not have kept is repeated: the last file is whole
    ]
    for entry in (c for f in (begin, end) for a in f.artifacts for c in a.manifest.contents):
        assert Path(entry.local_path).stat().st_size == entry.size  # what the first part logged is still there


@pytest.mark.slow
def test_a_killed_process_keeps_what_it_logged(alone, tmp_path, kept):
    lines = (
        "import os, signal, time, sr.loggers",
        f"log = sr.loggers.wandb_logger(facts={{'folder': {str(tmp_path / 'run')!r}}})",
        "log.log_metrics({'val/psnr_y': 30.0}, step=9)",
        "log.log_metrics({'val/psnr_y': 31.0}, step=19)",
        f"time.sleep({2 * wandb_log.LOST_SECONDS})",
        "os.kill(os.getpid(), signal.SIGKILL)",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], timeout=120)
    (file,) = kept(tmp_path / "run")
    assert file.history[0]["val/psnr_y"] == 30.0 and file.history[0]["_step"] == 10 and file.exit is None


def test_a_sweep_is_a_group_and_a_row_resumed_alone_stays_in_it(command, typed, kept):
    sweep = command("train.py", "-m", *typed, "seed=1,2", folder="my_sweep")
    assert sweep.code == 0, sweep
    rows = sorted(p.parent for p in sweep.folder.glob("*/wandb"))
    files = [kept(row)[0] for row in rows]
    assert [f.run.run_group for f in files] == ["my_sweep"] * 2
    assert len({f.run.run_id for f in files}) == 2
    assert sorted(f.run.display_name for f in files) == ["ecbsr_m4c8_x2 seed1", "ecbsr_m4c8_x2 seed2"]
    assert command("train.py", f"resume={rows[0]}", "steps=6").code == 0
    assert kept(rows[0])[1].run.run_group == "my_sweep"


def test_a_failed_run_does_not_look_finished(command, typed, kept):
    outcome = command("train.py", *typed, "optimizer.lr=1e30", "callbacks=[]")
    assert outcome.code == 1, outcome
    assert kept(outcome.folder)[0].exit == 1


def test_nor_does_one_that_failed_after_its_training(command, typed, kept, monkeypatch):
    monkeypatch.setattr("sr.training.final_scores.score_all", lambda *_, **__: 1 / 0)
    outcome = command("train.py", *typed, "callbacks=[]")
    assert outcome.code == 1 and "ZeroDivisionError" in outcome.err, outcome
    assert kept(outcome.folder)[0].exit == 1


# ---- nothing prompts, nothing hangs --------------------------------------------------------------------------


@pytest.fixture
def silent_server():
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.listen()  # the system takes the connections; nobody reads from them
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_never_answers_does_not_hold_the_run_up(
    alone, silent_server, monkeypatch, tmp_path, kept, caplog
):
    monkeypatch.setenv("WANDB_BASE_URL", silent_server)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setattr(wandb_log, "INIT_SECONDS", 2.0)
    began = time.monotonic()
    with caplog.at_level("INFO"):
        logger = wandb_logger(facts={"folder": str(tmp_path / "run")})
        logger.log_metrics({"val/psnr_y": 30.0}, step=9)
        logger.experiment.finish()
    assert time.monotonic() - began < 60
    assert "did not take the run" in caplog.text
    assert kept(tmp_path / "run")[-1].history[0]["val/psnr_y"] == 30.0


def test_the_mode_follows_from_environment_key_and_server(alone, monkeypatch, tmp_path):
    mode = wandb_connection.connection
    assert mode() == ("offline", "this machine is not logged in (wandb login)")
    monkeypatch.setenv("WANDB_MODE", "online")  # without a key W&B would ask for one
    assert mode()[0] == "offline"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert mode()[0] == "disabled"
    monkeypatch.delenv("WANDB_MODE")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
        (tmp_path / ".netrc").write_text(f"machine 127.0.0.1:{port} login user password {'0' * 40}\n")
        assert mode()[0] == "online"
        monkeypatch.setenv("WANDB_MODE", "offline")
        assert mode()[0] == "offline"
        monkeypatch.delenv("WANDB_MODE")
    assert mode() == ("offline", "127.0.0.1 does not answer")
    monkeypatch.setenv("WANDB_MODE", "nonsense")
    with pytest.raises(UserError, match="WANDB_MODE=nonsense: there are online, offline"):
        wandb_log.WandbRun(tmp_path, {}, None, 1.0)


@pytest.mark.parametrize("key", ["base_url", "https_proxy", "api_key", "entity"])
def test_a_folders_settings_send_no_key_anywhere(alone, monkeypatch, tmp_path, caplog, key):
    import wandb

    folder, variable = tmp_path / "of_somebody", f"WANDB_{key.upper()}"
    (folder / "wandb").mkdir(parents=True)
    monkeypatch.chdir(folder)
    with socket.create_server(("127.0.0.1", 0)) as server, caplog.at_level("INFO"):
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        value = "b" * 40 if key == "api_key" else address
        said = f"[default]\n{key} = {value}\n"
        (folder / "wandb/settings").write_text(said)
        if key != "api_key":
            monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
        if key != "base_url":
            monkeypatch.setenv("WANDB_BASE_URL", address)
        assert wandb_connection.connection() == ("offline", "as wandb/settings here is not followed")
        told = "..." if key == "api_key" else address
        assert f"{key} = {told}." in caplog.text and f"export {variable}={told}" in caplog.text
        assert "b" * 40 not in caplog.text and "the server is" not in caplog.text
        wandb.teardown()
        assert wandb_connection.connection("typed")[0] == ("online" if key == "entity" else "offline")
        caplog.clear()
        monkeypatch.setenv(variable, value)
        wandb.teardown()
        assert wandb_connection.connection()[0] == "online" and f"the server is {address}" in caplog.text
        monkeypatch.delenv(variable)
        (tmp_path / ".config/wandb").mkdir(parents=True)
        (tmp_path / ".config/wandb/settings").write_text(said)  # the user's own word
        wandb.teardown()
        assert wandb_connection.connection()[0] == "online"
        wandb.teardown()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="other systems have no named pipes")
def test_a_folders_settings_that_lead_elsewhere_or_nowhere_are_refused(alone, monkeypatch, tmp_path):
    """W&B printed each value of the user's file to which a link led, and waited for a pipe without end."""
    (folder := tmp_path / "of_somebody/wandb").mkdir(parents=True)
    (tmp_path / "credentials").write_text("[default]\naws_secret_access_key = b\n")
    monkeypatch.chdir(folder.parent)
    (folder / "settings").symlink_to(tmp_path / "credentials")
    with pytest.raises(UserError, match=r"settings is refused: it is a link to .*credentials"):
        wandb_connection.connection()
    (folder / "settings").unlink()
    os.mkfifo(folder / "settings")
    with pytest.raises(UserError, match=r"settings is refused: it is no file but a named pipe"):
        wandb_connection.connection()


def test_a_folders_settings_run_nothing_and_write_nowhere(alone, monkeypatch, tmp_path, caplog):
    import wandb

    folder, ran = tmp_path / "of_somebody", tmp_path / "ran"
    (folder / "wandb").mkdir(parents=True)
    (folder / "wandb/settings").write_text(
        "[default]\nsave_code = true\nx_files_dir = ../mine\nproject = theirs\n$(id) = 1\n"
    )
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho >> {ran}\n")
    program.chmod(0o755)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder)]
    for words in (["init"], ["commit", "--allow-empty", "-m", "."], ["config", "core.fsmonitor", str(program)]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("WANDB_SAVE_CODE", raising=False)
    logger = wandb_logger(facts={"folder": str(tmp_path / "my run")})
    with caplog.at_level("INFO"):
        logger.experiment  # noqa: B018  (begins it)
    of_id = (tmp_path / "my run/wandb_id.txt").read_text().split()[0]  # a stranger may have put others there
    assert f"later: wandb sync '{tmp_path}/my run/wandb'/offline-run-*-{of_id}*" in caplog.text
    assert list((tmp_path / "my run/wandb").glob(f"offline-run-*-{of_id}*"))
    assert "says $(id) = .... Remove the file" in caplog.text and "export WANDB_$" not in caplog.text  # to be pasted
    logger.log_pictures("val/panels", [np.zeros((4, 4, 3), np.uint8)], ["a"], 3)
    logger.experiment.finish()
    wandb.teardown()
    assert not ran.exists() and not (tmp_path / "mine").exists()
    assert "x_files_dir = ../mine" in caplog.text and "export WANDB__FILES_DIR=../mine" in caplog.text
    assert "theirs" not in caplog.text


def test_a_folders_defaults_are_in_no_record(alone, monkeypatch, tmp_path, caplog):
    """By a link they are any file's; and a run whose own key they held died of it."""
    (tmp_path / "of_somebody").mkdir()
    monkeypatch.chdir(tmp_path / "of_somebody")
    Path("config-defaults.yaml").write_text("secret: {value: abc}\nscale: {value: 9}\n")
    logger = wandb_logger(facts={"folder": str(tmp_path / "run")})
    assert dict(logger.experiment.config) == {}
    logger.log_hyperparams({"scale": 2})
    assert logger.experiment.config["scale"] == 2 and "config-defaults.yaml in this folder is not read" in caplog.text
    logger.experiment.finish()


def test_code_is_saved_where_the_environment_says_so(alone, monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_SAVE_CODE", raising=False)
    settings = wandb_log.WandbRun(tmp_path, {}, None, 1.0)._wandb_settings
    assert settings().save_code is False  # also where it is switched on at W&B: git runs what a repository names
    monkeypatch.setenv("WANDB_SAVE_CODE", "true")
    assert settings().save_code is None


def test_wandb_offline_is_followed(alone, monkeypatch, tmp_path):
    import wandb

    (tmp_path / "here/wandb").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
        assert wandb_connection.connection()[0] == "online"
        for mode in ("offline", "disabled"):
            (tmp_path / "here/wandb/settings").write_text(f"[default]\nmode = {mode}\n")  # as `wandb offline` does
            wandb.teardown()
            assert wandb_connection.connection()[0] == mode


def test_a_key_that_is_none_is_told(alone, monkeypatch, tmp_path, kept, caplog):
    with socket.create_server(("127.0.0.1", 0)) as server, caplog.at_level("INFO"):
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", "too short")
        logger = wandb_logger(facts={"folder": str(tmp_path / "run")})
        logger.log_pictures("val/panels", [np.zeros((4, 4, 3), np.uint8)], ["a"], 3)
        logger.experiment.finish()
    assert "did not take the run" in caplog.text and kept(tmp_path / "run")[0].history


# ---- what a logger is told -----------------------------------------------------------------------------------


def test_the_group_is_the_sweep_around_the_run(tmp_path):
    choices = {"model": "bsrn", "recipe": "bsrn"}
    row = tmp_path / "my_sweep" / "0_bsrn"
    row.mkdir(parents=True)
    assert run_facts(row, "bsrn_x2", choices, "2", None)["group"] is None
    assert run_facts(row, "bsrn_x2", {"model": "bsrn"}, "2", None)["tags"][-1] == "recipe:None"  # a damaged record
    assert run_facts(row, "bsrn_x2", choices, "2", tmp_path / "other")["group"] == "other"
    (tmp_path / "my_sweep" / "sweep.json").write_text("{}")
    assert run_facts(row, "bsrn_x2", choices, "2", None)["group"] == "my_sweep"


def test_a_row_of_a_sweep_is_told_by_its_name(tmp_path):
    def name(row: str, seed: int, **more: str) -> str:
        choices = {"model": "bsrn", "recipe": "bsrn", **more}
        return run_facts(tmp_path / row, "bsrn_x2", choices, "2", tmp_path, seed)["name"]

    assert name("esa_cca_1f6a2b3c", 3, ablation="bsrn_attention/esa_cca") == "bsrn_x2 esa_cca seed3"
    assert name("lr0.1_seed4_1f6a2b3c", 4) == "bsrn_x2 lr0.1_seed4" and name("1f6a2b3c", 0) == "bsrn_x2 seed0"


def test_the_code_version_works_with_and_without_git(monkeypatch, tmp_path):
    (tmp_path / "sr").mkdir()
    monkeypatch.setattr("sr.__file__", str(tmp_path / "sr/__init__.py"))
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]

    def version():
        code_version.cache_clear()
        return code_version()

    assert version()["commit"] is None and version()["dirty"] is None and version()["version"]
    (tmp_path / "a.txt").write_text("a")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "a"]):
        subprocess.run([*git, *words], check=True)
    clean = version()
    assert len(clean["commit"]) == 40 and clean["dirty"] is False
    (tmp_path / "sr/models").mkdir(parents=True, exist_ok=True)
    (own := tmp_path / "sr/models/mine.py").touch()
    assert version() == clean | {"dirty": True}, "a network that was added"
    own.unlink()
    (tmp_path / "a.txt").write_text("b")
    assert version() == clean | {"dirty": True}
    monkeypatch.setenv("PATH", "")
    assert version()["commit"] is None
    code_version.cache_clear()


def test_wandb_is_offline_without_a_key_and_one_run_after_a_resume(command, div2k, monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    typed = [
        *small_runs.SMALL,
        "data=div2k",
        f"data.root={div2k}",
        "budget=smoke",
        "logger=wandb",
        "callbacks=[panels]",
    ]
    began = time.monotonic()
    first = command("train.py", *typed)
    assert first.code == 0 and "W&B: offline" in first.out, first
    again = command("train.py", f"resume={first.folder}", "steps=6")
    assert again.code == 0, again
    assert time.monotonic() - began < 120
    runs = list((first.folder / "wandb").glob("offline-run-*"))
    # Two parts of one run: offline-run-<time>-<id>, and -1 behind it where both began in the same second.
    assert len(runs) == 2 and len({r.name.split("-")[3] for r in runs}) == 1
    assert list(first.folder.glob("wandb/*/files/media/images/val/*.png"))


@pytest.mark.parametrize(("better", "best", "told"), [(1, 30.0, 30.0), (-1, -0.12, 0.12), (1, None, None)])
def test_the_best_checkpoint_has_the_figure_that_was_logged(tmp_path, monkeypatch, better, best, told):
    """Of LPIPS, of which less is better, and not what a search maximises."""
    kept = {}
    monkeypatch.setattr(WandbStages, "_log", lambda *given: kept.update({given[3][0]: given[4]}))
    monkeypatch.setattr(WandbStages, "_linked", lambda _, file, step: file)
    writer = Checkpoints(tmp_path, "val/lpips_y", better=better)
    writer.best = best
    for name in ("last", "best"):
        (tmp_path / f"{name}.ckpt").touch()
    stages = WandbStages(SimpleNamespace(experiment=SimpleNamespace(id="a")), tmp_path, 200.0)
    stages.on_train_end(SimpleNamespace(callbacks=[writer], global_step=4), SimpleNamespace(metadata={}))
    assert kept["best"]["figure"] == told and "figure" not in kept["last"]


@pytest.mark.parametrize("given", ["last", "best"])
def test_a_stage_of_any_name_is_found_by_the_one_after_it(tmp_path, given):
    """The checkpoint of a stage called short_best was passed over, as if it were that stage's best one."""
    (tmp_path / "checkpoints").mkdir()
    for name in ("stage1_short_best", "stage1_short_best_best", "stage1_other"):
        (tmp_path / f"checkpoints/{name}.ckpt").touch()
    config = {"stages": {"short_best": {}, "long": {"init_from": given}}}
    file, aliases = _source(tmp_path, {"stage": {"number": 2, "name": "long"}, "config": config})
    name = "stage1_short_best_best" if given == "best" else "stage1_short_best"
    assert (file, aliases) == (tmp_path / f"checkpoints/{name}.ckpt", [name])
