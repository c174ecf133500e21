"""Sweeps as users type them: again after a kill, with a failed row, by every launcher, on several processes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from filelock import FileLock

from sr.compose.spelling import FORMER
from sr.errors import UserError
from sr.runs.folder import find_runs
from sr.runs.record import record, recorded
from sr.sweeps.command import Sweep, prepared

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "model=ecbsr_m4c8", "scale=2", "batch_size=2", "patch_size=8", "loss=l1", "callbacks=[]", "data=div2k",
    "trainer.enable_progress_bar=false",
]  # fmt: skip


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "table.csv").open(newline="") as f:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(f)]


def installed(package: str) -> bool:
    try:
        return find_spec(f"hydra_plugins.{package}") is not None
    except ModuleNotFoundError:
        return False


# ---- folders ------------------------------------------------------------------------------------------------


def place(*typed: str) -> str:
    return prepared(["-m", *typed]).folder.name


def test_the_same_command_has_the_same_folder_and_more_values_keep_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = place("model=edsr", "optimizer.lr=1e-3,1e-4", "steps=5")
    assert name.startswith("edsr_") and len(name) == len("edsr_") + 8
    assert place("steps=5", "optimizer.lr=1e-4,1e-3,1e-5", "model=edsr") == name
    assert place("model=edsr", "optimizer.lr=1e-3,1e-4", "steps=5", "logger=csv", "hydra/launcher=basic") == name
    assert place("model=edsr", "optimizer.lr=1e-3,1e-4", "steps=6") != name
    assert place("model=edsr", "optimizer.eps=1e-3,1e-4", "steps=5") != name
    assert place("model=edsr,bsrn", "steps=5").startswith("sweep_")
    assert prepared(["-m", "model=a,b", f"hydra.sweep.dir={tmp_path}/my own"]).folder == tmp_path / "my own"


@pytest.mark.parametrize("typed", ["hydra.sweep.subdir=x", "hydra.sweep.subdir=${hydra.job.num}", "hydra.run.dir=x"])
def test_folders_of_rows_are_not_typed(typed):
    """By the second one rows of other values were taken for the finished ones of those numbers, and never trained."""
    with pytest.raises(UserError, match=r"^hydra\.\w+\.\w+=[x$].*Leave it out.*hydra\.sweep\.dir=PATH"):
        place("model=edsr", "seed=0,1", typed)


@pytest.mark.parametrize(("former", "now"), FORMER["train"].items())
def test_a_sweep_of_former_words_is_gone_on_with(former, now):
    assert place("model=edsr,bsrn", f"{now}=true", "steps=5") == place("model=edsr,bsrn", f"{former}=true", "steps=5")


def test_any_rows_and_seeds_of_an_ablation_share_a_folder():
    name = place("+ablation=l1_l2", "seed=0")
    assert name.startswith("l1_l2_") and place("ablation=l1_l2/l1", "seed=0,1") == name


def test_seeds_may_be_added_whether_or_not_one_was_typed_before():
    name = place("model=srcnn,espcn", "steps=5")
    assert place("seed=0,1", "model=srcnn,espcn,edsr", "steps=5") == name
    assert place("model=srcnn", "steps=5") == place("model=srcnn", "steps=5", "seed=3") != name


def test_a_row_knows_its_sweep_from_the_start_and_a_refused_command_leaves_nothing(tmp_path, capsys):
    sweep = Sweep(["-m", "seed=0,1"], [], tmp_path / "sweeps/one")
    with pytest.raises(SystemExit), sweep.concluding():
        assert json.loads((tmp_path / "sweeps/one/sweep.json").read_text())["command"] == "sr train -m seed=0,1"
    assert not list(tmp_path.iterdir())
    kept = tmp_path / "sweeps/one/sweep.json"
    kept.parent.mkdir(parents=True)
    kept.write_text("{}")
    with pytest.raises(ValueError), sweep.concluding():
        raise ValueError
    assert kept.read_text() == "{}"


def test_a_table_that_cannot_be_written_hides_neither_error_nor_hint(tmp_path, monkeypatch, capsys, caplog):
    row = tmp_path / "seed0_12345678"
    (row / ".hydra").mkdir(parents=True)
    (row / ".hydra/config.yaml").write_text("seed: 0")
    record(row, "running")
    monkeypatch.setattr("sr.sweeps.table.write", lambda *_: 1 // 0)
    with pytest.raises(ValueError, match="the real one"), Sweep(["-m", "seed=0"], [], tmp_path).concluding():
        raise ValueError("the real one")
    assert "the sweep's table could not be written" in caplog.text and "ZeroDivisionError" in caplog.text
    assert "go on with: sr train -m seed=0" in capsys.readouterr().err
    caplog.clear()

    def denied(*_):
        raise PermissionError(13, "Permission denied", "table.md")  # in a folder of another user's

    monkeypatch.setattr("sr.sweeps.table.write", denied)
    with pytest.raises(ValueError, match="the real one"), Sweep(["-m", "seed=0"], [], tmp_path).concluding():
        raise ValueError("the real one")
    assert "could not be written: table.md: Permission denied" in caplog.text and "Traceback" not in caplog.text


def test_a_key_without_a_value_may_be_typed_beside_a_group_that_is_swept_over():
    typed = prepared(["-m", "degradation=bicubic,blur_noise_jpeg", "budget.test_middle=null", "budget.steps=3"])
    assert {"++budget.test_middle=null", "budget.steps=choice(3)"} <= set(typed.arguments)


def test_a_single_run_is_left_as_it_is_typed():
    assert prepared(["model=edsr", "steps=5"]).arguments == ["model=edsr", "steps=5"]
    assert prepared(["model=edsr"]).folder is None


@pytest.mark.parametrize("typed", [["-m"], ["hydra.mode=MULTIRUN"]])
def test_a_run_is_not_gone_on_with_in_a_sweep(typed):
    """Its rows would train the default model anew."""
    with pytest.raises(UserError, match=r"resume=outputs/run goes on with one run.*leave -m out"):
        prepared([*typed, "resume=outputs/run", "steps=6,8"])
    assert prepared([*typed, "resume=null", "seed=0,1"]).folder


def test_results_of_local_jobs_lie_where_nobody_can_have_put_any(monkeypatch):
    """submitit would unpickle them where a job was killed."""
    monkeypatch.setattr("sr.sweeps.launchers._installed", lambda _: True)
    words = ["-m", "model=edsr", "seed=0,1", "hydra/launcher=submitit_local"]
    places = [word for _ in "ab" for word in prepared(words).arguments if word.startswith("hydra.launcher.submitit")]
    assert len(set(places)) == 2 and all("/.submitit/" in place for place in places)
    assert not [
        word for word in prepared([*words[:-1], "hydra/launcher=submitit_slurm"]).arguments if "submitit_f" in word
    ]


def test_others_who_may_write_where_jobs_are_are_told(monkeypatch, tmp_path, caplog):
    """In a group's folder with umask 002 anybody of the group could replace what a job that waits will run."""
    monkeypatch.setattr("sr.sweeps.launchers._installed", lambda _: True)
    monkeypatch.chdir(tmp_path)
    words = ["-m", "model=edsr", "seed=0,1", "hydra/launcher=submitit_local"]
    former = os.umask(0o022)
    try:
        prepared(words)
        assert "others may write" not in caplog.text
        os.umask(0o002)
        monkeypatch.setattr("sr.bounded._alone", lambda group: True)
        prepared(words)
        assert "others may write" not in caplog.text, "a group of one's own"
        monkeypatch.setattr("sr.bounded._alone", lambda group: False)
        prepared(words)
        assert "others may write in " in caplog.text
    finally:
        os.umask(former)


