"""What a training step must not do if it is to become a CUDA graph, or if a GPU is not to wait for its host."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "_unique2", "equal")
COPIES = ("_to_copy", "copy_")


def of(tree: Any) -> list[Tensor]:
    """The tensors in it."""
    return [x for x in tree_leaves(tree) if isinstance(x, Tensor)]


class Watch(TorchDispatchMode):
    """Looks for what no graph can hold: waiting for what is computed, and travelling between device and host.

    A number (a tensor without dimensions) of the host may take part in an operation: it travels as an argument.

    Args:
        device: type of the device that everything is to stay on.

    Attributes:
        found: the first such operation, in words; empty where there was none.
    """

    def __init__(self, device: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device, self.found = device, ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.name().removeprefix("aten::").partition(".")[0]
        there = of((args, result))
        elsewhere = [x for x in there if x.device.type != self.device]
        if self.found:
            return result
        masked = name.startswith(("index", "_index")) and any(
            x.dtype in (torch.bool, torch.uint8) for x in of(args[1:])
        )
        if name in WAITING or masked:
            self.found = f"{name} waits for what the device computes"
        elif any(x.ndim for x in elsewhere) or (elsewhere and len(elsewhere) < len(there) and name in COPIES):
            self.found = f"{name} works on the host"
        elif name == "lift_fresh" and not elsewhere:
            self.found = "a tensor is made of Python's numbers"
        return result
