"""What each paper does around its convolutions: ranges, borders, skips."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sr.data.batch import Batch
from sr.errors import UserError
from sr.imaging.color import rgb_to_y
from sr.imaging.resize import imresize
from sr.layers.convolution import Standardised
from sr.models.bicubic import Bicubic
from sr.models.bsrn import BSRN, BSRNS
from sr.models.drcn import DRCN
from sr.models.ecbsr import ECBSR
from sr.models.edsr import DIV2K_MEAN, EDSR
from sr.models.espcn import ESPCN
from sr.models.fsrcnn import FSRCNN
from sr.models.lapsrn import LapSRN
from sr.models.mdsr import MDSR
from sr.models.repsr import RepSR
from sr.models.rlfn import RFDBR
from sr.models.srcnn import SRCNN
from sr.models.srresnet import MSRResNet, SRResNet
from sr.models.vdsr import VDSR


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


@pytest.mark.parametrize(
    "model",
    [
        SRCNN(3, init_std=None, gain=10.0),
        ESPCN(3, padding_mode="replicate", gain=10.0),
        ESPCN(2, colors=3, padding_mode="replicate", gain=4.0),
        FSRCNN(3, gain=10.0),
        FSRCNN(2, colors=3, gain=10.0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_standardised_input_is_the_papers_network_once_merged(model):
    """Whose weights load into a network that was built without it, borders included."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    model, merged = model.double(), model.double().merged()
    x = torch.rand(2, model.colors, 7, 9, dtype=torch.double)
    scale = model.scale
    settings = {"colors": model.colors} if model.colors == 3 else {}
    settings |= {"padding_mode": "replicate"} if isinstance(model, ESPCN) else {}
    plain = type(model)(scale, **settings).double()
    plain.load_state_dict(merged.state_dict())
    wanted = model.network(x, scale)
    assert wanted.std() > 1e-3 and torch.allclose(plain.network(x, scale), wanted, rtol=0, atol=1e-12)
    head = next(m for m in model.modules() if isinstance(m, Standardised))
    of_it = F.conv2d(F.pad((x - 0.45) * head.gain, 4 * (head.padding[0],), mode="replicate"), head.weight, head.bias)
    assert torch.allclose(head(x), of_it)


def test_espcn_takes_a_gain_only_where_it_folds():
    with pytest.raises(UserError, match="padding_mode=replicate"):
        ESPCN(3, gain=10.0)


def test_srcnn_starts_as_in_he_et_al_where_no_deviation_is_given():
    torch.manual_seed(0)
    model = SRCNN(3, init_std=None)
    deviations = [conv.weight.std().item() for conv in (model.extract, model.map, model.reconstruct)]
    assert deviations == pytest.approx([(2 / 81) ** 0.5, (2 / 64) ** 0.5, 1e-3], rel=0.1)


def test_srcnn_starts_as_in_the_paper():
    torch.manual_seed(0)
    model = SRCNN(2)
    assert model.extract.weight.std().item() == pytest.approx(1e-3, rel=0.1)
    assert not model.extract.bias.any()


def test_edsr_works_around_the_mean_colour():
    """Silenced, it answers with DIV2K's mean; its head convolves 255 times the distance from it, zero outside."""
    model = EDSR(2, num_blocks=1, channels=4)
    x = torch.rand(1, 3, 4, 5)
    mean = torch.tensor(DIV2K_MEAN)[None, :, None, None]
    expected = F.conv2d((x - mean) * 255, model.head.weight, model.head.bias, padding=1)
    torch.testing.assert_close(model.head(x), expected)
    torch.testing.assert_close(silenced(model)(x), mean.expand(1, 3, 8, 10))