def test_ray_takes_no_modules_from_where_one_stands_unless_one_does(monkeypatch, tmp_path):
    """Its workers look there first: a `yaml.py` of somebody else's ran, before a line of ours."""
    monkeypatch.setattr("sr.sweeps.launchers._installed", lambda _: True)
    monkeypatch.chdir(tmp_path)
    words = ["-m", "model=edsr", "seed=0,1", "hydra/launcher=ray"]
    for file in ("outputs/run/results.csv", "clips/00001/code.py"):  # which has no name that can be imported
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    assert prepared(words).folder
    for file in ("lightning/__init__.pyc", "yaml.py", "hydra_plugins/evil/__init__.py"):  # a namespace package, too
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    with pytest.raises(UserError, match=r"hydra_plugins, lightning, yaml\.py.*export PYTHONPATH=\."):
        prepared(words)
    assert prepared([*words[:-1], "hydra/launcher=joblib"]).folder
    monkeypatch.syspath_prepend(str(tmp_path))
    assert prepared(words).folder


def test_ray_is_ones_own_unless_one_is_named(monkeypatch):
    """Another user's, which was joined where there was one, asked for no memory: a traceback."""
    monkeypatch.setattr("sr.sweeps.launchers._installed", lambda _: True)
    monkeypatch.setattr("sr.sweeps.launchers._refuse_modules_here", lambda: None)
    words, place = ["-m", "model=edsr", "seed=0,1", "hydra/launcher=ray"], "hydra.launcher.ray.init"
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")  # put back afterwards
        monkeypatch.delenv(name)
    *_, address, dashboard, temporary = prepared(words).arguments
    assert [address, dashboard] == [f"{place}.address=local", f"+{place}.include_dashboard=false"]
    folder = Path(temporary.removeprefix(f"+{place}._temp_dir=").strip("'"))  # Ray prints what lies there
    assert folder.stat().st_mode & 0o777 == 0o700
    assert os.environ["RAY_AUTH_MODE"] == "token" and len(os.environ["RAY_AUTH_TOKEN"]) == 64  # and in no file
    named = prepared([*words, f"{place}.address=host:6379"]).arguments
    assert named[-1] == f"+{place}.object_store_memory=null" and f"{place}.address=local" not in named
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert prepared(words).arguments[-1] == f"+{place}.object_store_memory=null"


