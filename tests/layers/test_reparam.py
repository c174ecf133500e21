"""Re-parameterised blocks against their branches written out, and their merges."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from sr.layers.reparam import ECB, EDBB
from sr.layers.reparam_norm import ACBlock, DiverseBranchBlock, RepVGGBlock
from sr.layers.repsr import RepSRBlock


def randomised(block: nn.Module) -> nn.Module:
    for p in block.parameters():
        nn.init.normal_(p, std=0.5)
    return block


def valid_3x3(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(C, H+2, W+2) by (C', C, 3, 3) -> (C', H, W), explicit sums."""
    height, width = x.shape[1] - 2, x.shape[2] - 2
    y = np.zeros((weight.shape[0], height, width))
    for o in range(weight.shape[0]):
        for r in range(height):
            for c in range(width):
                y[o, r, c] = sum(
                    weight[o, i, a, b] * x[i, r + a, c + b]
                    for i in range(x.shape[0])
                    for a in range(3)
                    for b in range(3)
                )
    return y


def framed(x: np.ndarray, border: np.ndarray) -> np.ndarray:
    """One pixel of `border`, (C,), around (C, H, W)."""
    channels, height, width = x.shape
    y = np.empty((channels, height + 2, width + 2))
    y[:] = border[:, None, None]
    y[:, 1:-1, 1:-1] = x
    return y


