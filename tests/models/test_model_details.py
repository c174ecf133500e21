"""What each paper does around its convolutions: ranges, borders, skips."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sr.errors import UserError
from sr.imaging.resize import imresize
from sr.models.bicubic import Bicubic
from sr.models.bsrn import BSRN, BSRNS
from sr.models.ecbsr import ECBSR
from sr.models.edsr import DIV2K_MEAN, EDSR
from sr.models.srcnn import SRCNN


def silenced(model: nn.Module) -> nn.Module:
    for p in model.parameters():
        nn.init.zeros_(p)
    return model


@pytest.mark.parametrize("scale", [1, 2, 3, 5, 7])
def test_bicubic_is_imresize_at_any_integer_scale(scale):
    x = torch.rand(2, 3, 6, 5)
    assert torch.equal(Bicubic(scale)(x), imresize(x, scale))


def test_srcnn_repeats_the_border():
    """A constant image stays constant up to its edge."""
    torch.manual_seed(0)
    model = SRCNN(3)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.1)
        y = model.network(torch.full((1, 1, 6, 7), 0.5), 3)
    torch.testing.assert_close(y, y[..., 9:10, 9:10].expand_as(y))


def test_srcnn_starts_as_in_the_paper():
    torch.manual_seed(0)
    model = SRCNN(2)
    assert model.extract.weight.std().item() == pytest.approx(1e-3, rel=0.1)
    assert not model.extract.bias.any()


def test_edsr_works_around_the_mean_colour():
    """Silenced, it answers with DIV2K's mean; its head sees 255 times the distance from it."""
    model = EDSR(2, num_blocks=1, channels=4)
    seen = []
    model.head.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x = torch.rand(1, 3, 4, 5)
    mean = torch.tensor(DIV2K_MEAN)[None, :, None, None]
    torch.testing.assert_close(silenced(model)(x), mean.expand(1, 3, 8, 10))
    torch.testing.assert_close(seen[0], (x - mean) * 255)


def test_edsr_scales_its_residuals():
    torch.manual_seed(0)
    block = EDSR(2, num_blocks=1, channels=4, res_scale=0.1).body[0]
    x = torch.randn(1, 4, 5, 5)
    residual = block.conv2(F.relu(block.conv1(x)))
    torch.testing.assert_close(block(x), x + 0.1 * residual)


@pytest.mark.parametrize("scale", [2, 3])
def test_ecbsr_on_rgb_adds_the_nearest_neighbour_image(scale):
    """The skip keeps its colours: each channel is repeated scale**2 times, not the whole image."""
    x = torch.rand(1, 3, 4, 5)
    model = silenced(ECBSR(scale, colors=3))
    torch.testing.assert_close(model(x), F.interpolate(x, scale_factor=scale))


def test_ecbsr_on_y_adds_the_nearest_neighbour_luma():
    x = torch.rand(1, 1, 4, 5)
    model = silenced(ECBSR(2))
    torch.testing.assert_close(model.network(x, 2), F.interpolate(x, scale_factor=2))


def test_ecbsr_works_in_0_to_255():
    model = ECBSR(2)
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x = torch.rand(1, 1, 4, 5)
    model.network(x, 2)
    torch.testing.assert_close(seen[0], x * 255)


def test_bsrn_repeats_the_whole_image_four_times():
    model = BSRN(2, num_blocks=1, channels=16)
    seen = []
    model.head.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x = torch.rand(1, 3, 15, 15)
    model(x)
    assert torch.equal(seen[0], x.repeat(1, 4, 1, 1))


def test_bsrn_s_channel_scale_starts_around_one():
    torch.manual_seed(0)
    scale = BSRNS(4).blocks[0].attention[1].weight
    assert scale.mean().item() == pytest.approx(1, abs=0.15)
    assert scale.std().item() == pytest.approx(0.2, abs=0.08)


def test_a_scale_that_the_upsampler_lacks_is_refused():
    with pytest.raises(UserError, match="scale"):
        EDSR(5)
