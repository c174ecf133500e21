"""Every architecture as a file for other programs, from its smallest size on."""

from pathlib import Path

import networks as nets
import pytest
import torch

from sr.errors import UserError
from sr.forms import formats
from sr.forms.deployed import Exported, exportable
from sr.layers.attention import ESA

EXPORTED = [name for name in nets.architectures() if name not in ("bicubic", "basicvsr")]


def small(name: str, half: bool = False) -> Exported:
    torch.manual_seed(0)
    few = {"frames": 3} if "frames" in nets.node(name) else {}  # each has operations of its own
    model = nets.build(name, nets.scales(name)[-1], small=True, **few)
    nets.used(model)
    return Exported(model, name, nets.scales(name)[-1], half)


def check(what: Exported, form: str, folder: Path) -> float:
    file = folder / f"{what.stem}.{form}"
    with torch.no_grad():
        network, given = Exported(what.model, what.name, what.scale).deployed(), what.compared()
        formats.FORMATS[form].write(file, what, 18)
        return formats.apart(formats.FORMATS[form].reader(file, what), given, [network(x) for x in given], what.half)


@pytest.mark.skipif(torch.__version__ < "2.13", reason="torch 2.11 cannot prove what 2.13 can")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in ("rlfn", "vdsr") else pytest.mark.slow) for n in EXPORTED]
)
def test_program(name, tmp_path):
    assert check(small(name), "pt2", tmp_path) < 1e-5


@pytest.mark.slow
@pytest.mark.skipif(torch.__version__ < "2.13", reason="torch 2.11 cannot prove what 2.13 can")
@pytest.mark.parametrize("name", EXPORTED)
def test_onnx(name, tmp_path):
    pytest.importorskip("onnxruntime")
    assert check(small(name), "onnx", tmp_path) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["edsr_baseline", "bsrn", "rlfn"])
def test_onnx_in_float16(name, tmp_path):
    pytest.importorskip("onnxruntime")
    assert check(small(name, half=True), "onnx", tmp_path) < 2e-3


def test_statistics_of_large_features_in_float16():
    """CCA squares features: of thousands float16 held no variance, and the file made no number."""
    what = small("imdn", half=True)
    with torch.no_grad():
        what.model.head.weight.mul_(10000)
        given = [what.noise(9, 8)]
        wanted = [Exported(what.model, what.name, what.scale).deployed()(x) for x in given]
        assert formats.apart(what.deployed(), given, wanted, half=True) < 2e-3


@pytest.mark.slow
def test_rcan_in_float16(tmp_path):
    """Of white its gates' weights in float16 alone were 2.3e-3 away."""
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    model = nets.build("rcan", 4)
    nets.used(model)
    what = Exported(model, "rcan", 4, half=True)
    file, white = tmp_path / "rcan.onnx", torch.ones(1, 3, 21, 24)
    with torch.no_grad():
        formats.to_onnx(file, what, 18)
        wanted = Exported(model, "rcan", 4).deployed()(white)
        formats.apart(formats.FORMATS["onnx"].reader(file, what), [white], [wanted], half=True)


@pytest.mark.slow
def test_gates_of_large_features_in_onnx(tmp_path):
    """ONNX Runtime's sigmoid is 1e-7 off; of noise RLFN's weights of NTIRE 2022 make 10,000, gated with near 0."""
    pytest.importorskip("onnxruntime")
    what = small("rlfn")
    with torch.no_grad():
        for esa in (m for m in what.model.modules() if isinstance(m, ESA)):
            esa.expand.weight.zero_()
            esa.expand.bias.fill_(-16)
        for fuse in (block.fuse for block in what.model.blocks):
            fuse.weight.mul_(1e7)
    assert check(what, "onnx", tmp_path) < 1e-5


def test_what_is_not_exported_is_one_that_says_why():
    refused = set()
    for name in nets.architectures():
        try:
            exportable(nets.build(name, nets.scales(name)[-1], small=True))
        except UserError:
            refused.add(name)
    assert refused == set(nets.architectures()) - set(EXPORTED)