def test_edsr_has_nothing_but_convolutions_once_merged():
    model = EDSR(2, num_blocks=1, channels=4, res_scale=0.1)
    merged = model.merged()
    assert merged.body[0].res_scale == 1 and model.body[0].res_scale == 0.1
    assert type(merged.tail) is nn.Conv2d and merged.head.padding == (0, 0)
    assert set(merged.state_dict()) == set(model.state_dict())


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_mdsr_enters_the_body_through_its_scale(scale):
    """The long skip starts after the entrance, and the other scales' layers are not touched."""
    model = MDSR((2, 3, 4), num_blocks=1, channels=4)
    entered = model.entrances[f"x{scale}"](model.head(x := torch.rand(1, 3, 4, 5)))
    expected = model.tail(model.upsamplers[f"x{scale}"](entered + model.body(entered)))
    torch.testing.assert_close(model(x, scale), expected)
    assert all(b.conv1.kernel_size == (5, 5) and b.res_scale == 1 for b in model.entrances[f"x{scale}"])


def test_fsrcnn_repeats_the_border():
    """A constant image has the same answer at its border as inside: the same for each of the s*s phases."""
    torch.manual_seed(0)
    for scale in (2, 3, 4):
        model = FSRCNN(scale)
        nn.init.normal_(model.deconv.weight, std=0.1)
        with torch.no_grad():
            y = model.network(torch.full((1, 1, 6, 7), 0.5), scale)
        corner = y[..., :scale, :scale]
        torch.testing.assert_close(y, corner.repeat(1, 1, 6, 7))


@pytest.mark.parametrize(("scale", "centre"), [(2, 0), (3, 1), (4, 0)])
def test_fsrcnn_centres_its_deconvolution(scale, centre):
    """With a single tap at the kernel's middle, an LR pixel lands on one of its s*s pixels: the middle one at x3."""
    model = FSRCNN(scale, channels=1, mid_channels=1, num_blocks=1)
    model.features = nn.Identity()
    nn.init.zeros_(model.deconv.weight)
    nn.init.ones_(model.deconv.weight[:, :, 4, 4].detach())
    x = torch.rand(1, 1, 4, 5)
    y = model.network(x, scale)
    torch.testing.assert_close(y[..., centre::scale, centre::scale], x)
    assert y.count_nonzero() == x.numel()


def test_fsrcnns_convolution_at_x3_is_its_deconvolution():
    """Of each of the nine pixels; borders carried on."""
    torch.manual_seed(0)
    model = FSRCNN(3, colors=3, channels=5, mid_channels=3, num_blocks=1).double()
    nn.init.normal_(model.deconv.weight)
    nn.init.normal_(model.deconv.bias)
    x = torch.rand(2, 3, 5, 7, dtype=torch.double)
    framed = F.pad(model.features(x), 4 * (2,), mode="replicate")
    whole = F.conv_transpose2d(framed, model.deconv.weight, model.deconv.bias, stride=3)[..., 9:24, 9:30]
    assert torch.allclose(model.network(x, 3), whole, rtol=0, atol=1e-12)


def test_vdsr_adds_its_residual_to_the_bicubic_luma_in_range():
    x = torch.rand(1, 1, 4, 5)
    model = silenced(VDSR([2, 3, 4], num_layers=3, channels=4))
    for scale in (2, 3, 4):
        torch.testing.assert_close(model.network(x, scale), imresize(x, scale).clamp(16 / 255, 235 / 255))


def test_vdsr_has_no_activation_at_the_end():
    kinds = [type(m) for m in VDSR(2).residual]
    assert kinds == 19 * [nn.Conv2d, nn.ReLU] + [nn.Conv2d]


def test_espcn_is_its_equations():
    torch.manual_seed(0)
    model = ESPCN(3)
    x = torch.rand(1, 1, 6, 5)
    y = model.features[0](x).tanh()
    y = model.features[2](y).tanh()
    torch.testing.assert_close(model.network(x, 3), F.pixel_shuffle(model.tail[0](y), 3))


def test_drcn_is_its_equations():
    torch.manual_seed(0)
    model = DRCN(2, num_recursions=3, channels=4)
    nn.init.normal_(model.weights)
    nn.init.normal_(model.recursion[0].weight, std=0.3)
    x = torch.rand(1, 1, 4, 5)
    up = imresize(x, 2)
    h = F.relu(model.embed[2](F.relu(model.embed[0](up))))
    total = 0
    for w in model.weights:
        h = F.relu(model.recursion[0](h))
        total = total + w * (up + model.reconstruct[2](F.relu(model.reconstruct[0](h))))
    torch.testing.assert_close(model.network(x, 2), total)


