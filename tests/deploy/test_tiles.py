"""Every image architecture, enlarged in tiles as it enlarges the whole."""

import logging

import networks as nets
import pytest
import torch

from sr.deploy.tiles import enlarge, kept_bytes
from sr.deploy.tiling.maps import Map
from sr.deploy.tiling.plan import planned
from sr.deploy.tiling.recording import recorded
from sr.imaging.ensemble import self_ensemble
from sr.layers.attention import CCA, ESA
from sr.layers.statistics import batch_norms, with_own_statistics
from sr.models.base import SuperResolver

CLIPS = tuple(filter(nets.clips, nets.NAMES))


def network(name: str, small: bool = True) -> tuple[SuperResolver, int]:
    torch.manual_seed(0)
    s = nets.scales(name)[-1]
    model = nets.build(name, s if isinstance(nets.node(name)["scale"], str) else nets.scales(name), small)
    nets.used(model)
    with torch.no_grad():  # so that gates are no constants, as they nearly are before training
        for module in model.modules():
            for p in module.parameters() if isinstance(module, ESA | CCA) else ():
                p.mul_(3)
    return model, s


def assert_same(model: SuperResolver, s: int, size: tuple[int, int], tile: int) -> None:
    lr = torch.rand(1, 3, *size)
    with torch.no_grad():
        whole = model(lr, s)
    assert whole.std() > 0.01
    largest = max(1, float(whole.abs().max()))  # SPAN's weights, as drawn, make 40: there float32 itself is 2e-5 off
    torch.testing.assert_close(enlarge(model, lr, s, tile=tile), whole, rtol=0, atol=1e-5 * largest)


IMAGES = [name for name in nets.architectures() if name not in CLIPS]


@pytest.mark.parametrize("name", IMAGES)
def test_tiles_are_the_whole(name, caplog):
    model, s = network(name)
    with caplog.at_level(logging.INFO, "sr"):
        assert_same(model, s, (29, 37), tile=19)
    assert "in tiles of 19 pixels" in caplog.text and "at once" not in caplog.text  # every operation is known


@pytest.mark.slow
@pytest.mark.parametrize(("name", "small"), nets.cases(without=(*CLIPS, "drcn")))  # 2 minutes, all of them recursions
def test_tiles_are_the_whole_in_every_file(name, small):
    model, s = network(name, small)
    assert_same(model, s, (37, 53), tile=23)
    assert_same(model.merged(), s, (16, 71), tile=17)


@pytest.mark.parametrize("name", ["srgan", pytest.param("plain_dbb", marks=pytest.mark.slow), "repsr"])
def test_each_image_with_its_own_statistics(name):
    model, s = network(name)
    assert batch_norms(model)
    assert_same(with_own_statistics(model), s, (23, 29), tile=17)


@pytest.mark.parametrize(
    ("name", "maps"), [("edsr_baseline", 0), ("rlfn", 2), ("imdn", 3), ("bsrn", 3), ("rfdn", 3), ("srresnet", 0)]
)
def test_how_many_maps_are_kept(name, maps):
    """Of those with a long skip and a fusion of all blocks the sum so far, a block's input, and what it makes."""
    model = nets.build(name, 4).eval()
    lr = torch.rand(1, 3, 60, 80)
    steps = planned(*recorded(model, lr, 4, lr.device))
    channels = nets.node(name)["channels"]
    assert kept_bytes(steps) <= 1.1 * maps * channels * 4 * 60 * 80


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_features_are_kept_as_they_lie_in_memory(layout, monkeypatch):
    """Else each sum of what was kept and what is computed is of two layouts, which takes twice the time."""
    model, s = network("bsrn")
    kept, read = [], Map.read
    monkeypatch.setattr(Map, "read", lambda self, *part: kept.append(self.whole) or read(self, *part))
    assert_same(model.to(memory_format=layout), s, (29, 37), tile=19)
    features = [whole for whole in kept if whole.shape[1] == 16]
    assert len(features) > 8 and all(whole.is_contiguous(memory_format=layout) for whole in features)


@pytest.mark.parametrize("name", ["fsrcnn_s", "rlfn"])
def test_self_ensemble(name):
    model, s = network(name)
    lr = torch.rand(1, 3, 16, 21)
    with torch.no_grad():
        whole = self_ensemble(lambda x: model(x, s), lr)
    torch.testing.assert_close(enlarge(model, lr, s, tile=17, self_ensemble=True), whole, rtol=0, atol=1e-5)
    assert torch.equal(enlarge(model, lr, s, self_ensemble=True), whole)