def test_an_extra_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("sr.sweeps.launchers.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -e .*\[submitit\]"):
        prepared(["-m", "seed=0,1", "hydra/launcher=submitit_slurm"])


# ---- surviving ----------------------------------------------------------------------------------------------


def test_a_failed_row_stops_no_other_and_is_told_at_the_end(command, div2k):
    typed = ["-m", *SMALL, f"data.root={div2k}", "budget=smoke", "optimizer.lr=many,1e-3"]
    outcome = command("train.py", *typed)
    assert outcome.code == 1, outcome
    good, bad = sorted(find_runs(outcome.folder), key=lambda run: run.status, reverse=True)
    assert (good.status, bad.status) == ("finished", "failed") and good.scores and good.steps == 4
    assert good.folder.name.startswith("lr0.001_") and "wants float" in bad.error
    assert f"failed: {bad.folder.name}: {bad.error}" in outcome.err and "go on with: sr train" in outcome.err
    assert "0, 1 failed" in outcome.out and "optimizer.lr=0.001" in outcome.out
    first = table(outcome.folder)
    again = command("train.py", *typed)
    assert again.code == 1 and f"{good.folder.name} is finished and is skipped" in again.out, again
    assert table(outcome.folder) == first
    # A value more, and none that fails: the finished row stays, the failed one is still told.
    more = command("train.py", *typed[:-1], "optimizer.lr=1e-3,2e-3")
    assert "is finished and is skipped" in more.out and len(find_runs(outcome.folder)) == 3
    assert len({r["line"] for r in table(outcome.folder)}) == 3  # bicubic and both


def sweep(folder: Path, log: Path, *typed: str, **environment: str) -> subprocess.Popen:
    with log.open("a") as out:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), "-m", f"hydra.sweep.dir={folder}", "logger=csv", *typed],
            cwd=log.parent, stdout=out, stderr=out,
            env={**os.environ, "SR_CACHE_DIR": str(log.parent / "cache"), "OMP_NUM_THREADS": "1", **environment},
        )  # fmt: skip


