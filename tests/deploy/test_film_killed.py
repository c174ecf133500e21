"""A film's command that is killed at a random moment and typed again; and the memory that a long film takes."""

import os
import random
import subprocess
import sys
import time

import numpy as np
import pytest
from small_films import RATE, frames, moving, packets, times, write
from small_runs import ROOT, wait_for

pytest.importorskip("av", reason="PyAV is not installed")
RUN = """
import runpy, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, str(__import__("pathlib").Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def start(folder, *words, by=()):
    typed = [sys.executable, *by, str(ROOT / "upscale.py"), "model=bicubic", "scale=2", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("w") as log:
        return subprocess.Popen(typed, cwd=folder, stdout=log, stderr=log, env=environment)


@pytest.mark.slow
def test_killed_at_a_random_moment_and_typed_again_no_frame_differs(tmp_path):
    source = write(tmp_path / "film.mp4", moving(40, 90, 120) * 8)
    words = ["input=film.mp4", "side_by_side=true"]
    assert start(tmp_path, *words, "output=whole").wait(120) == 0
    cut = tmp_path / "cut"
    process = start(tmp_path, *words, "output=cut")
    wait_for(lambda: list(cut.glob(".*.pieces/00000[1-3]_1.mkv")), process)
    time.sleep(random.Random(0).uniform(0, 0.2))
    process.kill()
    assert process.wait() < 0 and not (cut / "film_x2.mp4").exists()
    closed = len(list(cut.glob(".*.pieces/*_1.mkv")))
    assert start(tmp_path, *words, "output=cut").wait(120) == 0
    told = (tmp_path / "log").read_text()
    assert any(f"{48 * n} of 320 frames are there already" in told for n in (closed - 1, closed)), told
    assert {p.name for p in cut.rglob("*")} == {
        ".lock", ".upscaled.jsonl", "film_x2.mp4", "side_by_side"
    }  # fmt: skip
    for name in ("film_x2.mp4", "side_by_side/film_x2.mp4"):
        made, right = frames(cut / name), frames(tmp_path / "whole" / name)
        assert len(made) == len(right) == 320
        for a, b in zip(made, right, strict=True):
            assert np.array_equal(a.to_ndarray(), b.to_ndarray())
        assert times(cut / name) == [float(n / RATE) for n in range(320)]
        assert packets(cut / name) == packets(source)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read as Linux tells it")
def test_memory_does_not_grow_with_the_length_of_a_film(tmp_path):
    """30 and 120 seconds."""
    peaks = []
    for seconds in (30, 120):
        write(tmp_path / f"{seconds}.mp4", moving(24, 48, 64) * seconds)
        process = start(tmp_path, f"input={seconds}.mp4", f"output=out{seconds}", by=["-c", RUN])
        assert process.wait(300) == 0, (tmp_path / "log").read_text()
        assert len(times(tmp_path / f"out{seconds}/{seconds}_x2.mp4")) == 24 * seconds
        peaks.append(int((tmp_path / "log").read_text().split()[-1]) / 1024)
    assert peaks[0] > 200 and peaks[1] - peaks[0] < 25, peaks  # MiB; 4 as measured, of 470
