"""What the ablations change inside a network: convolutions, attention, block parts, residual, batch norm."""

import copy

import pytest
import torch
from torch import nn

from sr.errors import UserError
from sr.imaging.resize import imresize
from sr.layers.blueprint import DECOMPOSITIONS, BSConvS
from sr.layers.repsr import RepSRBlock
from sr.models.bsrn import BSRN
from sr.models.repsr import RepSR
from sr.models.rfdn import RFDN
from sr.models.srresnet import SRResNet
from sr.models.vdsr import VDSR


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", 48 * 24 * 9 + 24),
        ("depthwise", 48 * 9 + 48 * 24 + 24),
        ("bsconv_u", 48 * 24 + 24 * 9 + 24),
        ("bsconv_s", 48 * 12 + 12 * 24 + 24 * 9 + 24),
    ],
)
def test_decompositions_keep_the_size_and_have_their_parameters(name, expected):
    conv = DECOMPOSITIONS[name](48, 24)
    assert count(conv) == expected
    assert conv(torch.zeros(2, 48, 5, 7)).shape == (2, 24, 5, 7)


def test_the_bottleneck_has_4_channels_at_least_and_c_at_most():
    assert BSConvS(8, 8).squeeze.out_channels == 4 and BSConvS(3, 8).squeeze.out_channels == 3
    assert BSConvS(50, 50).squeeze.out_channels == 13  # rounded up


def test_a_decomposition_is_one_whole_convolution_of_low_rank():
    """Each equals the plain convolution whose kernel is the product of its parts, away from the borders."""
    torch.manual_seed(0)
    x = torch.randn(1, 6, 9, 9)
    for name in ("depthwise", "bsconv_u", "bsconv_s"):
        conv = DECOMPOSITIONS[name](6, 4)
        impulse = torch.zeros(6, 6, 5, 5)
        impulse[range(6), range(6), 2, 2] = 1
        zero = conv(torch.zeros(1, 6, 5, 5))
        kernel = (conv(impulse) - zero).flip(2, 3)[:, :, 1:4, 1:4].transpose(0, 1)
        whole = nn.functional.conv2d(x, kernel) + zero[:, :, 2:3, 2:3]
        assert torch.allclose(conv(x)[:, :, 1:-1, 1:-1], whole, atol=1e-6), name


def test_rfdn_takes_each_decomposition_and_no_other():
    sizes = {name: count(RFDN(2, 2, 16, 4, 1, conv=name)) for name in DECOMPOSITIONS}
    assert sizes["plain"] == count(RFDN(2, 2, 16, 4, 1)) == max(sizes.values())
    per_block = 3 * (16 * 16 * 9 + 16 - (16 * 16 + 16 * 9 + 16)) + (16 * 8 * 9 + 8 - (16 * 8 + 8 * 9 + 8))
    assert sizes["plain"] - sizes["bsconv_u"] == 2 * per_block
    assert RFDN(2, 1, 8, 4, 1, conv="bsconv_s")(torch.rand(1, 3, 16, 17)).shape == (1, 3, 32, 34)
    with pytest.raises(UserError, match="plain, depthwise, bsconv_s, bsconv_u"):
        RFDN(2, conv="ghost")
    with pytest.raises(UserError, match="only RFDN's plain convolutions are dilated"):
        RFDN(2, conv="bsconv_s", dilation=2)
    with pytest.raises(UserError, match="a whole number from 1"):  # torch would say so in the first step
        RFDN(2, dilation=0)


def test_bsrns_attention_comes_in_the_order_that_is_asked():
    def kinds(attention):
        block = BSRN(2, 1, 16, 4, 4, attention=attention).blocks[0].attention
        return [type(module).__name__ for module in block]

    assert kinds(["cca", "esa"]) == ["CCA", "ESA"] and kinds([]) == [] and kinds(("esa",)) == ["ESA"]
    assert kinds(("esa", "cca")) == ["ESA", "CCA"]
    default, same = BSRN(2, 1, 16, 4, 4), BSRN(2, 1, 16, 4, 4, attention=("esa", "cca"))
    assert default.state_dict().keys() == same.state_dict().keys()
    assert BSRN(2, 1, 16, 4, 4, attention=[])(torch.rand(1, 3, 15, 16)).shape == (1, 3, 30, 32)
    with pytest.raises(UserError, match="esa, cca"):
        BSRN(2, attention=["se"])


