"""What was typed for a run, as far as its result depends on it."""

from __future__ import annotations

# What is typed with these does not change a run's result: neither a sweep's folder nor a line of its table.
PASSING = ("hydra", "logger", "cache_dir", "save_every_steps", "save_every_minutes", "trainer.enable_progress_bar")


def key_of(override: str) -> str:
    """`+model.channels=8` -> `model.channels`."""
    return override.partition("=")[0].lstrip("+~")


def passing(key: str) -> bool:
    """Whether a key, or the group or node that it lies in, does not change a result."""
    return any(key == p or key.startswith((f"{p}.", f"{p}/")) for p in PASSING)
