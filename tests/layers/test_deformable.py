"""The deformable convolution against its equation, place by place, and against torchvision's."""

import naive
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sr.errors import UserError
from sr.layers.deformable import DeformConv, deform_conv


def inputs(
    size: tuple[int, int], groups: int = 1, kernel: int = 3, batch: int = 2, reach: float = 2.0, **places: int
) -> dict[str, Tensor]:
    """Of 8 channels to 3, in float64; offsets of `reach` pixels (one standard deviation)."""
    shape = F.conv2d(torch.zeros(1, 1, *size), torch.zeros(1, 1, kernel, kernel), **places).shape[-2:]
    draw = torch.Generator().manual_seed(0)

    def normal(*sizes: int) -> Tensor:
        return torch.randn(*sizes, dtype=torch.float64, generator=draw)

    return {
        "x": normal(batch, 8, *size),
        "offset": reach * normal(batch, 2 * groups * kernel**2, *shape),
        "mask": normal(batch, groups * kernel**2, *shape),
        "weight": normal(3, 8, kernel, kernel),
        "bias": normal(3),
    }


CASES = [
    # size, groups, kernel, reach, places
    ((5, 7), 1, 3, 2.0, {"padding": 1}),
    ((7, 4), 2, 3, 2.0, {"padding": 1}),
    ((5, 6), 4, 3, 2.0, {"padding": 1}),
    ((8, 7), 2, 3, 2.0, {"padding": 1, "stride": 2}),
    ((7, 9), 4, 3, 2.0, {"padding": 2, "dilation": 2}),
    ((9, 8), 2, 3, 2.0, {"stride": 3, "dilation": 2}),
    ((5, 6), 2, 3, 2.0, {}),
    ((5, 6), 4, 1, 2.0, {}),
    ((5, 6), 1, 1, 2.0, {"stride": 2, "padding": 1}),
    ((6, 5), 2, 5, 2.0, {"padding": 2}),
    ((1, 1), 2, 3, 0.7, {"padding": 1}),
    ((1, 1), 1, 1, 0.7, {}),
    ((1, 6), 4, 3, 1.0, {"padding": 1}),
    ((6, 1), 4, 3, 1.0, {"padding": 1}),
    ((5, 6), 2, 3, 50.0, {"padding": 1}),  # nearly all outside
]


@pytest.mark.parametrize(("size", "groups", "kernel", "reach", "places"), CASES)
def test_the_equation(size, groups, kernel, reach, places):
    given = inputs(size, groups, kernel, reach=reach, **places)
    expected = torch.from_numpy(naive.deform_conv(**{k: v.numpy() for k, v in given.items()}, **places))
    torch.testing.assert_close(deform_conv(**given, **places), expected, rtol=0, atol=1e-10)
    bias = given.pop("bias")[:, None, None]
    torch.testing.assert_close(deform_conv(**given, **places) + bias, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("place", [-1.0, -0.5, 0.0, 0.5, 3.0, 3.5, 4.0, 1e6, -1e6])
def test_rims(place):
    """One tap that reads column `place` of a row 1 2 3 4, to which only zeros are neighbours."""
    x = torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]], dtype=torch.float64)
    offset = torch.zeros(1, 2, 1, 4, dtype=torch.float64)
    offset[0, 1, 0] = place - torch.arange(4)
    one = torch.ones(1, 1, 1, 4, dtype=torch.float64)
    expected = {-0.5: 0.5, 0.0: 1.0, 0.5: 1.5, 3.0: 4.0, 3.5: 2.0}.get(place, 0.0)
    torch.testing.assert_close(deform_conv(x, offset, one, one[..., :1]), one * expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("group", "i", "j"), [(0, 0, 0), (0, 2, 1), (1, 0, 2), (1, 1, 1), (1, 2, 0)])
@pytest.mark.parametrize("axis", [0, 1])
def test_each_channel_moves_what_dcnv2_says(group, i, j, axis):
    """One channel of offsets, ``g*2K + 2*(i*3 + j) + axis``, and one of factors, ``g*K + i*3 + j``, are not 0."""
    given = inputs((5, 6), 2, padding=1)
    tap = 3 * i + j
    given["offset"].zero_()[:, group * 18 + 2 * tap + axis] = 1
    given["mask"].zero_()[:, group * 9 + tap] = 2
    own = slice(4 * group, 4 * group + 4)
    padded = F.pad(given["x"][:, own], (2, 2, 2, 2))
    top, left = 1 + i + (axis == 0), 1 + j + (axis == 1)
    expected = 2 * torch.einsum("oc,bchw->bohw", given["weight"][:, own, i, j], padded[:, :, top:, left:][..., :5, :6])
    got = deform_conv(**given, padding=1)
    torch.testing.assert_close(got, expected + given["bias"][:, None, None], rtol=0, atol=1e-10)


