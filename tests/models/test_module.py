"""A network of another repository, an nn.Module as it is, is trained and used by what is typed alone."""

import csv
import importlib
import logging
import shutil
import sys
import types
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from small_runs import SMALL, same, saved
from torch import Tensor, nn

from sr.errors import UserError, told_once
from sr.models.espcn import ESPCN
from sr.models.module import Module
from sr.runs import checkpoint
from sr.runs.code import PYTHON, code_of, codes_of, continued, tell_other_codes

log = logging.getLogger(__name__)
NETWORK = '''
"""Somebody's network, which knows nothing of this project: BGR in 0-255, sides that 4 divides."""

import torch
from torch import Tensor, nn


class Net(nn.Module):
    def __init__(self, upscale, width=4):
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.last = nn.Conv2d(width, 3 * upscale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(upscale)

    def forward(self, x):
        assert x.shape[-1] % 4 == x.shape[-2] % 4 == 0
        return self.shuffle(self.last(torch.relu(self.first(x))))


class Pair(Net):
    def forward(self, x):
        return super().forward(x), x


def make(upscale):
    return Net(upscale)
'''
TYPED = [
    "model=module", "model.network._target_=their_package.Net", "+model.network.upscale=2", "model.value_range=255",
    "model.order=bgr", "model.multiple=4", "model.mean=[0.4,0.5,0.6]", "optimizer.lr=1e-6",
]  # fmt: skip


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    place = tmp_path / "elsewhere/their_package"
    place.mkdir(parents=True)
    (place / "__init__.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(str(place.parent))
    yield place
    sys.modules.pop("their_package", None)


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
    within = [{"width": [{"a": {"_target_": f"torch.nn.{other}", "module": "x"}}]} for other in others]
    of = ({}, {"_target_": "os.system"}, {"_target_": "their_package.make"}, *within)
    for name, network in zip("abcdefghi", of, strict=True):
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
    for name, other in zip("defghi", others, strict=True):
        with pytest.raises(UserError, match=rf"its network is torch\.nn\.{other}\..*trust=\[torch\.nn\.{other}\]"):
            checkpoint.load(tmp_path / f"{name}.ckpt")
    told = checkpoint.describe(node | {"multiple": 40_000}, "module", {})
    torch.save({"state_dict": model.state_dict(), "sr": told}, tmp_path / "a.ckpt")
    with pytest.raises(UserError, match=r"has 40,000 of anything.*trust=\[sr\.models\.module\]"):
        checkpoint.load(tmp_path / "a.ckpt")


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


OWN = """
import copy
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, upscale):
        super().__init__()
        self.last = nn.Conv2d(3, 3 * upscale**2, 3, padding=1)
        {more}

    def forward(self, x):
        return F.pixel_shuffle(self.last({x}), 2)
"""


@pytest.mark.parametrize(
    ("more", "x", "told"),
    [
        ("self.body = [nn.Conv2d(3, 3, 1)]", "self.body[0](x)", "inner.body[0]: these weights are no part of the"),
        ("self.w = {'a': [nn.Parameter(torch.ones(1))]}", "x * self.w['a'][0]", "inner.w['a'][0]: these weights"),
        ("self.noise = torch.rand(1)", "x * self.noise", "inner.noise: values are drawn when the network is"),
        ("self.register_buffer('r', torch.rand(1), persistent=False)", "x * self.r", "inner.r: values are drawn"),
        ("pass", "F.dropout(x, 0.5)", "Net makes another image of the same one each time"),
        ("self.mean, self.same = torch.tensor([0.5]), [self.last]", "x - self.mean", ""),
        ("self.order = torch.randperm(3).tolist()", "x[:, self.order]", "inner.order["),
        ("a = float(torch.rand(1)); self.f = lambda x: a * x", "self.f(x)", "Net: values are drawn"),
        ("self.lazy = nn.LazyConv2d(3, 1)", "self.lazy(x)", "inner.lazy.weight, inner.lazy.bias: layers whose sizes"),
        ("self.gru, self.ema = nn.GRU(3, 3), {'last': self.last.weight.detach().clone()}", "x", ""),
        ("import torch.nn.utils.prune as p; p.random_unstructured(self.last, 'weight', 0.5)", "x", ""),
        ("nn.init.zeros_(self.last.weight); self.b = torch.rand(3, 1, 1)", "x * self.b", "inner.b: values are drawn"),
        (
            "self.b = torch.rand(1)",
            "F.pad(x, 4 * [30], mode='reflect')[..., 30:-30, 30:-30]*self.b",
            "inner.b: values",
        ),
        ("self.grid = torch.eye(3).to_sparse()", "x", ""),
        ("self.t = [copy.deepcopy(self.last).requires_grad_(False)]", "x", ""),
        ("self.j = torch.jit.trace(nn.Conv2d(3, 3, 1), torch.rand(1, 3, 8, 8))", "self.j(x)", ""),
        ("self.acts = [nn.ReLU(), torch.relu]", "self.acts[0](x)", ""),
        ("self.first = torch.nn.utils.weight_norm(nn.Conv2d(3, 3, 1))", "self.first(x)", ""),
        ("self.first = torch.nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 1))", "self.first(x)", ""),
        ("self.first = torch.nn.utils.spectral_norm(nn.Conv2d(3, 3, 1))", "self.first(x)", ""),
    ],
)
def test_what_no_checkpoint_of_a_network_would_hold_is_refused(command, package, more, x, told):
    """It was trained and measured; read again it was another network, with other figures each time."""
    (package / "__init__.py").write_text(OWN.replace("{more}", more).replace("{x}", x))
    own = ["model=module", "model.network._target_=their_package.Net", "+model.network.upscale=2", "benchmarks=[]"]
    state = torch.get_rng_state()
    done = command("train.py", *own, "scale=2", "data=bundled", "budget=smoke", "steps=1", "trainer=cpu")
    text = done.out + done.err
    goes = told == "" or told.startswith(("Net makes another image", "inner.w["))
    assert done.code == (0 if goes else 1), done
    assert told in text if told else not {w for w in ("drawn", "each time", "no part of") if w in text}, done
    torch.set_rng_state(state)


GELU = "{_target_:torch.nn.GELU}"


@pytest.mark.parametrize(
    ("more", "x", "given"),
    [
        ("self.by = opt['b'][1]", "x * self.by", "{a:1,b:[1,2]}"),
        ("self.act = opt", "self.act(x)", GELU),
        ("self.act = nn.Sequential(opt['a'], *opt['b'])", "self.act(x)", f"{{a:{GELU},b:[{GELU},{GELU}]}}"),
        ("self.act = opt(inplace=True)", "self.act(x)", "{_target_:torch.nn.ReLU,_partial_:true}"),
        ("self.first = torch.nn.utils.weight_norm(nn.Conv2d(3, 3, 1))", "self.first(x)", "1"),
        ("self.first = nn.LazyConv2d(3, 1); self.first(torch.zeros(1, 3, 4, 4))", "self.first(x)", "1"),
        ("self.first = nn.Sequential(nn.Conv2d(3, 3, 1), *(nn.Conv2d(512, 512, 3) for _ in 'ab'))[:1]", "x", "4096"),
        ("self.kept = []", "(self.kept.append(x * self.last.bias[0]), x)[1]", "1"),
        ("self.register_buffer('m', torch.tensor([0, -torch.inf]))", "x * self.m.exp()[0]", "1"),
        ("self.w = nn.Parameter(torch.ones(3, 1, 1) + 0j)", "(x * self.w).real", "1"),
    ],
    ids=["dict", "network", "networks", "partial", "weight_norm", "lazy", "makes_more", "graph", "mask", "complex"],
)
def test_what_trains_is_read_again(command, package, more, x, given):
    """It trained to its end, and its own checkpoint was refused, or ended in a traceback."""
    source = OWN.replace("(self, upscale)", "(self, upscale, opt)").replace("{more}", more).replace("{x}", x)
    (package / "__init__.py").write_text(source)
    own = ["model=module", "model.network._target_=their_package.Net", "+model.network.upscale=2"]
    typed = [*own, f"+model.network.opt={given}", "benchmarks=[]", "scale=2", "data=bundled", "budget=smoke"]
    done = command("train.py", *typed, "steps=1", "trainer=cpu")
    assert done.code == 0, done
    again = command("evaluate.py", f"checkpoint={done.folder}", "trust=[their_package]", "panels=0", folder="again")
    assert again.code == 0, again


@pytest.mark.parametrize(
    ("more", "given", "told"),
    [
        ("pass", "{_target_:torch.nn.functional.gelu,_partial_:true}", "torch.nn.functional.gelu is not a network"),
        ("self.c = opt.c", "{c:1}", "'dict' object has no attribute 'c'"),
        ("self.big = [nn.Conv2d(4000, 2000, 3) for _ in range(3)]", "1", "a network far larger than the weights"),
    ],
)
def test_what_could_not_be_read_again_is_refused_before_the_first_step(command, package, more, given, told):
    source = OWN.replace("(self, upscale)", "(self, upscale, opt)").replace("{more}", more).replace("{x}", "x")
    (package / "__init__.py").write_text(source)
    own = ["model=module", "model.network._target_=their_package.Net", "+model.network.upscale=2"]
    typed = [*own, f"+model.network.opt={given}", "benchmarks=[]", "scale=2", "data=bundled", "budget=smoke"]
    done = command("train.py", *typed, "steps=1", "trainer=cpu")
    assert done.code == 1 and told in done.err, done
    assert not (done.folder / "checkpoints").exists()


def test_what_changes_in_an_attribute_as_it_trains_is_told(command, package):
    """Its validations were of the mean that it had kept, its table of the one that it began with: 7 dB apart."""
    line = "self.mean = self.mean + 0.1 * self.training; return"
    source = OWN.replace("{more}", "self.mean = torch.zeros(1)").replace("return", line)
    (package / "__init__.py").write_text(source.replace("{x}", "x - self.mean"))
    own = ["model=module", "model.network._target_=their_package.Net", "+model.network.upscale=2", "benchmarks=[]"]
    done = command("train.py", *own, "scale=2", "data=bundled", "budget=smoke", "trainer=cpu")
    assert done.code == 0 and (done.out + done.err).count("warning: inner.mean: changed while the network trained") == 1


def test_so_it_is_at_the_end_of_networks_below_sr(command, monkeypatch):
    former = ESPCN.network

    def network(self, x, scale):
        self.seen = getattr(self, "seen", 0) + self.training
        return former(self, x, scale) * (1 + 0.1 * self.seen)

    monkeypatch.setattr(ESPCN, "network", network)
    done = command("train.py", "model=espcn", "scale=2", "data=bundled", "budget=smoke", "benchmarks=[]", "trainer=cpu")
    assert done.code == 0 and "warning: seen: changed while the network trained" in done.out + done.err, done


BRANCHES = [
    """
        self.k = None

    def train(self, mode=True):  # its branches become one once, where it is measured
        self.k = None if mode else self.k
        return super().train(mode)

    def forward(self, x):
        if not self.training and self.k is None:
            self.k = self.a.weight + F.pad(self.b.weight, (1, 1, 1, 1)), self.a.bias + self.b.bias
        y = self.a(x) + self.b(x) if self.training else F.conv2d(x, *self.k, padding=1)
        return F.pixel_shuffle(y, 2)
""",
    """
        self.merged = False

    def train(self, mode=True):  # as LoRA does, in place
        if mode == self.merged:
            self.a.weight.data += (1 - 2 * mode) * F.pad(self.b.weight, (1, 1, 1, 1)).data
            self.a.bias.data += (1 - 2 * mode) * self.b.bias.data
            self.merged = not mode
        return super().train(mode)

    def forward(self, x):
        return F.pixel_shuffle(self.a(x) if self.merged else self.a(x) + self.b(x), 2)
""",
]


LOOK = """

import lightning.pytorch as L


class Look(L.Callback):
    def on_validation_end(self, trainer, pl_module):  # where Lightning promises eval mode
        assert not any(module.training for module in pl_module.modules())
"""


@pytest.mark.parametrize("rest", BRANCHES, ids=["cached", "in_place"])
def test_networks_that_merge_branches_to_be_measured_are_told_when_training_goes_on(command, package, rest):
    """Lightning does not: each validation was of the branches of the first one, and the checkpoint had both."""
    layers = "self.a, self.b = (nn.Conv2d(3, 12, k, padding=k // 2) for k in (3, 1))"
    source = OWN.replace("{more}", layers)
    (package / "__init__.py").write_text(source[: source.index("\n    def forward")] + rest + LOOK)
    typed = ["model=module", "model.network._target_=their_package.Net", "+model.network.upscale=2"]
    typed += ["optimizer.lr=0.01", "steps=9", "val_every_steps=3", "batch_size=2", "patch_size=8", "scale=2"]
    typed += ["+callbacks.look._target_=their_package.Look"]
    done = command("train.py", *typed, "data=bundled", "protocols=[y]", "callbacks=[]", "trainer=cpu")
    assert done.code == 0 and "warning" not in done.out + done.err, done
    with (done.folder / "metrics.csv").open() as f, (done.folder / "results.csv").open() as g:
        curve = [float(row["val/psnr_y"]) for row in csv.DictReader(f) if row["val/psnr_y"]]
        (end,) = [float(row["psnr"]) for row in csv.DictReader(g) if row["model"] == "module"]
    assert len({*curve}) == 3 and curve[-1] == pytest.approx(end, abs=1e-3)


def test_what_python_and_numpy_have_drawn_goes_on_after_a_resume(command, package):
    """Stochastic depth by `random` came to other weights, though a resume is promised to be exact."""
    source = OWN.replace("import copy", "import random\nimport numpy as np").replace("{more}", "pass")
    drawn = "x * (random.random() + np.random.rand() + random.gauss(0, 1))"
    (package / "__init__.py").write_text(source.replace("{x}", drawn))
    typed = ["model=module", "model.network._target_=their_package.Net", "+model.network.upscale=2", "benchmarks=[]"]
    typed += ["scale=2", "data=bundled", "batch_size=2", "patch_size=8", "callbacks=[]", "trainer=cpu"]
    typed += ["val_every_steps=3", "trust=[their_package]"]
    whole = command("train.py", *typed, "steps=6", folder="whole")
    parts = command("train.py", *typed, "steps=3", folder="parts")
    again = command("train.py", f"resume={parts.folder}", "steps=6")
    assert whole.code == parts.code == again.code == 0, again
    assert same(saved(whole.folder)["state_dict"], saved(parts.folder)["state_dict"])


def test_a_network_that_sets_itself_up_by_its_first_image_is_left_to_do_so(package):
    """The look before the first step gave it the statistics of a black one."""
    source = OWN.replace("{more}", "self.register_buffer('mean', torch.full((), torch.inf))")
    line = "self.mean.copy_(x.mean() if self.mean.isinf() else self.mean); return"
    (package / "__init__.py").write_text(source.replace("return", line).replace("{x}", "x - self.mean"))
    model = Module(2, lambda: importlib.import_module("their_package").Net(2))
    model.tried()
    assert model.inner.mean.isinf() and model.training


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
