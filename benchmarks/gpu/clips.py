"""A training step of the networks on clips, and their deformable convolution beside torchvision's operator."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gpu.command import train
from gpu.device import device_of, wait
from gpu.part import Part, RefusedError
from sr.compose.words import path_word
from sr.layers.deformable import deform_conv

FRAMES = {"basicvsr": 15, "edvr_m": 5}  # as their papers train on REDS
TOY = {
    "basicvsr": ["model.num_blocks=1", "model.channels=8"],
    "edvr_m": ["model.num_blocks=1", "model.channels=16"],
}
WAYS = {
    "eager": ("bf16-mixed", []),
    "eager, checkpointing": ("bf16-mixed", ["model.checkpointing=true"]),
    "eager, float32": ("32-true", []),
}


def run(part: Part) -> None:
    """The operators, then both networks."""
    device = device_of(part)
    batch, patch, steps = (1, 16, 4) if part.toy else (4, 64, 16)
    shape = (1, 16, 2, 12, 20) if part.toy else (20, 64, 8, 64, 64)  # 4 samples of 5 frames
    for way, convolve in {"grid_sample": deform_conv, "torchvision's": theirs}.items():
        labels = {"deformable convolution": way, "images": shape[0], "channels": shape[1], "groups": shape[2]}
        part.case("deformable", labels, lambda c=convolve: forth_and_back(c, shape, device, 2 if part.toy else 30))
    root = moving(part.folder(), clips=2, frames=16, side=4 * patch + 32)
    for name, frames in FRAMES.items():
        frames = 3 if part.toy and name == "basicvsr" else frames
        words = [
            f"model={name}",
            "scale=4",
            "data=clips",
            path_word("data.root", root),
            "recipe=base",
            "loss=charbonnier",
        ]
        words += [f"frames={frames}", f"batch_size={batch}", f"patch_size={patch}", f"steps={steps}", "callbacks=[]"]
        words += ["data.val_share=0.5", "trainer.log_every_n_steps=2", *(TOY[name] if part.toy else [])]
        for way, (precision, more) in list(WAYS.items())[: 1 if part.toy else None]:
            labels = {"network": f"{name} x4, {frames} frames", "batch": batch, "LR": patch, "way": way}
            labels |= {"precision": precision, "channels_last": False}
            part.case("steps", labels, lambda w=[*words, f"trainer.precision={precision}", *more]: command(part, w))


def command(part: Part, words: list[str]) -> Mapping[str, Any]:
    """A run's step and memory."""
    found = train(part, *words)
    wait = found.notes.latest("train/data_wait")
    return {
        "ms a step": found.notes.step_ms(),
        "data wait, %": None if wait is None else 100 * wait,
        "MiB": found.allocated,
        "graph": found.graph,
    }


def moving(root: Path, clips: int, frames: int, side: int) -> Path:
    """Folders of frames, each clip one picture of smooth noise that moves."""
    for clip in range(clips):
        (root / f"{clip:03d}").mkdir(parents=True)
        small = np.random.default_rng(clip).integers(0, 256, (side // 4, side // 4, 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(small).resize((side + frames, side), Image.Resampling.BICUBIC))
        for n in range(frames):
            Image.fromarray(picture[:, n : n + side]).save(root / f"{clip:03d}/{n:08d}.png", compress_level=1)
    return root


def theirs(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, padding: int) -> Tensor:
    """The operator of torchvision.

    Raises:
        RefusedError: it is not installed, or is of another torch.
    """
    try:
        from torchvision.ops import deform_conv2d
    except (ImportError, RuntimeError) as error:
        raise RefusedError(f"torchvision cannot be imported: {error}") from error
    return deform_conv2d(x, offset, weight, padding=padding, mask=mask)


def forth_and_back(
    convolve: Callable[..., Tensor], shape: tuple[int, ...], device: torch.device, times: int
) -> Mapping[str, Any]:
    """Milliseconds of both directions, and MiB; and by how much its result differs from ours."""
    images, channels, groups, rows, columns = shape
    draw = torch.Generator().manual_seed(0)
    sizes = [
        (images, channels, rows, columns),
        (images, 18 * groups, rows, columns),
        (images, 9 * groups, rows, columns),
    ]
    x, offset, mask, weight = (
        torch.randn(size, generator=draw).to(device).requires_grad_() for size in (*sizes, (channels, channels, 3, 3))
    )
    with torch.no_grad():
        apart = (
            (convolve(x, offset, mask, weight, padding=1) - deform_conv(x, offset, mask, weight, padding=1)).abs().max()
        )
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for n in range(times + 2):
        if n == 2:
            wait(device)
            began = time.perf_counter()
        convolve(x, offset, mask, weight, padding=1).sum().backward()
    wait(device)
    found: dict[str, Any] = {"ms": 1000 * (time.perf_counter() - began) / times, "apart from ours": float(apart)}
    return found | ({"MiB": torch.cuda.max_memory_allocated() / 2**20} if device.type == "cuda" else {})
