"""Full float32 where a number is wanted that does not depend on how training ran."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor


def widened(x: Tensor) -> Tensor:
    """Half precision in float32, to be summed or rounded in; every other type as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def no_autocast(device: torch.device) -> AbstractContextManager[None]:
    """Whatever autocast says around it; the device on which costs are counted knows none."""
    available = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if available else nullcontext()


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No autocast and no TF32, so that a figure does not depend on how the weights were trained.

    cuDNN does not try its ways first, either: each image has a size of its own.
    """
    matmul = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with (
            no_autocast(device),
            torch.backends.cudnn.flags(
                enabled=torch.backends.cudnn.enabled,
                benchmark=False,
                deterministic=torch.backends.cudnn.deterministic,
                allow_tf32=False,
            ),
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(matmul)
