"""Each command has a folder of its own, and leaves none where nothing came of it."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from hydra.core import utils

from sr.callbacks import Checkpoints
from sr.errors import UserError
from sr.runs import occupied
from sr.runs.lock import locked
from sr.runs.occupied import reserved
from sr.runs.place import missing, remove
from sr.runs.record import recorded

ROOT = Path(__file__).resolve().parents[2]
BICUBIC = ["model=bicubic", "benchmarks=[div2k]", "panels=0", "scale=4", "protocols=[y]"]


@pytest.fixture
def same_second(monkeypatch):
    """Time stands still for those who name folders by it."""

    class Still(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 1, 31, 12)

    monkeypatch.setattr(utils, "datetime", Still)


def test_nobody_gets_a_folder_that_another_one_has(tmp_path):
    with ThreadPoolExecutor(8) as several:
        found = list(several.map(reserved, [tmp_path / "outputs/evaluate/now"] * 24))
    assert len(set(found)) == 24 and {p.name for p in found} == {"now", *(f"now_{n}" for n in range(2, 25))}


@pytest.mark.filterwarnings("error:Callback")
def test_commands_of_one_second_have_folders_of_their_own(command, same_second, div2k, tmp_path):
    for _ in range(2):
        assert command("evaluate.py", *BICUBIC, f"data.root={div2k}", folder="").code == 0
    several = command("evaluate.py", "-m", *BICUBIC[:-1], f"data.root={div2k}", "protocols=[y],[rgb]", folder="")
    assert several.code == 0, several
    begin = tmp_path / "outputs/evaluate/2026-01-31_12-00-00"
    for folder in (begin, begin.with_name(f"{begin.name}_2"), *(Path(f"{begin}_3/{n}") for n in (0, 1))):
        assert (folder / "results.csv").is_file() and (folder / ".hydra/config.yaml").is_file()
    assert len(list(begin.parent.iterdir())) == 3


@pytest.mark.filterwarnings("error:Callback")
def test_a_folder_that_is_typed_stays_as_it_is(command, same_second, div2k, tmp_path):
    for _ in range(2):
        assert command("evaluate.py", *BICUBIC, f"data.root={div2k}", folder="mine").code == 0
    assert {p.name for p in tmp_path.iterdir()} - {"cache"} == {"mine", div2k.name}


@pytest.mark.parametrize(
    ("script", "typed"),
    [
        ("train.py", ["model=ecbsr_m4c8", "data=div2k", "data.root=nowhere"]),
        ("train.py", ["model=ecbsr_m4c8", "data=div2k", "data.root=nowhere", "hydra.run.dir=runs/mine"]),
        ("train.py", ["-m", "model=ecbsr_m4c8", "seed=0,1", "nonsense=1"]),
        ("evaluate.py", []),
        ("evaluate.py", ["-m", "scale=2,3"]),
        ("compare.py", ["runs=nowhere", "out=runs/mine"]),
        ("figure.py", ["figure=bubble", "format=tga"]),
    ],
)
def test_a_refused_command_leaves_nothing(command, tmp_path, script, typed):
    outcome = command(script, *typed, folder="")
    assert outcome.code == 1 and "Traceback" not in outcome.err, outcome
    assert not [p for p in tmp_path.iterdir() if p.name != "cache"], list(tmp_path.rglob("*"))


def test_results_of_jobs_that_lie_in_a_new_sweep_s_folder_are_somebodys(tmp_path):
    """submitit would unpickle them; other hidden files are the system's or an editor's."""
    (tmp_path / ".DS_Store").touch()
    occupied.refuse_foreign(tmp_path, "train", "sweep")
    (tmp_path / ".submitit/1").mkdir(parents=True)
    with pytest.raises(UserError, match=r"holds \.submitit, and sr train did not make it"):
        occupied.refuse_foreign(tmp_path, "train", "sweep")


FOREIGN = "holds diary.txt, results.csv, and sr {} did not make it: nothing there is overwritten"


@pytest.mark.parametrize(
    ("script", "typed", "told"),
    [
        ("train.py", ["model=ecbsr_m4c8", "hydra.run.dir=mine"], FOREIGN.format("train")),
        ("train.py", ["-m", "model=ecbsr_m4c8", "seed=0,1", "hydra.sweep.dir=mine"], FOREIGN.format("train")),
        ("evaluate.py", [*BICUBIC, "hydra.run.dir=mine"], FOREIGN.format("evaluate")),
        ("evaluate.py", ["-m", *BICUBIC, "hydra.sweep.dir=mine"], FOREIGN.format("evaluate")),
        ("compare.py", ["runs=runs", "out=mine"], FOREIGN.format("compare")),
        ("figure.py", ["figure=bubble", "hydra.run.dir=mine"], FOREIGN.format("figure")),
        ("evaluate.py", [*BICUBIC, "hydra.run.dir=runs"], "holds results.csv, and sr train made it"),
    ],
)
def test_a_command_writes_into_no_folder_of_another_one(command, tmp_path, script, typed, told):
    (tmp_path / "mine").mkdir()
    (tmp_path / "runs/.hydra").mkdir(parents=True)
    (tmp_path / "runs/.hydra/hydra.yaml").write_text("hydra: {job: {config_name: train}}")
    for name in ("mine/diary.txt", "mine/results.csv", "runs/results.csv"):
        (tmp_path / name).write_text("precious")
    before = {p: p.is_file() and p.read_text() for p in tmp_path.rglob("*")}
    outcome = command(script, *typed, folder="")
    assert outcome.code == 1 and told in outcome.err and "=PATH" in outcome.err, outcome
    assert {p: p.is_file() and p.read_text() for p in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("link", [".hydra", ".hydra/overrides.yaml", "{}.log", "{}.log to come"])
@pytest.mark.parametrize(
    ("script", "typed"),
    [
        ("train.py", ["model=ecbsr_m4c8", "data=div2k", "data.root=nowhere", "hydra.run.dir=mine"]),
        ("evaluate.py", [*BICUBIC, "hydra.run.dir=mine"]),
        ("evaluate.py", ["-m", *BICUBIC, "hydra.sweep.dir=mine"]),
        ("compare.py", ["runs=runs", "out=mine"]),
        ("measure.py", ["model=srcnn", "hydra.run.dir=mine"]),
        ("upscale.py", ["input=x.png", "model=bicubic", "hydra.run.dir=mine"]),
    ],
)
def test_hidden_links_in_a_typed_folder_are_not_written_through(command, tmp_path, script, typed, link):
    place, outside = tmp_path / "mine" / link.format(script[:-3]).removesuffix(" to come"), tmp_path / "outside"
    place.parent.mkdir(parents=True)
    outside.mkdir()
    for name in ("config.yaml", "overrides.yaml", "hydra.yaml", *["bashrc"][link.endswith("come") :]):
        (outside / name).write_text("precious: 1")
    place.symlink_to(outside if link == ".hydra" else outside / "bashrc")
    before = {p.name: p.read_text() for p in outside.iterdir()}
    refused = command(script, *typed, folder="")
    assert refused.code == 1 and "is a link that leads out of it" in refused.err, refused
    assert {p.name: p.read_text() for p in outside.iterdir()} == before


@pytest.mark.parametrize("several", [False, True])
def test_a_folder_is_empty_with_what_is_hidden_and_stays_the_commands_own(command, div2k, tmp_path, several):
    (tmp_path / "mine").mkdir()
    for name in (".DS_Store", "evaluate.log"):  # the latter as who is killed at the first moment leaves it
        (tmp_path / "mine" / name).touch()
    words = ["-m", "hydra.sweep.dir=mine"] if several else ["hydra.run.dir=mine"]
    for _ in range(2):
        done = command("evaluate.py", *words, *BICUBIC, f"data.root={div2k}", folder="")
        assert done.code == 0 and (tmp_path / "mine" / ("0" if several else ".") / "results.csv").is_file(), done


def test_what_the_same_command_left_with_other_words_is_kept(command, div2k, tmp_path):
    typed = [*BICUBIC, f"data.root={div2k}", "hydra.run.dir=mine"]
    for words in ([], [], ["scale=2"], ["scale=3"]):
        done = command("evaluate.py", *typed, *words, folder="")
        assert done.code == 0 and ("is kept in" in done.err) == bool(words), done
    scales = [
        (tmp_path / "mine" / name / "results.csv").read_text().splitlines()[1] for name in ("former", "former_2", "")
    ]
    assert [line.split(",")[2] for line in scales] == ["4", "2", "3"]
    assert (tmp_path / "mine/former/.hydra/overrides.yaml").is_file()
    with locked(tmp_path / "mine"):
        busy = command("evaluate.py", *typed, folder="")
    assert busy.code == 1 and "is being run by another process" in busy.err, busy
    assert not (tmp_path / "mine/former_3").exists() and (tmp_path / "mine/.hydra").exists()


def test_a_refused_command_removes_nothing_of_one_that_runs(command, monkeypatch, tmp_path):
    monkeypatch.setattr("sr.runs.place.missing", lambda folder: folder.absolute())  # both came where there was none
    with locked(tmp_path / "mine"):
        (tmp_path / "mine/train.log").touch()
        done = command("train.py", "model=ecbsr_m4c8", "data=bundled", "hydra.run.dir=mine", folder="")
        assert done.code == 1 and "is being run by another process" in done.err, done
        remove(tmp_path / "mine", tmp_path / "mine", {".hydra", "train.log", ".lock", None})
        assert {p.name for p in (tmp_path / "mine").iterdir()} == {".hydra", "train.log", ".lock"}


def test_a_run_of_another_project_is_not_written_over(command, tmp_path):
    (tmp_path / "mine/.hydra").mkdir(parents=True)
    (tmp_path / "mine/.hydra/hydra.yaml").write_text("hydra: {job: {config_name: train}}")
    (tmp_path / "mine/composed.yaml").write_text("mine")
    done = command("train.py", "model=ecbsr_m4c8", "data=bundled", "hydra.run.dir=mine", folder="")
    assert done.code == 1 and "holds composed.yaml, and sr train did not make it" in done.err, done
    assert (tmp_path / "mine/composed.yaml").read_text() == "mine"


def test_what_a_refused_command_did_not_make_stays(command, tmp_path):
    (tmp_path / "outputs").mkdir()
    (tmp_path / "mine").mkdir()
    assert command("evaluate.py", folder="").code == command("evaluate.py", folder="mine").code == 1
    assert {p.name for p in tmp_path.iterdir()} >= {"outputs", "mine"} and not list((tmp_path / "outputs").iterdir())


def test_ctrl_c_before_anything_began_leaves_nothing(command, monkeypatch, tmp_path):
    monkeypatch.setattr("sr.measuring.evaluate.pick_device", lambda _: os.kill(os.getpid(), signal.SIGINT))
    with suppress(KeyboardInterrupt):
        assert command("evaluate.py", *BICUBIC, folder="").code != 0
    assert not (tmp_path / "outputs").exists()


def test_a_folder_with_anything_else_in_it_is_kept(tmp_path):
    folder = tmp_path / "outputs/run"
    own = {".hydra", "train.log", None}
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra/mine.txt").touch()
    remove(folder, tmp_path / "outputs", own)
    (folder / ".hydra/mine.txt").rename(folder / "mine.txt")
    remove(folder, tmp_path / "outputs", own)
    assert (folder / "mine.txt").exists()
    (folder / "mine.txt").rename(tmp_path / "outputs/mine.txt")
    remove(folder, tmp_path / "outputs", own)
    assert [p.name for p in (tmp_path / "outputs").iterdir()] == ["mine.txt"]
    assert missing(tmp_path) is None and missing(tmp_path / "a/b") == tmp_path / "a"


@pytest.mark.parametrize("apart", [{"WORLD_SIZE": "2", "RANK": "1"}, {"SLURM_STEP_NUM_TASKS": "2"}])
def test_processes_that_are_started_apart_are_told_to_name_one_folder(command, monkeypatch, tmp_path, apart):
    for name, value in apart.items():
        monkeypatch.setenv(name, value)
    outcome = command("train.py", "model=ecbsr_m4c8", "data=div2k", "data.root=nowhere", folder="")
    assert outcome.code == 1 and "Name one for all of them: hydra.run.dir=PATH" in outcome.err, outcome
    typed = command("train.py", "model=ecbsr_m4c8", "data=div2k", "data.root=nowhere", folder="one")
    assert typed.code == 1 and "DIV2K" in typed.err, typed


@pytest.mark.slow
def test_three_runs_begun_at_once_are_three_runs(div2k, tmp_path):
    typed = ["model=ecbsr_m4c8", "scale=2", "data=div2k", f"data.root={div2k}", "budget=smoke", "logger=csv"]
    environment = {**os.environ, "SR_CACHE_DIR": str(tmp_path / "cache")}
    runs = [
        subprocess.Popen([sys.executable, "-m", "sr", "train", *typed, f"seed={n}"], cwd=tmp_path, env=environment)
        for n in range(3)
    ]
    assert [run.wait(300) for run in runs] == [0, 0, 0]
    found = sorted((tmp_path / "outputs").glob("*/*/results.csv"))
    assert len(found) == 3
    seeds = {w for f in found for w in (f.parent / ".hydra/overrides.yaml").read_text().split() if "seed" in w}
    assert seeds == {"seed=0", "seed=1", "seed=2"}


def test_two_commands_at_once_in_one_typed_folder_lose_nothing(div2k, tmp_path):
    """Both found the folder free before either had written: the records were one's and the figures the other's."""
    typed = [ROOT / "evaluate.py", *BICUBIC, f"data.root={div2k}", f"hydra.run.dir={tmp_path / 'both'}"]

    def run(metric):
        words = [sys.executable, *typed, f"metrics=[{metric}]"]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)

    with ThreadPoolExecutor(2) as several:
        refused = [done for done in several.map(run, ("psnr", "ssim")) if done.returncode]
    assert all("both is being run by another process" in done.stderr for done in refused), refused
    found = list((tmp_path / "both").glob("**/results.csv"))
    assert len(found) == 2 - len(refused)
    for file in found:
        (metric,) = {"psnr", "ssim"} & set(file.read_text().splitlines()[0].split(","))
        assert f"metrics=['{metric}']" in (file.parent / ".hydra/overrides.yaml").read_text()


def test_a_folder_that_takes_the_commands_place_is_not_written_in(command, monkeypatch, tmp_path):
    """Its results.csv was written over, with exit status 0."""
    from sr.measuring import evaluate

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/results.csv").write_text("mine")
    score = evaluate.score_all

    def exchanged(entries, sets, folder, *rest, **more):
        Path(folder).rename(tmp_path / "moved")
        Path(folder).symlink_to(tmp_path / "mine")
        return score(entries, sets, folder, *rest, **more)

    monkeypatch.setattr(evaluate, "score_all", exchanged)
    done = command("evaluate.py", "model=bicubic", "scale=4", "panels=0", folder="run")
    assert done.code == 1 and "run when this command began, and leads to" in done.err, done
    assert [p.read_text() for p in (tmp_path / "mine").iterdir() if p.suffix == ".csv"] == ["mine"]


def test_a_run_whose_folder_is_moved_says_so_and_goes_on_from_there(command, monkeypatch, tmp_path):
    """It ended with 'No such file or directory. Name another place'."""
    write = Checkpoints._publish

    def moved(self, trainer):
        write(self, trainer)
        (tmp_path / "run").rename(tmp_path / "moved")

    typed = ["model=srcnn", "scale=2", "data=bundled", "budget=smoke", "steps=4", "val_every_steps=2", "benchmarks=[]"]
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "_publish", moved)
        ended = command("train.py", *typed, "trainer=cpu", folder="run")
    assert ended.code == 1 and "run is not there any more" in ended.err and "resume=<new place>" in ended.err, ended
    assert not (tmp_path / "run").exists()
    again = command("train.py", f"resume={tmp_path / 'moved'}")
    assert again.code == 0 and recorded(tmp_path / "moved")["status"] == "finished", again
