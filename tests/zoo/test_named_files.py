"""Files that the zoo knows by name are found by their checksums, or fetched, and nothing else is taken for them."""

import os
from dataclasses import replace
from functools import partial

import pytest
import torch
from at_once import at_once
from other_projects import fsrcnn

from sr.compose.schema import Zoo
from sr.errors import UserError
from sr.layers.identity import checksum
from sr.runs import checkpoint
from sr.scores.published import published
from sr.zoo import __main__ as zoo
from sr.zoo.entries import ENTRIES, ZOO
from sr.zoo.load import beginning, file_of, save
from sr.zoo.load import load as load_as_users_do
from sr.zoo.locate import find

load = partial(load_as_users_do, range_="own")  # the weights of most files here are random


def listed(monkeypatch, path, **changes):
    """Make a file the zoo's rlfn_x2."""
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


def test_what_is_read_of_a_named_file_is_what_has_its_checksum(authors_file, tmp_path, monkeypatch):
    """Exchanged between, other weights stood beside the paper's figures."""
    path, _ = authors_file("RLFN")
    listed(monkeypatch, path)
    other = torch.load(path)
    torch.save({k: 2 * v for k, v in other.items()}, tmp_path / "other.pth")

    def exchanged(*given):
        found = find(*given)
        os.replace(tmp_path / "other.pth", found)
        return found

    monkeypatch.setattr("sr.zoo.load.find", exchanged)
    with pytest.raises(UserError, match=r"weights=rlfn_x2: .* was changed while it was read"):
        load("rlfn_x2", path.parent)


def test_a_file_larger_than_any_of_the_zoo_is_not_read_for_its_checksum(tmp_path):
    """Of holes alone, as an archive of a few kB holds it: reading it took hours, and nobody was told."""
    (tmp_path / "rlfn_x2.pth").touch()
    os.truncate(tmp_path / "rlfn_x2.pth", 300 << 30)
    with at_once():
        with pytest.raises(UserError, match=r"of its 322,122,547,200 bytes 0 were ever written"):
            load(str(tmp_path / "rlfn_x2.pth"), tmp_path)
        with pytest.raises(UserError, match=r"rlfn_x2\.pth has more bytes than any \(322,122,547,200, expected"):
            load("rlfn_x2", tmp_path)
        assert zoo.listing(tmp_path)


def test_files_of_holes_are_not_read_for_the_checksum_of_another(tmp_path):
    for n in range(20):
        (tmp_path / f"{n}.pth").touch()
        os.truncate(tmp_path / f"{n}.pth", 400 << 20)
    with at_once(), pytest.raises(UserError, match="not found below"):
        load("rlfn_x2", tmp_path)


def test_a_file_whose_checksum_is_not_known_is_found_by_its_name(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr("sr.zoo.trial.SIDE", 24)
    torch.manual_seed(0)
    with pytest.raises(UserError, match=r"github\.com/yjn870/FSRCNN-pytorch.*no checksum.*Place it there as fsrcnn_x3"):
        load("fsrcnn_yjn870_x3", tmp_path)
    torch.save(fsrcnn(), tmp_path / "fsrcnn_x3.pth")
    loaded = load("fsrcnn_yjn870_x3", tmp_path)
    assert loaded.name == "fsrcnn_yjn870_x3 (unproved)" and loaded.model.scale == 3
    assert loaded.model.metadata["published"] == "" and "taken for it by its name" in caplog.text


def test_the_first_digits_of_a_checksum_are_held(authors_file, tmp_path, monkeypatch, caplog):
    path, _ = authors_file("RLFN", "some.pth")
    monkeypatch.setitem(ZOO, "rlfn_x2", replace(ZOO["rlfn_x2"], sha256=checksum(path)[:8]))
    with caplog.at_level("INFO"):
        found = load("rlfn_x2", tmp_path)
    assert found.path == path and found.entry.has(checksum(path))
    assert found.name == "rlfn_x2 (unproved)", "its weights are random, and anybody can meet eight digits"
    assert "taken for rlfn_x2 by the first 8 digits of its checksum, which another file can be made" in caplog.text
    path.rename(tmp_path / "rlfn_x2.pth")
    monkeypatch.setitem(ZOO, "rlfn_x2", replace(ZOO["rlfn_x2"], sha256="0" * 8))
    with pytest.raises(UserError, match="another checksum"):
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


def test_what_a_papers_file_has_to_reach_is_the_papers_figure():
    """Measured under the paper's protocol, a file and the paper differ by rounding; another shave by 0.03 dB."""
    found = {
        e.name: (e.psnr, published(e.published, e.scale, "Set5", e.protocol)) for e in ENTRIES if e.published and e.psnr
    }
    told = {name: (psnr, known.values["psnr"]) for name, (psnr, known) in found.items() if known is not None}
    assert len(told) > 20 and "fsrcnn_x3" in told
    assert not {name: pair for name, pair in told.items() if abs(pair[0] - pair[1]) > 0.02}


def test_what_training_may_begin_from(authors_file, tmp_path, monkeypatch):
    path, model = authors_file("RLFN", "mine.pth")
    settings = Zoo(dir=str(tmp_path), range="own")
    content = beginning(str(path), settings, 4)
    assert checkpoint.fitting(model, content, content["sr"]["model"], path).keys() == model.state_dict().keys()
    save(load(str(path), tmp_path), tmp_path / "ours.pt")
    assert beginning(str(tmp_path / "ours.pt"), settings, 2)["sr"]["name"] == "mine (unproved)"
    listed(monkeypatch, path)
    assert beginning("rlfn_x2", settings, 4)["sr"]["name"] == "rlfn"
    with pytest.raises(UserError, match=r"init_from=rlfn_x5: neither a run.* Did you mean"):
        beginning("rlfn_x5", settings, 4)
    with pytest.raises(UserError, match="no such file"):
        beginning(str(tmp_path / "absent.ckpt"), settings, 4)
    vdsr, _ = authors_file("VDSR", "any.mat")
    assert beginning(str(vdsr), settings, 3)["sr"]["model"]["scale"] == 3
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rlfn_x2").symlink_to(tmp_path / "any.mat")  # a stranger's link led W&B to a key of the user's
    assert beginning("rlfn_x2", settings, 4)["sr"]["name"] == "rlfn" and file_of("rlfn_x2") is None
    assert file_of(str(path)) == path and file_of("absent.ckpt") is None
