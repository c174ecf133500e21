"""Checkpoints: damage is seen, weights are weights, and what may be started from is told."""

import json
import os
import zipfile
from pathlib import Path

import pytest
import torch

from sr.errors import UserError
from sr.models.drcn import DRCN
from sr.models.edsr import EDSR
from sr.runs import checkpoint
from sr.runs.record import record

NODE = {"_target_": "sr.models.edsr.EDSR", "scale": 2, "num_blocks": 1, "channels": 4, "res_scale": 1.0}


def network(**settings):
    torch.manual_seed(0)
    return EDSR(**{k: v for k, v in (NODE | settings).items() if k != "_target_"})


def write(path, node=NODE, state=None, **told):
    state = network().state_dict() if state is None else state
    torch.save({"state_dict": state, "sr": {"format": 2, "name": "m", "model": node, "config": {}} | told}, path)
    return path


def test_a_flipped_bit_is_seen(tmp_path):
    """Within the weights, where torch itself reads other figures without a word."""
    file = write(tmp_path / "a.ckpt")
    content = bytearray(file.read_bytes())
    weights = network().state_dict()["head.weight"].numpy().tobytes()
    content[content.index(weights) + 40] ^= 1
    file.write_bytes(content)
    torch.load(file, weights_only=True)
    with pytest.raises(UserError, match="is damaged"):
        checkpoint.load(file)


def test_a_program_is_said_to_be_one(tmp_path):
    """It was called incomplete, which it is not."""
    with zipfile.ZipFile(tmp_path / "a.pt2", "w") as file:
        file.writestr("a/archive_format", "pt2")
    (tmp_path / "a.onnx").write_bytes(b"\x08\x09")
    for name, kind in (("a.pt2", "programs of torch.export"), ("a.onnx", "ONNX files")):
        with pytest.raises(UserError, match=f"no weights are taken of {kind}") as error:
            checkpoint.load(tmp_path / name)
        assert "complete" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"notes on my run\n", r"is a text, not a file of weights. Type the path of a file"),
        (b"", "is empty. Copy or download it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "is what Git LFS has in .* Type git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "is a web page, not a file of weights. Download the file itself"),
        (b"\x89PNG\r\n\x1a\n", "is no file of PyTorch weights, or not a whole one. Type the path"),
    ],
    ids=["text", "empty", "LFS", "page", "picture"],
)  # fmt: skip
def test_a_file_that_is_none_of_weights_is_told_by_what_it_is(tmp_path, content, told):
    file = tmp_path / "x.pth"
    file.write_bytes(content)
    with pytest.raises(UserError, match=rf"x\.pth cannot be read as weights: it {told}"):
        checkpoint.read(file)


def test_a_folder_without_a_run_is_told_as_one(tmp_path):
    with pytest.raises(UserError, match=r"no run is in this folder, which is empty\. Give a \.ckpt file, a run folder"):
        checkpoint.read(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=r"no run is in this folder, only notes\.txt\. Give"):
        checkpoint.read(tmp_path)


