"""Bicubic resizing that equals MATLAB's ``imresize(x, scale, 'bicubic')``.

The field's low-resolution images were made with that function, and no other library's bicubic gives the
same pixels: it uses the cubic kernel with a = -0.5, widens the kernel when it shrinks (antialiasing),
rounds 8-bit images after each of the two passes, and mirrors the picture at its border.

Source: R. Keys, "Cubic Convolution Interpolation for Digital Image Processing", IEEE TASSP 1981, eq. 15.
"""

import functools
import math
import operator
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from sr.errors import UserError
from sr.imaging.banded import Band, bands, filtered, plain
from sr.precision import refuse_arrays, widened

MAX_PERIOD = 16  # above, a loop over phases stops being cheaper than gathering every tap by index
Number = TypeVar("Number", float, Fraction)
Edge = Callable[[Tensor, int], Tensor]


def _mirror(index: Tensor, n: int) -> Tensor:
    """Reflect an index with the edge pixel repeated; right even where the kernel is wider than the image."""
    index = torch.remainder(index, torch.full((), 2 * n, dtype=index.dtype, device=index.device))  # n may be a symbol
    return torch.where(index < n, index, 2 * n - 1 - index)


EDGES: dict[str, Edge] = {
    "mirror": _mirror,
    "replicate": lambda index, n: index.clamp(0, n - 1),
}


def _mirrored(i: Any, n: Any) -> Any:
    i = i % (2 * n)
    return i + (i >= n) * (2 * n - 1 - 2 * i)


OF_ARRAYS: dict[str, Callable[[Any, Any], Any]] = {  # arrays or tensors, of sides of one picture or of many
    "mirror": _mirrored,
    "replicate": lambda i, n: i.clip(min=0).clip(max=n - 1),
}


def _cubic(x: Number) -> Number:
    """Keys' kernel with a = -0.5, zero beyond two pixels."""
    x = abs(x)
    if x <= 1:
        return (3 * x**3 - 5 * x**2 + 2) / 2
    return (-(x**3) + 5 * x**2 - 8 * x + 4) / 2 if x <= 2 else 0 * x


def _contributions(outputs: int, scale: Number) -> tuple[list[int], list[list[Number]]]:
    """First input pixel and normalised weights of each of the first `outputs` output pixels.

    Plain numbers: constants of a traced graph. Output x (from 1) lies at u = x / scale + (1 - 1 / scale) / 2.
    """
    shrink = min(scale, type(scale)(1))
    width = 4 / shrink
    taps = math.ceil(width) + 2
    starts, weights = [], []
    for x in range(1, outputs + 1):
        u = x / scale + (1 - 1 / scale) / 2
        left = math.floor(u - width / 2)
        row = [shrink * _cubic(shrink * (u - left - k)) for k in range(taps)]
        total = sum(row)
        starts.append(left - 1)  # MATLAB counts pixels from 1
        weights.append([w / total for w in row])
    return starts, weights


def _ratio(scale: float) -> tuple[int, int] | None:
    """(p, q) with scale = p / q and both small: then the weights repeat every p outputs and q inputs."""
    return (scale, 1) if isinstance(scale, int) and scale <= MAX_PERIOD else _fraction(scale)


@functools.lru_cache(maxsize=256)
def _fraction(scale: float) -> tuple[int, int] | None:
    fraction = Fraction(scale).limit_denominator(MAX_PERIOD)
    p, q = fraction.numerator, fraction.denominator
    return (p, q) if p <= MAX_PERIOD and abs(p / q - scale) <= 1e-12 * scale else None


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _float32_serves(*factors: float) -> bool:
    """Whether bytes less 128, resized in float32 with sums in any order, round to the pixels of exact arithmetic."""
    return all(ratio is not None and _exact_enough(*ratio) for ratio in map(_ratio, factors))


@functools.cache
def _exact_enough(p: int, q: int) -> bool:
    """With weights that are multiples of 1 / D, D a power of two, all sums are exact.

    With an odd D no sum comes nearer than 1 / 2D to where rounding turns, and errors stay below. Others are not known.
    """
    rows = _contributions(p, Fraction(p, q))[1]
    unit = math.lcm(*(w.denominator for row in rows for w in row))
    largest = 128 * max(sum(map(abs, row)) for row in rows)
    if unit & (unit - 1) == 0:
        return unit * max(largest, Fraction(256)) <= 2**24
    error = (len(rows[0]) + 2) * largest / 2**24 + Fraction(256, 2**24)
    return unit % 2 == 1 and error < Fraction(1, 2 * unit)


