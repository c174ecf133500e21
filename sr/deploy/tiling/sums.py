"""torch's operations that look at all places, as sums and extremes that are made tile by tile."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sr.deploy.tiling.nodes import Node, Pointwise, Reduce
from sr.deploy.tiling.picture import Picture, kind, local, pair
from sr.precision import with_doubles


def _spatial(x: Picture, dim: Any) -> list[int] | None:
    """The dimensions, where rows and columns are among them."""
    dims = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    found = sorted(d % x.ndim for d in dims)
    return found if x.ndim > 2 and {x.ndim - 2, x.ndim - 1} <= set(found) else None


def _reduced(
    x: Picture, dims: list[int], keepdim: bool, total: Callable[..., Tensor], joined: Callable[..., Tensor],
    factor: float | None = None,
) -> Picture:  # fmt: skip
    def finish(value: Tensor) -> Tensor:
        return (value if factor is None else value * factor).to(x.dtype)

    shape = [1 if d in dims else n for d, n in enumerate(x.shape) if keepdim or d not in dims]
    return Picture.of(Node(shape, x.dtype, [x.node], Reduce(lambda t: total(t, dims, keepdim), joined, finish)))


def _double_sum(t: Tensor, dims: list[int], keepdim: bool) -> Tensor:
    return with_doubles(t).sum(dims, keepdim, dtype=torch.float64)


@kind
def _mean(x: Any, dim: Any = None, keepdim: bool = False, **named: Any) -> Picture | None:
    if (dims := _spatial(x, dim)) is None or named:
        return None
    return _reduced(x, dims, keepdim, _double_sum, torch.add, 1 / torch.Size(x.shape[d] for d in dims).numel())


@kind
def _sum(x: Any, dim: Any = None, keepdim: bool = False, **named: Any) -> Picture | None:
    return None if (dims := _spatial(x, dim)) is None or named else _reduced(x, dims, keepdim, _double_sum, torch.add)


@kind
def _amax(x: Any, dim: Any = (), keepdim: bool = False) -> Picture | None:
    dims = _spatial(x, dim or None)
    return None if dims is None else _reduced(x, dims, keepdim, torch.amax, torch.maximum)


@kind
def _adaptive_avg_pool2d(x: Any, output_size: Any) -> Any:
    return x.mean((-2, -1), keepdim=True) if pair(output_size) == (1, 1) else None


@kind
def _adaptive_max_pool2d(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    return x.amax((-2, -1), keepdim=True) if pair(output_size) == (1, 1) and not return_indices else None


@kind
def _instance_norm(
    x: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
    use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    if not use_input_stats:
        return None
    centred = x - x.mean((-2, -1), keepdim=True)
    y = centred * torch.rsqrt(centred.square().mean((-2, -1), keepdim=True) + eps)
    for parameter, applied in ((weight, torch.mul), (bias, torch.add)):
        y = y if parameter is None else applied(y, parameter[:, None, None])
    return y


@kind
def _batch_norm(
    x: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    if training and x.ndim == 4 and x.shape[0] == 1:
        return _instance_norm(x, None, None, weight, bias, eps=eps)
    if training or x.ndim not in (2, 4):
        return None
    return local(x, x.shape, Pointwise(lambda t: F.batch_norm(t, running_mean, running_var, weight, bias, eps=eps)))