def test_drcn_starts_as_the_identity_and_the_mean():
    model = DRCN(2, num_recursions=4, channels=4)
    x = torch.rand(1, 4, 5, 5)
    torch.testing.assert_close(model.recursion(x), x)
    torch.testing.assert_close(model.ensemble(list(x.split(1, dim=1))), x.mean(dim=1, keepdim=True))


def pixels(output: torch.Tensor, target: torch.Tensor, lr: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    return {"l2": (output - target).square().sum(), "l1": (output - target).abs().sum()}


def a_batch(scale: int) -> Batch:
    torch.manual_seed(0)
    return Batch(torch.rand(1, 3, 4, 5), torch.rand(1, 3, 4 * scale, 5 * scale), scale, ["a"], [False])


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_lapsrn_is_judged_at_every_level(scale):
    model, batch = LapSRN(scale, channels=4, depth=1), a_batch(scale)
    nn.init.zeros_(model.levels[0].residual.weight)
    hr = rgb_to_y(batch.hr)
    levels = model.pyramid(rgb_to_y(batch.lr))
    assert [y.shape[-1] for y in levels] == [10 * 2**n for n in range(len(levels))]
    targets = [imresize(hr, y.shape[-1] / hr.shape[-1]) for y in levels]
    assert torch.equal(targets[-1], hr)
    expected = sum(pixels(y, t)["l1"] for y, t in zip(levels, targets, strict=True))
    terms = model.training_terms(batch, pixels)
    assert set(terms) == {"l1", "l2"}
    torch.testing.assert_close(terms["l1"], expected)


def test_lapsrn_starts_from_the_bilinear_image():
    """Inside, the image branch is torch's bilinear enlargement."""
    model = LapSRN(4, channels=4, depth=1)
    for level in model.levels:
        silenced(level.residual)
    x = torch.rand(1, 1, 8, 9)
    once = F.interpolate(x, scale_factor=2, mode="bilinear")
    twice = F.interpolate(once, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(model.network(x, 4)[..., 4:-4, 4:-4], twice[..., 4:-4, 4:-4])


def test_drcn_is_judged_after_every_recursion():
    """At first by the mean over the recursions alone, at the end by the output alone."""
    model, batch = DRCN(2, num_recursions=3, channels=4), a_batch(2)
    hr = rgb_to_y(batch.hr)
    up = imresize(rgb_to_y(batch.lr), 2)
    each = [pixels(y, hr)["l2"] for y in model.predictions(up)]
    torch.testing.assert_close(model.training_terms(batch, pixels)["l2"], sum(each) / 3)
    model._progress = lambda: 1.0
    expected = pixels(model.ensemble(model.predictions(up)), hr)["l2"]
    torch.testing.assert_close(model.training_terms(batch, pixels)["l2"], expected)


def test_srresnet_answers_in_minus_one_to_one():
    """Silenced, the network says 0, the middle of its range: grey."""
    model = silenced(SRResNet(2, num_blocks=1, channels=4)).eval()
    torch.testing.assert_close(model(torch.rand(1, 3, 4, 5)), torch.full((1, 3, 8, 10), 0.5))


def test_msrresnet_adds_the_bilinear_image():
    x = torch.rand(1, 3, 4, 5)
    model = silenced(MSRResNet(4, num_blocks=1, channels=4))
    torch.testing.assert_close(model(x), F.interpolate(x, scale_factor=4, mode="bilinear"))


def test_rfdb_r_adds_after_every_convolution():
    torch.manual_seed(0)
    block = RFDBR(8, 4)
    x = torch.rand(1, 8, 16, 16)
    y = x
    for conv in block.refine:
        y = F.leaky_relu(conv(y) + y, 0.05)
    torch.testing.assert_close(block(x), block.esa(block.fuse(y)))


@pytest.mark.parametrize("colors", [1, 3])
def test_plain_network_adds_the_nearest_neighbour_image(colors):
    x = torch.rand(1, colors, 4, 5)
    model = silenced(RepSR(3, colors=colors)).eval()
    torch.testing.assert_close(model.network(x, 3), F.interpolate(x, scale_factor=3))


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
