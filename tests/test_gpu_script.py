"""The GPU script loses no part to another one's failure, and runs whole at toy sizes on a processor."""

import json
import os
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
PARTS = """
import os
import signal
import time

def done(part):
    part.case("t", {"n": 1}, lambda: {"ms": 1.5})

def hangs(part):
    part.case("t", {"n": "before"}, lambda: {"ms": 2.5})
    part.case("t", {"n": "slow"}, lambda: time.sleep(60), seconds=1)
    part.case("t", {"n": "after"}, lambda: {"ms": 3.5})
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.signal = lambda *_: None
    part.case("t", {"n": "deaf"}, lambda: time.sleep(60))

def dies(part):
    def die():
        os.kill(os.getpid(), signal.SIGSEGV)
    part.case("t", {"n": "crash"}, die)
    part.check("behind the crash", lambda: (True, "there"))

def wrong(part):
    part.check("odd", lambda: (False, "it is even"))
    part.case("t", {"n": "error"}, lambda: {}["x"])
"""


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # benchmarks are measured with one
    yield
    for name in [n for n in sys.modules if n == "beside" or n.partition(".")[0] == "gpu"]:
        del sys.modules[name]


def test_a_part_that_hangs_or_dies_takes_no_other_with_it(gpu, tmp_path, monkeypatch):
    from gpu import __main__ as script

    for name in ("done", "hangs", "dies", "wrong"):
        (tmp_path / f"{name}_part.py").write_text(f"{PARTS}\nrun = {name}\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT / "benchmarks"), str(ROOT)])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setattr(script, "GRACE", 0.3)
    monkeypatch.setattr(script, "START", 0.2)
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    out.mkdir()
    scratch.mkdir()
    run = script.Run(out, scratch, 60, toy=False)
    plan = {name: script.Planned(f"{name}_part", 2.5 if name == "hangs" else 20) for name in ("hangs", "dies", "wrong")}
    found = run.perform({**plan, "done": script.Planned("done_part", None)})
    ended = {part["part"]: part["ended"] for part in found["parts"]}
    assert ended == {"hangs": script.LATE, "dies": "whole", "wrong": "whole", "done": "whole"}
    rows = {row["n"]: row for row in found["tables"]["t"]}
    assert rows["before"]["ms"] == 2.5 and rows["after"]["ms"] == 3.5 and rows[1]["ms"] == 1.5
    assert rows["slow"]["note"] == "took longer than 1 s"
    assert script.LATE in rows["deaf"]["note"] and "status -11" in rows["crash"]["note"]
    assert rows["error"]["note"] == "failed: KeyError: 'x'"
    assert found["tables"]["checks"] == [
        {"check": "behind the crash", "passed": True, "found": "there"},
        {"check": "odd", "passed": False, "found": "it is even"},
    ]
    assert json.loads((out / "gpu.json").read_text()) == found
    assert "| odd | **no** | it is even |" in (out / "gpu.md").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_whole_of_it_at_toy_sizes(tmp_path):
    done = subprocess.run(
        ["bash", ROOT / "benchmarks/gpu.sh", "--toy", "out"],
        cwd=tmp_path,
        env={**os.environ, "PYTHON": sys.executable, "TMPDIR": str(tmp_path), "HOME": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    log = (tmp_path / "out/gpu.log").read_text()
    assert done.returncode == 0, done.stderr + done.stdout + log
    found = json.loads((tmp_path / "out/gpu.json").read_text())
    assert [part["ended"] for part in found["parts"]] == 9 * ["whole"] and found["machine"]["torch"]
    tables = found["tables"]
    assert {"checks", "crops", "steps", "waiting", "precision", "learning"} <= tables.keys()
    assert {"averaging", "deformable", "forms", "upscaling"} <= tables.keys()
    notes = {row.get("note", "").partition(":")[0] for rows in tables.values() for row in rows}
    assert notes <= {"", "refused"}  # a graph without a GPU, torchvision
    assert all(row["passed"] for row in tables["checks"] if "note" not in row)
    eager = [row for row in tables["steps"] if row["way"] in ("eager", "bare loop")]
    assert len(eager) == 8 and all(row["ms a step"] > 0 for row in eager)
    assert all(row["curve x2"] for row in tables["learning"])
    assert not list(tmp_path.glob("sr_gpu*"))
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"gpu.json", "gpu.md", "gpu.log"}


def test_without_a_gpu_it_says_so_at_once(gpu, tmp_path, monkeypatch):
    from gpu import device
    from gpu.part import NO_DEVICE, Part

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as stop:
        device.device_of(Part("equal", tmp_path / "lines", 60, tmp_path, toy=False))
    assert stop.value.code == NO_DEVICE


def test_the_device_s_numbers_are_compared(gpu, tmp_path, monkeypatch):
    from gpu import equal
    from gpu.part import Part, lines

    monkeypatch.setenv("SR_CACHE_DIR", str(tmp_path / "images"))
    part = Part("equal", tmp_path / "lines", 60, tmp_path, toy=True)
    monkeypatch.setattr(equal, "by_workers", lambda *_: (True, "in the slow tier"))
    equal.run(part)
    rows = [line["measured"] for line in lines(part.file) if line.get("table") == "checks" and "measured" in line]
    assert len(rows) > 15 and all(row["passed"] for row in rows), rows
    calls = count()
    monkeypatch.setattr(equal, "imresize", lambda x, factor: x + next(calls))  # the device's is one level off
    hr = torch.zeros(1, 3, 96, 96, dtype=torch.uint8)
    assert equal.bytes_resized(hr, 2, torch.device("cpu")) == (False, "27,648 of 27,648 values differ")
