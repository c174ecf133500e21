"""How long a forward pass takes, as a comparison: all models take turns, so that the machine's moods hit them alike."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from tqdm import tqdm

from sr.models.base import SuperResolver


@dataclass(frozen=True)
class Latency:
    """Of one image, in milliseconds."""

    median: float
    spread: float  # half the distance between the quartiles
    ratio: float  # median over the rounds of this model's time to the reference's in the same round


@torch.inference_mode()
def latencies(
    models: Mapping[str, SuperResolver],
    reference: str,
    size: Sequence[int],
    scale: int,
    rounds: int,
    device: torch.device,
) -> dict[str, Latency]:
    """Time every model once per round, after one round that does not count.

    Args:
        models: merged, by name.
        reference: one of these names.
        size: (h, w) of LR.
        scale: to enlarge by.
        rounds: 3 or more give a meaningful spread.
        device: to run on.
    """
    lr = torch.rand(1, 3, *size, device=device)
    times: dict[str, list[float]] = {name: [] for name in models}
    ready = {name: model.to(device).eval() for name, model in models.items()}
    with tqdm(
        total=(rounds + 1) * len(ready), desc="latency", unit="pass", leave=False, dynamic_ncols=True, disable=None
    ) as bar:
        for number in range(rounds + 1):
            for name, model in ready.items():
                started = _now(device)
                model(lr, scale)
                if number:
                    times[name].append((_now(device) - started) * 1000)
                bar.update()
    found = {}
    for name, each in times.items():
        low, middle, high = statistics.quantiles(each, n=4) if len(each) > 1 else 3 * each
        ratio = statistics.median(a / b for a, b in zip(each, times[reference], strict=True))
        found[name] = Latency(middle, (high - low) / 2, ratio)
    return found


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
