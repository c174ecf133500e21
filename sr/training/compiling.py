"""What torch.compile cannot do, in words."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath

import torch

from sr.errors import UserError, reason, user_error


@contextmanager
def told(compiled: str | None) -> Iterator[None]:
    """Make a UserError of what the compiler, or code that it wrote, raises; nothing where networks are not compiled."""
    try:
        yield
    except Exception as error:
        if not compiled or user_error(error) or isinstance(error, torch.OutOfMemoryError) or not _of_compiler(error):
            raise
        raise UserError(
            f"trainer.compile={compiled}: torch cannot compile this network, or use what it compiled, on this machine "
            f"({type(error).__name__}: {reason(error)}). Leave it out"
        ) from error


def _of_compiler(error: Exception) -> bool:
    files = [PurePath(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    called = any(file.parent.parts[-2:] == ("torch", "_inductor") for file in files)
    return called or type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))
