"""A file under any name becomes the right network, or is refused with what differs."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from sr.errors import UserError
from sr.runs import checkpoint
from sr.zoo import __main__ as zoo
from sr.zoo.entries import ENTRIES, ZOO, get_entry
from sr.zoo.files import read_tensors
from sr.zoo.load import FAMILIES, load, save
from sr.zoo.locate import checksum

NAMES = [family.name for family in FAMILIES]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_recognised_by_its_keys_and_shapes(authors_file, name, tmp_path):
    path, model = authors_file(name, f"whatever_x{3 if name in ('SRCNN', 'VDSR') else 2}.weights")
    loaded = load(str(path), tmp_path)
    x = torch.rand(1, 3, 17, 19)
    with torch.no_grad():
        assert type(loaded.model) is type(model) and loaded.model.scale == model.scale
        torch.testing.assert_close(loaded.model(x), model(x))
    assert not loaded.model.training


WRAPPINGS = {
    "bare": lambda s: s,
    "params": lambda s: {"params": s},
    "ema wins": lambda s: {"params": {k: v + 1 for k, v in s.items()}, "params_ema": s},
    "state_dict": lambda s: {"state_dict": s, "epoch": 3},
    "module": lambda s: {f"module.{k}": v for k, v in s.items()},
    "both": lambda s: {"params_ema": {f"module.{k}": v for k, v in s.items()}},
    "compiled": lambda s: {"state_dict": {f"model._orig_mod.{k}": v for k, v in s.items()}},
}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
def test_wrappers_and_prefixes_are_taken_off(authors_file, wrap, tmp_path):
    path, model = authors_file("BSRN", wrap=wrap)
    torch.testing.assert_close(load(str(path), tmp_path).model.state_dict(), model.state_dict())


def test_missing_unknown_and_resized_keys_are_listed(authors_file, tmp_path):
    def spoil(state):
        del state["block_2.esa.conv4.bias"]
        state["extra.weight"] = torch.zeros(3)
        state["conv_2.bias"] = torch.zeros(5)
        return state

    path, _ = authors_file("RLFN", wrap=spoil)
    with pytest.raises(UserError, match=r"refused") as caught:
        load(str(path), tmp_path)
    text = str(caught.value)
    assert "Missing (1): block_2.esa.conv4.bias" in text and "Unknown (1): extra.weight" in text
    assert "conv_2.bias is (5,)" in text


def test_partial_files_say_what_they_lack(authors_file, tmp_path):
    path, _ = authors_file("IMDN", wrap=lambda s: {k: v for k, v in s.items() if "upsampler" not in k})
    with pytest.raises(UserError, match=r"not whole.*'upsampler\.0\.weight'"):
        load(str(path), tmp_path)


def test_other_networks_are_refused(tmp_path):
    path = tmp_path / "resnet.pth"
    torch.save({"layer1.0.conv1.weight": torch.zeros(4, 3, 3, 3)}, path)
    with pytest.raises(UserError, match=r"no architecture.*layer1\.0\.conv1\.weight"):
        load(str(path), tmp_path)


class Trap:
    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self):
        return os.mkdir, (str(self.sprung),)


@pytest.mark.parametrize("old_format", [False, True])
def test_code_in_a_file_is_not_run(tmp_path, old_format):
    path, trap = tmp_path / "trap.pth", Trap(tmp_path / "sprung")
    torch.save({"conv_1.weight": trap}, path, _use_new_zipfile_serialization=not old_format)
    with pytest.raises(UserError, match=r"refused.*run code"):
        load(str(path), tmp_path)
    path.write_bytes(pickle.dumps(trap))
    with pytest.raises(UserError, match=r"refused.*run code"):
        load(str(path), tmp_path)
    assert not trap.sprung.exists()


def test_damaged_and_foreign_files(authors_file, tmp_path):
    whole, _ = authors_file("RLFN")
    mat, _ = authors_file("VDSR")
    for name, content, message in [
        ("cut.pth", whole.read_bytes()[:2000], "cannot be read|neither"),
        ("cut.mat", mat.read_bytes()[:700], "MATLAB file"),
        ("text.pth", b"hello, world", "neither a PyTorch nor a MATLAB|cannot be read"),
        ("new.mat", b"MATLAB 7.3 MAT-file" + bytes(200), "-v7"),
        ("empty.pth", b"", "cannot be read|neither"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=message):
            read_tensors(tmp_path / name)
    torch.save([1, 2, 3], tmp_path / "list.pth")
    with pytest.raises(UserError, match=r"holds no tensors by name: a list"):
        load(str(tmp_path / "list.pth"), tmp_path)


def test_scale_of_networks_on_enlarged_images(authors_file, tmp_path):
    path, _ = authors_file("SRCNN", "mine.mat")
    with pytest.raises(UserError, match=r"type scale="):
        load(str(path), tmp_path)
    assert load(str(path), tmp_path, scale=4).model.scale == 4
    path, _ = authors_file("RLFN", "mine.pth")
    with pytest.raises(UserError, match=r"is of scale 2"):
        load(str(path), tmp_path, scale=4)


def test_a_loaded_file_becomes_our_checkpoint(authors_file, tmp_path, capsys):
    path, model = authors_file("BSRN-S")
    zoo.main(["save", str(path), str(tmp_path / "out/bsrn.ckpt")])
    ours = checkpoint.load(tmp_path / "out/bsrn.ckpt")
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), model(x))
    with pytest.raises(UserError, match=r"there already"):
        save(load(str(path), tmp_path), tmp_path / "out/bsrn.ckpt")
    with pytest.raises(UserError, match=r"type checkpoint="):
        load(str(tmp_path / "out/bsrn.ckpt"), tmp_path)
    assert not list((tmp_path / "out").glob("*.part"))


def listed(monkeypatch, path, **changes):
    """Make a file the zoo's rlfn_x2."""
    from dataclasses import replace

    entry = replace(ZOO["rlfn_x2"], sha256=checksum(path), **changes)
    monkeypatch.setitem(ZOO, "rlfn_x2", entry)
    return entry


