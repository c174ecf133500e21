"""An enlarging run that is killed at random moments and typed again."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_runs import ROOT, wait_for

NUMBER = 24


def start(folder: Path, *words: str) -> subprocess.Popen:
    typed = [sys.executable, str(ROOT / "upscale.py"), "input=in", "side_by_side=true", *words]
    with (folder / "log").open("w") as log:
        return subprocess.Popen(typed, cwd=folder, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})


def seen(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.png") if p.name[0] != "."}


@pytest.mark.slow
def test_killed_at_random_moments_and_typed_again_it_ends_the_same(network, photos, tmp_path):
    photos(tmp_path / "in", NUMBER, 60, 80)
    words, draw = [f"model={network}", "output=cut"], random.Random(0)
    assert start(tmp_path, f"model={network}", "output=whole").wait(120) == 0
    whole, cut = seen(tmp_path / "whole"), tmp_path / "cut"
    assert len(whole) == 2 * NUMBER
    done: list[int] = []
    for _ in range(2):
        before = len(seen(cut))
        process = start(tmp_path, *words)
        wait_for(lambda before=before: len(list(cut.rglob("[!.]*.png"))) > before, process)
        time.sleep(draw.uniform(0, 0.2))
        process.kill()
        process.wait()
        done.append(len(seen(cut)))
        assert seen(cut).items() <= whole.items()  # each whole, or not there
    assert 0 < done[0] < 2 * NUMBER
    (cut / ".0001_x2.123.part.png").write_bytes(b"as a kill leaves it")
    (cut / ".mine.123.part.png").write_bytes(b"of nobody's result here")
    assert start(tmp_path, *words).wait(120) == 0
    assert "are there already" in (tmp_path / "log").read_text() and seen(cut) == whole
    assert {p.name for p in cut.glob(".*")} == {".lock", ".upscaled.jsonl", ".mine.123.part.png"}
    assert not list((cut / "side_by_side").glob(".*"))