@pytest.mark.slow
def test_a_killed_sweep_typed_again_ends_with_the_same_table(div2k, tmp_path):
    typed = [*SMALL, f"data.root={div2k}", "seed=0,1", "steps=150", "val_every_steps=50", "save_every_steps=10"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert sweep(whole, tmp_path / "whole.out", *typed).wait(300) == 0, (tmp_path / "whole.out").read_text()
    process = sweep(cut, tmp_path / "cut.out", *typed)
    end = time.monotonic() + 240
    while not list(cut.glob("seed1_*/checkpoints/last.ckpt")):
        assert process.poll() is None and time.monotonic() < end, (tmp_path / "cut.out").read_text()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    second = next(cut.glob("seed1_*"))
    assert recorded(second)["status"] == "running" and not (cut / "table.csv").exists()
    assert sweep(cut, tmp_path / "again.out", *typed).wait(300) == 0
    told = (tmp_path / "again.out").read_text()
    assert "is finished and is skipped" in told and "resuming at step" in told
    assert table(cut) == table(whole)
    assert json.loads((cut / "sweep.json").read_text())["command"].startswith("sr train")
    assert recorded(second)["steps"] == 150 and recorded(second)["seconds"] > 0


def test_an_interrupted_sweep_stops_and_says_how_to_go_on(div2k, tmp_path):
    typed = [*SMALL, f"data.root={div2k}", "seed=0,1", "steps=100000", "save_every_steps=20"]
    folder, log = tmp_path / "sweep", tmp_path / "sweep.out"
    process = sweep(folder, log, *typed)
    end = time.monotonic() + 240
    while not list(folder.glob("seed0_*/checkpoints/last.ckpt")):
        assert process.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) != 0
    told = log.read_text()
    assert "not finished: seed0_" in told and "go on with: sr train -m" in told
    assert not list(folder.glob("seed1_*/checkpoints"))


def test_seeds_that_are_added_find_the_finished_rows(command, div2k):
    typed = ["-m", "hydra.sweep.dir=sweep", *SMALL, f"data.root={div2k}", "budget=smoke", "model=ecbsr_m4c8"]
    first = command("train.py", *typed)
    assert first.code == 0, first
    (row,) = find_runs(Path("sweep"))
    more = command("train.py", *typed, "seed=0,1", "logger=csv")
    assert more.code == 0 and f"{row.folder.name} is finished and is skipped" in more.out, more
    found = find_runs(Path("sweep"))
    assert len(found) == 2 and row.folder in [run.folder for run in found]
    assert [r["n"] for r in table(Path("sweep")) if r["line"] == "ecbsr_m4c8"] == ["2", "2"]
    assert "trained alike" not in more.out


def test_a_run_that_another_process_is_training_is_not_resumed(command, div2k):
    first = command("train.py", *SMALL, f"data.root={div2k}", "budget=smoke", "benchmarks=[]", folder="outputs/a")
    assert first.code == 0, first
    before = (first.folder / "checkpoints/last.ckpt").read_bytes()
    with FileLock(first.folder / ".lock"):
        again = command("train.py", "resume=last", "steps=8")
    assert again.code == 1 and "a is being run by another process" in again.err, again
    assert (first.folder / "checkpoints/last.ckpt").read_bytes() == before
    assert recorded(first.folder)["status"] == "finished"


@pytest.mark.slow
def test_a_row_that_another_process_is_running_is_left_to_it(command, div2k):
    typed = ["-m", *SMALL, f"data.root={div2k}", "budget=smoke", "seed=0,1"]
    first = command("train.py", *typed)
    assert first.code == 0, first
    row = next(first.folder.glob("seed1_*"))
    (row / "run.json").unlink()
    with FileLock(row / ".lock"):
        again = command("train.py", *typed)
    assert again.code == 1 and "is being run by another process" in again.err, again
    assert (row / "checkpoints/last.ckpt").is_file() and not (row / "run.json").exists()


# ---- budgets ------------------------------------------------------------------------------------------------


@pytest.fixture
def timed(monkeypatch):
    """What each row's steps would be found to take, in seconds, one after the other."""
    from sr.training import budget, timing

    def steps_take(*seconds):
        times = iter(seconds)
        monkeypatch.setattr(timing, "step_seconds", lambda *_: next(times))
        return [int(budget.SHARE * 300 / s) for s in seconds]

    return steps_take


@pytest.mark.slow
def test_seeds_are_trained_for_as_many_steps_whatever_the_machine_did_meanwhile(command, div2k, timed):
    (steps,) = timed(30.0)
    typed = ["-m", *SMALL, f"data.root={div2k}", "budget=minutes", "seed=0,1", "benchmarks=[]"]
    outcome = command("train.py", *typed)
    assert outcome.code == 0, outcome
    assert [run.steps for run in find_runs(outcome.folder)] == [steps, steps]
    first = next(outcome.folder.glob("seed0_*")).name
    assert "budget=minutes: " in outcome.out and f"as {first} was timed for" in outcome.out
    more = command("train.py", *typed[:-2], "seed=2", "benchmarks=[]")
    assert more.code == 0 and [run.steps for run in find_runs(outcome.folder)] == [steps] * 3, more


