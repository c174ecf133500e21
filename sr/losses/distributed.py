"""What DistributedDataParallel does for the network it wraps, for a network that a loss owns, and for numbers."""

import itertools
from collections.abc import Mapping

import torch
from torch import Tensor, distributed, nn


def broadcast_state(module: nn.Module) -> None:
    """Give every process the first one's parameters and buffers; nothing where there is one process."""
    if distributed.is_available() and distributed.is_initialized():
        for tensor in itertools.chain(module.parameters(), module.buffers()):
            distributed.broadcast(tensor.detach(), 0)


def average_gradients(module: nn.Module) -> None:
    """Give every process the mean of all gradients, and the first one's buffers; nothing where there is one process.

    All parameters must have a gradient.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    mean = torch.cat([g.flatten() for g in gradients]) * (1 / distributed.get_world_size())
    distributed.all_reduce(mean)
    for gradient, part in zip(gradients, mean.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))
    for buffer in module.buffers():
        distributed.broadcast(buffer, 0)


def largest(value: int, device: torch.device) -> int:
    """The largest of all processes' numbers; every process must ask, and waits for the others."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return value
    found = torch.tensor(value, device=device)
    distributed.all_reduce(found, op=distributed.ReduceOp.MAX)
    return int(found)


def averaged(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The mean over all processes of numbers that each of them has, in one exchange."""
    if not (values and distributed.is_available() and distributed.is_initialized()):
        return dict(values)
    means = torch.stack([value.detach().reshape(()) for value in values.values()])
    distributed.all_reduce(means)
    return dict(zip(values, means / distributed.get_world_size(), strict=True))