def test_where_there_are_no_checksums_it_is_told(tmp_path, caplog):
    caplog.set_level("INFO")
    torch.save(torch.load(write(tmp_path / "a.ckpt")), tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    checkpoint.load(tmp_path / "old.ckpt")
    assert "holds no checksums" in caplog.text
    caplog.clear()
    torch.serialization.set_crc32_options(False)
    try:
        write(tmp_path / "b.ckpt")
    finally:
        torch.serialization.set_crc32_options(True)
    checkpoint.load(tmp_path / "b.ckpt")
    assert "holds no checksums" in caplog.text


def test_half_precision_is_weights_and_integers_and_nan_are_not(tmp_path):
    state = network().state_dict()
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        loaded = checkpoint.load(write(tmp_path / "a.ckpt", state={k: v.to(dtype) for k, v in state.items()}))
        assert loaded.head.weight.dtype == torch.float32
        torch.testing.assert_close(loaded.head.weight, state["head.weight"], atol=1e-2, rtol=0)
    with pytest.raises(UserError, match=r"head\.bias holds int64 values"):
        checkpoint.load(write(tmp_path / "a.ckpt", state=state | {"head.bias": state["head.bias"].long()}))
    for odd in (float("nan"), float("inf")):
        with pytest.raises(UserError, match=r"head\.bias holds NaN or infinity"):
            checkpoint.load(write(tmp_path / "a.ckpt", state=state | {"head.bias": state["head.bias"] + odd}))
    for odd, told in (
        (state["head.bias"].double() + 1e300, "holds NaN or infinity"),  # in float32
        (state["head.bias"].to(torch.float8_e4m3fn), "holds float8_e4m3fn values"),
        (
            torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
            "holds a tensor of tensors|more than tensors",
        ),  # torch 2.15 reads none
    ):
        with pytest.raises(UserError, match=told):
            checkpoint.load(write(tmp_path / "a.ckpt", state=state | {"head.bias": odd}))


NAMES = [{"name": name} for name in ("bicubic", "bicubic ", "HR", "LR", "edsr+", "edsr\x1b[2J")]


@pytest.mark.parametrize(
    "told",
    [
        *NAMES,
        {"name": None},
        {"model": None},
        {"config": []},
        {"format": "2"},
        {"stage": 3},
        {"stage": {"number": -1, "of": 2}},
        {"config": {"stages": [1]}},
        {"config": {"stages": {"a": "no"}}},
    ],
)
def test_what_does_not_describe_itself_is_refused(tmp_path, told):
    with pytest.raises(UserError, match="does not describe its model"):
        checkpoint.read(write(tmp_path / "a.ckpt", **told))


def test_a_network_of_more_than_there_is_is_not_built(tmp_path):
    node = {"_target_": "sr.models.drcn.DRCN", "scale": 2, "channels": 4, "num_recursions": 2000}
    state = DRCN(2, 2, 4).state_dict() | {"weights": torch.full((2000,), 1e-3)}
    with pytest.raises(UserError, match="DRCN has 1 to 1024 recursions, and not 2000"):
        checkpoint.load(write(tmp_path / "a.ckpt", node, state))


def test_a_folder_of_runs_means_its_newest(tmp_path, caplog):
    caplog.set_level("INFO")
    for age, name in enumerate(["b", "a", "c"]):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        file = write(tmp_path / name / "checkpoints/last.ckpt")
        os.utime(file, (1000 - age, 1000 - age))
    assert checkpoint.locate(tmp_path) == tmp_path / "b/checkpoints/last.ckpt"
    assert "of its 3 runs the newest" in caplog.text
    with pytest.raises(UserError, match="no such file"):
        checkpoint.locate(tmp_path / "d")
    record(tmp_path / "d", "failed")
    with pytest.raises(UserError, match=r"d: a run without .*last.ckpt, so there are no weights"):
        checkpoint.locate(tmp_path / "d")


def test_settings_without_a_shape_are_told_where_they_differ(tmp_path):
    content = checkpoint.read(write(tmp_path / "a.ckpt"))
    told = checkpoint.warm_start(network(res_scale=0.1), content, NODE | {"res_scale": 0.1}, "a.ckpt")
    assert told == "weights from a.ckpt. Not as they were trained: res_scale was 1.0, is 0.1"
    assert checkpoint.warm_start(network(), content, NODE, "a.ckpt") == "weights from a.ckpt"


@pytest.mark.parametrize("other", [{"num_blocks": 2}, {"channels": 8}])
def test_another_network_is_refused_even_at_another_scale(tmp_path, other):
    """Only the scale may differ: what fits of another network would be a start that nobody asked for."""
    content = checkpoint.read(write(tmp_path / "a.ckpt"))
    with pytest.raises(UserError, match="does not fit EDSR x4"):
        checkpoint.fitting(network(scale=4, **other), content, NODE | {"scale": 4} | other, "a.ckpt")
    assert checkpoint.fitting(network(scale=4), content, NODE | {"scale": 4}, "a.ckpt")


def test_a_checkpoint_is_a_runs_where_a_run_puts_it(tmp_path):
    assert checkpoint.run_of(tmp_path / "run/checkpoints/best.ckpt") == (tmp_path / "run").resolve()
    assert checkpoint.run_of(tmp_path / "kept/best.ckpt") is None
    assert checkpoint.run_of(Path("/best.ckpt")) is None


@pytest.mark.parametrize("told", ["1", '"x"', "[]", "true", "NaN"])
def test_safetensors_that_tell_of_themselves_no_object_are_refused(tmp_path, told):
    table = json.dumps({"__metadata__": {"sr": told}}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(table).to_bytes(8, "little") + table)
    with pytest.raises(UserError, match="does not describe its model"):
        checkpoint.read(tmp_path / "a.safetensors")
