"""A whole optimizer step as one CUDA graph: recorded once, then repeated on the GPU without Python.

What differs from step to step lies in memory that stays where it is: parameters and their average, the optimizer's
state, the learning rates of the next steps (`sr.models.optimizers.Rates`), and batches, which are copied into the
graph's own. One graph serves one kind of batches, by shape and scale.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from sr.errors import reason
from sr.models.watch import Watch

log = logging.getLogger(__name__)
WARM_UP = 3  # steps of a kind that are taken without a graph: memory is made, cuDNN chooses, kernels are compiled
MOST = 8  # kinds of batches that have a graph
Losses = list[dict[str, Tensor]]  # of each micro-batch of a step
Step = Callable[[Sequence[Any]], Losses]


class Capture(Protocol):
    """What records work on a device.

    Attributes:
        watched: type of the device, where a step is looked at by `Watch` before it is recorded; "" for not.
    """

    watched: str

    def aside(self) -> Any:
        """A context for steps before anything is recorded."""

    def record(self, function: Callable[[], None]) -> Callable[[], None]:
        """What repeats what a function does on the device; the function itself changes nothing there."""


class CudaCapture:
    """CUDA graphs of one device, with memory of their own that all of them share."""

    watched = "cuda"

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The stream that graphs are recorded on: what torch keeps for each stream is then made."""
        main = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(main)
        with torch.cuda.stream(self.stream):
            yield
        main.wait_stream(self.stream)

    def record(self, function: Callable[[], None]) -> Callable[[], None]:
        graph: Any = torch.cuda.CUDAGraph()
        main = torch.cuda.current_stream(self.stream.device)
        random = torch.cuda.get_rng_state(self.stream.device)
        try:
            # thread_local: another thread, which pins batches meanwhile, makes no mistake.
            with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
                function()
        except BaseException:
            torch.cuda.set_stream(main)  # a recording that fails leaves its own
            with suppress(RuntimeError):
                torch.cuda.set_rng_state(random, self.stream.device)
            raise
        return graph.replay


def capture_for(device: torch.device) -> Callable[[torch.device], Capture] | None:
    """What records steps on a device; None where nothing does."""
    return CudaCapture if device.type == "cuda" else None


class Form(NamedTuple):
    """What a graph takes for granted: how modules are set, and where the memory lies that lasts."""

    flags: tuple[bool, ...]
    places: frozenset[int]

    def serves(self, now: "Form") -> bool:
        return self.flags == now.flags and self.places <= now.places


class Recorded(NamedTuple):
    """A graph, what it takes for granted, and the memory that it reads batches from and writes losses to."""

    form: Form
    settings: list[Any]
    batches: list[Any]
    losses: Losses
    replay: Callable[[], None]