def test_the_rows_of_an_ablation_are_trained_for_as_many_steps(command, div2k, timed):
    (steps,) = timed(30.0)
    outcome = command(
        "train.py", "-m", "+ablation=l1_l2", "model.num_blocks=1", "model.channels=8", "scale=2", "batch_size=2",
        "patch_size=8", "data=div2k", f"data.root={div2k}", "budget=minutes", "benchmarks=[]", "callbacks=[]",
        "trainer.enable_progress_bar=false", "test_protocols=[y]",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    assert [run.steps for run in find_runs(outcome.folder)] == [steps, steps]


# ---- launchers ----------------------------------------------------------------------------------------------


BRIEF = ("budget=minutes", "budget.seconds=1")  # timed, in whichever process comes first


def timed_for(folder: Path) -> int:
    """The steps that follow from the one factor of a sweep."""
    ((factor, steps),) = {(run.config["budget"]["factor"], run.config["steps"]) for run in find_runs(folder)}
    (known,) = json.loads((folder / "budget.json").read_text()).values()
    assert known["factor"] == factor
    return steps


def needs(package: str, name: str, more: str, *marks: pytest.MarkDecorator):
    absent = pytest.mark.skipif(not installed(package), reason=f"{package} is not installed")
    return pytest.param(name, [more], marks=[absent, *marks], id=name)


@pytest.mark.parametrize(
    ("launcher", "more"),
    [
        needs("hydra_joblib_launcher", "joblib", "hydra.launcher.n_jobs=2", pytest.mark.slow),
        needs("hydra_submitit_launcher", "submitit_local", "hydra.launcher.timeout_min=10", pytest.mark.slow),
        needs("hydra_ray_launcher", "ray", "+hydra.launcher.ray.init.include_dashboard=false", pytest.mark.slow),
    ],
)
def test_every_launcher_trains_two_rows_and_skips_them_again(div2k, tmp_path, launcher, more):
    folder, log = tmp_path / "sweep", tmp_path / "sweep.out"
    typed = [*SMALL, f"data.root={div2k}", *BRIEF, "seed=0,1", f"hydra/launcher={launcher}", *more]
    assert sweep(folder, log, *typed).wait(300) == 0, log.read_text()
    first, second = find_runs(folder)
    assert first.status == second.status == "finished" and first.steps == second.steps == timed_for(folder)
    lines = table(folder)
    assert all(r["n"] == "2" for r in lines if r["line"] == "ecbsr_m4c8") and len(lines) > 1
    saved = {p: p.stat().st_mtime_ns for p in folder.glob("*/checkpoints/last.ckpt")}
    assert sweep(folder, log, *typed).wait(300) == 0, log.read_text()
    assert saved == {p: p.stat().st_mtime_ns for p in folder.glob("*/checkpoints/last.ckpt")}


@pytest.mark.skipif(not installed("hydra_optuna_sweeper"), reason="hydra_optuna_sweeper is not installed")
@pytest.mark.slow
def test_optuna_searches_and_asks_the_same_questions_again(command, div2k):
    typed = [
        "-m", *SMALL, f"data.root={div2k}", "budget=smoke", "hydra/sweeper=search", "hydra.sweeper.n_trials=2",
        "optimizer.lr=interval(1e-4,1e-2)",
    ]  # fmt: skip
    outcome = command("train.py", *typed)
    assert outcome.code == 0 and "Best value: " in outcome.out, outcome
    best = max([s.value for s in run.scores if s.metric == "psnr"][-1] for run in find_runs(outcome.folder))
    assert len(find_runs(outcome.folder)) == 2 and best > 0
    again = command("train.py", *typed)
    assert again.code == 0 and again.out.count("is finished and is skipped") == 2, again


@pytest.mark.skipif(not installed("hydra_optuna_sweeper"), reason="hydra_optuna_sweeper is not installed")
def test_a_search_without_a_set_to_measure_on_goes_by_the_validation(command, div2k):
    outcome = command(
        "train.py", "-m", *SMALL, f"data.root={div2k}", "budget=smoke", "hydra/sweeper=search", "benchmarks=[]",
        "hydra.sweeper.n_trials=2", "optimizer.lr=interval(1e-4,1e-2)",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    best = [max(row["val/psnr_y"] for row in run.curve if "val/psnr_y" in row) for run in find_runs(outcome.folder)]
    assert [recorded(run.folder)["objective"] for run in find_runs(outcome.folder)] == pytest.approx(best, abs=1e-4)
    assert f"Best value: {max(best):.3f}"[:-1] in outcome.out


@pytest.mark.skipif(not installed("hydra_optuna_sweeper"), reason="hydra_optuna_sweeper is not installed")
@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("hydra.sweeper.storage=diary.txt", ""),
        ("hydra.sweeper.n_jobs=0", ""),
        ("hydra.sweeper.n_trials=0", "No trials are completed"),
        ("optimizer.lr=interval(1e-3,1e-4)", "The `low` value must be smaller"),
        ("optimizer.lr=tag(log,interval(0,1e-4))", "The `low` value must be larger than 0"),
    ],
)
def test_a_search_that_optuna_cannot_do_is_told_before_its_first_step(command, div2k, word, told):
    words = {"hydra.sweeper.n_trials": "2", "optimizer.lr": "interval(1e-4,1e-2)"} | dict([word.split("=")])
    typed = ["-m", *SMALL, f"data.root={div2k}", "budget=smoke", "hydra/sweeper=search"]
    outcome = command("train.py", *typed, *(f"{key}={value}" for key, value in words.items()))
    last = outcome.err.splitlines()[-1]
    assert outcome.code == 1 and last.startswith(f"error: Optuna cannot search so: {told}"), outcome
    assert not list(outcome.folder.glob("*/metrics.csv")), outcome


