"""Which code in a run is the user's own: weights and configs say nothing of it, and with another results are others."""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from hydra.utils import get_object
from torch import nn

from sr.degradation.fingerprint import fingerprint, own
from sr.errors import UserError, told_once
from sr.models.base import SuperResolver

log = logging.getLogger(__name__)
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"  # each compiles code in its own way


def _classes(model: SuperResolver) -> list[type[nn.Module]]:
    """The user's own, of a network and of what is in it."""
    found = {type(module) for module in model.modules()}
    theirs = [c for c in found if c.__module__.partition(".")[0] not in ("sr", "torch")]
    return sorted(theirs, key=lambda c: f"{c.__module__}.{c.__qualname__}")


def code_of(model: SuperResolver) -> dict[str, str]:
    """What a checkpoint tells of it; nothing of a network of ours, and of one that cannot be described."""
    if not (classes := _classes(model)):
        return {}
    try:
        return {"code": f"{PYTHON} {fingerprint(classes, without=(SuperResolver, nn.Module))}"}
    except UserError:
        return {}


def tell_other_code(model: SuperResolver, told: Mapping[str, Any], source: object) -> None:
    """Warn where a checkpoint tells of other code than is imported now."""
    then, now = told.get("code", ""), code_of(model).get("code", "")
    if now and then.partition(" ")[0] == PYTHON and then != now:
        names = ", ".join(c.__qualname__ for c in _classes(model))
        text = f"warning: the code of {names} was changed since {source} was trained: with those weights it is"
        told_once(log, logging.WARNING, f"{text} another network now")


def codes_of(config: Any) -> dict[str, str]:
    """The user's own code, of what a config names beside the network: steps of a degradation, losses, callbacks."""
    found = {}
    for target in _targets(config):
        with suppress(UserError):
            thing = get_object(target)
            if own(thing):
                ours = tuple(base for base in getattr(thing, "__mro__", ()) if base.__module__.startswith("sr."))
                found[target] = f"{PYTHON} {fingerprint(thing, without=ours)}"
    return found


def _targets(node: Any) -> Iterator[str]:
    for key, value in node.items() if isinstance(node, Mapping) else enumerate(node if isinstance(node, list) else ()):
        if key == "_target_" and isinstance(value, str) and not value.startswith("sr."):
            yield value
        elif key != "model":
            yield from _targets(value)


def tell_other_codes(config: Any, told: Mapping[str, Any], source: object) -> None:
    """Warn where a run's checkpoint tells of other code of what its config names than is imported now."""
    then = told.get("codes") or {}
    for target, now in codes_of(config).items():
        if (former := str(then.get(target, ""))).partition(" ")[0] == PYTHON and former != now:
            text = f"warning: the code of {target} was changed since {source} was begun: from here on it is another one"
            told_once(log, logging.WARNING, text)
