"""A file under any name becomes the right network, or is refused with what differs."""

import argparse
import json
import os
import pickle
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from other_projects import HELD

from sr.errors import UserError
from sr.models.ecbsr import ECBSR
from sr.models.edsr import EDSR
from sr.models.mdsr import MDSR
from sr.runs import checkpoint
from sr.zoo import __main__ as zoo
from sr.zoo.files import read_tensors
from sr.zoo.load import FAMILIES, save
from sr.zoo.load import load as load_as_users_do
from sr.zoo.trial import Trial, _arithmetics, _other

load = partial(load_as_users_do, range_="own")  # the weights of most files here are random
NAMES = [family.name for family in FAMILIES if family.name not in HELD]


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
    "a trainer's": lambda s: {
        "net_g": s,
        "opt": argparse.Namespace(lr=1e-4),
        "best": np.float64(30.1),
        "at": Path("x"),
        "seed": np.int64(3),
    },
    "thop": lambda s: s | {"total_ops": torch.zeros(1), "B1.c5.total_params": torch.zeros(1, dtype=torch.int64)},
    "one of two": lambda s: {
        "state_dict": {f"generator.{k}": v for k, v in s.items()} | {"discriminator.0.weight": torch.zeros(3)},
    },
    "generator": lambda s: {"generator": {f"module.{k}": v for k, v in s.items()}, "optimizer": {"state": {}}},
    "weights": lambda s: {"weights": s, "epoch": 1},
    "half": lambda s: {"model_state": {k: v.double() for k, v in s.items()}},
    "compiled": lambda s: {"state_dict": {f"model._orig_mod.{k}": v for k, v in s.items()}},
}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
def test_wrappers_and_prefixes_are_taken_off(authors_file, wrap, tmp_path):
    path, model = authors_file("BSRN", wrap=wrap)
    torch.testing.assert_close(load(str(path), tmp_path).model.state_dict(), model.state_dict())


def test_a_merged_form_is_said_to_be_one(tmp_path):
    """Its keys were called those of another architecture."""
    model = ECBSR(2, num_blocks=1, channels=4, colors=1)
    with pytest.raises(UserError, match="holds the merged form of ECBSR"):
        checkpoint.load_weights(model, model.merged().state_dict(), "a file")


def test_which_of_two_sets_of_weights_is_taken_is_told(authors_file, tmp_path, caplog):
    """An average is far below its weights early in a training, and a paper's figure may be of either."""
    load(str(authors_file("BSRN", wrap=WRAPPINGS["generator"])[0]), tmp_path)
    assert "sets of weights" not in caplog.text
    load(str(authors_file("BSRN", wrap=WRAPPINGS["ema wins"])[0]), tmp_path)
    assert "holds several sets of weights: params_ema is taken of params_ema, params" in caplog.text


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


@pytest.mark.parametrize("stem", ["rlfn_x4", "RLFN_x4"])
def test_a_file_that_is_called_as_one_of_the_list_keeps_its_ending(authors_file, tmp_path, stem):
    path, _ = authors_file("RLFN", f"{stem}.pth")
    assert load(str(path), tmp_path).name == f"{stem}.pth (unproved)"


def test_a_loaded_file_becomes_our_checkpoint(authors_file, tmp_path, capsys):
    path, model = authors_file("BSRN-S")
    zoo.main(["save", str(path), str(tmp_path / "out/bsrn.ckpt"), "--range", "own"])
    ours = checkpoint.load(tmp_path / "out/bsrn.ckpt")
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), model(x))
    with pytest.raises(UserError, match=r"there already"):
        save(load(str(path), tmp_path), tmp_path / "out/bsrn.ckpt")
    with pytest.raises(UserError, match=r"type checkpoint="):
        load(str(tmp_path / "out/bsrn.ckpt"), tmp_path)
    assert not list((tmp_path / "out").glob("*.part"))
    shutil.copy(tmp_path / "out/bsrn.ckpt", tmp_path / "out/bsrn.pth")
    with pytest.raises(SystemExit, match=r"used as it is: sr evaluate checkpoint=.*bsrn\.pth"):
        zoo.main(["save", str(tmp_path / "out/bsrn.pth"), "x.ckpt"])
    with pytest.raises(SystemExit, match=r"error: .*(Not a directory|File exists)"):
        zoo.main(["save", str(path), str(path / "x.ckpt"), "--range", "own"])


