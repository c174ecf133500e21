"""The words of a command line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import ListConfig

PAPER_DATA = "${paper_data:}"  # schema.paper_data, which knows the recipe


def listed(value: object) -> list[str]:
    """A key that takes one thing or several: null -> [], a -> ["a"], [a, b] -> ["a", "b"]."""
    if value is None:
        return []
    return [str(v) for v in value] if isinstance(value, ListConfig | list) else [str(value)]


def names(group: str, typed: Sequence[str]) -> list[str] | None:
    """The names in `data=[...]` or `protocol=[...]`, which Hydra keeps nowhere else; None where it was not typed."""
    for override in OverridesParser.create().parse_overrides(list(typed)):
        if override.key_or_group == group:
            return listed(override.value())
    return None


def spelled(override: str) -> str:
    """`data=paper` as Hydra composes it: as the set that the recipe names, in a sweep that each row's does."""
    key, equals, value = override.partition("=")
    if key.lstrip("+") != "data":
        return override
    return key + equals + re.sub(r"(?<![\w-])paper(?![\w-])", PAPER_DATA, value)


def as_typed(override: str) -> str:
    """What `spelled` was given, of what Hydra has kept."""
    return re.sub(r"\$\\?\{paper_data\\?:\\?\}", "paper", override)


def key_of(override: str) -> str:
    """`+model.channels=8` -> `model.channels`."""
    return override.partition("=")[0].lstrip("+~")
