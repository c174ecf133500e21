"""The same network, batch and loss in a loop with nothing else in it, as one writes it by hand."""

import time
from collections.abc import Callable
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from gpu.device import photos, wait
from gpu.part import Part
from sr.compose.conf import CONF
from sr.data.device import on_device


class Bare:
    """A loop over batches that the device holds.

    Args:
        part: that asks.
        device: where.
        model: name in conf/model.
        scale: of it.
        batch: images of a step.
        patch: LR pixels of a side.
        changed: keys of the model that differ from its config.
    """

    def __init__(
        self, part: Part, device: torch.device, model: str, scale: int, batch: int, patch: int, changed: dict[str, Any]
    ) -> None:
        own = OmegaConf.merge(OmegaConf.load(CONF / "model" / f"{model}.yaml"), changed)
        self.config = OmegaConf.create({"scale": scale, "model": own})
        self.device, self.batch = device, batch
        self.data = photos(part, device, scale, patch, batch)
        self.patches = on_device(self.data.patches(), device)

    def step(self, bf16: bool, channels_last: bool, fixed: bool = False) -> Callable[[], None]:
        """What one step does; `fixed`: always on one batch, and with nothing in it that a CUDA graph cannot hold."""
        torch.manual_seed(0)
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")  # as training has it
        layout = torch.channels_last if channels_last else torch.contiguous_format
        model: Any = instantiate(self.config.model).to(self.device, memory_format=layout).train()
        options = {"fused": True, "capturable": True} if fixed and self.device.type == "cuda" else {}
        optimizer, loss = torch.optim.Adam(model.parameters(), lr=1e-4, **options), torch.nn.L1Loss()
        taken = [0]

        def batch() -> Any:
            first = taken[0] * self.batch
            taken[0] += not fixed
            found = self.data.to_float(self.patches[list(range(first, first + self.batch))], self.device)
            return found._replace(lr=found.lr.contiguous(memory_format=layout))

        once = batch() if fixed else None

        def step() -> None:
            given = batch() if once is None else once
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16, cache_enabled=not fixed):
                sr, hr, _ = model.training_images(given)
                error = loss(sr, hr)
            error.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        return step

    def ms(self, steps: int, bf16: bool, channels_last: bool) -> float:
        """A step, in milliseconds: the mean of many after ten."""
        return self._timed(self.step(bf16, channels_last), steps)

    def graphed_ms(self, steps: int, bf16: bool, channels_last: bool) -> float:
        """The same, forward to optimizer replayed as one CUDA graph: what is left when the host does nothing at all."""
        step = self.step(bf16, channels_last, fixed=True)
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        return self._timed(graph.replay, steps)

    def _timed(self, step: Callable[[], Any], steps: int) -> float:
        for _ in range(min(10, steps)):
            step()
        wait(self.device)
        began = time.perf_counter()
        for _ in range(steps):
            step()
        wait(self.device)
        return 1000 * (time.perf_counter() - began) / steps
