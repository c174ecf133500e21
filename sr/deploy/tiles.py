"""A picture of any size enlarged in the memory that there is, as the network makes it of the whole."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from sr.deploy.tiling.maps import kept_size
from sr.deploy.tiling.nodes import Node
from sr.deploy.tiling.plan import Step, peak, planned
from sr.deploy.tiling.reach import as_told, followed
from sr.deploy.tiling.recording import recorded
from sr.deploy.tiling.walk import Walk, pieces, ran_out
from sr.errors import UserError, reason, told_once
from sr.imaging import ensemble
from sr.memory import free_ram
from sr.models.base import SuperResolver
from sr.models.smallest import refuse_smaller
from sr.zoo.onnx_file import OnnxResolver

log = logging.getLogger(__name__)
MOST = 5 * 2**29  # bytes: what takes more of a computer's memory is made in tiles, however much is free
ROOM = 2**28  # bytes for the work on one tile on a processor: larger tiles are not faster
LEAST = 2**27  # and what it takes at least
_last: WeakKeyDictionary[SuperResolver, tuple[Any, tuple[Node, Node] | None]] = WeakKeyDictionary()


def enlarge(
    model: SuperResolver,
    lr: Tensor,
    scale: int | None = None,
    *,
    tile: int | None = None,
    memory: int | None = None,
    scratch: Path | None = None,
    half: bool = False,
    device: torch.device | str | None = None,
    self_ensemble: bool = False,
    walked: Callable[[bool], object] = bool,
) -> Tensor:
    """`model(lr)`, whole where that fits in memory, else tile by tile with the same result.

    Args:
        model: in eval mode; `merged()` is faster. It is moved to `device`.
        lr: (1, 3, H, W) RGB in [0, 1], on the host.
        scale: see `SuperResolver.forward`.
        tile: side of the tiles, LR pixels, also for a picture that would fit; None: from `memory`. What cannot be
            followed (ONNX files that tell no receptive radius, a network that decides by values or takes features from
            places that it computes) is made whole all the same.
        memory: bytes that the work may take, on the device and beside the result; None: from what is free.
        scratch: a folder for features of the whole picture where they do not fit in `memory`; nothing stays in it.
        half: keep these in half precision, which takes half of it and is not exact.
        device: where the network runs; None: where its parameters are.
        self_ensemble: the mean over eight flips and turns, see `sr.imaging.ensemble`.
        walked: called with whether it is made tile by tile, before the first rows.

    Returns:
        (1, 3, s*H, s*W) on the host, not clamped.

    Raises:
        UserError: the model does not serve the scale, is in training mode, or its features of the whole picture fit
            neither in memory nor, as none is named, in a folder.
    """
    s = model.scale_of(scale)
    result = torch.empty(1, 3, s * lr.shape[-2], s * lr.shape[-1], dtype=lr.dtype)
    made = strips(
        model, lr, s, tile=tile, memory=memory, scratch=scratch, half=half, device=device,
        self_ensemble=self_ensemble, walked=walked,
    )  # fmt: skip
    for top, rows in made:
        result[0, :, top : top + rows.shape[1]] = rows
    return result


@torch.no_grad()
def strips(
    model: SuperResolver,
    lr: Tensor,
    scale: int | None,
    *,
    tile: int | None,
    memory: int | None,
    scratch: Path | None,
    half: bool,
    device: torch.device | str | None,
    self_ensemble: bool,
    walked: Callable[[bool], object],
) -> Iterator[tuple[int, Tensor]]:
    """`enlarge`, which tells what is given, a few rows after the other, so that copies of them take no memory.

    Yields:
        The number of its first row, from the top, and (3, h, s*W) on the host.
    """
    if model.training:
        raise UserError("the model is in training mode: call model.eval() first")
    place = torch.device(device or next(model.parameters(), lr).device)
    model = model.to(place)
    lr, s = lr.cpu(), model.scale_of(scale)
    budget = memory or free(place)
    found = _followed(model, lr, s, place, self_ensemble)
    if found is None and isinstance(model, OnnxResolver) and (tile or scratch):
        told = f"{model.path} is given each picture whole, whatever tile and scratch say: it tells no receptive radius"
        told_once(log, logging.WARNING, told)
    if found is None or (tile is None and peak(found[0], found[0].all, [found[1]]) <= budget):
        whole = _whole(model, lr.to(place), s, self_ensemble, found is None)
        if whole is not None:
            walked(False)
            yield from ((top, rows[0].cpu()) for top, rows in pieces(whole))
            return
        budget //= 2
    assert found is not None
    result, source = found
    steps = planned(result, source)
    kept = kept_bytes(steps, half)
    on_host = place.type == "cpu"
    folder = None
    if kept > (max(0, budget - LEAST) if on_host else free_ram()):
        folder = scratch
        if folder is None and (memory is not None or kept > free_ram()):
            raise UserError(
                f"the features of a picture of {lr.shape[-1]}x{lr.shape[-2]} take {kept / 2**30:.1f} GiB, and "
                f"{(budget if on_host else free_ram()) / 2**30:.1f} may be used. Allow more memory, or name a folder "
                "on a disk for them (scratch)"
            )
    room = min(ROOM, max(LEAST, budget - (0 if folder else kept))) if on_host else budget
    walked(True)
    yield from ((top, rows[0]) for top, rows in Walk(steps, source, lr, place, room, tile, folder, half).strips())


def _followed(
    model: SuperResolver, lr: Tensor, scale: int, device: torch.device, averaged: bool
) -> tuple[Node, Node] | None:
    """See `recorded`; None where what the network does cannot be followed.

    The last one of each network is kept: the frames of a film have one size.
    """
    if isinstance(model, OnnxResolver):
        return followed(model, lr, scale, device, averaged) if as_told(model) else None
    asked = lr.shape, lr.dtype, scale, device, averaged, weight_marks(model)
    kept = _last.get(model)
    if kept is not None and kept[0] == asked:
        return kept[1]
    found = None
    try:
        found = recorded(model, lr, scale, device, averaged)
    except Exception as error:  # whatever a network of the user's does that cannot be recorded
        log.warning("the whole picture at once, as what the network does cannot be followed: %s", reason(error))
    _last[model] = asked, found
    return found


def weight_marks(model: nn.Module) -> list[tuple[int, int]]:
    """What is another one once a weight was changed in place, or moved."""
    weights = [*model.parameters(), *model.buffers()]
    return [(w.data_ptr(), 0 if w.is_inference() else w._version) for w in weights]


def _whole(model: SuperResolver, lr: Tensor, scale: int, averaged: bool, must: bool) -> Tensor | None:
    """None where memory ran out, unless it must be."""
    try:
        return ensemble.self_ensemble(lambda x: model(x, scale), lr) if averaged else model(lr, scale)
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            refuse_smaller(model, scale, *lr.shape[-2:])
        if must or not ran_out(error):
            raise
        log.info("memory ran out on the whole picture: on in tiles")
    if lr.device.type == "cuda":
        torch.cuda.empty_cache()
    return None


def kept_bytes(steps: list[Step], half: bool = False) -> int:
    """What the maps of a plan take at most at one time."""
    now = most = 0
    for step in steps[:-1]:
        now += 0 if step.over else kept_size(step.node, half)
        most = max(most, now)
        now -= sum(kept_size(old, half) for old in step.last if old is not step.over)
    return most


def free(device: torch.device) -> int:
    """Bytes that may be taken of a device without being told."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # torch's, and not in use
        return (torch.cuda.mem_get_info(device)[0] + cached) * 3 // 4
    return min(free_ram(), MOST)
