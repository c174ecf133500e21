"""An enlarging run that is killed at random moments and typed again."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import photo
from folder_of_everything import fill, spoil
from PIL import Image
from small_runs import ROOT, wait_for

NUMBER = 24


def start(folder: Path, *words: str) -> subprocess.Popen:
    typed = [sys.executable, str(ROOT / "upscale.py"), "input=in", "side_by_side=true", *words]
    with (folder / "log").open("w") as log:
        return subprocess.Popen(typed, cwd=folder, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})


def seen(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.png") if p.name[0] != "."}


@pytest.mark.slow
def test_a_folder_of_everything_ends_the_same_after_kills(network, tmp_path):
    """With what can be read of a picture of 20000x100, and what is bad named each time."""
    fill(tmp_path / "in")
    spoil(tmp_path / "in")
    Image.fromarray(np.tile(photo(100, 100), (1, 200, 1))).save(tmp_path / "in/panorama.png")
    words = [f"model={network}", "format=png"]
    assert start(tmp_path, *words, "output=whole").wait(300) == 1
    bad = {line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("  ")}
    whole, cut = seen(tmp_path / "whole"), tmp_path / "cut"
    assert len(whole) == 2 * 16 and len(bad) == 4, bad  # the long ones fit into PNG
    with Image.open(tmp_path / "whole/panorama_x2.png") as image:
        assert image.size == (40_000, 200)
    draw = random.Random(1)
    for stop in (3, 17):
        process = start(tmp_path, *words, "output=cut")
        wait_for(lambda stop=stop: len(list(cut.rglob("[!.]*.png"))) >= stop, process)
        time.sleep(draw.uniform(0, 0.3))
        process.kill()
        process.wait()
        assert seen(cut).items() <= whole.items()
    assert start(tmp_path, *words, "output=cut").wait(300) == 1
    text = (tmp_path / "log").read_text()
    assert seen(cut) == whole and "are there already" in text
    assert {line for line in text.splitlines() if line.startswith("  ")} == bad


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
