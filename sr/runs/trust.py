"""Whose code a file may name. A file of somebody else's says what is built, so only what computes and no more.

Trusted beside this package: what the user names in `trust=[my_pkg]`, in SR_TRUST, and each class in a config composed
of the user's own words.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sr.compose.conf import CONF
from sr.compose.words import listed
from sr.errors import UserError, some

VARIABLE = "SR_TRUST"  # modules, or what else is trusted, between commas; a command's own processes inherit it

# What a run folder of somebody else may build, beside what conf/ names: classes, none of which runs what it is given.
BUILDS = re.compile(
    r"sr\.models\.\w+\.[A-Z]\w*"
    r"|(sr\.(losses|degradation)|torch\.nn|torch\.optim(\.lr_scheduler)?|albumentations)\.[A-Z]\w*"
    r"|lightning\.pytorch\.(Trainer|(callbacks|strategies|plugins|loggers)\.[A-Z]\w*)"
)
ADDRESS = re.compile(r"(?!sqlite|file)\w+://")


def trust(names: Sequence[str]) -> None:
    """Trust modules, classes, files or addresses from here on, in the processes that this one starts too."""
    os.environ[VARIABLE] = ",".join(dict.fromkeys([*_trusted(), *names]))


def trust_what_was_typed(cfg: DictConfig) -> None:
    """Trust what a command's config says, all of which is the user's own: `trust` and each class that it names."""
    targets = [str(node["_target_"]) for node in _nodes(OmegaConf.to_container(cfg, resolve=False))]
    trust([*listed(OmegaConf.select(cfg, "trust")), *(t for t in targets if not t.startswith(("sr.", "${")))])


def _trusted() -> list[str]:
    return [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]


def trusts(name: str) -> bool:
    """Whether a class, a module, a file or an address is one of the trusted, or within one."""
    return any(name == t or name.startswith((f"{t}.", f"{t}/")) for t in _trusted())


def how_to_trust(names: Sequence[str]) -> str:
    """What to type for what stands in no list."""
    roots = dict.fromkeys(name if ":" in name or name.endswith(".py") else name.partition(".")[0] for name in names)
    typed = ",".join(roots)
    return f"If you know whose it is and trust it, type trust=[{typed}], or set {VARIABLE}={typed} for all commands"


def refuse_foreign(config: Mapping[str, Any], source: object) -> None:
    """Refuse a run's config that somebody else wrote where it names what may do more than compute.

    Args:
        config: in plain values, with interpolations.
        source: the file, for messages.

    Raises:
        UserError: it names code, files with code or addresses that are neither of this project nor trusted.
    """
    named = [node["_target_"] for node in _nodes(config)]
    named = [t for t in named if not (isinstance(t, str) and (BUILDS.fullmatch(t) or t in _of_conf()))]
    metrics = config.get("metrics")
    named += [m for m in (metrics if isinstance(metrics, list) else [metrics]) if str(m).endswith(".py")]
    named += [v for v in _values(config) if isinstance(v, str) and ADDRESS.match(v)]
    if wrong := [str(name) for name in dict.fromkeys(map(str, named)) if not trusts(str(name))]:
        raise UserError(
            f"{source} is refused: nothing shows that you began this run here, and it names {some(wrong)}, which is "
            f"not part of this project. {how_to_trust(wrong)}"
        )


@cache
def _of_conf() -> frozenset[str]:
    """Each class and function that conf/ names."""
    return frozenset(
        found for file in CONF.rglob("*.yaml") for found in re.findall(r"_target_: *([\w.]+)", file.read_text("utf-8"))
    )


def _nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every node that is to be built."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield value
        for inner in value.values():
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)


def _values(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _values(inner)
    else:
        yield value