@pytest.mark.parametrize("places", [{"padding": 1}, {"stride": 2}, {"padding": 2, "dilation": 2}])
def test_unmoved_it_is_a_convolution(places):
    given = inputs((9, 8), 4, **places)
    given["offset"].zero_()
    given["mask"].fill_(1)
    expected = F.conv2d(given["x"], given["weight"], given["bias"], **places)
    torch.testing.assert_close(deform_conv(**given, **places), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("size", "kernel", "places"), [((3, 4), 3, {"padding": 1}), ((3, 2), 1, {}), ((1, 1), 1, {})])
def test_gradients(size, kernel, places):
    given = inputs(size, 2, kernel, batch=1, reach=0.8, **places)
    taken = tuple(v.requires_grad_() for v in given.values())
    assert torch.autograd.gradcheck(lambda *values: deform_conv(*values, **places), taken)


@pytest.mark.parametrize(("size", "groups", "kernel", "reach", "places"), CASES)
def test_torchvision(size, groups, kernel, reach, places):
    try:
        operator = pytest.importorskip("torchvision.ops").deform_conv2d
    except RuntimeError as error:  # built for another torch
        pytest.skip(str(error))
    given = inputs(size, groups, kernel, reach=reach, **places)
    x, offset, mask, weight, bias = (v.requires_grad_() for v in given.values())
    ours, theirs = deform_conv(**given, **places), operator(x, offset, weight, bias, mask=mask, **places)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    of_ours, of_theirs = (torch.autograd.grad(y.square().sum(), list(given.values())) for y in (ours, theirs))
    torch.testing.assert_close(of_ours, of_theirs, rtol=1e-9, atol=1e-9)


def test_wrong_channels_are_refused():
    given = inputs((5, 6), 2, padding=1)
    for wrong in (
        {"offset": given["offset"][:, 1:]}, {"mask": given["mask"][:, 1:]}, {"mask": given["mask"][:, :9]},
        {"x": given["x"][:, 1:]}, {"mask": given["mask"][:, :3]},
    ):  # fmt: skip
        with pytest.raises(UserError):
            deform_conv(**given | wrong, padding=1)


def test_groups_that_do_not_share_the_channels_are_refused_before_training():
    for groups in (0, 3):
        with pytest.raises(UserError, match=f"groups={groups}: 8 channels"):
            DeformConv(8, groups)


def test_the_layer_reads_offsets_and_factors_from_its_guide():
    torch.manual_seed(0)
    layer = DeformConv(4, groups=2).double()
    features, guide = torch.randn(2, 2, 4, 5, 6, dtype=torch.float64)
    plain = F.conv2d(features, layer.weight, padding=1)
    torch.testing.assert_close(layer(features, guide), plain / 2 + layer.bias[:, None, None], rtol=0, atol=1e-10)
    torch.nn.init.normal_(layer.offset.weight, std=0.2)
    torch.nn.init.normal_(layer.offset.bias)
    moves = F.conv2d(guide, layer.offset.weight, layer.offset.bias, padding=1)
    given = features, moves[:, :36], moves[:, 36:].sigmoid(), layer.weight, layer.bias
    expected = torch.from_numpy(naive.deform_conv(*(v.detach().numpy() for v in given), padding=1))
    torch.testing.assert_close(layer(features, guide), expected, rtol=0, atol=1e-10)


def test_the_layer_tells_how_far_it_moves_pixels():
    layer = DeformConv(4, groups=2)
    torch.nn.init.constant_(layer.offset.bias[:36], -3.0)
    torch.nn.init.constant_(layer.offset.bias[18:36], 5.0)
    layer(torch.randn(1, 4, 5, 6), torch.randn(1, 4, 5, 6)).sum().backward()
    assert layer.mean_offset.item() == pytest.approx(4.0) and not layer.mean_offset.requires_grad
    assert "mean_offset" not in layer.state_dict()


@pytest.mark.parametrize("width", [320, 1920])
def test_in_bfloat16_places_stay_where_they_are(width):
    """A place in bfloat16 would be off by 7.7 pixels at 1920 columns."""
    torch.manual_seed(0)
    layer = DeformConv(4, groups=2)
    torch.nn.init.normal_(layer.offset.bias, std=3)
    features, guide = torch.randn(2, 1, 4, 3, width)
    expected = layer(features, guide)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(features, guide), expected)
        halves = layer(features.bfloat16(), guide.bfloat16())
    assert halves.dtype == torch.bfloat16
    torch.testing.assert_close(halves.float(), expected, rtol=0.02, atol=0.02)
    layer.bfloat16()
    layer.offset.bias.data.round_()  # to places that bfloat16 holds
    moved = layer(features.bfloat16(), guide.bfloat16()).float()
    torch.testing.assert_close(moved, layer.float()(features.bfloat16().float(), guide), rtol=0.02, atol=0.05)
