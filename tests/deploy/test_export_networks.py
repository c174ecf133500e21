"""Every architecture as a file for other programs, from its smallest size on."""

from pathlib import Path

import networks as nets
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sr.errors import UserError
from sr.forms import formats
from sr.forms.deployed import Exported, exportable
from sr.layers.attention import ESA
from sr.models.base import SuperResolver

EXPORTED = [name for name in nets.architectures() if name not in ("bicubic", "basicvsr")]


def small(name: str, half: bool = False) -> Exported:
    torch.manual_seed(0)
    few = {"frames": 3} if "frames" in nets.node(name) else {}  # each has operations of its own
    model = nets.build(name, nets.scales(name)[-1], small=True, **few)
    nets.used(model)
    return Exported(model, name, nets.scales(name)[-1], half)


def check(what: Exported, form: str, folder: Path, opset: int = 18) -> float:
    file = folder / f"{what.stem}.{form}"
    with torch.no_grad():
        network, given = Exported(what.model, what.name, what.scale).deployed(), what.compared()
        formats.FORMATS[form].write(file, what, opset)
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


class Own(SuperResolver):
    """Somebody's: one convolution and GELU, or smooth enlargement."""

    def __init__(self, smooth: bool) -> None:
        super().__init__(2)
        self.conv, self.smooth = nn.Conv2d(3, 12, 3, padding=1), smooth

    def network(self, x, scale):
        if self.smooth:
            return F.interpolate(x, scale_factor=2.0, mode="bicubic", antialias=True)
        return F.pixel_shuffle(F.gelu(self.conv(x)), 2)


@pytest.mark.parametrize(
    ("smooth", "asked", "operator", "written"),
    [
        (False, 17, "Erf", 17),
        (True, 17, "Resize", 18),
        pytest.param(False, 20, "Gelu", 20, marks=pytest.mark.slow),
        pytest.param(True, 18, "Resize", 18, marks=pytest.mark.slow),
    ],
)
def test_older_operators_are_written_or_what_is_written_is_told(tmp_path, caplog, smooth, asked, operator, written):
    """GELU is one of them from 20 on, and in 17 made of others; Resize is antialiased from 18 on."""
    pytest.importorskip("onnxruntime")
    import onnx

    assert check(Exported(Own(smooth).eval(), "own", 2), "onnx", tmp_path, asked) < 1e-6
    model = onnx.load(tmp_path / "own_x2.onnx")
    found = next(o.version for o in model.opset_import if not o.domain)
    assert found == written and operator in {node.op_type for node in model.graph.node}
    told = f"it needs version {written} of ONNX's operators, not {asked}"
    assert (told in caplog.text) == (written != asked), caplog.text


@pytest.mark.slow
def test_a_network_that_folds_its_picture(tmp_path):
    """At x2 RRDBNet reads 2 x 2 pixels as channels, for which exporters have had an operator of late only."""
    pytest.importorskip("onnxruntime")
    model = nets.build("rrdbnet", 2, small=True)
    assert check(Exported(model.eval(), "rrdbnet", 2), "onnx", tmp_path) < 1e-5


KINDS = {
    "white": lambda x: x.min() == 1,
    "black": lambda x: x.max() == 0,
    "a checkerboard": lambda x: x.diff().abs().mean() == 1,
    "noise": lambda x: 0.2 < x.diff().abs().mean() < 1,
}


@pytest.mark.parametrize("kind", KINDS)
def test_float16_is_tried_on_what_drives_values_up(kind):
    """A file that makes no number of one kind of picture is not kept."""
    what = Exported(Own(smooth=False), "own", 2, half=True)
    given = what.compared()
    with pytest.raises(UserError, match="leave half=true out"):
        formats.apart(lambda x: x / (not KINDS[kind](x)), given, given, half=True, strained=what.strained())
