"""A network of another repository, an nn.Module as it is, is trained and used by what is typed alone."""

import csv
import threading

import pytest
import torch
from PIL import Image
from small_runs import SMALL, saved
from torch import nn

from sr.errors import UserError
from sr.models.module import Module
from sr.runs import checkpoint

TYPED = [
    "model=module", "model.network._target_=their_package.Net", "+model.network.upscale=2", "model.value_range=255",
    "model.order=bgr", "model.multiple=4", "model.mean=[0.4,0.5,0.6]", "optimizer.lr=1e-6",
]  # fmt: skip


def test_it_gets_what_it_takes(package):
    from their_package import Net

    inner = Net(2)
    model = Module(2, lambda: inner, value_range=255, mean=[0.4, 0.5, 0.6], order="bgr", multiple=4).eval()
    x, mean = torch.rand(1, 3, 9, 12), torch.tensor([0.4, 0.5, 0.6])[:, None, None]
    with torch.no_grad():
        padded = torch.cat([x, *3 * [x[..., -1:, :]]], -2)
        wanted = inner((padded - mean).flip(1) * 255).flip(1)[..., :18, :] / 255 + mean
        torch.testing.assert_close(model(x), wanted)
        torch.testing.assert_close(model.merged()(x), wanted)
        luma = Module(3, lambda: nn.Sequential(nn.Conv2d(1, 9, 3, padding=1), nn.PixelShuffle(3)), colors=1)
        assert luma(x).shape == (1, 3, 27, 36)


def test_what_does_not_fit_is_said(package):
    from their_package import Net, Pair, make

    with pytest.raises(UserError, match=r"model\.network\._target_=my_package\.Net"):
        Module(2)
    with pytest.raises(UserError, match=r"a mean of 3 values.*mean=\[0.5\]"):
        Module(2, lambda: Net(2), mean=[0.5])
    with pytest.raises(UserError, match="order of rgb or bgr"):
        Module(2, lambda: Net(2), order="gbr")
    with pytest.raises(UserError, match=r"no torch\.nn\.Module"):
        Module(2, lambda: 3)
    with pytest.raises(UserError, match=r"Net makes \(1, 3, 16, 16\) of \(1, 3, 8, 8\).*scale=4"):
        Module(4, lambda: make(2))(torch.rand(1, 3, 8, 8))
    with pytest.raises(UserError, match=r"Net cannot compute an image of 1 channels and 48 x 48 pixels"):
        Module(2, lambda: Net(2), colors=1, multiple=4).tried()
    Module(2, lambda: Net(2), multiple=4).tried()
    with pytest.raises(UserError, match=r"Net cannot be copied: .*lock.*no lock, open file or generator belongs into"):
        (locked := Net(2)).lock = threading.Lock()
        Module(2, lambda: locked, multiple=4).tried()
    kept = {}

    def hook(module, given, made):
        if module is not hooked:
            raise LookupError("features of the copy are not there")
        kept["features"] = made

    (hooked := Net(2)).register_forward_hook(hook)
    with pytest.raises(UserError, match=r"features of the copy.*a hook that closes over its network knows nothing of"):
        Module(2, lambda: hooked, multiple=4).tried()
    with pytest.raises(UserError, match="a mean of 3 values in 0-1"):
        Module(2, lambda: Net(2), mean=[114, 111, 103])
    with pytest.raises(UserError, match="Pair makes a tuple"):
        Module(2, lambda: Pair(2))(torch.rand(1, 3, 8, 8))


