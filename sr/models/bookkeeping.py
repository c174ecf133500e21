"""What Lightning counts and logs, exact and cheap where one of its steps is several of ours; what was drawn."""

import random
from collections.abc import Mapping
from functools import partial
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from torch import Tensor


def drawn(device: torch.device) -> dict[str, Tensor]:
    """How far random numbers, those of dropout for example, have been drawn: of torch by device, Python's, NumPy's."""
    (version, words, held), numpy = random.getstate(), np.random.get_state(legacy=False)
    found = {"cpu": torch.get_rng_state()}
    found["python"] = torch.tensor([version, *words, held is not None, held or 0.0], dtype=torch.float64)
    state = (numpy["state"]["pos"], numpy["has_gauss"], numpy["gauss"])
    found["numpy"] = torch.tensor([*numpy["state"]["key"].tolist(), *state], dtype=torch.float64)  # exact to 2**53
    return found | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def draw_on(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Go on drawing where `drawn` found them."""
    if "cpu" in states:
        torch.set_rng_state(states["cpu"])
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    if "python" in states:
        version, *words, held, gauss = states["python"].tolist()
        random.setstate((int(version), tuple(map(int, words)), gauss if held else None))
    if "numpy" in states:
        *key, place, held, gauss = states["numpy"].tolist()
        if not 0 <= place <= len(key):  # NumPy reads there without a look
            raise ValueError(f"a place of {place} among {len(key)}")
        np.random.set_state(("MT19937", np.array(key, np.uint32), int(place), int(held), gauss))


def count_alike(checkpoint: dict[str, Any]) -> None:
    """Lightning counts automatic and manual optimization's steps apart, and a run may go on with the other."""
    loop = checkpoint["loops"]["fit_loop"]
    automatic = loop["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"]
    for count in (automatic, loop["epoch_loop.manual_optimization.optim_step_progress"]):
        count["total"]["completed"] = checkpoint["global_step"]


def count(trainer: L.Trainer, batches: int, steps: int) -> None:
    """Tell Lightning of micro-batches and steps that it has not seen."""
    loop = trainer.fit_loop.epoch_loop
    loop._batches_that_stepped += steps
    for tracker in (loop.batch_progress.total, loop.batch_progress.current):
        for name in ("ready", "started", "processed", "completed"):
            setattr(tracker, name, getattr(tracker, name) + batches)


def log_lightly(trainer: L.Trainer) -> None:
    """Spare `log` what it does without need: a look at each name of the batch, and copies of what lies where it is."""
    if (results := trainer._results) is not None:
        results.batch = None
        for logged in (one for one in results.values() if "to" not in vars(one)):
            logged.to = partial(_moved, logged)


def _moved(logged: Any, device: Any, **how: Any) -> Any:
    return logged if device == logged.value.device else type(logged).to(logged, device, **how)
