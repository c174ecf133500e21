"""Which code a network of the user's is of: its weights say nothing of it, and another code makes another network."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

from torch import nn

from sr.degradation.fingerprint import fingerprint
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
