"""Every file of conf/model: parameter count, sizes, gradients, dtypes, merging, compiling, exporting.

The fast tier runs each distinct network with two blocks of 16 channels; the slow tier runs every file as it is.
"""

import pytest
import torch
from networks import NAMES, architectures, build, cases, count, merges, node, scales, used
from omegaconf import OmegaConf
from torch import nn

from sr.errors import UserError

# Published or official counts by scale, merged form; a scale is left out where the authors have no such model.
COUNTS: dict[str, dict[int, int]] = {
    "bicubic": {2: 0, 3: 0, 4: 0},
    "srcnn": {2: 8129, 3: 8129, 4: 8129},
    "srcnn_935": {2: 24513, 3: 24513, 4: 24513},
    "srcnn_955": {2: 57281, 3: 57281, 4: 57281},
    "fsrcnn": {2: 12644, 3: 12644, 4: 12644},
    "fsrcnn channel_slopes=true": {2: 12809, 3: 12809, 4: 12809},
    "fsrcnn_rgb": {2: 24683, 3: 24683, 4: 24683},
    "fsrcnn_s": {2: 4016, 3: 4016, 4: 4016},  # 3,937 weights, 79 biases and slopes
    "espcn": {2: 21284, 3: 22729, 4: 24752},
    "vdsr": {2: 665921, 3: 665921, 4: 665921},
    "vdsr bias=false": {2: 664704, 3: 664704, 4: 664704},
    "drcn": {2: 1775121, 3: 1775121, 4: 1775121},  # 1,774,080 weights, 1,025 biases, 16 of the ensemble
    "lapsrn": {2: 407441, 4: 814242, 8: 667123},
    "srresnet": {4: 1549462},
    "msrresnet": {4: 1517571},
    "edsr_baseline": {2: 1369859, 3: 1554499, 4: 1517571},
    "edsr": {2: 40729603, 3: 43680003, 4: 43089923},
    "mdsr_baseline": dict.fromkeys((2, 3, 4), 3227203),
    "mdsr": dict.fromkeys((2, 3, 4), 7953987),
    "bsrn": {2: 331628, 3: 340283, 4: 352400},
    "bsrn_s": {4: 156288},
    "imdn": {2: 694404, 3: 703059, 4: 715176},
    "imdn_ntire": {4: 893936},
    "rfdn": {2: 534756, 3: 541251, 4: 550344},
    "rfdn_aim": {2: 417212, 3: 423977, 4: 433448},
    "rlfn_rfdb": {2: 536796, 4: 552384},  # inferred: R48 and the distillation
    "rfdn_r48": {2: 439452, 4: 455040},  # inferred
    "rfdn_r52": {2: 526856, 4: 543740},  # RLFN's: a moved addition has no parameters
    "rlfn": {2: 526856, 4: 543740},
    "rlfn_s": {2: 454620, 4: 470208},
    "rlfn_ntire": {4: 317218},
    "span": {2: 481324, 3: 488359, 4: 498208},
    "span_48": {2: 410700, 3: 417195, 4: 426288},
    "span_ntire": {4: 150688},
    "span_ntire reparam=false": {4: 150688},
    "disp": {4: 163792},
    "efdn": {4: 276192},  # NTIRE 2025 lists 0.276 M
    "efdn reparam=false": {4: 276192},
    "rcan": {4: 15592355},
    "rrdbnet": {4: 16697987},
    "swinir_light": {2: 910152, 3: 918267, 4: 929628},
    "ecbsr": {2: 10100, 3: 10825, 4: 11840},
    "ecbsr_m4c8": {2: 2748, 3: 3113, 4: 3624},
    "ecbsr_m4c8 colors=3": {2: 3476, 3: 4571, 4: 6104},
    "ecbsr_m4c16": {2: 10100, 3: 10825, 4: 11840},
    "ecbsr_m10c16": {2: 24116, 3: 24841, 4: 25856},
    "ecbsr_m10c16 colors=3": {2: 25564, 3: 27739, 4: 30784},
    "ecbsr_m10c32": {2: 94308, 3: 95753, 4: 97776},
    "ecbsr_m16c64": {2: 594884, 3: 597769, 4: 601808},
    "ecbsr_m4c16_rgb": {2: 11548, 3: 13723, 4: 16768},
    "plain": {2: 11548, 3: 13723, 4: 16768},
    "plain colors=1": {2: 10100, 3: 10825, 4: 11840},
    "plain colors=1 channels=32": {2: 38628, 3: 40073, 4: 42096},
    "plain num_blocks=6 channels=40": {2: 92372, 3: 97787, 4: 105368},
    "plain num_blocks=6 channels=40 colors=1": {2: 88764, 3: 90569, 4: 93096},
    "srvgg_compact": {2: 600652, 3: 609307, 4: 621424},  # ECBSR-M16C64's on RGB
    "srvgg_compact_32": {4: 1213296},
    "plain_repvgg": {2: 11548, 3: 13723, 4: 16768},
    "plain_acnet": {2: 11548, 3: 13723, 4: 16768},
    "plain_dbb": {2: 11548, 3: 13723, 4: 16768},
    "plain_ecb": {2: 11548, 3: 13723, 4: 16768},
    "repsr": {2: 11548, 3: 13723, 4: 16768},
    "repsr_m4c16": {2: 11548, 3: 13723, 4: 16768},
    "repsr_m4c32": {2: 41516, 3: 45851, 4: 51920},
    "repsr_m10c32": {2: 97196, 3: 101531, 4: 107600},
    "repsr_m16c64": {2: 600652, 3: 609307, 4: 621424},
}


