"""Files that the library spandrel knows: with it where it is installed, and with a stand-in of its contract."""

import csv
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import sr
from sr.errors import UserError
from sr.zoo import spandrel_file
from sr.zoo.load import load, save


class Doubled(nn.Module):
    """Nearest x2 with a weight, for sides that are multiples of 4."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[-1] % 4 == 0 == x.shape[-2] % 4
        return self.weight * x.repeat_interleave(2, -1).repeat_interleave(2, -2)


class Needs(SimpleNamespace):
    def get_padding(self, width: int, height: int) -> tuple[int, int]:
        return -width % 4, -height % 4


class UnsupportedError(Exception):
    pass


def stand_in(**changes) -> SimpleNamespace:
    def loaded(state):
        if "doubled.weight" not in state:
            raise UnsupportedError
        told = {
            "model": Doubled(state["doubled.weight"]), "architecture": SimpleNamespace(name="Doubled"), "scale": 2,
            "purpose": "SR", "input_channels": 3, "output_channels": 3, "size_requirements": Needs(),
            "_call_fn": lambda model, x: model(x),
        }  # fmt: skip
        return SimpleNamespace(**(told | changes))

    return SimpleNamespace(
        __version__="0", UnsupportedModelError=UnsupportedError, canonicalize_state_dict=lambda s: s.get("params", s),
        ModelLoader=lambda: SimpleNamespace(load_from_state_dict=loaded),
    )  # fmt: skip


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "doubled.pth"
    torch.save({"params": {"doubled.weight": torch.ones(1)}, "epoch": 3}, path)
    return path


def test_without_the_library_its_extra_is_named(file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(UserError, match=r"no architecture that the zoo knows.*pip install -e .*\[spandrel\]"):
        load(str(file), tmp_path)
    torch.save({"fea_conv.weight": torch.zeros(4, 3, 3, 3), "IMDB1.c1.weight": torch.zeros(1)}, file)
    with pytest.raises(UserError, match="looks like IMDN but is not whole") as error:
        load(str(file), tmp_path)
    assert "spandrel" not in str(error.value)


@torch.no_grad()
def test_what_spandrel_knows_is_padded_to_what_it_takes(file, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setitem(sys.modules, "spandrel", stand_in())
    loaded = load(str(file), tmp_path)
    assert loaded.model.scale == 2 and not loaded.model.training and "read by spandrel (MIT licence)" in caplog.text
    assert loaded.name == "doubled (unproved)", "nearest neighbour is below bicubic"
    for size in ((9, 6), (8, 4), (1, 2)):
        x = torch.rand(1, 3, *size)
        torch.testing.assert_close(loaded.model(x), x.repeat_interleave(2, -1).repeat_interleave(2, -2))
        torch.testing.assert_close(loaded.model.merged()(x), loaded.model(x))
    assert sum(p.numel() for p in loaded.model.parameters()) == 1
    with pytest.raises(UserError, match=r"scale=4: .* is of scale 2"):
        load(str(file), tmp_path, 4)
    with pytest.raises(UserError, match="does not hold the weights of a network of ours"):
        save(loaded, tmp_path / "ours.ckpt")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"purpose": "Inpainting"}, "for Inpainting, which enlarges no images"),
        ({"input_channels": 4, "output_channels": 4}, "from 4 channels to 4"),
        ({"scale": 99}, "no scale 99"),
    ],
)
def test_networks_for_something_else_are_refused(changes, words, file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", stand_in(**changes))
    with pytest.raises(UserError, match=words):
        load(str(file), tmp_path)


def test_what_it_knows_neither_keeps_our_words(file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", stand_in())
    torch.save({"others.weight": torch.ones(1)}, file)
    with pytest.raises(UserError, match="of no architecture that the zoo knows") as error:
        load(str(file), tmp_path)
    assert "pip install" not in str(error.value)
    torch.save({"doubled.weight": torch.full((1,), float("nan"))}, file)
    with pytest.raises(UserError, match="holds NaN"):
        load(str(file), tmp_path)


@pytest.fixture
def safmn(tmp_path):
    """A file of spandrel's own SAFMN, which the zoo does not know, and its descriptor."""
    if (library := spandrel_file.library()) is None:
        pytest.skip("needs the extra spandrel")
    from spandrel.architectures.SAFMN import SAFMN

    torch.manual_seed(0)
    net = SAFMN(dim=8, n_blocks=2, ffn_scale=2.0, upscaling_factor=2)
    torch.save({"params": net.state_dict()}, tmp_path / "safmn.pth")
    return tmp_path / "safmn.pth", library.ModelLoader().load_from_file(tmp_path / "safmn.pth")


@torch.no_grad()
def test_a_network_is_spandrels_own(safmn, tmp_path):
    path, descriptor = safmn
    model = load(str(path), tmp_path).model
    for size in ((16, 24), (13, 21), (5, 3)):
        x = torch.rand(1, 3, *size)
        torch.testing.assert_close(model(x).clamp(0, 1), descriptor(x), msg=str(size))
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in descriptor.model.parameters())
    enlarged = sr.load(path)((255 * torch.rand(1, 3, 20, 12)).to(torch.uint8))
    assert enlarged.shape == (1, 3, 40, 24)


def test_it_is_measured_timed_and_upscales(safmn, command, photos, tmp_path):
    path, _ = safmn
    photos(tmp_path / "images", 1)
    done = command(
        "evaluate.py", f"weights={path}", "benchmarks=[folder]", f"data.root={tmp_path / 'images'}", "panels=0"
    )
    assert done.code == 0, done
    with (done.folder / "results.csv").open(newline="") as f:
        assert {r["model"] for r in csv.DictReader(f)} == {"bicubic", "safmn (unproved)"}
    done = command("measure.py", f"weights={path}", "scale=2", "rounds=1", "size=[16,16]", folder="measured")
    assert done.code == 0 and "safmn" in done.out, done
    picture = next((tmp_path / "images").rglob("*.png"))
    done = command("upscale.py", f"input={picture}", f"model={path}", folder="enlarged")
    assert done.code == 0, done
