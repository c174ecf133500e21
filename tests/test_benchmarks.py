"""Each benchmark runs, at toy sizes, and prints a whole table."""

import os
import subprocess
import sys
from pathlib import Path

import networks as nets
import pytest

TOY = {
    "channels_last": ["--rounds", "1", "--patch", "16", "--batch", "1"],
    "forms": ["--rounds", "1", "--side", "64", "--networks", "RLFN", "--forms", "auto", "merged"],
    "cache": ["--size", "40", "50", "--images", "2", "--rounds", "1"],
    "degradation": ["--rounds", "1"],
    "loader": ["--batches", "1", "--rounds", "1"],
    "loop": ["--steps", "60"],
    "export": ["--small", "--only", "espcn", "rlfn", "--sizes", "3"],
    "many": ["--images", "20", "30", "--samples", "320"],
    "large": ["--only", "1", "2", "--part", "40"],
    "startup": ["--rounds", "2"],
    "compare": ["--runs", "4", "--rounds", "1", "--steps", "20"],
    "ema": ["--rounds", "1"],
    "evaluate": ["--size", "80", "90", "--images", "2", "--rounds", "1"],
    "metrics": ["--size", "60", "72", "--rounds", "1"],
    "tiles": ["--rounds", "1", "--side", "16"],
    "resize": ["--size", "24", "36", "--rounds", "1"],
}


def printed(root: Path, name: str, *typed: str) -> str:
    """By benchmarks/NAME.py, which must end well."""
    if name == "export":
        pytest.importorskip("onnxruntime")
    script, paths = root / "benchmarks" / f"{name}.py", (str(root / "tests"), os.environ.get("PYTHONPATH", ""))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    run = subprocess.run([sys.executable, script, *typed], capture_output=True, text=True, cwd=root, env=environment)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", TOY)
def test_prints_a_table(root: Path, name: str) -> None:
    rows = [line for line in printed(root, name, *TOY[name]).splitlines() if line.startswith("|")]
    assert len(rows) > 3 and len({row.count("|") for row in rows}) == 1


@pytest.mark.slow
def test_a_row_measured_anew_stands_in_place_of_the_one_before(root: Path, tmp_path: Path) -> None:
    page = "Text\n\nWeights that are drawn, by hand:\n\n| name | error |\n| --- | --- |\n{}| plain | kept |\n\nBelow\n"
    for before in ("", "| basicvsr | old |\n"):
        (tmp_path / "page.md").write_text(page.format(before))
        assert not printed(root, "export", "--into", str(tmp_path / "page.md"), "--only", "basicvsr")
        above, row, below = (tmp_path / "page.md").read_text().partition("| basicvsr | x4 | - | - | - | ")
        assert row and above + below.partition("\n")[2] == page.format("") and "old" not in below


def test_each_network_has_a_row_of_how_it_is_exported(root: Path) -> None:
    """Also those that are not, with the reason."""
    table = (root / "benchmarks/export.md").read_text().partition("Weights that are drawn")[2].partition("\n\n")[2]
    rows = [line.split()[1] for line in table.partition("\n\n")[0].splitlines()[2:]]
    assert rows == nets.NAMES


@pytest.mark.parametrize("name", TOY)
def test_its_table_is_kept(root: Path, name: str) -> None:
    assert (root / f"benchmarks/{name}.md").read_text().count("|") > 9
    assert f"[{name}.py]({name}.md)" in (root / "benchmarks/README.md").read_text()
