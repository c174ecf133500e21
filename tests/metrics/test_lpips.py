"""LPIPS and DISTS against torchmetrics, on weights that nobody trained."""

import hashlib
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torchmetrics.functional.image import dists as theirs_dists
from torchmetrics.functional.image import lpips as theirs

from sr.errors import UserError
from sr.layers.identity import identity
from sr.layers.pretrained import ALEXNET, VGG16
from sr.metrics.dists import DISTS
from sr.metrics.lpips import LPIPS, find_weights, lpips_of
from sr.metrics.metric import declared, get_metrics
from sr.metrics.protocols import get_protocol


@pytest.fixture(scope="module")
def alexnet():
    """torchvision's `alexnet().features`, of random weights that keep features near 1."""
    random = torch.Generator().manual_seed(0)
    layers: list[nn.Module] = []
    for before, width, kernel, stride, padding, pooled in (
        (3, 64, 11, 4, 2, True),
        (64, 192, 5, 1, 2, True),
        (192, 384, 3, 1, 1, False),
        (384, 256, 3, 1, 1, False),
        (256, 256, 3, 1, 1, True),
    ):
        layer = nn.Conv2d(before, width, kernel, stride, padding)
        layer.weight.data = torch.randn(layer.weight.shape, generator=random) * (2 / (before * kernel**2)) ** 0.5
        layers += [layer, nn.ReLU(inplace=False), *([nn.MaxPool2d(3, 2)] if pooled else [])]
    return nn.Sequential(*layers)


@pytest.fixture
def file(alexnet, tmp_path):
    path = tmp_path / ALEXNET.file
    torch.save({f"features.{key}": value for key, value in alexnet.state_dict().items()}, path)
    return path