class Graphs:
    """Takes optimizer steps, as graphs where they can be; the first thing that cannot ends that, with its reason.

    Args:
        step: a whole optimizer step: (its micro-batches) -> their losses. Nothing of it may be done by Python alone.
        modules: gives each module that takes part.
        optimizers: that it steps.
        capture: records.
    """

    def __init__(
        self,
        step: Step,
        modules: Callable[[], list[nn.Module]],
        optimizers: Sequence[torch.optim.Optimizer],
        capture: Capture,
    ) -> None:
        self.step, self.modules, self.optimizers, self.capture = step, modules, optimizers, capture
        self.ended, self._told = False, False
        self._taken: dict[Any, int] = {}  # steps of a kind without a graph
        self._losses: dict[Any, Losses] = {}
        self._graphs: dict[Any, Recorded] = {}

    def check(self) -> None:
        """Forget the graphs of what has changed since: a part that learns again, statistics that stay, moved memory."""
        if self._graphs:
            now = self._form()
            for kind in [kind for kind, graph in self._graphs.items() if not graph.form.serves(now)]:
                del self._graphs[kind], self._taken[kind]

    def take(self, batches: Sequence[Any]) -> Losses:
        """A step; losses of a graph are overwritten by the next one."""
        if self.ended:
            return self.step(batches)
        if not all(hasattr(batch, "_fields") for batch in batches):
            self._end(f"a batch is a {type(batches[0]).__name__}, not a named tuple")
            return self.step(batches)
        kind = tuple(map(_kind, batches))
        if (graph := self._graphs.get(kind)) is None:
            taken = self._taken[kind] = self._taken.get(kind, 0) + 1
            if taken <= WARM_UP:
                losses = self._warm_up(batches, last=taken == WARM_UP)
                self._losses[kind] = [{name: value.clone() for name, value in each.items()} for each in losses]
                return losses
            if (graph := self._recorded(kind, batches)) is None:
                return self.step(batches)
        if self._settings() != graph.settings:
            self._end("something changes the optimizer's settings beside its learning rate, each step perhaps")
            return self.step(batches)
        for own, batch in zip(graph.batches, batches, strict=True):
            for mine, given in zip(own, batch, strict=True):
                if isinstance(mine, Tensor):
                    mine.copy_(given, non_blocking=True)
        graph.replay()
        return graph.losses

    def _warm_up(self, batches: Sequence[Any], last: bool) -> Losses:
        watch = Watch(self.capture.watched) if last and self.capture.watched else None
        with self.capture.aside(), watch or nullcontext():
            losses = self.step(batches)
        if watch is not None and watch.found:
            self._end(watch.found)
        return losses

    def _recorded(self, kind: Any, batches: Sequence[Any]) -> Recorded | None:
        """A graph for a kind of batches; None, for this and for all times, where there can be none."""
        before = [{p: dict(state) for p, state in optimizer.state.items()} for optimizer in self.optimizers]
        random = torch.get_rng_state()
        try:
            if len(self._graphs) >= MOST:
                raise RuntimeError(f"there are more than {MOST} kinds of batches")
            graph = self._record(batches, self._losses[kind])
        except Exception as error:
            # Nothing was done on the device: what Python has changed is put back.
            for optimizer, state in zip(self.optimizers, before, strict=True):
                optimizer.state.clear()
                optimizer.state.update(state)
                optimizer.zero_grad()
            torch.clear_autocast_cache()
            torch.set_rng_state(random)
            first: BaseException = error
            while first.__context__ is not None:  # the end of a recording that failed raises an error of its own
                first = first.__context__
            self._end(f"{type(first).__name__}: {reason(first)}")
            return None
        if not self._told:
            log.info("a step is one CUDA graph from here on")
        self._told = True
        self._graphs[kind] = graph
        return graph

    def _record(self, batches: Sequence[Any], like: Losses) -> Recorded:
        own = [type(batch)(*(x.clone() if isinstance(x, Tensor) else x for x in batch)) for batch in batches]
        values = torch.stack([value for losses in like for value in losses.values()])
        places = iter(values.unbind())
        losses = [{name: next(places) for name in each} for each in like]

        def step() -> None:
            found = self.step(own)
            values.copy_(torch.stack([each[name] for each, known in zip(found, like, strict=True) for name in known]))

        for optimizer in self.optimizers:
            optimizer.zero_grad()  # so that gradients are made within the graph, and nothing is added to them
        torch.clear_autocast_cache()
        before = self._form()
        replay = self.capture.record(step)
        if self._form() != before:
            raise RuntimeError("a step makes memory that lasts")
        return Recorded(before, self._settings(), own, losses, replay)

    def _settings(self) -> list[Any]:
        """What a graph repeats of the optimizers' settings: momentum, decay."""
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        return [value for group in groups for key, value in group.items() if key not in ("params", "lr")]

    def _form(self) -> Form:
        modules = self.modules()
        parameters = [p for module in modules for p in module.parameters(recurse=False)]
        lasting = [*parameters, *(b for module in modules for b in module.buffers(recurse=False))]
        states = [state for optimizer in self.optimizers for state in optimizer.state.values()]
        lasting += [x for state in states for x in state.values() if isinstance(x, Tensor)]
        flags = *(m.training for m in modules), *(p.requires_grad for p in parameters)
        return Form(flags, frozenset(x.data_ptr() for x in lasting))

    def _end(self, why: str) -> None:
        self.ended = True
        self._graphs.clear()
        log.info(f"no CUDA graph: {why}")


def _kind(batch: Any) -> tuple[Any, ...]:
    """What one graph serves: sizes and numbers; not names, of which a step knows nothing."""
    return tuple(
        (x.shape, x.dtype, x.device) if isinstance(x, Tensor) else x
        for x in batch
        if isinstance(x, Tensor | int | float | str)
    )
