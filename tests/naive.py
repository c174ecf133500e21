"""The papers' equations for moved and resized pixels as plain loops in numpy: slow, and little to get wrong."""

from itertools import product
from math import floor

import numpy as np


def pixel(planes: np.ndarray, y: float, x: float) -> np.ndarray:
    """(C, H, W) at a real place: bilinear between its four pixels, each of which is 0 outside."""
    found = np.zeros(len(planes))
    for row, column in product((floor(y), floor(y) + 1), (floor(x), floor(x) + 1)):
        if 0 <= row < planes.shape[1] and 0 <= column < planes.shape[2]:
            found += planes[:, row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return found


def deform_conv(x, offset, mask, weight, bias, stride=1, padding=0, dilation=1):
    """Deformable ConvNets v2, equation 1: ``y(p) = sum_k w_k * x(p + p_k + dp_k) * dm_k``, in DCNv2's channel order."""
    (b, c, h, w), (out, _, kh, kw) = x.shape, weight.shape
    taps, groups = kh * kw, mask.shape[1] // (kh * kw)
    rows, columns = (
        (side + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for side, k in ((h, kh), (w, kw))
    )  # fmt: skip
    y = np.zeros((b, out, rows, columns)) + (0 if bias is None else bias[:, None, None])
    for n, row, column, g, i, j in product(*map(range, (b, rows, columns, groups, kh, kw))):
        own, k = slice(g * c // groups, (g + 1) * c // groups), i * kw + j
        down, right = offset[n, g * 2 * taps + 2 * k : g * 2 * taps + 2 * k + 2, row, column]
        place = row * stride - padding + i * dilation + down, column * stride - padding + j * dilation + right
        y[n, :, row, column] += weight[:, own, i, j] @ pixel(x[n, own], *place) * mask[n, g * taps + k, row, column]
    return y


def warp(x, flow, border=False):
    """``out(y, x) = in(y + flow_1, x + flow_0)``; outside is 0, or the pixel of the border."""
    out = np.zeros(x.shape)
    for n, row, column in product(range(len(x)), *map(range, x.shape[-2:])):
        place = row + flow[n, 1, row, column], column + flow[n, 0, row, column]
        if border:
            place = tuple(min(max(p, 0), side - 1) for p, side in zip(place, x.shape[-2:], strict=True))
        out[n, :, row, column] = pixel(x[n], *place)
    return out


def resized(x, height, width, corners=False):
    """Bilinear, no antialiasing; `corners`: those of both grids are one, else pixels are squares."""
    for axis, (before, after) in ((-2, (x.shape[-2], height)), (-1, (x.shape[-1], width))):
        matrix = np.zeros((after, before))
        for n in range(after):
            place = n * (before - 1) / max(after - 1, 1) if corners else (n + 0.5) * before / after - 0.5
            place = min(max(place, 0.0), before - 1)
            left = min(floor(place), max(before - 2, 0))
            matrix[n, left] += 1 - (place - left)
            if before > 1:
                matrix[n, left + 1] += place - left
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ matrix.T, -1, axis)
    return x
