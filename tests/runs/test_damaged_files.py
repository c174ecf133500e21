"""Files that were damaged at random end in a message of their own, quickly, or in what they held."""

import json
import logging
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
from omegaconf import OmegaConf

from sr.compose import schema
from sr.compose.conf import CONF
from sr.compose.words import Words
from sr.errors import UserError
from sr.models.edsr import EDSR
from sr.models.rlfn import RLFN
from sr.runs import checkpoint, composed
from sr.runs.folder import find_runs, read_run
from sr.runs.record import record, record_sweep, recorded
from sr.zoo import load as zoo
from sr.zoo.torch_maps import TORCH_FAMILIES

SECONDS = 5.0
FEW = {"flips": 40, "cuts": 16, "texts": 12}
ALL = {"flips": 600, "cuts": 200, "texts": 100}
AMOUNTS = [pytest.param(FEW, id="few"), pytest.param(ALL, id="all", marks=pytest.mark.slow)]
SMALL = {"scale": 2, "num_blocks": 1, "channels": 4}


def flipped(content: bytes, dice: random.Random) -> bytes:
    found = bytearray(content)
    found[dice.randrange(len(found))] ^= 1 << dice.randrange(8)
    return bytes(found)


def cut(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content))]


def mutated(content: bytes, dice: random.Random) -> bytes:
    """A line repeated, dropped, moved in or out, another's value, a few bytes that do not belong there, or a bit."""
    lines = content.split(b"\n")
    i, j = dice.randrange(len(lines)), dice.randrange(len(lines))
    kind = dice.randrange(6)
    if kind == 0:
        lines.insert(j, lines[i])
    elif kind == 1:
        del lines[i]
    elif kind == 2:
        lines[i] = b"  " + lines[i] if dice.random() < 0.5 else lines[i].lstrip()
    elif kind == 3:
        lines[i] = lines[i].partition(b":")[0] + b":" + lines[j].partition(b":")[2]
    elif kind == 4:
        odd = [b"\xff", b"\x00", b"{", b"]", b": ", b"${", b"&a ", b"*a", b"!!python/object:os.system", b"1e999", b"-"]
        at = dice.randrange(len(lines[i]) + 1)
        lines[i] = lines[i][:at] + dice.choice(odd) + lines[i][at:]
    else:
        return flipped(content, dice)
    return b"\n".join(lines)


def ends_well(read: Callable[[], Any], told: str) -> Any:
    """What was read, or None after a message to the user; anything else, or slowness, is a fault."""
    begin = time.monotonic()
    try:
        found = read()
    except UserError as error:
        assert str(error), told
        found = None
    assert time.monotonic() - begin < SECONDS, told
    return found


