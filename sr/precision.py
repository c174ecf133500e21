"""Full float32 where a number is wanted that does not depend on how training ran."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import torch
from torch import Tensor

from sr.errors import UserError


def refuse_arrays(name: str, *given: object) -> None:
    """Raises a UserError where a function of images gets something else than tensors."""
    if others := [type(x).__name__ for x in given if not isinstance(x, Tensor)]:
        raise UserError(
            f"{name} takes tensors (B, C, H, W), not {others[0]}: of an array (H, W, C) make "
            "torch.from_numpy(array).permute(2, 0, 1)[None]"
        )


def widened(x: Tensor) -> Tensor:
    """Half precision in float32, to be summed or rounded in; every other type as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def with_doubles(x: Tensor) -> Tensor:
    """The same values on a device that has float64: on the host those of Apple's, which has none."""
    return x.cpu() if x.device.type == "mps" else x


def no_autocast(device: torch.device) -> AbstractContextManager[None]:
    """Whatever autocast says around it; the device on which costs are counted knows none."""
    available = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if available else nullcontext()


class _Exact:
    """No TF32: settings of the whole process, made by the first thread that wants them, undone after the last one."""

    def __init__(self) -> None:
        self._lock, self._inside, self._before = threading.Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                cudnn = torch.backends.cudnn
                flags = {"enabled": cudnn.enabled, "benchmark": False, "deterministic": cudnn.deterministic}
                self._before.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
                torch.set_float32_matmul_precision("highest")
                self._before.enter_context(cudnn.flags(**flags, allow_tf32=False))
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._before.close()


_exact = _Exact()


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No autocast and no TF32, so that a figure does not depend on how the weights were trained.

    cuDNN does not try its ways first, either: each image has a size of its own. Threads may be in it side by side.
    """
    with _exact, no_autocast(device):
        yield