def test_named_files_are_found_by_checksum_under_any_name(authors_file, tmp_path, monkeypatch):
    (tmp_path / "deep/er").mkdir(parents=True)
    path, _ = authors_file("RLFN", "deep/er/renamed.bin")
    listed(monkeypatch, path)
    (tmp_path / "other.pth").write_bytes(b"something else")
    assert load("rlfn_x2", tmp_path).path == path
    with pytest.raises(UserError, match=r"leave scale= out"):
        load("rlfn_x2", tmp_path, scale=3)


def test_a_file_with_the_right_name_and_other_contents_is_refused(tmp_path):
    (tmp_path / "rlfn_x2.pth").write_bytes(b"tampered")
    with pytest.raises(UserError, match=r"another checksum"):
        load("rlfn_x2", tmp_path)


def test_absent_files_say_origin_and_checksum(tmp_path):
    with pytest.raises(UserError, match=r"bytedance/RLFN.*eafe5d5feeb1.*zoo.dir="):
        load("rlfn_x2", tmp_path, download=False)
    with pytest.raises(UserError, match=r"SRCNN.*51b748297e86"):
        load("srcnn_915_91_x2", tmp_path)
    with pytest.raises(UserError, match=r"Did you mean .*rlfn_x4"):
        load("rlfn_x5", tmp_path)
    with pytest.raises(UserError, match=r"no such file"):
        load(str(tmp_path / "absent.pth"), tmp_path)


def test_files_are_fetched_and_checked(authors_file, tmp_path, monkeypatch):
    path, _ = authors_file("RLFN", "served.pth")
    source, target = path.as_uri(), tmp_path / "zoo"
    listed(monkeypatch, path)
    monkeypatch.setattr("sr.zoo.entries.ZooEntry.url", property(lambda self: source))
    try:
        assert load("rlfn_x2", target).path.parent == target
    except UserError as error:  # a loader that refuses file:// must still say where it comes from
        assert "Origin: github bytedance/RLFN" in str(error)
    path.write_bytes(path.read_bytes() + b"x")
    target = tmp_path / "again"
    with pytest.raises(UserError, match=r"sha256"):
        load("rlfn_x2", target)
    assert not list(target.glob("*.pth"))


def test_the_list_names_every_entry(tmp_path):
    text = zoo.listing(tmp_path)
    assert all(entry.name in text for entry in ENTRIES)


def test_entries_are_consistent(root):
    assert len({e.name for e in ENTRIES}) == len(ENTRIES) == 33
    for e in ENTRIES:
        assert len(e.sha256) == 64 and e.name.endswith(f"_x{e.scale}") and get_entry(e.name) is e
        assert (root / f"conf/model/{e.model}.yaml").is_file()
