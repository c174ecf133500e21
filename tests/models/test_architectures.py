"""Every file of conf/model: parameter count, sizes, gradients, dtypes, merging."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import nn

from sr.models.base import SuperResolver

CONF = Path(__file__).resolve().parents[2] / "conf"
NAMES = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
HUGE = {"edsr"}  # tens of millions of parameters: slow tier

# Published or official counts at (x2, x3, x4); None where the authors have no such model. Merged form.
COUNTS: dict[str, tuple[int | None, int | None, int | None]] = {
    "bicubic": (0, 0, 0),
    "srcnn": (8129, 8129, 8129),
    "srcnn_935": (24513, 24513, 24513),
    "srcnn_955": (57281, 57281, 57281),
    "edsr_baseline": (1369859, 1554499, 1517571),
    "edsr": (40729603, 43680003, 43089923),
    "bsrn": (331628, 340283, 352400),
    "bsrn_s": (None, None, 156288),
    "imdn": (694404, 703059, 715176),
    "rfdn": (534756, 541251, 550344),
    "rfdn_aim": (417212, 423977, 433448),
    "rlfn": (526856, None, 543740),
    "rlfn_s": (454620, None, 470208),
    "rlfn_ntire": (None, None, 317218),
    "ecbsr": (10100, 10825, 11840),
    "ecbsr_m4c8": (2748, 3113, 3624),
    "ecbsr_m4c16": (10100, 10825, 11840),
    "ecbsr_m10c16": (24116, 24841, 25856),
    "ecbsr_m10c32": (94308, 95753, 97776),
    "ecbsr_m16c64": (594884, 597769, 601808),
    "ecbsr_m4c16_rgb": (11548, 13723, 16768),
}


def build(name: str, scale: int, *overrides: str) -> SuperResolver:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(f"model/{name}", overrides=[f"+scale={scale}", *overrides])
    return instantiate(config.model)


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def heavy(names: list[str]) -> list:
    return [pytest.param(n, marks=pytest.mark.slow) if n in HUGE else n for n in names]


@pytest.mark.parametrize(
    ("name", "scale", "expected"),
    [
        (name, scale, expected)
        for name, row in COUNTS.items()
        for scale, expected in zip((2, 3, 4), row, strict=True)
        if expected is not None
    ],
)
def test_parameter_count(name, scale, expected):
    with torch.device("meta"):
        assert count(build(name, scale).merged()) == expected


def test_training_form_of_ecbsr():
    with torch.device("meta"):
        assert count(build("ecbsr_m4c16", 2)) == 39956


@pytest.mark.parametrize("name", heavy(NAMES))
def test_odd_size_and_gradients(name):
    torch.manual_seed(0)
    model = build(name, 3)
    x = torch.rand(2, 3, 17, 19)
    y = model(x)
    assert y.shape == (2, 3, 51, 57)
    assert torch.isfinite(y).all()
    if not count(model):
        return
    (y - torch.rand_like(y)).abs().mean().backward()
    # A unit may be dead at the start, but a parameter that no path uses has no gradient at all.
    for parameter_name, p in model.named_parameters():
        assert p.grad is not None, parameter_name
        assert torch.isfinite(p.grad).all(), parameter_name
    assert any(p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("size", [(1, 1), (1, 31), (2, 3), (14, 15), (23, 4)])
@pytest.mark.parametrize("name", heavy(NAMES))
def test_any_size(name, size):
    model = build(name, 2).eval()
    with torch.no_grad():
        y = model(torch.rand(1, 3, *size))
    assert y.shape == (1, 3, 2 * size[0], 2 * size[1])
    assert torch.isfinite(y).all()


@pytest.mark.parametrize("name", heavy([n for n in NAMES if n != "bicubic"]))
def test_one_pixel_has_finite_gradients(name):
    torch.manual_seed(0)
    model = build(name, 2)
    model(torch.rand(1, 3, 1, 1)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", heavy(NAMES))
def test_dtypes_and_memory_format(name):
    torch.manual_seed(0)
    model = build(name, 2).eval()
    x = torch.rand(1, 3, 16, 17)
    with torch.no_grad():
        y = model(x)
        last = model.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
        torch.testing.assert_close(last, y, rtol=1e-4, atol=1e-4)
        double = model.double()(x.double())
        assert double.dtype == torch.float64
        torch.testing.assert_close(double.float(), y, rtol=1e-4, atol=1e-4)
        half = model.bfloat16()(x.bfloat16())
        assert half.dtype == torch.bfloat16 and torch.isfinite(half).all()
        assert (half.float() - y).abs().mean() < 0.05


@pytest.mark.parametrize("name", heavy([n for n in NAMES if n != "bicubic"]))
def test_mixed_precision_trains(name):
    model = build(name, 2)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(torch.rand(1, 3, 15, 16)).float().square().mean()
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("ecbsr")])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_merged_form_gives_the_same_image(name, dtype, tolerance):
    torch.manual_seed(0)
    model = build(name, 2)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))  # scales and biases of the edge branches start near 0
        x = torch.rand(1, 3, 11, 8, dtype=dtype)
        model = model.to(dtype).eval()
        merged = model.merged()
        assert not any(hasattr(m, "merge") for m in merged.modules())
        torch.testing.assert_close(merged(x), model(x), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["srcnn", "edsr_baseline", "bsrn_s", "ecbsr"])
def test_state_is_parameters_only(name):
    model = build(name, 2)
    assert set(model.state_dict()) == {n for n, _ in model.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NAMES if n not in HUGE])
def test_exports_with_dynamic_height_and_width(name):
    model = build(name, 2).eval()
    # torch.export sets size 1 apart from all others, and below 21 pixels ESA's pooled map is 1 pixel.
    height, width = torch.export.Dim("h", min=21, max=512), torch.export.Dim("w", min=21, max=512)
    dynamic = ({2: height, 3: width},)
    exported = torch.export.export(_Forward(model), (torch.rand(1, 3, 24, 31),), dynamic_shapes=dynamic)
    x = torch.rand(1, 3, 21, 40)
    with torch.no_grad():
        torch.testing.assert_close(exported.module()(x), model(x), rtol=1e-4, atol=1e-5)


class _Forward(nn.Module):
    """What is exported: the forward pass at the model's own scale, without the training loops."""

    def __init__(self, model: SuperResolver) -> None:
        super().__init__()
        self.model = model

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        return self.model(lr)
