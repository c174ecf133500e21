"""A picture of any size enlarged in the memory that there is, as the network makes it of the whole."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from sr.models.base import SuperResolver


def enlarge(
    model: SuperResolver,
    lr: Tensor,
    scale: int | None = None,
    *,
    tile: int | None = None,
    memory: int | None = None,
    scratch: Path | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """`model(lr)`, whole where that fits in memory.

    Args:
        model: in eval mode; `merged()` is faster.
        lr: (1, 3, H, W) RGB in [0, 1], on the host.
        scale: see `SuperResolver.forward`.
        tile: side of the tiles, LR pixels; None: from `memory`.
        memory: bytes that the work may take on the device beside the result; None: from what is free.
        scratch: a folder for a file with features of the whole picture; None: they stay in RAM.
        device: where the network runs; None: where its parameters are.

    Returns:
        (1, 3, s*H, s*W) on the host, not clamped.
    """
    rows = strips(model, lr, scale, tile=tile, memory=memory, scratch=scratch, device=device)
    return torch.cat([strip for _, strip in rows], dim=1)[None]


def strips(
    model: SuperResolver,
    lr: Tensor,
    scale: int | None = None,
    *,
    tile: int | None = None,
    memory: int | None = None,
    scratch: Path | None = None,
    device: torch.device | str | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """`enlarge`, a strip of rows after the other from the top, so that the result is never held as a whole.

    Yields:
        The number of its first row, and (3, h, s*W) on the host.
    """
    with torch.inference_mode():
        yield 0, model(lr.to(device or next(model.parameters(), lr).device), scale)[0].cpu()
