"""Training crops a second until they are float32 on the device: loader processes, and the device's own way."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from beside import in_turns

from gpu.device import device_of, photos, wait, wild
from gpu.part import Part
from sr.data.bundled import Bundled

WORKERS = 0, 2, 8
LONGEST = 0.6  # seconds of a turn, about


def run(part: Part) -> None:
    """A row for each scale and batch."""
    device = device_of(part)
    sizes = [(2, 4, 8)] if part.toy else [(2, 16, 48), (4, 16, 48), (4, 64, 64)]
    for scale, batch, patch in sizes:
        labels = {"scale": f"x{scale}", "batch": batch, "LR": patch, "LR by": "bicubic"}
        part.case("crops", labels, lambda s=(scale, patch, batch): speeds(part, device, *s))
    scale, batch, patch = sizes[-1]
    labels = {"scale": f"x{scale}", "batch": batch, "LR": patch, "LR by": "blur, noise, JPEG"}
    part.case("crops", labels, lambda: speeds(part, device, scale, patch, batch, degradation=wild(scale)))


def speeds(part: Part, device: torch.device, scale: int, patch: int, batch: int, **settings: Any) -> dict[str, float]:
    """Crops a second of each way, by the wall's clock, and ms a batch of the device's."""
    takes: dict[str, Callable[[int], None]] = {}
    for workers in WORKERS[:2] if part.toy else WORKERS:
        data = photos(part, device, scale, patch, batch, num_workers=workers, device=False, **settings)
        takes[f"host, {workers} workers"] = taking(data, iter(data.train_dataloader()), device)
    data = photos(part, device, scale, patch, batch, device=True, **settings)
    takes["device"] = taking(data, iter(data.train_dataloader()), device)
    few = 2 if part.toy else 20  # also more than workers have ready when they are begun with
    slowest = max(in_turns({n: partial(take, few) for n, take in takes.items()}, 1, time.perf_counter).values()) / few
    batches = few if part.toy else int(min(400, max(few, LONGEST / slowest)))
    seconds = in_turns({n: partial(take, batches) for n, take in takes.items()}, 3, time.perf_counter)
    found: dict[str, float] = {name: batch * batches / s for name, s in seconds.items()}
    return found | {"device, ms a batch": 1000 * seconds["device"] / batches, "batches": batches}


def taking(data: Bundled, loaded: Iterator[Any], device: torch.device) -> Callable[[int], None]:
    """Takes the next so many batches, as a step takes them."""

    def take(batches: int) -> None:
        for _ in range(batches):
            batch = data.transfer_batch_to_device(next(loaded), device, 0)
            data.on_after_batch_transfer(batch, 0)
        wait(device)

    return take
