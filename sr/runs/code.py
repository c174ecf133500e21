"""Which code a run was of: weights and configs say nothing of it, and with another results are others."""

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from torch import nn

from sr.degradation.fingerprint import fingerprint
from sr.errors import UserError, told_once
from sr.metrics.metric import get_metrics
from sr.models.base import SuperResolver
from sr.own_modules import own
from sr.runs.record import recorded

log = logging.getLogger(__name__)
# Each compiles code in its own way, and so it does with -O. And -3: as code is described since a class of this package
# is told with what its module holds.
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}{'o' * sys.flags.optimize}-3"
LEARNED_BY = ("data", "loss", "losses", "degradation", "optimizer", "scheduler", "callbacks")  # keys of what learns


def _classes(model: SuperResolver, ours: bool = False) -> list[type[nn.Module]]:
    """The user's own, of a network and of what is in it; or those of this package, to which the user may add."""
    found = {type(module) for module in model.modules()}
    wanted = [c for c in found if (top := c.__module__.partition(".")[0]) != "torch" and (top == "sr") is ours]
    return sorted(wanted, key=lambda c: f"{c.__module__}.{c.__qualname__}")


def code_of(model: SuperResolver) -> dict[str, Any]:
    """What a checkpoint tells of it; of a class of ours its module alone; nothing of what cannot be described."""
    found: dict[str, Any] = {"methods": methods_of(model)}
    with suppress(UserError):
        if classes := _classes(model):
            found["code"] = f"{PYTHON} {fingerprint(classes, SuperResolver.__mro__, code=True)}"
    return found


def methods_of(model: SuperResolver) -> dict[str, str]:
    """The code of each class of this package in a network, without what it calls in other modules."""
    found = {}
    for cls in _classes(model, ours=True):
        with suppress(UserError):
            digest = fingerprint(cls, SuperResolver.__mro__, alone=True, code=True)
            found[f"{cls.__module__}.{cls.__qualname__}"] = f"{PYTHON} {digest}"
    return found


def tell_other_code(model: SuperResolver, told: Mapping[str, Any], source: object) -> None:
    """Warn where a checkpoint tells of other code than is imported now."""
    now = code_of(model)
    if other(told.get("code", ""), now.get("code", "")):
        _tell([c.__qualname__ for c in _classes(model)], source, "is another network now")
    then = told.get("methods") or {}
    if changed := [name for name, code in now["methods"].items() if other(str(then.get(name, "")), code)]:
        _tell(changed, source, "may be another network now")


def other(then: str, now: str) -> bool:
    """Whether code that a checkpoint tells of is not the present one; of another Python nobody knows."""
    return bool(now) and then.partition(" ")[0] == PYTHON and then != now


def _tell(names: Sequence[str], source: object, what: str) -> None:
    text = f"warning: the code of {', '.join(names)} was changed since {source} was trained: with those weights it"
    told_once(log, logging.WARNING, f"{text} {what}")


def codes_of(config: Any) -> dict[str, str]:
    """The code of what a config names beside the network: steps of a degradation, losses, metrics.

    Of the user's own all that it refers to, of this package's, to which the user may add, that in the same module.
    """
    found = {}
    if files := [word for word in map(str, config.get("metrics") or ()) if word.endswith(".py")]:
        for metric in get_metrics(files):
            with suppress(UserError):
                found[metric.name] = f"{PYTHON} {fingerprint(metric.function, code=True)}"
    for target in _targets(config):
        with suppress(UserError):
            thing = get_object(target)
            if own(thing):
                added = target.startswith("sr.")
                bases = () if added else getattr(thing, "__mro__", ())
                ours = tuple(base for base in bases if base.__module__.startswith("sr."))
                found[target] = f"{PYTHON} {fingerprint(thing, ours, alone=added, code=True)}"
    return found


def digests(model: SuperResolver, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Of all code that a run is made of, by name, for its record: each class of a network, what its config names."""
    return {**metadata["methods"], **metadata["codes"], **_own_classes(model)}  # those as its checkpoints tell them


def continued(then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """The digests of a run that goes on: where code was changed, what it was begun with and what it goes on with."""
    found = {**then, **now}
    for name, old in then.items():
        if other(old, new := now.get(name, "")):
            found[name] = old if old.endswith(new) else f"{old}, then {new}"
    return found


def of_network(model: SuperResolver) -> dict[str, str]:
    """The code of each class in a network by its name, as records have it; of the user's together, as checkpoints."""
    told = code_of(model)
    return told["methods"] | _own_classes(model) | {"code": told.get("code", "")}


def changed_network(now: Mapping[str, str], then: Mapping[str, str]) -> list[str]:
    """Names of what a record or a checkpoint, `then`, has other code of than a network (`of_network`) has now."""
    last = {name: str(told).rpartition(", then ")[2] for name, told in then.items()}
    changed = [name for name, code in now.items() if other(last.get(name, ""), code)]
    return ["its classes" if name == "code" else name for name in changed]


def _own_classes(model: SuperResolver) -> dict[str, str]:
    found = {}
    for cls in _classes(model):
        with suppress(UserError):
            found[f"{cls.__module__}.{cls.__qualname__}"] = (
                f"{PYTHON} {fingerprint(cls, SuperResolver.__mro__, code=True)}"
            )
    return found


def changed_between(folders: Iterable[Path]) -> list[str]:
    """Names of code that is not the same in all of some runs, as far as their records tell."""
    found: dict[tuple[str, str], set[str]] = {}
    for folder in folders:
        for name, told in (recorded(folder).get("digests") or {}).items():
            found.setdefault((name, told.partition(" ")[0]), set()).add(told)
    return sorted({name for (name, _), known in found.items() if len(known) > 1})


def _targets(node: Any, ours: bool = False) -> Iterator[str]:
    """What a config names, but for its network: of this package where that decides what is learned."""
    for key, value in node.items() if isinstance(node, Mapping) else enumerate(node if isinstance(node, list) else ()):
        if key == "_target_" and isinstance(value, str) and (ours or not value.startswith("sr.")):
            yield value
        elif key != "model":
            yield from _targets(value, ours or key in LEARNED_BY)


def tell_other_codes(config: Any, told: Mapping[str, Any], source: object) -> None:
    """Warn where a run's checkpoint tells of other code of what its config names than is imported now."""
    then = told.get("codes") or {}
    for target, now in codes_of(config).items():
        if other(str(then.get(target, "")), now):
            text = f"warning: the code of {target} was changed since {source} was begun: from here on it is another one"
            told_once(log, logging.WARNING, text)
