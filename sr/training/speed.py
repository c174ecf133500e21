"""How steps are made fast: this project's own keys beside those of Lightning in `conf/trainer`."""

from dataclasses import dataclass
from typing import Any

import lightning.pytorch as L
from omegaconf import DictConfig

from sr.errors import UserError
from sr.models.base import SuperResolver
from sr.models.hooks import one_at_a_time
from sr.runs.config import plain

MODES = ("default", "max-autotune-no-cudagraphs")  # of torch.compile; the others make graphs of their own
# Lightning's words for it; with weights of another kind it trains, and ends in the first validation.
CHOICES = "32-true", "16-mixed", "bf16-mixed"
PRECISIONS = (*CHOICES, "32", "16", "bf16", "None")


@dataclass(frozen=True)
class Speed:
    """What `trainer.` says about speed.

    Attributes:
        graph: whether a step is one CUDA graph; "auto" where it can be.
        compile: mode in which torch.compile makes the network, or None.
        channels_last: the network's weights lie in memory as (B, H, W, C).
    """

    graph: bool | str = "auto"
    compile: str | None = None
    channels_last: bool = False


OURS = tuple(Speed.__dataclass_fields__)


def speed(trainer: DictConfig) -> Speed:
    """What a config of a trainer says about speed; of one without these keys the defaults.

    Raises:
        UserError: a value that a key does not have, or a precision in which the weights are no 32-bit numbers.
    """
    if (precision := str(trainer.get("precision"))) not in PRECISIONS:
        choices = f"{', '.join(CHOICES[:-1])} or {CHOICES[-1]}"
        raise UserError(f"trainer.precision={precision}: weights are 32-bit numbers here: type {choices}")
    graph, compiled, last = (trainer.get(key, getattr(Speed, key)) for key in OURS)
    if isinstance(compiled, bool):
        compiled = "default" if compiled else None
    for key, value, there in (
        ("graph", graph, (True, False, "auto")),
        ("compile", compiled, (None, *MODES)),
        ("channels_last", last, (True, False)),
    ):
        if value not in there:
            known = [str(v).lower() for v in there if v is not None] + ["false"] * (None in there)
            raise UserError(f"trainer.{key}={value}: type {', '.join(known[:-1])} or {known[-1]}")
    return Speed(graph, compiled, last)


def step_through(trainer: L.Trainer, model: SuperResolver, cfg: DictConfig) -> str:
    """Let a model take its steps by itself, or a trainer for it.

    Args:
        trainer: that trains it.
        model: with its setup attached.
        cfg: of the stage.

    Returns:
        Why Lightning must see each step; empty where it need not.
    """
    model.graph = speed(cfg.trainer).graph
    if not (reason := one_at_a_time(trainer, model)):
        model.automatic_optimization, model.steps_at_once = False, cfg.steps_at_once
    manual, setup = not model.automatic_optimization, model.training_setup
    # Lightning refuses both beside manual optimization, where the model does them itself.
    trainer.accumulate_grad_batches = 1 if manual else setup.accumulate
    trainer.gradient_clip_val = None if manual else setup.clip
    return reason


def lightnings(trainer: DictConfig) -> dict[str, Any]:
    """A config of a trainer, resolved, without the keys that Lightning does not know."""
    return {key: value for key, value in plain(trainer).items() if key not in OURS}
