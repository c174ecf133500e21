"""torch's operations that look around, cut or join, as rules: the arguments are torch's own.

One whose arguments make it another case than is handled here answers None, and is made of the whole.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sr.deploy.tiling.nodes import Node, Pointwise, Rule
from sr.deploy.tiling.picture import KINDS, Picture, constant_node, kind, local, pair
from sr.deploy.tiling.rules import (
    Enlarging,
    Flip,
    Interpolate,
    Joined,
    Pad,
    Slice,
    Transpose,
    Unshuffle,
    Window,
    bicubic,
)


def _is_picture(x: Any, *others: Any) -> bool:
    return isinstance(x, Picture) and x.ndim >= 3 and not any(isinstance(other, Picture) for other in others)


def _windows(x: Picture, k: Any, s: Any, p: Any, d: Any = (1, 1)) -> list[int]:
    return [(n + 2 * p[i] - d[i] * (k[i] - 1) - 1) // s[i] + 1 for i, n in enumerate(x.shape[-2:])]


@kind
def _conv2d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Picture | None:
    if not _is_picture(x, weight, bias) or isinstance(padding, str):
        return None
    pieces = x.node.rule.pieces if isinstance(x.node.rule, Pointwise) else ()
    point = weight.shape[-2:] == (1, 1) and groups == 1 and pair(stride) == (1, 1) and pair(padding) == (0, 0)
    if point and len({piece.rank for piece in pieces}) > 1:
        return _summed(pieces, weight, bias)
    k, s, p, d = tuple(weight.shape[-2:]), pair(stride), pair(padding), pair(dilation)
    rule = Window(lambda t, zeros: F.conv2d(t, weight, bias, s, zeros, d, groups), k, s, p, d)
    shape = (*x.shape[:-3], weight.shape[0], *_windows(x, k, s, p, d))
    return local(x, shape, rule, weight[0].numel())


def _summed(pieces: Sequence[Node], weight: Tensor, bias: Tensor | None) -> Picture:
    """A 1x1 over a concatenation of what is made one after the other, as a sum that grows: the pieces need not stay."""
    total: Any = None
    for piece, part in zip(pieces, weight.split([p.shape[-3] for p in pieces], dim=1), strict=True):
        one: Any = F.conv2d(Picture.of(piece), part, bias if total is None else None)
        total = one if total is None else total + one
        one.node.early = total.node.early = True
    return total


@kind
def _conv_transpose2d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Picture | None:  # fmt: skip
    if not _is_picture(x, weight, bias) or pair(output_padding) != (0, 0) or pair(dilation) != (1, 1):
        return None
    k, s, p = tuple(weight.shape[-2:]), pair(stride), pair(padding)
    sides = [(n - 1) * s[i] - 2 * p[i] + k[i] for i, n in enumerate(x.shape[-2:])]
    margin = (-(-(k[0] - 1) // s[0]), -(-(k[1] - 1) // s[1]))
    rule = Enlarging(lambda t: F.conv_transpose2d(t, weight, bias, s, 0, 0, groups), s, margin, offset=p)
    return local(x, (*x.shape[:-3], weight.shape[1] * groups, *sides), rule, weight[:, 0].numel())


def _pool(function: Callable[..., Tensor], outside: float) -> Callable[..., Any]:
    def pool(
        x: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Picture | None:
        if not _is_picture(x) or ceil_mode or return_indices or pair(dilation) != (1, 1):
            return None
        k, p = pair(kernel_size), pair(padding)
        s = pair(stride) if stride else k
        rule = Window(lambda t, zeros: function(t, k, s, zeros), k, s, p, outside=outside)
        return local(x, (*x.shape[:-2], *_windows(x, k, s, p)), rule, k[0] * k[1])

    return pool


KINDS["max_pool2d"] = _pool(F.max_pool2d, -torch.inf)


@kind
def _avg_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    if pair(padding) != (0, 0) or divisor_override:  # outside counts or not
        return None
    return _pool(F.avg_pool2d, 0.0)(x, kernel_size, stride, ceil_mode=ceil_mode)


@kind
def _pixel_shuffle(x: Any, upscale_factor: int) -> Picture:
    r = upscale_factor
    shape = (*x.shape[:-3], x.shape[-3] // r**2, x.shape[-2] * r, x.shape[-1] * r)
    return local(x, shape, Enlarging(lambda t: F.pixel_shuffle(t, r), (r, r)))


@kind
def _pixel_unshuffle(x: Any, downscale_factor: int) -> Picture:
    r = downscale_factor
    return local(x, (*x.shape[:-3], x.shape[-3] * r**2, x.shape[-2] // r, x.shape[-1] // r), Unshuffle(r))


@kind
def _pad(x: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Picture | None:
    if mode not in ("constant", "replicate", "reflect") or len(pad) > 4 or len(pad) % 2:
        return None
    left, right, top, bottom = (*pad, 0, 0, 0, 0)[:4]
    shape = (*x.shape[:-2], x.shape[-2] + top + bottom, x.shape[-1] + left + right)
    return local(x, shape, Pad((top, left), mode, value or 0.0))


@kind
def _interpolate(
    x: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Picture | None:  # fmt: skip
    if mode not in ("nearest", "bilinear") or align_corners or recompute_scale_factor or antialias:
        return None
    sides = x.shape[-2:]
    if size is not None:
        out = pair(size)
        step = (sides[0] / out[0], sides[1] / out[1])
    else:
        factors = (scale_factor, scale_factor) if isinstance(scale_factor, float) else pair(scale_factor)
        out = (int(sides[0] * factors[0]), int(sides[1] * factors[1]))
        step = (1 / factors[0], 1 / factors[1])
    if out[0] * out[1] >= 9 * sides[0] * sides[1]:
        x.node.finished = True  # a small map of the whole
    return local(x, (*x.shape[:-2], *out), Interpolate(step, mode == "bilinear"), 4)


@kind
def _imresize(x: Any, scale: Any, size: Any, edge: str, quantize_intermediate: bool) -> Picture | None:
    if not isinstance(scale, int) or scale < 2 or edge != "mirror" or not x.is_floating_point():
        return None
    return local(x, (*x.shape[:-2], x.shape[-2] * scale, x.shape[-1] * scale), bicubic(scale), 12)


@kind
def _getitem(x: Any, index: Any) -> Picture | None:
    items = list(index) if isinstance(index, tuple) else [index]
    if not all(item is None or item is ... or isinstance(item, int | slice) for item in items):
        return None
    taken = sum(item is not None and item is not ... for item in items)
    gap = items.index(...) if ... in items else len(items)
    items[gap : gap + 1] = [slice(None)] * (x.ndim - taken)
    *lead, rows, columns = items
    if not (isinstance(rows, slice) and isinstance(columns, slice)) or x.ndim < 3:
        return None
    spans = [item.indices(n) for item, n in zip((rows, columns), x.shape[-2:], strict=True)]
    if any(step != 1 or last <= first for first, last, step in spans) or not _leads(x, lead):
        return None
    shape = _meta(x)[index].shape
    kept = (*lead, slice(None), slice(None))
    return local(x, shape, Slice((spans[0][0], spans[1][0]), lambda t: t[kept]))


def _meta(x: Tensor) -> Tensor:
    """A plain tensor of its shape."""
    return torch.empty(tuple(x.shape), device="meta")


def _leads(x: Tensor, items: list[Any]) -> bool:
    return sum(item is not None for item in items) == x.ndim - 2


@kind
def _cat(tensors: Any, dim: int = 0, **named: Any) -> Picture | None:
    n = tensors[0].ndim
    if named or dim % n < n - 2:
        return None
    nodes = [t.node if isinstance(t, Picture) else constant_node(t) for t in tensors]
    shape = list(tensors[0].shape)
    shape[dim] = sum(t.shape[dim] for t in tensors)
    rule: Rule = Joined(dim % n - n + 2)
    return Picture.of(Node(shape, nodes[0].dtype, nodes, rule))


@kind
def _flip(x: Any, *dims: Any) -> Any:
    for dim in {d % x.ndim for d in (dims[0] if isinstance(dims[0], list | tuple) else dims)}:
        if dim < x.ndim - 2:
            return None
        x = local(x, x.shape, Flip(dim - x.ndim + 2))
    return x


@kind
def _transpose(x: Any, first: int, second: int) -> Picture | None:
    dims = {first % x.ndim, second % x.ndim}
    if max(dims) < x.ndim - 2:
        return local(x, _meta(x).transpose(first, second).shape, Pointwise(lambda t: t.transpose(first, second)))
    if dims != {x.ndim - 2, x.ndim - 1}:
        return None
    return local(x, (*x.shape[:-2], x.shape[-1], x.shape[-2]), Transpose())


@kind
def _rot90(x: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    if [d % x.ndim for d in dims] != [x.ndim - 2, x.ndim - 1]:
        return None
    k %= 4
    if k == 2:
        return x.flip((-2, -1))
    return x if k == 0 else x.transpose(-2, -1).flip(-2 if k == 1 else -1)