@pytest.mark.parametrize(
    ("typed", "scale", "expected"),
    [(typed, scale, expected) for typed, row in COUNTS.items() for scale, expected in row.items()],
)
def test_parameter_count(typed, scale, expected):
    name, *changes = typed.split()
    with torch.device("meta"):
        model = build(name, scale, **OmegaConf.from_dotlist(changes))  # type: ignore[arg-type]
        assert count(model.merged()) == expected


def test_training_form_of_ecbsr():
    with torch.device("meta"):
        assert count(build("ecbsr_m4c16", 2)) == 39956


@pytest.mark.parametrize(("name", "small"), cases())
def test_odd_size_and_gradients(name, small):
    torch.manual_seed(0)
    s = scales(name)[:2][-1]
    model = build(name, s, small)
    clip = [2] if model.clips else []  # of one frame SPyNet has nothing to do
    y = model(torch.rand(2, *clip, 3, 17, 19), s)
    assert y.shape == (2, *clip, 3, s * 17, s * 19)
    assert torch.isfinite(y).all()
    if not count(model):
        return
    (y - torch.rand_like(y)).abs().mean().backward()
    # A unit may be dead at the start, but a parameter that no path uses has no gradient at all.
    elsewhere = tuple(
        f"{part}.x{other}" for part in ("entrances", "upsamplers") for other in model.scales if other != s
    )
    for parameter_name, p in model.named_parameters():
        if not parameter_name.startswith(elsewhere):
            assert p.grad is not None, parameter_name
            assert torch.isfinite(p.grad).all(), parameter_name
    assert any(p.grad.any() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(("name", "small"), cases())
def test_any_size(name, small):
    s = scales(name)[0]
    model = build(name, s, small).eval()
    for height, width in ((1, 1), (1, 31), (2, 3), (14, 15), (23, 4), (13, 17)):
        with torch.no_grad():
            y = model(torch.rand(1, 3, height, width), s)
        assert y.shape == (1, 3, s * height, s * width)
        assert torch.isfinite(y).all()


@pytest.mark.parametrize(("name", "small"), cases(without=("bicubic",)))
def test_one_pixel_has_finite_gradients(name, small):
    torch.manual_seed(0)
    s = scales(name)[0]
    model = build(name, s, small)
    model(torch.rand(2, 3, 1, 1), s).sum().backward()  # two images: batch norm refuses a single value
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(("name", "small"), cases())
def test_dtypes_and_memory_format(name, small):
    torch.manual_seed(0)
    s = scales(name)[0]
    model = build(name, s, small).eval()
    x = torch.rand(1, 3, 16, 17)
    with torch.no_grad():
        y = model(x, s)
        last = model.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last), s)
        torch.testing.assert_close(last, y, rtol=1e-4, atol=1e-4)
        double = model.double()(x.double(), s)
        assert double.dtype == torch.float64
        torch.testing.assert_close(double.float(), y, rtol=1e-4, atol=1e-4)
        half = model.bfloat16()(x.bfloat16(), s)
        assert half.dtype == torch.bfloat16 and torch.isfinite(half).all()
        assert (half.float() - y).abs().mean() < 0.05 * max(1, y.abs().mean())


