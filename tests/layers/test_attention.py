"""ESA and CCA against explicit sums over pixels and channels."""

import numpy as np
import pytest
import torch
from torch import nn

from sr.layers.attention import CCA, ESA
from sr.layers.blueprint import BSConvU


def conv_naive(x, weight, bias, stride=1, padding=0, groups=1):
    """(C, H, W) by (C', C/groups, k, k), one multiplication at a time."""
    out_channels, per_group, k, _ = weight.shape
    _, height, width = x.shape
    rows = (height + 2 * padding - k) // stride + 1
    cols = (width + 2 * padding - k) // stride + 1
    y = np.zeros((out_channels, rows, cols))
    for o in range(out_channels):
        first = o // (out_channels // groups) * per_group
        for r in range(rows):
            for c in range(cols):
                total = 0.0 if bias is None else bias[o]
                for i in range(per_group):
                    for dy in range(k):
                        for dx in range(k):
                            yy, xx = r * stride + dy - padding, c * stride + dx - padding
                            if 0 <= yy < height and 0 <= xx < width:
                                total += weight[o, i, dy, dx] * x[first + i, yy, xx]
                y[o, r, c] = total
    return y


def max_pool_naive(x, k, stride):
    channels, height, width = x.shape
    rows, cols = (height - k) // stride + 1, (width - k) // stride + 1
    y = np.empty((channels, rows, cols))
    for c in range(channels):
        for i in range(rows):
            for j in range(cols):
                y[c, i, j] = max(x[c, i * stride + a, j * stride + b] for a in range(k) for b in range(k))
    return y


def bilinear_naive(x, height, width):
    """Half-pixel centres, edge repeated."""
    channels, rows, cols = x.shape
    y = np.empty((channels, height, width))
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                v = max((i + 0.5) * rows / height - 0.5, 0.0)
                u = max((j + 0.5) * cols / width - 0.5, 0.0)
                a, b = int(v), int(u)
                a2, b2 = min(a + 1, rows - 1), min(b + 1, cols - 1)
                fv, fu = v - a, u - b
                y[c, i, j] = (1 - fv) * ((1 - fu) * x[c, a, b] + fu * x[c, a, b2]) + fv * (
                    (1 - fu) * x[c, a2, b] + fu * x[c, a2, b2]
                )
    return y


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def run_conv(layer, x):
    if isinstance(layer, BSConvU):
        return run_conv(layer.depthwise, run_conv(layer.pointwise, x))
    weight = layer.weight.detach().numpy()
    bias = None if layer.bias is None else layer.bias.detach().numpy()
    return conv_naive(x, weight, bias, layer.stride[0], layer.padding[0], layer.groups)


@pytest.mark.parametrize("kind", ["bsrn", "bsrn_s", "rlfn"])
def test_esa_is_its_equation(kind):
    torch.manual_seed(0)
    if kind == "bsrn":

        def down(i, o):
            return BSConvU(i, o, stride=2, padding=0)

        esa = ESA(4, 2, conv=BSConvU, down=down, activation=nn.GELU)
    elif kind == "bsrn_s":
        esa = ESA(4, 2, conv=lambda i, o: BSConvU(i, o, pointwise_bias=True), activation=nn.GELU)
    else:
        esa = ESA(4, 2, groups=1)
    esa = esa.double()
    x = torch.randn(1, 4, 21, 25, dtype=torch.float64)

    def gelu(v):
        return torch.nn.functional.gelu(torch.from_numpy(v)).numpy()

    x0 = x[0].numpy()
    squeezed = run_conv(esa.squeeze, x0)
    y = max_pool_naive(run_conv(esa.down, squeezed), 7, 3)
    assert y.shape[1:] == (2, 2)
    convs = [m for m in esa.groups if isinstance(m, nn.Conv2d | BSConvU)]
    assert len(convs) == (1 if kind == "rlfn" else 3)
    for n, layer in enumerate(convs):
        y = run_conv(layer, y)
        if n < len(convs) - 1:
            y = gelu(y)
    y = bilinear_naive(y, 21, 25) + run_conv(esa.skip, squeezed)
    expected = x0 * sigmoid(run_conv(esa.expand, y))
    np.testing.assert_allclose(esa(x)[0].detach().numpy(), expected, rtol=0, atol=1e-12)


def test_cca_is_its_equation():
    torch.manual_seed(0)
    cca = CCA(6, reduction=3).double()
    x = torch.randn(1, 6, 4, 5, dtype=torch.float64)
    weights = {k: v.numpy() for k, v in cca.state_dict().items()}
    descriptor = np.empty(6)
    for c in range(6):
        pixels = [float(v) for v in x[0, c].flatten()]
        mean = sum(pixels) / 20
        descriptor[c] = (sum((p - mean) ** 2 for p in pixels) / 20) ** 0.5 + mean
    hidden = np.maximum(weights["gate.0.weight"][:, :, 0, 0] @ descriptor + weights["gate.0.bias"], 0)
    gate = sigmoid(weights["gate.2.weight"][:, :, 0, 0] @ hidden + weights["gate.2.bias"])
    expected = x[0].numpy() * gate[:, None, None]
    np.testing.assert_allclose(cca(x)[0].detach().numpy(), expected, rtol=0, atol=1e-12)


def test_cca_has_a_finite_gradient_where_a_channel_is_flat():
    x = torch.full((1, 16, 3, 3), 0.5, requires_grad=True)
    CCA(16)(x).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()


@pytest.mark.parametrize(("stride", "padding", "bias"), [(1, 1, False), (1, 1, True), (2, 0, False)])
def test_blueprint_convolution_is_its_equation(stride, padding, bias):
    torch.manual_seed(0)
    conv = BSConvU(3, 4, stride=stride, padding=padding, pointwise_bias=bias).double()
    x = torch.randn(1, 3, 6, 5, dtype=torch.float64)
    mixing = conv.pointwise.weight.detach().numpy()[:, :, 0, 0]
    mixed = np.einsum("oi,ihw->ohw", mixing, x[0].numpy())
    if conv.pointwise.bias is not None:
        mixed += conv.pointwise.bias.detach().numpy()[:, None, None]
    weight, offset = conv.depthwise.weight.detach().numpy(), conv.depthwise.bias.detach().numpy()
    expected = conv_naive(mixed, weight, offset, stride, padding, groups=4)
    np.testing.assert_allclose(conv(x)[0].detach().numpy(), expected, rtol=0, atol=1e-12)
    assert sum(p.numel() for p in conv.parameters()) == 3 * 4 + 4 * (9 + 1) + 4 * bias
