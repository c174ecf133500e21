"""Counted costs equal the published ones, and a second counter's."""

import hydra
import pytest
import torch
from omegaconf import OmegaConf
from torch.utils.flop_counter import FlopCounterMode

from sr.measuring.cost import cost, lr_size
from sr.measuring.latency import latencies
from sr.measuring.receptive_field import receptive_field
from sr.models.base import SuperResolver
from sr.models.basicvsr import BasicVSR


@pytest.fixture
def deployed(root):
    def build(name: str, scale: int) -> SuperResolver:
        node = OmegaConf.create({"scale": scale, "model": OmegaConf.load(root / f"conf/model/{name}.yaml")})
        return hydra.utils.instantiate(OmegaConf.to_container(node.model, resolve=True)).merged()

    return build


# Multiply-adds in G at an output of 1280x720, x2 / x3 / x4, as published or counted on the published graphs.
MACS = {
    "srcnn": (7.4, 7.4, 7.4),
    "srcnn_955": (52.7, 52.7, 52.7),
    "espcn": (4.88, 2.32, 1.42),
    "vdsr": (612.6, None, 612.6),  # x3's output is 1281 pixels wide
    "srresnet": (None, None, 127.8),
    "msrresnet": (None, None, 146.1),
    "edsr_baseline": (316.25, 160.44, 114.23),
    "imdn": (158.8, 71.50, 40.89),
    "rfdn_aim": (None, None, 23.76),
    "rlfn": (115.42, None, 29.82),
    "rlfn_s": (98.80, None, 25.59),
    "bsrn": (71.94, 32.88, 19.18),
    "bsrn_s": (None, None, 8.29),
    # Published with the padding's replicated border left out: 2.87 / 1.28 / 0.72.
    "fsrcnn": (2.87, 1.28, 0.72),
    # Tables print 95.0 / 42.2 / 23.9 beside 534K / 541K / 550K parameters: those belong to the smaller, released net.
    "rfdn": (121.9, 54.88, 31.37),
    "ecbsr_m16c64": (136.6, None, 34.54),  # printed as 137 and 34.7
}


@pytest.mark.parametrize("name", MACS)
def test_multiply_adds(deployed, name):
    for scale, published in zip((2, 3, 4), MACS[name], strict=True):
        if published is not None:
            counted = cost(deployed(name, scale), lr_size(scale), scale).macs / 1e9
            assert counted == pytest.approx(published, rel=2e-3, abs=0.006), scale


def test_multiply_adds_of_edsr(deployed):
    assert cost(deployed("edsr", 2), lr_size(2), 2).macs / 1e9 == pytest.approx(9384.8, abs=0.1)


@pytest.mark.parametrize(
    ("name", "at_720p"), [("rlfn", 111), ("rlfn_s", 104), ("imdn", 108), ("bsrn", 356), ("bsrn_s", 184)]
)
def test_activations(deployed, name, at_720p):
    assert cost(deployed(name, 4), lr_size(4), 4).activations / 1e6 == pytest.approx(at_720p, abs=0.5)


@pytest.mark.parametrize(
    ("name", "macs", "activations", "convolutions"),
    [("rlfn_ntire", 19.66, 80.05, 39), ("rfdn_aim", 27.03, 112.03, 64), ("bsrn_s", 9.43, 209.19, 121)],
)
def test_figures_of_ntire_2022(deployed, name, macs, activations, convolutions):
    """At 256x256. The challenge prints 19.70 and 27.10 G (its tool counts activation functions and pooling), and for
    BSRN-S 9.50 G, 65.76 M and 43 convolutions: its authors write 1x1 convolutions as linear layers."""
    counted = cost(deployed(name, 4), (256, 256), 4)
    assert counted.macs / 1e9 == pytest.approx(macs, abs=0.01)
    assert counted.activations / 1e6 == pytest.approx(activations, abs=0.01)
    assert counted.convolutions == convolutions


@pytest.mark.parametrize(("name", "macs"), [("span_ntire", 9.83), ("disp", 10.69), ("efdn", 16.70)])
def test_figures_that_ntire_lists(deployed, name, macs):
    assert cost(deployed(name, 4), (256, 256), 4).macs / 1e9 == pytest.approx(macs, abs=0.011)


@pytest.mark.parametrize("name", ["imdn", "bsrn", "edsr_baseline"])
def test_another_counter_agrees(deployed, name):
    model = deployed(name, 2)
    counted = cost(model, (24, 20), 2)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 24, 20), 2)
    assert counter.get_total_flops() == 2 * counted.macs


def test_counting_leaves_the_model_alone_and_follows_memory(deployed):
    model = deployed("espcn", 2)
    counted = cost(model, (32, 32), 2)
    assert next(model.parameters()).device.type == "cpu"
    assert not any(m._forward_hooks for m in model.modules())
    features = 64 * 32 * 32 * 4  # bytes of the widest layer: its output and its activation's are alive at once
    assert 2 * features <= counted.peak_bytes < 4 * features
    assert cost(deployed("espcn", 2), (64, 32), 2).peak_bytes == pytest.approx(2 * counted.peak_bytes, rel=0.1)


@pytest.mark.parametrize(
    ("name", "scale", "side"),
    [
        ("bicubic", 2, 4),
        ("espcn", 2, 9),  # 5 + 2 + 2
        ("ecbsr_m4c16", 4, 13),  # six 3x3
        ("srcnn", 3, 8),  # 13 pixels of the enlarged image, and bicubic's reach
    ],
)
def test_receptive_field(deployed, name, scale, side):
    assert receptive_field(deployed(name, scale), scale) == side


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side"), [("edsr_baseline", 72), ("imdn", None)])
def test_receptive_field_of_deep_networks(deployed, name, side):
    """IMDN's channel attention sees the whole image."""
    assert receptive_field(deployed(name, 4), 4) == side


@pytest.mark.slow
def test_receptive_field_of_a_strided_attention(deployed):
    """RLFN's NTIRE form, 4 blocks: convolutions give 1 + 2 * (1 + 4 * 3 + 1 + 1); each ESA adds to that.

    An ESA block looks 3 + 12 + 12 pixels far through its stride of 6 and one or two cells more when it is enlarged
    again, which depends on where a pixel lies between the cells.
    """
    side = receptive_field(deployed("rlfn_ntire", 4), 4)
    convolutions = 1 + 2 * (1 + 4 * 3 + 1 + 1)
    assert isinstance(side, int) and convolutions + 4 * 24 <= side <= convolutions + 4 * 39


def test_latency_is_a_comparison(deployed):
    models = {"espcn": deployed("espcn", 2), "bicubic": deployed("bicubic", 2)}
    found = latencies(models, "bicubic", (32, 32), 2, 5, torch.device("cpu"))
    assert found["bicubic"].ratio == 1 and found["espcn"].median > 0 and found["espcn"].spread >= 0


def test_a_network_on_clips_is_counted_as_a_frame_within_one():
    """With both of its flows, which no frame has that stands alone."""
    network = BasicVSR(num_blocks=1, channels=4)

    def flops(frames: int) -> int:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(torch.rand(1, frames, 3, 32, 40), 4)
        return int(counter.get_total_flops()) // 2

    counted = cost(network, (32, 40), 4)
    assert counted.macs == flops(3) - flops(2) > 2 * flops(1) and not counted.unknown
    of_flow = sum(isinstance(layer, torch.nn.Conv2d) for layer in network.flow.modules())
    assert counted.convolutions == 2 * of_flow + sum(
        isinstance(layer, torch.nn.Conv2d) for name, layer in network.named_modules() if not name.startswith("flow.")
    )