@pytest.mark.parametrize(("name", "small"), cases(without=("bicubic",)))
def test_mixed_precision_trains(name, small):
    s = scales(name)[0]
    model = build(name, s, small)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(torch.rand(1, 3, 9, 8), s).float().square().mean()
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(("name", "small"), cases(without=tuple(n for n in NAMES if not merges(n))))
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_merged_form_gives_the_same_image(name, small, dtype, tolerance):
    model = build(name, scales(name)[0], small)
    used(model)
    s = model.scales[-1]
    x = torch.rand(1, 3, 11, 8, dtype=dtype)
    with torch.no_grad():
        model = model.to(dtype)
        merged = model.merged()
        assert not any(isinstance(m, nn.BatchNorm2d) for m in merged.modules())
        for image in (x, x[..., :1, :1]):
            torch.testing.assert_close(merged(image, s), model(image, s), rtol=0, atol=tolerance)
        torch.testing.assert_close(merged.merged()(x, s), merged(x, s), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["srcnn", "edsr_baseline", "bsrn_s", "ecbsr", "mdsr_baseline", "lapsrn"])
def test_state_is_parameters_only(name):
    model = build(name, 2, small=True)
    assert set(model.state_dict()) == {n for n, _ in model.named_parameters()}


@pytest.mark.parametrize("name", [n if n != "edvr_l" else "edvr_m" for n in architectures()])
def test_traces_for_the_compiler(name):
    """In one graph, as train.py compiles it."""
    s = scales(name)[0]
    model = build(name, s, small=True, **({"num_blocks": 1} if "num_blocks" in node(name) else {})).eval()
    torch._dynamo.reset()
    network = torch.compile(model.network, backend="aot_eager", fullgraph=True)
    x = torch.rand(1, *([2] if model.clips else []), model.colors, 15, 16)
    torch.testing.assert_close(network(x, s), model.network(x, s), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in architectures() if name not in ("swinir_light", "edvr_l")])
def test_compiles(name):
    """With one block: depth repeats the same kernels. Each takes seconds to compile, those left out take minutes."""
    s = scales(name)[0]
    model = build(name, s, small=True, **({"num_blocks": 1} if "num_blocks" in node(name) else {})).eval()
    torch._dynamo.reset()
    compiled = torch.compile(model)
    with torch.no_grad():
        for size in ((21, 24), (23, 30)):  # the second size makes the compiler treat both sides as unknown
            x = torch.rand(1, 3, *size)
            torch.testing.assert_close(compiled(x, s), model(x, s), rtol=1e-3, atol=1e-4)


def test_a_model_of_several_scales_must_be_told_which():
    model = build("mdsr_baseline", 2, small=True)
    x = torch.rand(1, 3, 4, 5)
    assert [model(x, s).shape[-1] for s in (2, 3, 4)] == [10, 15, 20]
    with pytest.raises(UserError, match="scale=2"):
        model(x)
    with pytest.raises(UserError, match="serves scale 2, 3, 4, and none was given"):
        model.scale_of(None)
    with pytest.raises(UserError, match="serves scale 2, 3, 4, asked was 8"):
        model(x, 8)


def test_a_model_of_one_scale_refuses_another():
    with pytest.raises(UserError, match="serves scale 2, asked was 3"):
        build("espcn", 2)(torch.rand(1, 3, 4, 5), 3)
