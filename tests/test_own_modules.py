"""What a network of one's own keeps in its module while it runs, as grids by their size, is neither code nor lost."""

import importlib
import json
import shutil
import sys

import pytest
import torch

from sr.deploy.tiling.recording import recorded
from sr.measuring.cost import cost
from sr.models.module import Module

REGISTRY = """
NAMED = {}

def named(cls):
    NAMED[cls.__name__] = cls
    return cls
"""
LOSS = """
from torch import nn
from registry import named

@named
class Distance(nn.L1Loss):
    pass
"""
CPU = torch.device("cpu")
KEEPS = """
import functools
import os
from registry import NAMED, named
from pathlib import Path
import torch
from torch import nn

HERE, DEVICE = Path(__file__).parent, torch.device(os.environ.get("DEVICE", "cpu"))
GRIDS = {"by size": {}}
LAST = None

@functools.lru_cache
def wave(width):
    return torch.linspace(0, 1, width)

@named
class Net(nn.Module):
    widths = set()

    def __init__(self, width=4):
        super().__init__()
        self.widths.add(width)
        self.first, self.last = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 12, 3, padding=1)
        self.ones = None
        self.at, self.place = str(HERE), DEVICE.type

    def forward(self, x):
        global LAST
        assert NAMED["Net"] is type(self)
        if (size := x.shape[-2:]) not in GRIDS["by size"]:
            GRIDS["by size"][size] = torch.ones(size)
        self.ones = torch.ones(1) if self.ones is None else self.ones
        LAST = GRIDS["by size"][size] * wave(size[-1]) * self.ones
        return nn.functional.pixel_shuffle(self.last(self.first(x) * LAST), 2)
"""


@pytest.fixture
def keeps(tmp_path, monkeypatch):
    (tmp_path / "theirs").mkdir()
    for name, text in {"keeps": KEEPS, "registry": REGISTRY, "distance": LOSS}.items():
        (tmp_path / f"theirs/{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "theirs")
    yield
    _forget()


def _forget():
    """As in a process of its own."""
    for name in ("keeps", "registry", "distance"):
        sys.modules.pop(name, None)


TYPED = [
    "model=module", "model.network._target_=keeps.Net", "scale=2", "batch_size=2", "patch_size=8", "steps=2",
    "callbacks=[]", "trust=[keeps]", "loss=l1", "loss.terms.l1.loss._target_=distance.Distance",
]  # fmt: skip


def test_what_it_keeps_is_not_taken_for_changed_code(command, keeps, tmp_path, monkeypatch):
    """Nor where it lies, what else is imported, nor what it runs on: each row was told as of other code."""
    swept = command("train.py", "-m", *TYPED, "+model.network.width=3,4")
    assert swept.code == 0, swept
    runs = [json.loads(file.read_text()) for file in swept.folder.glob("*/run.json")]
    assert len(runs) == 2 and len({run["digests"]["keeps.Net"] for run in runs}) == 1
    _forget()
    shutil.move(tmp_path / "theirs", tmp_path / "moved")
    monkeypatch.syspath_prepend(tmp_path / "moved")
    monkeypatch.setenv("DEVICE", "cuda")
    checkpoint = next(swept.folder.glob("*/checkpoints/last.ckpt"))
    measured = command("evaluate.py", f"checkpoint='{checkpoint}'", "data=bundled", "trust=[keeps]", folder="measured")
    assert measured.code == 0 and "was changed" not in measured.out + measured.err, measured


@pytest.mark.parametrize("look", [cost, lambda net, size, scale: recorded(net, torch.empty(1, 3, *size), scale, CPU)])
def test_a_look_without_values_leaves_nothing_that_it_computes_with(keeps, look):
    """Costs are counted at 720p: pictures of that size were then multiplied by a grid that has no values."""
    keeps = importlib.import_module("keeps")
    net = Module(2, keeps.Net).eval()
    look(net, (9, 11), 2)
    assert keeps.LAST is None and keeps.GRIDS == {"by size": {}} and net.inner.ones is None
    with torch.no_grad():
        assert net(torch.rand(1, 3, 9, 11), 2).isfinite().all()
