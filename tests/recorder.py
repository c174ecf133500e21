"""What stands where a GPU would record steps."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class Recorder:
    """Repeats a step by calling its function again."""

    def __init__(self, watched: str = "") -> None:
        self.watched = watched
        self.replays = self.recorded = 0

    def aside(self) -> Any:
        return nullcontext()

    def record(self, function: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1

        def replay() -> None:
            self.replays += 1
            function()

        return replay


class NoNumbers(TorchFunctionMode):
    """Refuses tensors made of Python's numbers or NumPy's: on a GPU a copy from the host."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in (torch.tensor, torch.from_numpy, torch.asarray, torch.Tensor.new_tensor)
        assert func is not torch.as_tensor or isinstance(args[0], torch.Tensor)
        return func(*args, **(kwargs or {}))