def test_safetensors_are_read(authors_file, tmp_path):
    path, model = authors_file("RLFN")
    state = torch.load(path, weights_only=True)
    table, data = {"__metadata__": {"format": "pt"}}, b""
    for key, value in state.items():
        part = value.numpy().tobytes()
        table[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    header = json.dumps(table).encode()
    file = tmp_path / "net.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + data)
    torch.testing.assert_close(load(str(file), tmp_path).model.state_dict(), model.state_dict())
    for damaged in (file.read_bytes()[:-8], file.read_bytes().replace(b'"F32"', b'"F99"')):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match="cannot be read as safetensors"):
            load(str(file), tmp_path)


def test_weights_of_an_unknown_file_are_tried_on_a_photo(authors_file, tmp_path, caplog):
    """Random weights have the keys and shapes of a network, and do not enlarge."""
    caplog.set_level("INFO")
    path, _ = authors_file("RLFN", "guess.pth")
    with pytest.raises(UserError, match=r"(?s)is another network or needs other.*zoo\.range="):
        load_as_users_do(str(path), tmp_path)
    assert "recognised by keys and shapes as RLFN x2" in caplog.text and "bicubic" in caplog.text
    loaded = load_as_users_do(str(path), tmp_path, range_="-1..1", order="bgr")
    assert loaded.name == "guess (unproved)" and loaded.model.metadata["published"] == ""
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        wanted = (loaded.model.network((2 * x.flip(1) - 1) / 255, 2) * 255 + 1).flip(1) / 2
        torch.testing.assert_close(loaded.model(x), wanted, atol=1e-4, rtol=1e-4)
    save(loaded, tmp_path / "guess.ckpt")
    with torch.no_grad():
        torch.testing.assert_close(checkpoint.load(tmp_path / "guess.ckpt")(x), loaded.model(x))
    with pytest.raises(UserError, match="can be measured, but not trained on"):
        checkpoint.fitting(loaded.model, checkpoint.read(tmp_path / "guess.ckpt"), {}, "guess.ckpt")
    with pytest.raises(UserError, match=r"zoo\.range=0-2: there are 0-1"):
        load_as_users_do(str(path), tmp_path, range_="0-2")


def test_a_dilated_rfdn_is_computed_and_saved_dilated(authors_file, monkeypatch, tmp_path, caplog):
    """Its keys and shapes are those of the plain one, which does worse with its weights."""
    caplog.set_level("INFO")
    path, plain = authors_file("RFDN", "guess.pth")

    def tried(model, *_):
        dilated = model.blocks[0].refine[1].dilation == (2, 2)
        return Trial("0-1 RGB", None, 31.0 if dilated else 30.0, 27.0, "" if dilated else "dilation 2 (31 dB)")

    monkeypatch.setattr("sr.zoo.load.try_out", tried)
    loaded = load_as_users_do(str(path), tmp_path)
    assert loaded.name == "guess" and "does better with dilation=2" in caplog.text
    save(loaded, tmp_path / "guess.ckpt")
    for block in plain.blocks:
        block.refine[1].dilation = block.refine[1].padding = (2, 2)
    x = torch.rand(1, 3, 17, 19)
    with torch.no_grad():
        for model in (loaded.model, checkpoint.load(tmp_path / "guess.ckpt")):
            torch.testing.assert_close(model(x), plain(x))