def same(model: Any, state: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


@pytest.fixture
def files(tmp_path) -> dict[str, tuple[Path, Callable[[Path], Any], dict[str, torch.Tensor], bool]]:
    """Name -> file, what reads it, the weights in it, whether it has checksums."""
    torch.manual_seed(0)
    ours, theirs = EDSR(**SMALL), RLFN(**SMALL, esa_channels=2)
    content = {
        "state_dict": ours.state_dict(),
        "global_step": 3,
        "sr": {
            "format": 2,
            "name": "edsr",
            "model": {"_target_": "sr.models.edsr.EDSR", **SMALL},
            "config": {"scale": 2, "choices": {"model": "edsr"}, "budget": {"name": "paper"}},
        },
    }
    family = next(f for f in TORCH_FAMILIES if f.name == "RLFN")
    authors = {family.theirs(key, theirs): value for key, value in theirs.state_dict().items()}
    places = {name: tmp_path / f"{name}.file" for name in ("ours", "authors", "old")}
    torch.save(content, places["ours"])
    torch.save(authors, places["authors"])
    torch.save(authors, places["old"], _use_new_zipfile_serialization=False)
    authors_model = partial(zoo.load, folder=tmp_path, range_="own")
    return {
        "ours": (places["ours"], checkpoint.load, ours.state_dict(), True),
        "authors": (places["authors"], lambda p: authors_model(str(p)).model, theirs.state_dict(), True),
        "old": (places["old"], lambda p: authors_model(str(p)).model, theirs.state_dict(), False),
    }


@pytest.mark.parametrize("amounts", AMOUNTS)
@pytest.mark.parametrize("kind", ["flips", "cuts"])
def test_damaged_checkpoints(files, tmp_path, caplog, kind, amounts):
    caplog.set_level(logging.INFO)
    damage, dice = {"flips": flipped, "cuts": cut}[kind], random.Random(f"seed 11 {kind}")
    odd = tmp_path / "damaged_x2.pth"
    for n in range(amounts[kind]):
        name = ("ours", "ours", "authors", "old")[n % 4]
        file, read, state, checksums = files[name]
        odd.write_bytes(damage(file.read_bytes(), dice))
        caplog.clear()
        model = ends_well(partial(read, odd), f"{kind} {n} of {name}")
        unknown = not checksums and "holds no checksums" in caplog.text
        assert model is None or unknown or same(model, state), f"{kind} {n} of {name}: other weights without a word"


def test_a_part_that_is_called_a_folder_is_damage(files, tmp_path):
    """One bit of a zip file's list of contents; torch then leaves the memory of the values as it was."""
    file, read, _, _ = files["ours"]
    whole, odd = file.read_bytes(), tmp_path / "odd.ckpt"
    entries = [n for n in range(len(whole)) if whole.startswith(b"PK\x01\x02", n)]
    assert len(entries) > 6
    for at in entries:
        content = bytearray(whole)
        content[at + 38] ^= 0x10  # the external attributes
        odd.write_bytes(content)
        with pytest.raises(UserError, match="is called a folder"):
            read(odd)


def test_a_container_that_tells_of_other_disks_is_damage(files, tmp_path):
    file, read, _, _ = files["ours"]
    content, odd = bytearray(file.read_bytes()), tmp_path / "odd.ckpt"
    content[content.rindex(b"PK\x06\x07") + 4] ^= 1  # the number of the disk that the end lies on
    odd.write_bytes(content)
    with pytest.raises(UserError, match=r"odd\.ckpt cannot be read as weights .* Is it complete"):
        read(odd)


@pytest.mark.parametrize("amounts", AMOUNTS)
def test_damaged_records(tmp_path, amounts):
    schema.register()
    words = ["model=srcnn", "scale=2", "data_dir=some where"]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose("train", overrides=["model=srcnn", "scale=2"])
    folder = tmp_path / "runs/one"
    composed.keep(folder, config, Words(words))
    record(folder, "finished", seconds=3.5, steps=4, device="cpu")
    record_sweep(tmp_path / "runs", "sr train -m", None, [{"row": "one"}], {})
    (folder / ".hydra").mkdir()
    (folder / ".hydra/config.yaml").write_text(OmegaConf.to_yaml(config))
    (folder / ".hydra/overrides.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(words)))
    (folder / ".hydra/hydra.yaml").write_text("hydra:\n  runtime:\n    choices:\n      model: srcnn\n")
    records = [
        folder / composed.RECORD, folder / ".hydra/config.yaml", folder / ".hydra/overrides.yaml",
        folder / ".hydra/hydra.yaml", folder / "run.json", tmp_path / "runs/sweep.json",
    ]  # fmt: skip
    whole, dice = {file: file.read_bytes() for file in records}, random.Random("seed 11 texts")
    begun = composed.read(folder)
    for n in range(amounts["texts"]):
        file = records[n % len(records)]
        file.write_bytes(mutated(whole[file], dice))
        told = f"text {n}, {file.name}: {file.read_bytes()!r}"
        ends_well(lambda: composed.read(folder).changed(Words(["steps=9"]), config), told)
        ends_well(lambda: read_run(folder), told)
        ends_well(lambda: find_runs(tmp_path / "runs"), told)
        assert isinstance(recorded(folder), dict), told
        file.write_bytes(whole[file])
    assert composed.read(folder).config == begun.config
    assert json.loads((folder / "run.json").read_text())["steps"] == 4
