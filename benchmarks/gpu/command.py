"""`sr ...` in this process, and what a run of `sr train` leaves that a table can tell."""

import csv
import gc
import json
import logging
import os
import re
import statistics
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from hydra.core.global_hydra import GlobalHydra
from lightning.pytorch.loggers.logger import Logger

from gpu.part import Part, RefusedError
from sr import cli
from sr.compose.words import path_word
from sr.loggers.run_facts import at_step

WARM_UP = 3  # looks of the logger before steps are timed: compiling, capturing and tuning lie before


class Notes(Logger):
    """Notes when Lightning logged what; between two of its looks it may profile.

    It hooks into no batch, so that the run is the one of a user who has it not.

    Args:
        profiled: whether to count, from the first look to the second, what makes the host wait.
    """

    last: "Notes | None" = None  # of the newest run

    def __init__(self, profiled: bool = False) -> None:
        super().__init__()
        Notes.last = self
        self.began, self.looks = time.perf_counter(), list[tuple[float, int, dict[str, float]]]()
        self.profiled, self.profile = profiled, None
        self.counts, self.places = Counter[str](), Counter[str]()

    @property
    def name(self) -> str:
        return "notes"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        done, values = at_step(metrics, step)
        self.looks.append((time.perf_counter(), done, dict(values)))
        if self.profiled and "train/loss" in values:
            self._profile()

    def _profile(self) -> None:
        if self.profile is None:
            activities = torch.profiler.supported_activities()
            self.profile = torch.profiler.profile(activities=activities).__enter__()
            if torch.cuda.is_available():
                torch.cuda.set_sync_debug_mode("warn")  # tells where, the profiler how often
                self.caught = warnings.catch_warnings(record=True)
                self.warned = self.caught.__enter__()
                warnings.simplefilter("always")
        elif self.profiled:
            self.profiled = False
            if torch.cuda.is_available():
                self.caught.__exit__(None, None, None)
                torch.cuda.set_sync_debug_mode("default")
                heard = [w for w in self.warned if "synchroniz" in str(w.message)]
                self.places.update(f"{Path(w.filename).name}:{w.lineno}" for w in heard)
            self.profile.__exit__(None, None, None)
            self.counts.update({event.key: event.count for event in self.profile.key_averages()})

    def step_ms(self) -> float:
        """Median over the logging intervals, after the warm-up where there are enough.

        Raises:
            RuntimeError: there is no interval.
        """
        train = [(at, step) for at, step, values in self.looks if "train/loss" in values]
        kept = train[WARM_UP:] if len(train) > WARM_UP + 2 else train
        if not (steps := [(b[0] - a[0]) / (b[1] - a[1]) for a, b in pairwise(kept)]):
            raise RuntimeError(f"the run was logged {len(train)} times: too few to time a step")
        return 1000 * statistics.median(steps)

    def latest(self, name: str) -> float | None:
        """The newest value of a name."""
        return next((values[name] for _, _, values in reversed(self.looks) if name in values), None)


@dataclass
class Trained:
    """A finished run.

    Attributes:
        folder: of the run.
        notes: what was noted of it.
        allocated: most MiB of the device that tensors took at a time; None on a processor.
        seconds: of training, as the run itself records them.
    """

    folder: Path
    notes: Notes
    allocated: float | None
    seconds: float

    @property
    def graph(self) -> str:
        """Whether steps were one CUDA graph: yes, or what the run's log says of why not."""
        said = re.findall(r"a step is one CUDA graph|no CUDA graph: .*", (self.folder / "train.log").read_text())
        return "no" if not said else "yes" if said[-1].startswith("a step") else said[-1]

    def weights(self) -> dict[str, torch.Tensor]:
        """All floating tensors of the checkpoint: what is deployed, what trains beside an average, the loss's."""
        content = torch.load(self.folder / "checkpoints/last.ckpt", map_location="cpu", weights_only=True)
        parts = ("state_dict", "current_model_state", "loss_state_dict")
        return {
            f"{part}.{name}": value
            for part in parts
            for name, value in content.get(part, {}).items()
            if value.is_floating_point()
        }


def train(part: Part, *words: str, profiled: bool = False) -> Trained:
    """`sr train` with these words, on the device of the part, without a test set.

    Raises:
        RefusedError: what the command says does not go.
    """
    folder = part.folder()
    own = [
        "logger=csv",
        "benchmarks=[]",
        "metrics=[psnr]",
        "data.val_images=1",
        f"trainer={'cpu' * part.toy or 'auto'}",
    ]
    own += ["val_every_steps=1000000", path_word("hydra.run.dir", folder), "+logger.notes._target_=gpu.command.Notes"]
    own += ["+logger.notes.profiled=true"] * profiled
    given = {word.partition("=")[0] for word in words}
    Notes.last = None
    gc.collect()
    torch._dynamo.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.set_sync_debug_mode("default")  # of a run that failed while it was profiled
    sr("train", *[word for word in own if word.partition("=")[0] not in given], *words)
    allocated = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert Notes.last is not None
    return Trained(folder, Notes.last, allocated, float(record["seconds"]))


def evaluated(part: Part, *words: str) -> list[dict[str, str]]:
    """The rows of the table that `sr evaluate` writes."""
    folder = part.folder()
    sr("evaluate", "panels=0", path_word("hydra.run.dir", folder), *words)
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def sr(command: str, *words: str) -> None:
    """A command, as its user types it.

    Raises:
        RefusedError: with what it says.
    """
    before = sys.argv
    sys.argv = ["sr", *words]
    print("sr", command, *words, flush=True)
    try:
        cli.main(command)
    except SystemExit as end:
        if isinstance(end.code, str):
            raise RefusedError(end.code.removeprefix("error: ")) from None
        if end.code:  # its traceback is in the log
            cause = end.__context__
            raise RuntimeError(f"sr {command}: {type(cause).__name__}: {cause}") from None
    finally:
        sys.argv = before
        GlobalHydra.instance().clear()
        logging.getLogger().handlers.clear()
        os.environ.pop("SR_BUDGET_FACTOR", None)