def test_a_backend_that_matplotlib_does_not_know_is_told_before_a_sweep(tmp_path):
    typed, env = [sys.executable, "-m", "sr", "train", "-m", "seed=0,1"], os.environ | {"MPLBACKEND": "nope"}
    done = subprocess.run(typed, capture_output=True, text=True, env=env, cwd=tmp_path)
    assert done.returncode == 1 and "error: MPLBACKEND in the environment: Key backend: 'nope'" in done.stderr, done
    assert "unset MPLBACKEND" in done.stderr and "Traceback" not in done.stderr


SEVERAL = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]


@pytest.mark.slow
def test_rows_of_several_processes_run_one_by_one_inside_a_sweep(div2k, tmp_path):
    """Within a job of Slurm's, too: its one task is the row's, not each process's."""
    folder, log = tmp_path / "sweep", tmp_path / "sweep.out"
    slurm = {"NTASKS": "1", "NTASKS_PER_NODE": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0", "JOB_ID": "12345"}
    slurm = {f"SLURM_{key}": value for key, value in slurm.items()}
    typed = [*SMALL, f"data.root={div2k}", *BRIEF, "seed=0,1", *SEVERAL]
    assert sweep(folder, log, *typed, **slurm).wait(300) == 0, log.read_text()
    first, second = find_runs(folder)
    assert first.status == second.status == "finished" and first.steps == second.steps == timed_for(folder)
    assert log.read_text().count("needs several processes and runs as: sr train") == 2
    assert [r["n"] for r in table(folder) if r["line"] == "ecbsr_m4c8"] == ["2", "2"]


@pytest.mark.slow
def test_a_sweep_that_is_told_to_end_ends_its_row_of_several_processes(div2k, tmp_path):
    folder, log = tmp_path / "sweep", tmp_path / "sweep.out"
    process = sweep(folder, log, *SMALL, f"data.root={div2k}", "seed=0,1", "steps=100000", "save_every_steps=20",
                    *SEVERAL)  # fmt: skip
    end = time.monotonic() + 240
    while not (begun := list(folder.glob("seed0_*/checkpoints/last.ckpt"))):
        assert process.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) != 0
    row = begun[0].parents[1]
    with FileLock(row / ".lock", timeout=0):  # which the row's own process held
        pass
    told = log.read_text()
    assert "not finished: seed0_" in told and "go on with: sr train -m" in told
    assert recorded(row)["status"] == "interrupted" and not list(folder.glob("seed1_*/checkpoints"))
