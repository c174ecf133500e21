"""How long a forward pass takes, as a comparison: all models take turns, so that the machine's moods hit them alike."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from sr.memory import give_back_freed_memory
from sr.models.base import SuperResolver


@dataclass(frozen=True)
class Latency:
    """Of one image, in milliseconds."""

    median: float  # over rounds; under NTIRE's protocol the mean over images
    spread: float  # half the distance between the quartiles
    ratio: float  # median over the rounds of this model's time to the reference's in the same round


def latencies(
    models: Mapping[str, SuperResolver],
    reference: str,
    size: Sequence[int],
    scale: int,
    rounds: int,
    device: torch.device,
) -> dict[str, Latency]:
    """Time every model once per round on one image of noise, after one round that does not count.

    Args:
        models: by name.
        reference: one of these names.
        size: (h, w) of LR.
        scale: to enlarge by.
        rounds: 3 or more give a meaningful spread.
        device: to run on.
    """
    lr = torch.rand(1, 3, *size, device=device)
    times = in_turns(models, (lr for _ in range(rounds + 1)), rounds + 1, scale, device)
    return _summed({name: each[1:] for name, each in times.items()}, reference, statistics.median)


def ntire22(
    models: Mapping[str, SuperResolver],
    reference: str,
    images: Sequence[Tensor],
    scale: int,
    device: torch.device,
) -> dict[str, Latency]:
    """The runtime of the NTIRE 2022 challenge on efficient super-resolution: the mean over a set's images.

    Each image is a batch of its own and is run once, in float32, the first one too; reading it is not timed. The
    challenge's images are those of DIV2K's validation and test sets. Ours differs in that the models take turns.

    Args:
        models: by name.
        reference: one of these names.
        images: LR, each (1, 3, h, w).
        scale: to enlarge by.
        device: to run on.
    """
    times = in_turns(models, (lr.to(device) for lr in images), len(images), scale, device)
    return _summed(times, reference, statistics.fmean)


@torch.inference_mode()
def in_turns(
    models: Mapping[str, SuperResolver], images: Iterable[Tensor], number: int, scale: int, device: torch.device
) -> dict[str, list[float]]:
    """Milliseconds of each model for each image, which all models get before the next one comes."""
    times: dict[str, list[float]] = {name: [] for name in models}
    ready = {name: model.to(device).eval() for name, model in models.items()}
    with tqdm(
        total=number * len(ready), desc="latency", unit="pass", leave=False, dynamic_ncols=True, disable=None
    ) as bar:
        for lr in images:
            for name, model in ready.items():
                started = _now(device)
                model(lr, scale)
                times[name].append((_now(device) - started) * 1000)
                bar.update()
    return times


def _summed(
    times: Mapping[str, list[float]], reference: str, middle: Callable[[list[float]], float]
) -> dict[str, Latency]:
    found = {}
    for name, each in times.items():
        low, _, high = statistics.quantiles(each, n=4) if len(each) > 1 else 3 * each
        ratio = statistics.median(a / b for a, b in zip(each, times[reference], strict=True))
        found[name] = Latency(middle(each), (high - low) / 2, ratio)
    return found


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@torch.inference_mode()
def peak_memory(model: SuperResolver, size: Sequence[int], scale: int, device: torch.device) -> int | None:
    """Bytes that one pass takes at most.

    On a GPU what torch has allocated on it, weights included, as the NTIRE challenges count. On a processor by how much
    the process grows, as Linux tells; None elsewhere.
    """
    lr = torch.rand(1, 3, *size, device=device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        model(lr, scale)
        return torch.cuda.max_memory_allocated(device)
    give_back_freed_memory()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
        before = _of_process("VmRSS")
        model(lr, scale)
        return max(0, _of_process("VmHWM") - before)
    except (OSError, StopIteration):
        return None


def _of_process(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))