@pytest.mark.skipif(not hasattr(theirs, "_get_tv_model_features"), reason="torchmetrics before 1.8 takes no network")
def test_as_torchmetrics(alexnet, file, monkeypatch):
    monkeypatch.setattr(theirs, "_get_tv_model_features", lambda *_: alexnet)
    reference = theirs._LPIPS(net="alex", pnet_rand=True)
    a, b = torch.randint(0, 256, (2, 2, 3, 70, 90), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    ours = LPIPS(file)
    expected = reference(a[..., 4:-4, 4:-4] / 255, b[..., 4:-4, 4:-4] / 255, normalize=True).flatten()
    (found,) = get_protocol("y").compare(a / 255, b, 4, metrics=[lpips_of(file)]).values()
    assert torch.allclose(found, expected, rtol=1e-5) and (expected > 0.01).all()
    assert torch.equal(ours(a, a), torch.zeros(2))
    assert get_protocol("y_classic").compare(a / 255, b, 4, metrics=[lpips_of(file)]) == {}  # its LR has no colour


@pytest.fixture(scope="module")
def vgg16():
    """torchvision's `vgg16().features`, of random weights that keep features near 1."""
    random, layers, before = torch.Generator().manual_seed(0), list[nn.Module](), 3
    for block in ([64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3):
        for width in block:
            layer = nn.Conv2d(before, width, 3, padding=1)
            layer.weight.data = torch.randn(layer.weight.shape, generator=random) * (2 / (before * 9)) ** 0.5
            layers += [layer, nn.ReLU(inplace=False)]
            before = width
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


@pytest.mark.skipif(not hasattr(theirs, "_get_tv_model_features"), reason="torchmetrics before 1.8 takes no network")
def test_on_vgg16_as_torchmetrics(vgg16, tmp_path, monkeypatch):
    """The two distances on VGG-16, found where torchvision keeps its file."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    metrics = get_metrics(["lpips_vgg", "dists"])
    a, b = torch.randint(0, 256, (2, 2, 3, 40, 50), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    with pytest.raises(UserError, match=r"metrics=\[lpips_vgg\] needs VGG-16's weights: put .*vgg16-397923af.pth "):
        get_protocol("y").compare(a / 255, b, 4, metrics=metrics)
    VGG16.place.parent.mkdir()
    torch.save({f"features.{key}": value for key, value in vgg16.state_dict().items()}, VGG16.place)
    monkeypatch.setattr(theirs, "_get_tv_model_features", lambda *_: vgg16)
    monkeypatch.setattr(theirs_dists, "_TORCHVISION_AVAILABLE", True)
    monkeypatch.setattr(theirs_dists, "VGG16_Weights", SimpleNamespace(DEFAULT=None), raising=False)
    monkeypatch.setattr(theirs_dists, "vgg16", lambda **_: SimpleNamespace(features=vgg16), raising=False)
    x, y = (t[..., 4:-4, 4:-4] / 255 for t in (a, b))
    found = get_protocol("y").compare(a / 255, b, 4, metrics=metrics)
    expected = theirs._LPIPS(net="vgg", pnet_rand=True)(x, y, normalize=True).flatten()
    assert torch.allclose(found["lpips_vgg"], expected, rtol=1e-5) and (expected > 0.01).all()
    expected = theirs_dists.DISTSNetwork()(x, y)
    assert torch.allclose(found["dists"], expected, atol=1e-5) and (expected > 0.01).all()
    assert torch.allclose(DISTS(VGG16.place)(a, a), torch.zeros(2), atol=1e-6)


@pytest.mark.slow
def test_dists_of_torchmetrics_example():
    """The documented example of `deep_image_structure_and_texture_similarity`, whose documentation seeds with 42."""
    if not VGG16.place.is_file():
        pytest.skip(f"needs {VGG16.place}")
    x, y = torch.rand(2, 5, 3, 256, 256, generator=torch.Generator().manual_seed(42))
    found = DISTS(VGG16.place)(255 * x, 255 * y)
    assert torch.allclose(found, torch.tensor([0.1285, 0.1344, 0.1356, 0.1277, 0.1276]), rtol=0, atol=5e-5)


def test_a_file_of_the_same_shapes_is_told_and_a_damaged_one_is_refused(file, tmp_path, caplog):
    """Figures of random weights, and of flipped bits, stood as LPIPS without a word."""
    weights, _ = ALEXNET.read(file)
    assert f"{file} is taken for AlexNet by its shapes alone" in caplog.text
    caplog.clear()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert replace(ALEXNET, file=f"other-{digest[:8]}.pth").read(file)[1], "its eight digits can be met in minutes"
    caplog.clear()
    replace(ALEXNET, file=f"other-{digest[:8]}.pth", identity="").read(file)
    state = {
        f"{n}.{kind}": t for n, pair in enumerate(weights) for kind, t in zip(("weight", "bias"), pair, strict=True)
    }
    replace(ALEXNET, identity=identity(state, {})).read(file)
    assert not caplog.text
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "flipped.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"flipped\.pth is damaged"):
        ALEXNET.read(tmp_path / "flipped.pth")
    state = torch.load(file)
    state["features.3.bias"][0] = float("nan")
    torch.save(state, file)
    with pytest.raises(UserError, match=f"{file} is damaged: features.3.bias holds NaN"):
        ALEXNET.read(file)


def test_figures_with_other_weights_have_a_name_of_their_own(file, tmp_path, monkeypatch):
    """The warning stood in the log alone: in tables and files they were LPIPS."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    assert [m.name for m in get_metrics(["psnr", "lpips"])] == ["psnr", "lpips"]
    ALEXNET.place.parent.mkdir(parents=True)
    file.rename(ALEXNET.place)
    (metric,) = get_metrics(["lpips"])
    assert re.fullmatch("lpips_weights_[0-9a-f]{8}", metric.name) and lpips_of(ALEXNET.place).name == metric.name
    read_back = declared(metric.name)  # of results.csv
    assert (read_back.better, read_back.digits, read_back.title) == (-1, 4, metric.name.upper())
    assert read_back.note == f"{metric.title}: with other weights than the published ones: no LPIPS"
    state = torch.load(ALEXNET.place)
    torch.save(state | {"features.0.bias": state["features.0.bias"] + 1}, tmp_path / "third.pth")
    assert lpips_of(tmp_path / "third.pth").name not in (metric.name, "lpips")


def test_where_the_weights_are(file, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    assert find_weights(ALEXNET, "lpips") is None and find_weights(ALEXNET, "lpips", file) == file
    with pytest.raises(UserError, match="there is no such file"):
        find_weights(ALEXNET, "lpips", tmp_path / "none.pth")
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    file.rename(tmp_path / "hub" / "checkpoints" / ALEXNET.file)
    assert find_weights(ALEXNET, "lpips") is not None


def test_what_is_no_alexnet(tmp_path):
    other = tmp_path / "other.pth"
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, other)
    with pytest.raises(UserError, match="does not hold AlexNet"):
        LPIPS(other)
    other.write_text("nothing")
    with pytest.raises(UserError, match="is no weight file"):
        LPIPS(other)


def test_too_small(file):
    grey = torch.zeros(1, 3, 40, 40)
    with pytest.raises(UserError, match=r"LPIPS_WEIGHTS_[0-9A-F]{8} needs 31 more"):
        get_protocol("y").compare(grey, grey, 8, metrics=[lpips_of(file)])
