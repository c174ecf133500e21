"""How steps are made fast: this project's own keys beside those of Lightning in `conf/trainer`."""

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from sr.errors import UserError
from sr.runs.config import plain

MODES = ("default", "max-autotune-no-cudagraphs")  # of torch.compile; the others make graphs of their own


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
        UserError: a value that a key does not have.
    """
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


def lightnings(trainer: DictConfig) -> dict[str, Any]:
    """A config of a trainer, resolved, without the keys that Lightning does not know."""
    return {key: value for key, value in plain(trainer).items() if key not in OURS}
