"""Commands that are printed work when they are pasted into a shell, whatever a folder is called."""

import subprocess

import pytest
import yaml

from sr.compose.words import Word, quoted

AWKWARD = 'it\'s $HOME [x], y & "z"'
SMALL = ["model=ecbsr_m4c8", "scale=2", "budget=smoke", "callbacks=[]", "benchmarks=[]"]


def pasted(printed: str) -> list[str]:
    """The words that bash gives `sr` when a line is pasted into it."""
    shell = subprocess.run(
        ["bash", "-c", f"sr() {{ printf '%s\\0' \"$@\"; }}\n{printed}"], capture_output=True, text=True, check=True
    )
    return shell.stdout.split("\0")[:-1]


@pytest.mark.parametrize("name", [AWKWARD, "a b", "back\\slash", "ends\\", "quote\\'s", "x=1,y", "'", "(c) ~ #"])
def test_a_quoted_name_is_read_as_it_was(name):
    assert Word(f"resume={quoted(name)}").value == Word(f"resume={quoted(name)}").parsed == name


@pytest.mark.slow
def test_the_commands_that_a_run_prints_go_on_with_it_in_a_folder_of_any_name(command, photos, tmp_path):
    folder, images = tmp_path / AWKWARD / "run", tmp_path / AWKWARD / "photos"
    photos(images, 3)
    place = f"hydra.run.dir={quoted(folder)}"
    data = ["data=folder", f"data.root={images}", "patch_size=8"]
    first = command("train.py", "logger=csv", place, *SMALL, *data)
    assert first.code == 0, first
    there = command("train.py", "logger=csv", place, *SMALL, *data, "seed=1")
    name, *typed = pasted(there.err[there.err.index("sr train") :].split(". Or give")[0])
    assert name == "train" and typed == [f"resume={quoted(folder)}"], there
    changed = command("train.py", *typed, "optimizer.lr=0.5")
    assert changed.code == 1 and "optimizer.lr was" in changed.err, changed
    name, *typed = pasted(changed.err[changed.err.index("sr train") :])
    again = command("train.py", *typed, "--cfg", "job", folder="again")
    assert again.code == 0 and yaml.safe_load(again.out)["init_from"] == str(folder), again
