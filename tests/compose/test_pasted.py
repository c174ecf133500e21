"""Commands that are printed work when they are pasted into a shell, whatever a folder is called."""

from pathlib import Path

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from small_runs import pasted

from sr.compose.words import Word, Words, path_word, quoted
from sr.errors import UserError
from sr.runs import checkpoint, composed, same_data
from sr.training.resumed import refuse_torn
from sr.zoo.entries import ENTRIES
from sr.zoo.files import read_tensors
from sr.zoo.locate import find

AWKWARD = 'it\'s $HOME [x], y & "z"'
SMALL = ["model=ecbsr_m4c8", "scale=2", "budget=smoke", "callbacks=[]", "benchmarks=[]"]


@pytest.mark.parametrize(
    "name",
    [AWKWARD, "a b", "back\\slash", "ends\\", "quote\\'s", "x=1,y", "'", "(c) ~ #", "a${oc.env:HOME}", "b\\${x}"],
)
def test_a_quoted_name_is_read_as_it_was(name):
    assert Word(f"resume={quoted(name)}").value == name
    assert OmegaConf.create({"x": Word(f"resume={quoted(name)}").parsed}).x == name, "not what Hydra would look up"


def ours(folder: Path) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    node = {"_target_": "sr.models.srcnn.SRCNN", "scale": 2}
    told = {"format": 2, "name": "srcnn", "model": node, "config": {}}
    torch.save({"state_dict": {}, "global_step": 4, "sr": told}, folder / "checkpoints/last.ckpt")
    return folder / "checkpoints/last.ckpt"


def own_place(folder: Path) -> None:
    config = {"model": {"_target_": "sr.models.srcnn.SRCNN"}, "choices": {"model": "srcnn"}}
    composed.keep(folder, OmegaConf.create(config), Words(["model=srcnn", "init_from=other"]))
    composed.with_resumed_run(Words([path_word("resume", folder), "hydra.run.dir=elsewhere", "steps=9"]))


def other_images(folder: Path) -> None:
    same_data.keep(folder, {"train": {}, "val": {"a": "1"}}, [])
    same_data.refuse_others(folder, {"train": {}, "val": {"a": "2"}}, Words(["model=srcnn", "steps=9"]))


def torn(folder: Path) -> None:
    refuse_torn(checkpoint.read(folder), folder, Words(["model=srcnn", "steps=9"]))


def foreign(folder: Path) -> None:
    torch.save({"w": torch.zeros(1)}, folder / "checkpoints/last.ckpt")
    checkpoint.read(folder)


def another_file(folder: Path) -> None:
    entry = ENTRIES[0]
    (folder / "checkpoints/last.ckpt").rename(folder / entry.file)
    find(entry, folder, download=False)


@pytest.mark.parametrize("refusal", [own_place, other_images, torn])
def test_a_refusal_names_the_command_that_begins_from_the_weights(tmp_path, refusal):
    ours(folder := tmp_path / AWKWARD)
    with pytest.raises(UserError) as caught:
        refusal(folder)
    told = str(caught.value)
    command, *typed = pasted(told[told.index("sr train") :])
    assert command == "train" and {word.key: word.value for word in Words(typed)} == {
        "model": "srcnn", "steps": "9", "init_from": str(folder)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("refusal", "before", "key"),
    [
        (lambda folder: read_tensors(folder / "checkpoints/last.ckpt"), "type ", "checkpoint"),
        (foreign, "measured with ", "weights"),
        (another_file, "measure it as it is: ", "weights"),
    ],
)
def test_a_refusal_names_the_word_to_type_instead(tmp_path, refusal, before, key):
    ours(folder := tmp_path / AWKWARD)
    with pytest.raises(UserError) as caught:
        refusal(folder)
    (word,) = pasted(f"sr {str(caught.value).rpartition(before)[2]}")
    (file,) = (p for p in folder.rglob("*") if p.is_file())
    assert Word(word).key == key and Word(word).value == str(file)


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