def one_by_one(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return np.einsum("oi,ihw->ohw", weight[:, :, 0, 0], x) + bias[:, None, None]


def branches_summed(p: dict[str, np.ndarray], x: np.ndarray, with_identity: bool) -> np.ndarray:
    zeros = np.zeros(x.shape[0])
    y = valid_3x3(framed(x, zeros), p["plain.weight"]) + p["plain.bias"][:, None, None]
    wide = one_by_one(x, p["expand.pointwise.weight"], p["expand.pointwise.bias"])
    y += valid_3x3(framed(wide, p["expand.pointwise.bias"]), p["expand.spatial.weight"])
    y += p["expand.spatial.bias"][:, None, None]
    masks = {
        "sobel_x": [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
        "sobel_y": [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
        "laplacian": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    }
    for name, mask in masks.items():
        border = p[f"{name}.pointwise.bias"]
        narrow = framed(one_by_one(x, p[f"{name}.pointwise.weight"], border), border)
        for c in range(narrow.shape[0]):
            weight = p[f"{name}.scale"][c] * np.array(mask, dtype=float)[None, None]
            y[c] += valid_3x3(narrow[c : c + 1], weight)[0] + p[f"{name}.bias"][c]
    return y + x if with_identity else y


@pytest.mark.parametrize(("made", "channels", "identity"), [
    (ECB, (3, 4), False), (partial(ECB, with_identity=True), (4, 4), True), (ECB, (4, 4), False), (EDBB, (4, 4), True),
])  # fmt: skip
def test_ecb_and_edbb_are_the_sum_of_their_branches(made, channels, identity):
    torch.manual_seed(0)
    block = randomised(made(*channels).double())
    x = torch.randn(1, channels[0], 5, 4, dtype=torch.float64)
    state = {k: v.numpy() for k, v in block.state_dict().items()}
    expected = branches_summed(state, x[0].numpy(), identity)
    if made is EDBB:
        expected = expected + one_by_one(x[0].numpy(), state["pointwise.weight"], state["pointwise.bias"])
    np.testing.assert_allclose(block(x)[0].detach().numpy(), expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(block.merge()(x)[0].detach().numpy(), expected, rtol=0, atol=1e-10)


def normed(p: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    """Batch norm with its running statistics, one channel at a time."""
    y = np.empty_like(x)
    for c in range(x.shape[0]):
        deviation = (p[f"{name}.running_var"][c] + 1e-5) ** 0.5
        y[c] = (x[c] - p[f"{name}.running_mean"][c]) / deviation * p[f"{name}.weight"][c] + p[f"{name}.bias"][c]
    return y


def same(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Zero-padded convolution of (C, H, W) by (C', C, 1 or 3, 1 or 3), explicit sums."""
    square = np.zeros((*weight.shape[:2], 3, 3))
    rows, cols = weight.shape[2:]
    square[:, :, (3 - rows) // 2 : (3 + rows) // 2, (3 - cols) // 2 : (3 + cols) // 2] = weight
    return valid_3x3(framed(x, np.zeros(x.shape[0])), square)


def conv_norm(p: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    return normed(p, f"{name}.1", same(x, p[f"{name}.0.weight"]))


def repvgg_naive(p: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    y = conv_norm(p, "square", x) + conv_norm(p, "point", x)
    return y + normed(p, "identity", x) if "identity.weight" in p else y


def acnet_naive(p: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    return conv_norm(p, "square", x) + conv_norm(p, "horizontal", x) + conv_norm(p, "vertical", x)


def padded_norm(p: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    """The image enlarged by zeros, then normed: outside stands what the norm makes of zero."""
    return normed(p, f"{name}.norm", framed(x, np.zeros(x.shape[0])))


def dbb_naive(p: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    y = conv_norm(p, "square", x) + conv_norm(p, "point", x)
    first = x + np.einsum("oi,ihw->ohw", p["deviation.weight"][:, :, 0, 0], x)
    second = valid_3x3(padded_norm(p, "sequence_pad", first), p["sequence.weight"])
    y += normed(p, "sequence_norm", second)
    first = padded_norm(p, "average_pad", np.einsum("oi,ihw->ohw", p["average_in.weight"][:, :, 0, 0], x))
    mean = np.empty_like(y)
    for c, r, q in np.ndindex(*mean.shape):
        mean[c, r, q] = sum(first[c, r + a, q + b] for a in range(3) for b in range(3)) / 9
    return y + normed(p, "average_norm", mean)


def repsr_naive(p: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    y = x.copy()
    for path in ("paths.0", "paths.1"):
        wide = same(x, p[f"{path}.0.weight"]) + p[f"{path}.0.bias"][:, None, None]
        y += one_by_one(normed(p, f"{path}.1", wide), p[f"{path}.2.weight"], p[f"{path}.2.bias"])
    return y


def with_statistics(block: nn.Module) -> nn.Module:
    """Parameters and statistics far from their start; factors of either sign, a variance as small as eps."""
    torch.manual_seed(0)
    randomised(block)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.5)
            module.running_var.uniform_(0.2, 2)
            module.running_var[0] = 1e-5
    return block.eval()


NORMED = [
    pytest.param(lambda: RepVGGBlock(3, 3), repvgg_naive, id="repvgg"),
    pytest.param(lambda: RepVGGBlock(3, 4), repvgg_naive, id="repvgg-no-identity"),
    pytest.param(lambda: ACBlock(3, 4), acnet_naive, id="acnet"),
    pytest.param(lambda: DiverseBranchBlock(3, 3), dbb_naive, id="dbb"),
    pytest.param(lambda: DiverseBranchBlock(3, 4), dbb_naive, id="dbb-wider"),
    pytest.param(lambda: RepSRBlock(3), repsr_naive, id="repsr"),
]


@pytest.mark.parametrize(("make", "naive"), NORMED)
@pytest.mark.parametrize("size", [(5, 4), (1, 1)])
def test_normed_block_is_the_sum_of_its_branches(make, naive, size):
    block = with_statistics(make().double())
    x = torch.randn(1, 3, *size, dtype=torch.float64)
    expected = naive({k: v.numpy() for k, v in block.state_dict().items()}, x[0].numpy())
    np.testing.assert_allclose(block(x)[0].detach().numpy(), expected, rtol=1e-12, atol=1e-10)
    merged = block.merge()
    assert type(merged) is nn.Conv2d and merged.padding == (1, 1)
    np.testing.assert_allclose(merged(x)[0].detach().numpy(), expected, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("make", [row.values[0] for row in NORMED])
def test_normed_block_trains_on_the_statistics_of_the_batch(make):
    torch.manual_seed(0)
    block = make()
    x = torch.randn(4, 3, 6, 5)
    assert not torch.allclose(block.train()(x), block.eval()(x), atol=1e-3)
    block.train()(x).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in block.parameters())


def test_diverse_branch_starts_as_the_identity_before_its_3x3():
    block = DiverseBranchBlock(3, 3)
    assert not block.deviation.weight.any()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize("size", [(9, 7), (1, 1)])
def test_merging_changes_nothing_borders_included(dtype, tolerance, size):
    torch.manual_seed(0)
    block = ECB(8, 8)
    for p in block.parameters():
        nn.init.normal_(p, std=0.2)
    block = block.to(dtype)
    merged = block.merge()
    assert type(merged) is nn.Conv2d and sum(p.numel() for p in merged.parameters()) == 8 * 8 * 9 + 8
    x = torch.rand(2, 8, *size, dtype=dtype)
    torch.testing.assert_close(merged(x), block(x), rtol=0, atol=tolerance)


def test_gradients_are_those_of_the_branches():
    """The kernel formed on the fly teaches each branch what running the branches would."""
    torch.manual_seed(0)
    block = randomised(ECB(3, 3).double())
    x = torch.randn(1, 3, 6, 5, dtype=torch.float64)
    target = torch.randn(1, 3, 6, 5, dtype=torch.float64)
    ((block(x) - target) ** 2).sum().backward()
    gradients = {name: p.grad.clone() for name, p in block.named_parameters()}
    block.zero_grad()

    y = block.plain(x)
    wide = nn.functional.conv2d(x, block.expand.pointwise.weight)
    bias = block.expand.pointwise.bias[:, None, None]
    y = y + block.expand.spatial(nn.functional.pad(wide, (1, 1, 1, 1)) + bias)
    for branch in (block.sobel_x, block.sobel_y, block.laplacian):
        narrow = nn.functional.pad(nn.functional.conv2d(x, branch.pointwise.weight), (1, 1, 1, 1))
        narrow = narrow + branch.pointwise.bias[:, None, None]
        weight = branch.scale[:, None, None, None] * branch.mask
        y = y + nn.functional.conv2d(narrow, weight, branch.bias, groups=3)
    ((y - target) ** 2).sum().backward()
    for name, p in block.named_parameters():
        torch.testing.assert_close(gradients[name], p.grad, rtol=1e-9, atol=1e-9)


def test_masks_are_neither_learned_nor_saved():
    block = ECB(4, 4)
    assert not any("mask" in name for name, _ in block.named_parameters())
    assert not any("mask" in name for name in block.state_dict())