PARTS = [
    {},
    {"paths": ["c3c1"]},
    {"paths": ["c3", "c3"]},
    {"paths": ["c3", "c1"]},
    {"paths": ["c1"], "residual": "norm"},
    {"norm": False},
    {"norm": False, "paths": ["c3", "c1"]},
    {"residual": "norm"},
    {"residual": "none"},
]


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_repsrs_block_without_a_part_merges_exactly(parts):
    torch.manual_seed(0)
    block = RepSRBlock(5, **parts).double()
    x = torch.randn(2, 5, 7, 6, dtype=torch.float64)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    for _ in range(3):
        block(torch.randn(4, 5, 7, 6, dtype=torch.float64))  # running statistics that are not 0 and 1
    block.eval()
    assert torch.allclose(block(x), block.merge()(x), atol=1e-12)


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_repsr_merges_to_the_plain_network_whatever_its_blocks_are(parts):
    model = RepSR(2, num_blocks=2, channels=8, **parts)
    assert count(model.merged()) == count(RepSR(2, num_blocks=2, channels=8).merged())
    assert model(torch.rand(1, 3, 6, 5)).shape == (1, 3, 12, 10)


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_repsrs_block_trains_as_one_convolution_once_its_statistics_stand_still(parts):
    """Its paths, one by one, give the same values and gradients; batch norm in training mode is left to them."""
    torch.manual_seed(0)
    block = RepSRBlock(5, **parts).double()
    x = torch.randn(4, 5, 7, 6, dtype=torch.float64)
    for _ in range(3):
        block(x + 1)
    norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        assert not torch.allclose(block(x), block.merge()(x), atol=1e-3)
        norm.eval()
    found = []
    for calls_its_paths in (False, True):
        block.training = not calls_its_paths
        called: list[int] = []
        hook = block.paths[0].register_forward_hook(lambda *_, called=called: called.append(1))
        y = block(x)
        hook.remove()
        assert bool(called) == calls_its_paths
        found.append((y, *torch.autograd.grad(y.square().sum(), list(block.parameters()))))
    for ours, naive in zip(*found, strict=True):
        assert torch.allclose(ours, naive, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_repsrs_block_starts_near_its_input_where_it_is_told_to(parts):
    def added(start):
        torch.manual_seed(0)
        block = RepSRBlock(5, **parts, start=start)
        x = torch.randn(4, 5, 7, 6)
        unchanged = 0 if block.residual is None else block.residual(x)
        return block(x) - unchanged

    assert torch.allclose(0.1 * added(1.0), added(0.1), atol=1e-5) and not added(0.0).any()
    assert added(1.0).abs().max() > 0.1
    assert torch.equal(RepSR(2, 1, num_blocks=1, start=0.0).backbone[2].paths[0][2].weight, torch.zeros(16, 32, 1, 1))


def test_repsrs_wrong_parts_are_refused():
    for wrong in ({"paths": ["c5"]}, {"paths": []}, {"residual": "dirty"}):
        with pytest.raises(UserError, match="c3c1, c3, c1"):
            RepSR(2, **wrong)


def test_vdsr_without_residual_makes_the_whole_image():
    torch.manual_seed(0)
    model = VDSR(2, num_layers=3, channels=4).eval()
    whole = VDSR(2, num_layers=3, channels=4, residual=False).eval()
    whole.load_state_dict(copy.deepcopy(model.state_dict()))
    y = torch.rand(1, 1, 6, 6) * 0.5 + 0.2
    enlarged = imresize(y, 2).clamp(16 / 255, 235 / 255)
    assert torch.allclose(model.network(y, 2) - whole.network(y, 2), enlarged, atol=1e-6)


def test_srresnet_without_batch_norm_has_none():
    plain = SRResNet(2, num_blocks=2, channels=8, norm=False)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in plain.modules())
    assert count(SRResNet(2, num_blocks=2, channels=8)) - count(plain) == (2 * 2 + 1) * 2 * 8
    assert plain(torch.rand(1, 3, 6, 5)).shape == (1, 3, 12, 10)
