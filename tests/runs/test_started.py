"""Processes that Slurm or torchrun start and take away: one folder for all, the job put back when the run has ended."""

import os
import signal
import subprocess
import sys

import pytest
from omegaconf import OmegaConf
from small_runs import ROOT

from sr.errors import UserError
from sr.runs import started
from sr.runs.preempted import requests_passed_on
from sr.training.processes import with_processes

WORDS = ["model=srcnn"]
usr1 = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="there is no such signal here")


@pytest.fixture
def job(monkeypatch, tmp_path):
    """job(NTASKS=2) sets Slurm's variables."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "TORCHELASTIC_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()

    def set_variables(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"SLURM_{name}", str(value))

    return set_variables


def test_processes_of_a_job_hear_its_folder_and_so_does_its_next_attempt(job, monkeypatch, tmp_path):
    job(JOB_ID=7, STEP_ID=0)
    assert started.remembered(WORDS) is None
    started.tell(WORDS, f"{tmp_path}/run")
    assert started.hear(WORDS) == f"{tmp_path}/run"
    monkeypatch.setattr(started, "WAIT", 0.1)
    with pytest.raises(UserError, match=r"hydra\.run\.dir=PATH"):
        started.hear(["model=fsrcnn"])
    job(RESTART_COUNT=1)
    assert started.remembered(WORDS) == tmp_path / "run" and started.remembered(["model=fsrcnn"]) is None
    with pytest.raises(UserError, match="has told nothing"):
        started.hear(WORDS)  # of this attempt nothing was told yet
    with monkeypatch.context() as another:
        another.setattr(os, "getuid", lambda: -1)
        assert started.remembered(WORDS) is None, "somebody else put it there, and named his folder"
    (tmp_path / "run").rmdir()  # nothing had begun
    assert started.remembered(WORDS) is None


def test_tasks_are_the_runs_devices(job):
    cfg = OmegaConf.create({"trainer": {"devices": 1, "num_nodes": 1, "strategy": "auto"}})
    job(JOB_ID=7, NTASKS=4, PROCID=0)
    assert with_processes(cfg, set()) is cfg and "SLURM_NTASKS" not in os.environ  # no srun: it starts its own
    job(NTASKS=4, STEP_NUM_TASKS=4, STEP_NUM_NODES=2)
    trainer = with_processes(cfg, set()).trainer
    assert (trainer.devices, trainer.num_nodes, trainer.strategy) == (2, 2, "ddp")
    assert os.environ["SLURM_NTASKS_PER_NODE"] == "2"
    cfg.trainer.devices = 4
    with pytest.raises(UserError, match=r"srun has started 4 processes on 2 nodes: leave trainer\.devices out, or"):
        with_processes(cfg, {"trainer.devices"})
    job(STEP_NUM_TASKS=3)
    with pytest.raises(UserError, match="as many as the others"):
        with_processes(cfg, set())


ASKED = """
import os, signal
from sr.runs.preempted import take_requests
take_requests()
if not os.fork():
    os.kill(os.getpid(), signal.SIGUSR1)  # a loader's worker
    os._exit(0)
assert os.wait()[1] == 0
os.kill(os.getpid(), signal.SIGUSR1)
"""


@usr1
@pytest.mark.parametrize(
    ("variables", "put_back"),
    [
        ({}, "requeue 7\n"),
        ({"SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "2", "SLURM_PROCID": "0"}, "requeue 5_2\n"),
        ({"SLURM_PROCID": "1"}, ""),
    ],
    ids=["a job", "one of an array", "its second process"],
)
def test_a_run_that_is_asked_ends_and_puts_its_job_back(job, tmp_path, variables, put_back):
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\necho $* >> {tmp_path}/told\n")
    (tmp_path / "scontrol").chmod(0o755)
    (tmp_path / "told").touch()
    environment = {**os.environ, "SLURM_JOB_ID": "7", "PATH": f"{tmp_path}:{os.environ['PATH']}", **variables}
    done = subprocess.run([sys.executable, "-c", ASKED], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert (tmp_path / "told").read_text() == put_back


@usr1
def test_who_has_started_a_row_puts_its_job_back_when_the_row_has_ended(job, monkeypatch):
    """As submitit does, which would end the process in the middle of a step."""
    job(JOB_ID=7)
    order, former = [], signal.signal(signal.SIGUSR2, lambda *_: order.append("put back"))
    try:
        with pytest.raises(SystemExit), requests_passed_on():
            try:
                os.kill(os.getpid(), signal.SIGUSR2)
            finally:
                order.append("saved")
        assert order == ["saved", "put back"]
        os.kill(os.getpid(), signal.SIGUSR2)
        assert order[2:] == ["put back"]
    finally:
        signal.signal(signal.SIGUSR2, former)


@pytest.fixture
def strangers(tmp_path):
    """A folder where the user stands, with modules of somebody else's who would print that they are run."""
    for name in ("sr/__init__.py", "sr/__main__.py", "joblib.py", "yaml.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("print('a stranger is run')")
    return tmp_path


@pytest.mark.parametrize("flags", [[], ["-P"]])
def test_what_a_command_starts_imports_nothing_from_where_the_user_stands(strangers, flags):
    script = (
        f"import subprocess, sys; sys.path[0] = {str(ROOT)!r}\n"
        "from sr.runs.started import starting_alike\n"
        "with starting_alike():\n"
        "    subprocess.run([sys.executable, '-c', 'import sr, yaml; print(sr.__file__)'])"
    )
    given = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    given |= {"PYTHONPATH": str(ROOT)} if flags else {}
    told = subprocess.run(
        [sys.executable, *flags, "-c", script], cwd=strangers, env=given, capture_output=True, text=True
    )
    assert told.stdout.strip() == str(ROOT / "sr/__init__.py"), told


@pytest.mark.parametrize("path", [None, "somewhere"])
def test_a_command_within_another_program_leaves_its_surroundings_as_they_were(command, monkeypatch, path):
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.setenv("PYTHONPATH", path) if path else monkeypatch.delenv("PYTHONPATH", raising=False)
    assert command("evaluate.py", "no=such").code == 1
    assert "PYTHONSAFEPATH" not in os.environ and os.environ.get("PYTHONPATH") == path


@pytest.mark.slow
@pytest.mark.parametrize("typed", [["trainer.devices=2", "trainer.accelerator=cpu"], ["hydra/launcher=joblib"]])
def test_rows_of_a_sweep_run_nothing_from_where_the_user_stands(strangers, typed):
    given = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    words = ["-m", "experiment=demo", "budget=smoke", "logger=csv", "benchmarks=[]", "seed=0,1", *typed]
    command = [sys.executable, ROOT / "train.py", *words]
    told = subprocess.run(command, cwd=strangers, env=given, capture_output=True, text=True)
    assert told.returncode == 0 and "stranger" not in told.stdout + told.stderr, told