def test_a_file_builds_it_of_trusted_code_alone(package, tmp_path, monkeypatch):
    from their_package import Net

    node = {"_target_": "sr.models.module.Module", "scale": 2, "value_range": 255.0}
    node |= {"network": {"_target_": "their_package.Net", "_partial_": True, "upscale": 2}}
    model = Module(2, lambda: Net(2), value_range=255.0).eval()
    others = ("parallel.DataParallel", "TransformerEncoder", "Upsample", "ZeroPad2d", "ConvTranspose2d", "Sequential")
    others += ("LocalResponseNorm",)
    within = [{"width": [{"a": {"_target_": f"torch.nn.{other}", "module": "x"}}]} for other in others]
    of = ({}, {"_target_": "os.system"}, {"_target_": "their_package.make"}, *within)
    for name, network in zip("abcdefghij", of, strict=True):
        told = checkpoint.describe(node | {"network": node["network"] | network}, "module", {})
        torch.save({"state_dict": model.state_dict(), "sr": told}, tmp_path / f"{name}.ckpt")
    with pytest.raises(UserError, match=r"its network is their_package\.Net.*trust=\[their_package\]"):
        checkpoint.load(tmp_path / "a.ckpt")
    monkeypatch.setenv("SR_TRUST", "their_package")
    x = torch.rand(1, 3, 8, 4)
    with torch.no_grad():
        torch.testing.assert_close(checkpoint.load(tmp_path / "a.ckpt")(x), model(x))
    with pytest.raises(UserError, match=r"its network is os\.system"):
        checkpoint.load(tmp_path / "b.ckpt")
    with pytest.raises(UserError, match="not a network with plain settings"):
        checkpoint.load(tmp_path / "c.ckpt")
    for name, other in zip("defghij", others, strict=True):
        with pytest.raises(UserError, match=rf"its network is torch\.nn\.{other}\..*trust=\[torch\.nn\.{other}\]"):
            checkpoint.load(tmp_path / f"{name}.ckpt")
    told = checkpoint.describe(node | {"multiple": 40_000}, "module", {})
    torch.save({"state_dict": model.state_dict(), "sr": told}, tmp_path / "a.ckpt")
    with pytest.raises(UserError, match=r"has 40,000 of anything.*trust=\[sr\.models\.module\]"):
        checkpoint.load(tmp_path / "a.ckpt")


@pytest.mark.slow
def test_it_is_trained_resumed_measured_and_used(command, div2k, package, tmp_path, photos):
    typed = [*SMALL[1:], "data=div2k", f"data.root={div2k}", "steps=2", "val_every_steps=2"]
    refused = command("train.py", *typed, *TYPED[:2], "+model.network.upscale=2", "+model.network.widht=3")
    assert refused.code == 1 and "model.network.widht" in refused.err and "width" in refused.err, refused
    assert command("train.py", *typed, *TYPED).code == 0
    again = command("train.py", f"resume={tmp_path}/run", "steps=3")
    assert again.code == 0 and saved(tmp_path / "run")["global_step"] == 3, again
    assert saved(tmp_path / "run")["sr"]["code"] and "the code of" not in again.out
    assert any(key.startswith("inner.first") for key in saved(tmp_path / "run")["state_dict"])
    measured = command(
        "evaluate.py", f"checkpoint={tmp_path}/run", "trust=[their_package]", "benchmarks=[bundled]", "panels=0",
        "protocols=[y]", "baseline=false", folder="measured",
    )  # fmt: skip
    assert measured.code == 0, measured
    with (tmp_path / "measured/results.csv").open(newline="") as file:
        assert [row["model"] for row in csv.DictReader(file)] == ["module"]
    photos(tmp_path / "in", 1, 21, 30)
    used = command("upscale.py", f"input={tmp_path}/in", f"model={tmp_path}/run", "trust=[their_package]", folder="up")
    assert used.code == 0, used
    with Image.open(next((tmp_path).rglob("0001_x2.png"))) as image:
        assert image.size == (60, 42)


def test_it_begins_from_weights_of_its_own_repository(command, div2k, package, tmp_path):
    """`init_from=` knew files of this project and the zoo alone."""
    from their_package import Net

    typed = [*SMALL[1:], "data=div2k", f"data.root={div2k}", "steps=1", "val_every_steps=1", *TYPED, "optimizer.lr=0"]
    theirs = Net(2).state_dict()
    torch.save({"params": {f"module.{name}": tensor for name, tensor in theirs.items()}}, tmp_path / "net.pth")
    done = command("train.py", *typed, f"init_from={tmp_path}/net.pth")
    assert done.code == 0, done
    kept = {k.removeprefix("inner."): v for k, v in saved(tmp_path / "run")["state_dict"].items()}
    assert all(torch.equal(kept[name], tensor) for name, tensor in theirs.items()), "with a rate of zero"
    torch.save({"another.weight": torch.zeros(3)}, tmp_path / "net.pth")
    done = command("train.py", *typed, f"init_from={tmp_path}/net.pth", folder="other")
    assert done.code == 1 and "net.pth is a part of another network than Module" in done.err, done