@functools.lru_cache(maxsize=64)
def _blocks(out: int, factor: float, dtype: Any) -> list[Band]:
    """One pass as products, see `sr.imaging.banded`."""
    p, q = _ratio(factor) or (out, 0)
    first, rows = _contributions(min(p, out), p / q if q else factor)
    weights, index = np.array(rows), np.arange(out)
    used = np.flatnonzero(weights.any(0))
    starts = np.array(first)[index % p] + q * (index // p) + used[0]
    return bands(starts, weights[index % p, used[0] : used[-1] + 1], dtype)


@functools.cache
def kernel(shrink: int) -> tuple[int, list[float]]:
    """The first input that output 0 reads, and the weights, where a whole number of inputs makes an output."""
    (start,), (row,) = _contributions(1, 1 / shrink)
    used = [k for k, weight in enumerate(row) if weight]
    return start + used[0], row[used[0] : used[-1] + 1]


def _periodic(x: Tensor, dim: int, out: int, p: int, q: int, edge: Edge) -> Tensor:
    """One pass by p / q: each of the p phases is a weighted sum of (strided) slices of the padded input."""
    n = x.shape[dim]
    starts, weights = _contributions(p, p / q)
    taps = len(weights[0])
    low = min(starts)
    steps = n if q == 1 else -(-out // p)  # q == 1: no division, so that a symbolic size stays simple
    reach = q * (steps - 1) + 1
    index = torch.arange(low, max(starts) + taps + q * (steps - 1), device=x.device)
    padded = x.index_select(dim, edge(index, n))
    phases = []
    for start, row in zip(starts, weights, strict=True):
        terms = [_slice(padded, dim, start - low + k, reach, q) * w for k, w in enumerate(row) if w != 0.0]
        phases.append(functools.reduce(operator.add, terms))
    if p == 1:
        return phases[0]
    y = torch.stack(phases, dim + 1).flatten(dim, dim + 1)
    return y if q == 1 else y.narrow(dim, 0, out)


def _slice(x: Tensor, dim: int, start: int, length: int, step: int) -> Tensor:
    x = x.narrow(dim, start, length)
    return x if step == 1 else x[(slice(None),) * dim + (slice(None, None, step),)]


def _gathered(x: Tensor, dim: int, out: int, scale: float, edge: Edge) -> Tensor:
    """One pass by any factor: the sum over taps of the pixels that each output reads."""
    starts, rows = _contributions(out, scale)
    first = torch.tensor(starts, device=x.device)
    weights = torch.tensor(rows, dtype=torch.float64, device="cpu").to(x.device, x.dtype)
    shape = (-1,) + (1,) * (x.ndim - 1 - dim)
    total = torch.zeros((), dtype=x.dtype, device=x.device)
    for k in range(weights.shape[1]):
        total = total + x.index_select(dim, edge(first + k, x.shape[dim])) * weights[:, k].reshape(shape)
    return total


def _length(n: int, scale: float) -> int:
    """ceil(scale * n) as in MATLAB, where a product that misses an integer by rounding alone counts as it."""
    return n * scale if isinstance(scale, int) else math.ceil(scale * n - 1e-9)


def imresize(
    x: Tensor,
    scale: float | None = None,
    *,
    size: tuple[int, int] | None = None,
    edge: str = "mirror",
    quantize_intermediate: bool = True,
) -> Tensor:
    """Resize images like MATLAB's ``imresize`` with the bicubic kernel.

    Args:
        x: images (..., H, W). uint8 is rounded half up, as in exact arithmetic (but for MPS); a floating type is
            returned unrounded and unclipped in its own type (half precision is computed in float32) and carries
            gradients.
        scale: the factor of both sides; the output is (ceil(scale * H), ceil(scale * W)). An integer factor
            may be traced by ``torch.export`` with symbolic H and W (torch 2.13, not 2.11).
        size: the output's (H, W) instead of `scale`; each side then has its own factor.
        edge: "mirror" (the picture reflected, edge pixel repeated: MATLAB's rule) or "replicate" (the edge
            pixel carried on: how some older public LR files were made).
        quantize_intermediate: round uint8 images after the first pass too, as MATLAB does; False rounds
            once, at the end. Without effect on floats.

    Returns:
        The resized images (..., H', W'), in the type of `x`.

    Raises:
        UserError: for a factor or size that is not positive, both or neither given, an empty image, an
            unknown edge rule, or a type that is neither uint8 nor floating.

    Example:
        >>> import sr, torch
        >>> hr = torch.arange(0, 160, 10, dtype=torch.uint8).reshape(1, 4, 4)
        >>> sr.imresize(hr, 1 / 2)
        tensor([[[ 23,  43],
                 [107, 127]]], dtype=torch.uint8)
    """
    if has_torch_function_unary(x):  # a tensor of a kind that has its own way, see sr.deploy
        own: Tensor = handle_torch_function(
            imresize, (x,), x, scale, size=size, edge=edge, quantize_intermediate=quantize_intermediate
        )
        return own
    refuse_arrays("imresize", x)
    if (scale is None) == (size is None):
        raise UserError(f"imresize takes either scale or size, got scale={scale} and size={size}")
    if edge not in EDGES:
        raise UserError(f"unknown edge rule {edge!r}; known: {', '.join(EDGES)}")
    if x.dtype != torch.uint8 and not x.is_floating_point():
        raise UserError(f"imresize takes uint8 or floating images, got {x.dtype}")
    if x.ndim < 2 or 0 in x.shape:
        raise UserError(f"imresize takes images of shape (..., H, W), got {tuple(x.shape)}")

    rows, columns = x.ndim - 2, x.ndim - 1
    passes: list[tuple[float, int, int]] = []  # factor, dimension, output length
    if scale is not None:
        if not scale > 0 or math.isinf(scale):
            raise UserError(f"the factor must be positive, got {scale}")
        scale = int(scale) if float(scale).is_integer() else scale
        passes = [(scale, dim, _length(x.shape[dim], scale)) for dim in (rows, columns)]
    if size is not None:
        if min(size) < 1:
            raise UserError(f"the output size must be positive, got {tuple(size)}")
        passes = [(out / x.shape[dim], dim, out) for dim, out in zip((rows, columns), size, strict=True)]
        passes.sort(key=lambda item: item[0])  # stable: vertical first when equal

    steps = [step for step in passes if _ratio(step[0]) != (1, 1)]
    if not steps:
        return x.clone()
    eight_bit, rounded = x.dtype == torch.uint8, quantize_intermediate or len(steps) == 1
    narrow = eight_bit and rounded and _float32_serves(*(step[0] for step in steps))
    if (array := plain(widened(x))) is not None:
        return torch.from_numpy(_on_host(array, steps, edge, rounded, narrow)).to(x.dtype)
    y = widened(x)
    if eight_bit:
        y = x.to(torch.float32 if narrow or x.device.type == "mps" else torch.float64) - 128
    for number, (factor, dim, out) in enumerate(steps, 1):
        ratio = _ratio(factor)
        y = _periodic(y, dim, out, *ratio, EDGES[edge]) if ratio else _gathered(y, dim, out, factor, EDGES[edge])
        if eight_bit and (rounded or number == len(steps)):
            y = (y + 128.5).floor().clamp(0, 255) - 128
    return (y + 128).to(x.dtype) if eight_bit else y.to(x.dtype)


def _on_host(
    x: np.ndarray, steps: Sequence[tuple[float, int, int]], edge: str, rounded: bool, narrow: bool
) -> np.ndarray:
    """The passes as products of matrices."""
    eight_bit = x.dtype == np.uint8
    computed: Any = (np.float32 if narrow else np.float64) if eight_bit else x.dtype.type
    for number, (factor, axis, out) in enumerate(steps, 1):
        result = np.uint8 if eight_bit and (rounded or number == len(steps)) else computed
        blocks = _blocks(out, factor, computed)
        x = filtered(x, axis, blocks, result, OF_ARRAYS[edge])
    return x