@pytest.mark.shared
def test_the_range_and_order_that_a_file_takes_are_found(shared, tmp_path, caplog):
    caplog.set_level("INFO")
    for name in ("a", "b"):  # RFDN's keys, but 0-1 where RFDN takes 0-255
        loaded = load_as_users_do(str(shared / f"cases/checkpoints/looks_like_rfdn_{name}.pth"), tmp_path)
        assert loaded.model.reads.gain == pytest.approx(1 / 255) and "reading 0-1 RGB" in caplog.text
        assert loaded.entry is None and loaded.model.metadata["published"] == ""
        assert ("does better with dilation=2" in caplog.text) == (name == "a")
        assert loaded.model.blocks[0].refine[1].dilation == ((2, 2) if name == "a" else (1, 1))
        assert loaded.name == f"looks_like_rfdn_{name}"
        caplog.clear()
    copy = tmp_path / "copy.pth"  # an author's own weights under another checksum
    torch.save(torch.load(shared / "weights/rfdn/RFDN_AIM.pth", weights_only=True) | {"n": 1}, copy)
    assert load_as_users_do(str(copy), tmp_path).name == "copy"
    state = load_as_users_do("imdn_x4", shared / "weights").model.state_dict()
    state |= {"head.weight": state["head.weight"].flip(1)}  # a copy that takes and gives BGR
    state["tail.0.weight"] = state["tail.0.weight"].view(3, 16, -1, 3, 3).flip(0).reshape(48, -1, 3, 3)
    state["tail.0.bias"] = state["tail.0.bias"].view(3, 16).flip(0).reshape(48)
    family = next(f for f in FAMILIES if f.name == "IMDN")
    model = load_as_users_do("imdn_x4", shared / "weights").model
    torch.save({family.theirs(key, model): value for key, value in state.items()}, tmp_path / "bgr.pth")
    assert load_as_users_do(str(tmp_path / "bgr.pth"), tmp_path).model.reads.bgr
    assert "reading 0-1 BGR" in caplog.text


def test_weights_trained_with_another_arithmetic_are_told():
    """A convolution that fits its target dilated, and an activation that fits with another slope; then as computed."""
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1), torch.nn.LeakyReLU(0.05)).requires_grad_(False)
    x = torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(0)) - 0.5
    conv = net[0]
    dilated = torch.nn.functional.conv2d(x, conv.weight, conv.bias, padding=2, dilation=2)
    for target, words in (
        (net[1](dilated), "dilation 2 in 0"),
        (torch.nn.functional.leaky_relu(conv(x), 0.2), "LeakyReLU 0.2"),
        (net(x), ""),
    ):
        fit = lambda target=target: -float((net(x) - target).square().mean())  # noqa: E731
        own = fit()
        other = _other(net, own + 1e-9, fit)
        assert other.startswith(words) and bool(other) == bool(words)
        assert fit() == own and conv.dilation == (1, 1), "the model is as it was"
    trial = Trial("0-1 RGB", None, 30.0, 27.0, other="dilation 2 in 0 (30.50 dB)")
    assert not trial.proved and "it was trained as another network" in str(trial)
    assert Trial("0-1 RGB", None, 30.0, 27.0).proved


@pytest.mark.parametrize(
    ("make", "most"),
    [(partial(EDSR, 4, 32, 4), 6), (partial(MDSR, num_blocks=80, channels=4), 8)],
    ids=["EDSR", "MDSR"],
)
def test_a_layer_of_all_blocks_is_tried_at_once(make, most):
    """A deep network costs no more passes than a shallow one, and is told where all of its blocks were dilated."""
    net, x = make().requires_grad_(False), torch.rand(1, 3, 12, 12)
    passes = [words for words, _, _ in _arithmetics(net)]
    assert len(passes) == len(set(passes)) <= most
    inner = [block.conv1 for block in net.body[:-1]]
    for conv in inner:
        conv.dilation, conv.padding = (2, 2), (2, 2)
    target = net(x, 4)
    for conv in inner:
        conv.dilation, conv.padding = (1, 1), (1, 1)
    fit = lambda: -float((net(x, 4) - target).square().mean())  # noqa: E731
    assert _other(net, fit(), fit).startswith("dilation 2 in body.*.conv1 ")


def test_weights_must_be_numbers(authors_file, tmp_path):
    path, _ = authors_file("RLFN", wrap=lambda s: {k: v.half() for k, v in s.items()})
    load(str(path), tmp_path)
    for odd in (lambda v: v.long(), lambda v: v * float("nan"), lambda v: v[:1].clone().expand(v.shape)):
        path, _ = authors_file("RLFN", wrap=lambda s, odd=odd: s | {"conv_2.weight": odd(s["conv_2.weight"])})
        with pytest.raises(UserError, match=r"conv_2\.weight"):
            load(str(path), tmp_path)
