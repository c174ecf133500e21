"""What a network computes with is in its checkpoint, and what trains can be read again."""

import csv
import importlib

import pytest
import torch
from small_runs import same, saved

from sr.callbacks import lost
from sr.models import unsaved
from sr.models.espcn import ESPCN
from sr.models.module import Module

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


@pytest.mark.parametrize(("x", "times"), [("x * t", 1), ("x", 0)])
def test_what_training_alone_sees_of_it_is_told_too(command, package, x, times):
    """A temperature that falls: evaluation does not see it, and a run that was resumed had other weights at its end."""
    line = "t = self.t if self.training else 1; self.t *= 0.9 if self.training else 1; return"
    source = OWN.replace("{more}", "self.t = 5.0").replace("return", line)
    (package / "__init__.py").write_text(source.replace("{x}", x))
    own = ["model=module", "model.network._target_=their_package.Net", "+model.network.upscale=2", "benchmarks=[]"]
    done = command("train.py", *own, "scale=2", "data=bundled", "budget=smoke", "trainer=cpu")
    told = (
        "warning: inner.t: changed while the network trained, and no checkpoint holds it: a run that is resumed begins"
    )
    assert done.code == 0 and (done.out + done.err).count(told) == times, done


def test_so_it_is_of_networks_that_the_user_adds_below_sr(command, monkeypatch):
    former, drawn, read = ESPCN.network, [], []

    def network(self, x, scale):
        self.seen = getattr(self, "seen", 0) + self.training
        return former(self, x, scale) * (1 + 0.1 * self.seen)

    def tell_lost(model, anew, training):
        read.append(model)
        unsaved.tell_lost(model, anew, training)

    monkeypatch.setattr(ESPCN, "network", network)
    monkeypatch.setattr(lost, "tell_lost", tell_lost)
    words = ("model=espcn", "scale=2", "data=bundled", "budget=smoke", "benchmarks=[]", "trainer=cpu")
    done = command("train.py", *words)
    assert done.code == 0 and "warning: seen: changed while the network trained" in done.out + done.err, done
    assert read, "at the first validation"
    monkeypatch.setattr(ESPCN, "network", lambda self, x, scale: former(self, x, scale) * self.__dict__["by"]())
    begin = ESPCN.__init__

    def init(self, *args, **settings):
        begin(self, *args, **settings)
        drawn.append(torch.rand(1))
        self.by = lambda a=drawn[-1]: a

    monkeypatch.setattr(ESPCN, "__init__", init)
    done = command("train.py", *words)
    assert done.code == 1 and "ESPCN: values are drawn when the network is built" in done.err, done


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


MERGED_INTO_WEIGHTS = """
        self.sk, self.eval_conv = nn.Conv2d(3, 12, 1), nn.Conv2d(3, 12, 3, padding=1).requires_grad_(False)

    def forward(self, x):  # as in SPAN's public code
        if self.training:
            y = self.last(x) + self.sk(x)
        else:
            self.eval_conv.weight.data = self.last.weight.data + F.pad(self.sk.weight.data, (1, 1, 1, 1))
            self.eval_conv.bias.data = self.last.bias.data + self.sk.bias.data
            y = self.eval_conv(x)
        return F.pixel_shuffle(y, 2)
"""


def test_weights_that_others_are_merged_into_are_no_changed_ones(command, package):
    """It was told that a callback had changed them; and of what learns that it was what is left of them."""
    (package / "__init__.py").write_text(OWN.partition("{more}")[0] + MERGED_INTO_WEIGHTS.strip())
    own = ["model=module", "model.network._target_=their_package.Net", "+model.network.upscale=2", "benchmarks=[]"]
    done = command("train.py", *own, "scale=2", "data=bundled", "budget=smoke", "trainer=cpu", "callbacks=[panels,ema]")
    assert done.code == 0 and "callback changed" not in done.out + done.err, done
    assert "720 parameters, 384 of them learn;" in done.out + done.err, done
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    done = command("export.py", f"model={done.folder}", "formats=[onnx]", "trust=[their_package]", folder="out")
    told = "model.inner.eval_conv.weight, model.inner.eval_conv.bias: the network puts other weights there each time"
    assert done.code == 1 and told in done.err, "torch's exporter ended the process"


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
