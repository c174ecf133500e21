"""Code that was changed since a run was trained is told, and what is none is not."""

import importlib
import logging
import shutil
import sys
import types
from functools import partial

import torch
from own_networks import NETWORK
from torch import Tensor

from sr.errors import told_once
from sr.models.espcn import ESPCN
from sr.models.module import Module
from sr.runs import checkpoint
from sr.runs.code import PYTHON, code_of, codes_of, continued, tell_other_codes

log = logging.getLogger(__name__)


def _begun_from(node, path):
    """As `init_from=` reads it."""
    network = importlib.import_module("their_package").Net
    checkpoint.warm_start(Module(2, lambda: network(2)), checkpoint.read(path), node, path)


def test_code_that_was_changed_since_is_told(package, tmp_path, monkeypatch, caplog):
    """Its weights still fit, and it was measured under the old name without a word."""
    monkeypatch.setenv("SR_TRUST", "their_package")
    node = {"_target_": "sr.models.module.Module", "scale": 2}
    node |= {"network": {"_target_": "their_package.Net", "_partial_": True, "upscale": 2}}
    model = Module(2, lambda: importlib.import_module("their_package").Net(2))
    told = checkpoint.describe(node, "module", {}) | code_of(model)
    torch.save({"state_dict": model.state_dict(), "sr": told}, tmp_path / "a.ckpt")
    for source, changed in (
        (NETWORK, False),
        (NETWORK.replace("BGR", "RGB"), False),
        (NETWORK.replace("torch.relu", "torch.tanh"), True),
    ):
        (package / "__init__.py").write_text(source)
        sys.modules.pop("their_package")
        importlib.invalidate_caches()
        shutil.rmtree(package / "__pycache__", ignore_errors=True)
        for read in (checkpoint.load, partial(_begun_from, node)):
            caplog.clear()
            told_once.cache_clear()
            read(tmp_path / "a.ckpt")
            assert ("the code of Net was changed since" in caplog.text) is changed


def test_what_is_imported_beside_it_does_not_count_as_code_of_a_network():
    """Loggers lead to all that there are: `sr upscale` said of each network of one's own that it had been changed."""

    class Own(ESPCN):
        def network(self, x: Tensor, scale: int) -> Tensor:
            log.debug("enlarging")
            return super().network(x, scale)

    told = code_of(Own(2))
    logging.getLogger("of.another.library").setLevel(logging.INFO)
    assert code_of(Own(2)) == told and "code" in told


def test_code_of_this_package_that_was_changed_since_is_told(tmp_path, monkeypatch, caplog):
    """Networks are added below `sr/`, too, and changed there between training and measuring."""
    node, model = {"_target_": "sr.models.espcn.ESPCN", "scale": 2}, ESPCN(2)
    told = checkpoint.describe(node, "espcn", {}) | code_of(model)
    assert "code" not in told and told["methods"]["sr.models.espcn.ESPCN"].startswith(PYTHON)
    torch.save({"state_dict": model.state_dict(), "sr": told}, tmp_path / "a.ckpt")
    checkpoint.load(tmp_path / "a.ckpt")
    assert "was changed" not in caplog.text
    former = ESPCN.network
    monkeypatch.setattr(ESPCN, "network", lambda self, x, scale: former(self, x, scale) * 0.5)
    for read in (checkpoint.load, lambda path: checkpoint.warm_start(model, checkpoint.read(path), node, path)):
        caplog.clear()
        told_once.cache_clear()
        read(tmp_path / "a.ckpt")
        assert "the code of sr.models.espcn.ESPCN was changed since" in caplog.text


ADDED = """
from sr.models.espcn import ESPCN
FACTOR = 1.0
def helped(x):
    return x * 1.0
class Net(ESPCN):
    def network(self, x, scale):
        return helped(super().network(x, scale)) * FACTOR
"""


def test_helpers_beside_a_network_of_this_package_count_as_its_code(monkeypatch):
    """Its methods alone did: with a changed constant it was measured as the network that was trained."""
    found = []
    other = (ADDED.replace("FACTOR = 1.0", "FACTOR = 0.5"), ADDED.replace("x * 1.0", "-x"))
    for source in (ADDED, ADDED + "# more", *other):
        module = types.ModuleType("sr.models.added")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(source, vars(module))
        found.append(code_of(module.Net(2))["methods"]["sr.models.added.Net"])
    assert found[0] == found[1] and len({*found}) == 3


def test_code_of_what_else_a_config_names_is_told_too(package, caplog):
    """Losses are added below `sr/`, too: runs of two of them were averaged."""
    config = {
        "degradation": {"steps": [{"_target_": "sr.degradation.MatlabBicubic"}, {"_target_": "their_package.Net"}]},
        "callbacks": {"ema": {"_target_": "sr.callbacks.EMA"}},
    }
    assert codes_of({"model": config}) == {} == codes_of({"loss": {"_target_": "torch.nn.L1Loss"}})
    told = {"codes": codes_of(config)}
    assert [*told["codes"]] == ["sr.degradation.MatlabBicubic", "their_package.Net", "sr.callbacks.EMA"]
    tell_other_codes(config, told, "there")
    assert "was changed" not in caplog.text
    (package / "__init__.py").write_text(NETWORK.replace("torch.relu", "torch.tanh"))
    sys.modules.pop("their_package")
    importlib.invalidate_caches()
    shutil.rmtree(package / "__pycache__", ignore_errors=True)
    tell_other_codes(config, told, "there")
    assert "the code of their_package.Net was changed since there was begun" in caplog.text
    told = {"codes": {"sr.losses.Charbonnier": f"{PYTHON} other"}}
    tell_other_codes({"loss": {"terms": {"a": {"loss": {"_target_": "sr.losses.Charbonnier"}}}}}, told, "there")
    assert "the code of sr.losses.Charbonnier was changed" in caplog.text


def test_a_run_that_goes_on_with_other_code_keeps_what_it_was_begun_with():
    """A resume told it; the table that averages its seeds did not, as the record had the later code alone."""
    then, a, b = {"gone": "x"}, f"{PYTHON} a", f"{PYTHON} b"
    found = [then | {"loss": a}]
    for now in (a, b, b, a):
        found.append(continued(found[-1], {"loss": now, "more": a}))
    assert [of["loss"] for of in found] == [a, a, f"{a}, then {b}", f"{a}, then {b}", f"{a}, then {b}, then {a}"]
    assert found[-1]["gone"] == "x" and found[-1]["more"] == a
    assert continued({"loss": "3.1-2 a"}, {"loss": b}) == {"loss": b}, "of another Python nobody knows"


def test_code_of_a_metric_of_ones_own_is_told_too(tmp_path, caplog):
    """A resume went on with another one: metrics.csv held both, and best.ckpt was chosen among both."""
    told, source = {}, "from sr.metrics.metric import Metric\nMETRIC = Metric('far', lambda sr, hr: (sr - hr).{}())"
    for name in ("abs", "square"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "far.py").write_text(source.format(name))
        config = {"metrics": ["psnr", str(tmp_path / name / "far.py")]}
        tell_other_codes(config, told, "there")
        told = told or {"codes": codes_of(config)}
        assert ("the code of far was changed since there was begun" in caplog.text) == (name == "square")
        sys.modules.pop("sr.metrics.far")
