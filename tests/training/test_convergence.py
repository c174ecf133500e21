"""The convergence gate: each family trains as it did when it was known to be right (see convergence.py)."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

SPEC = spec_from_file_location("convergence", Path(__file__).with_name("convergence.py"))
sys.modules["convergence"] = gate = module_from_spec(SPEC)
SPEC.loader.exec_module(gate)
KEPT = gate.read()
BREAK = "+callbacks.break"
BREAKING = """
import lightning.pytorch as L

class Mirrored(L.Callback):
    def __init__(self, every):
        self.every = every

    def on_train_batch_start(self, trainer, model, batch, batch_idx):
        batch.hr[:: self.every] = batch.hr[:: self.every].flip(-1)
"""


@pytest.fixture
def strays(command, tmp_path):
    """strays(family, *words): where a run of the family leaves what is kept, by losses, psnr and loss."""

    def run(family, *words):
        if "data=clips" in gate.FAMILIES[family]:
            gate.clips(tmp_path)
        outcome = command("train.py", *gate.COMMON, *gate.FAMILIES[family], *words)
        assert outcome.code == 0, outcome
        return gate.outside(gate.Course.of(outcome.folder), KEPT[family])

    return run


def halves(strays):
    return {half for half, places in strays.items() if places}


@pytest.mark.slow
@pytest.mark.parametrize("family", KEPT)
def test_a_family_trains_as_it_did(strays, family):
    assert KEPT[family]["typed"] == gate.FAMILIES[family], f"python tests/training/convergence.py {family}"
    found = strays(family)
    assert not halves(found), found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "words", "caught_by"),
    [
        pytest.param("ecbsr", ["optimizer.lr=1e-3"], "losses psnr", id="twice Adam's learning rate"),
        pytest.param("ecbsr", ["optimizer.lr=2.5e-4"], "losses psnr", id="half of Adam's learning rate"),
        pytest.param("fsrcnn", ["optimizer.lr=2e-3"], "losses psnr", id="twice SGD's learning rate"),
        pytest.param("fsrcnn", ["optimizer.lr=5e-4"], "losses psnr", id="half of SGD's learning rate"),
        pytest.param("ecbsr", ["loss=l2"], "losses psnr loss", id="L2 in place of L1"),
        pytest.param("srcnn", ["loss=l1"], "losses loss", id="L1 in place of L2"),
        pytest.param("ecbsr", ["2"], "losses psnr loss", id="a flip left out of HR"),
        pytest.param("ecbsr", ["8"], "losses loss", id="one of the eight flips and turns left out of HR"),
    ],
)
def test_a_fault_is_caught(strays, tmp_path, monkeypatch, family, words, caught_by):
    (tmp_path / "breaking.py").write_text(BREAKING)
    monkeypatch.syspath_prepend(tmp_path)
    if words[0].isdigit():  # every so many of a batch's images
        words = [f"{BREAK}._target_=breaking.Mirrored", f"{BREAK}.every={words[0]}"]
    assert halves(strays(family, *words)) >= set(caught_by.split())


@pytest.mark.slow
@pytest.mark.parametrize(("family", "caught_by"), [("edsr", "losses"), ("init_from", "losses psnr")])
def test_a_warm_start_that_does_not_load_is_caught(strays, monkeypatch, family, caught_by):
    monkeypatch.setattr("sr.runs.checkpoint.warm_start", lambda *_: "all is well")
    assert halves(strays(family)) >= set(caught_by.split())
