"""Pictures in whatever loggers take them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class TakesPictures(Protocol):
    """A logger that shows pictures."""

    def log_pictures(self, key: str, pictures: Sequence[np.ndarray], captions: Sequence[str], step: int) -> None:
        """Show (H, W, 3) uint8 pictures under `key`, at so many optimizer steps done."""


def log_pictures(
    loggers: Iterable[Any], key: str, pictures: Sequence[np.ndarray], captions: Sequence[str], step: int
) -> None:
    """The same pictures under the same key in every logger that takes pictures.

    Args:
        loggers: of the run.
        key: under which each logger shows them.
        pictures: each (H, W, 3), uint8.
        captions: one a picture.
        step: optimizer steps done.
    """
    for logger in loggers:
        if isinstance(logger, TakesPictures):
            logger.log_pictures(key, pictures, captions, step)
