"""The discriminators' sizes and, for SRGAN's, its output against numpy."""

import numpy as np
import pytest
import torch

from sr.errors import UserError
from sr.losses import SRGANDiscriminator, UNetDiscriminator, VGGStyleDiscriminator

NOTE = {"strides": [1] * 8, "pooled": 1, "signed": False}


def count(discriminator, **options):
    with torch.device("meta"):
        return sum(p.numel() for p in discriminator(**options).parameters())


def test_parameter_counts():
    assert count(SRGANDiscriminator) == 23_565_505
    assert count(SRGANDiscriminator, **NOTE) == 5_215_425
    assert count(VGGStyleDiscriminator) == 14_499_401
    assert count(UNetDiscriminator) == 4_376_897


@pytest.mark.parametrize("options", [{"pooled": 2}, {**NOTE, "pooled": 1}])
def test_srgans_against_numpy(images, conv, options):
    torch.manual_seed(0)
    net = SRGANDiscriminator(channels=2, dense=5, **options).double()
    x = images(3, 3, 32, 32)
    state = {k: v.numpy() for k, v in net.state_dict().items()}
    widths, strides = (2, 2, 4, 4, 8, 8, 16, 16), options.get("strides", (1, 2, 1, 2, 1, 2, 1, 2))

    def leaky(v):
        return np.where(v > 0, v, 0.2 * v)

    y, layer = (2 * x.numpy() - 1 if options.get("signed", True) else x.numpy()), 0
    for n, (width, stride) in enumerate(zip(widths, strides, strict=True)):
        weight = state[f"features.{layer}.weight"]
        assert weight.shape[0] == width
        y = conv(y, weight, state[f"features.{layer}.bias"], stride)
        layer += 1
        if n:
            mean, var = y.mean((0, 2, 3), keepdims=True), y.var((0, 2, 3), keepdims=True)
            gamma, beta = (state[f"features.{layer}.{k}"].reshape(-1, 1, 1) for k in ("weight", "bias"))
            y = gamma * (y - mean) / np.sqrt(var + 1e-5) + beta
            layer += 1
        y, layer = leaky(y), layer + 1
    y = y.mean((2, 3)) if options["pooled"] == 1 else y.reshape(3, -1)  # 32 / 2^4 = 2: nothing to average
    y = leaky(y @ state["classify.2.weight"].T + state["classify.2.bias"])
    y = y @ state["classify.4.weight"].T + state["classify.4.bias"]
    np.testing.assert_allclose(net(x).detach().numpy(), y, rtol=1e-9, atol=1e-12)


def test_at_the_papers_size_nothing_is_averaged(images):
    net = SRGANDiscriminator(channels=1, dense=3)
    features = net.features(images(2, 3, 96, 96).float())
    assert features.shape == (2, 8, 6, 6)
    assert torch.equal(net.classify[0](features), features)


def test_basicsrs_sees_4x4_at_128_pixels(images):
    net = VGGStyleDiscriminator(channels=1)
    assert net.features(images(2, 3, 128, 128).float()).shape == (2, 8, 4, 4)


@pytest.mark.parametrize("size", [(32, 32), (96, 96), (50, 71), (128, 40)])
@pytest.mark.parametrize(
    "net",
    [
        SRGANDiscriminator(channels=2, dense=4),
        SRGANDiscriminator(channels=2, dense=4, **NOTE),
        VGGStyleDiscriminator(channels=2),
    ],
    ids=["srgan", "note", "basicsr"],
)
def test_any_size_gives_one_logit_an_image(net, size, images):
    assert net(images(2, 3, *size).float()).shape == (2, 1)


def test_luma_and_a_wrong_number_of_strides():
    assert SRGANDiscriminator(colors=1, channels=2, dense=4)(torch.zeros(2, 1, 32, 32)).shape == (2, 1)
    with pytest.raises(UserError, match="8 convolutions"):
        SRGANDiscriminator(strides=[1, 2])


def test_unet_of_its_equations(images):
    """Every pixel is judged; each inner kernel is divided by its largest singular value."""
    torch.manual_seed(0)
    net = UNetDiscriminator(channels=4)
    x = images(2, 3, 16, 24).float()
    for _ in range(50):  # each look makes the estimate of the singular values better
        net(x)
    net.eval()

    def inner(conv):
        kernel = conv.parametrizations.weight.original
        return kernel / torch.linalg.svdvals(kernel.flatten(1))[0]

    def leaky(y):
        return torch.nn.functional.leaky_relu(y, 0.2)

    f = torch.nn.functional
    a = leaky(f.conv2d(x, net.first.weight, net.first.bias, padding=1))
    b = leaky(f.conv2d(a, inner(net.down[0]), stride=2, padding=1))
    c = leaky(f.conv2d(b, inner(net.down[1]), stride=2, padding=1))
    y = leaky(f.conv2d(c, inner(net.down[2]), stride=2, padding=1))
    for conv, skip in zip(net.up, (c, b, a), strict=True):
        y = f.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        y = leaky(f.conv2d(y, inner(conv), padding=1)) + skip
    for conv in net.end:
        y = leaky(f.conv2d(y, inner(conv), padding=1))
    y = f.conv2d(y, net.last.weight, net.last.bias, padding=1)
    assert net(x).shape == (2, 1, 16, 24)
    torch.testing.assert_close(net(x), y, atol=1e-4, rtol=1e-3)
    with pytest.raises(UserError, match="multiples of 8"):
        net(x[..., :20])
