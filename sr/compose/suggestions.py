"""The nearest of the names that can be typed to one that does not exist."""

import re
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sr.compose.conf import CONF
from sr.compose.words import split
from sr.errors import nearest


def suggestion(error: Exception, config_name: str, arguments: list[str]) -> str:
    """What to type instead of the key or option that composing refused."""
    text = f"{error}\n{error.__cause__ or ''}"
    if option := re.search(r"Could not (?:find|load) '([\w/]+)/([^'/]+)'", text):
        group, name = option.groups()
        return _instead(group, name) or nearest(name, options(group)).strip()
    if key := re.search(r"(?:Could not override|Key) '([^']+)'", text):
        full = re.search(r"full_key: (\S+)", text)
        name = full.group(1) if full else key.group(1)
        return _nearest_key(name, _valid_keys(config_name, arguments, name))
    return ""


def options(group: str) -> list[str]:
    """The names in a config group, in order."""
    return sorted(p.stem for p in (CONF / group).glob("*.yaml"))


def _instead(group: str, name: str) -> str:
    """What to type for a name that stands for several; empty where it stands for nothing."""
    if (group, name) == ("data", "paper"):
        return "data=paper is the set that the recipe names (paper.data), and this one names none: type data=div2k"
    if group != "experiment":
        return ""
    run, _, scale = name.partition("_x")
    rest = f"{f' scale={scale}' if scale else ''} data=paper"
    if run in options("model"):
        return f"Type model={run}{rest}"
    return f"Type recipe={run}{rest} and the model that the recipe is for" if run in options("recipe") else ""


def _nearest_key(name: str, valid: list[str]) -> str:
    """Look among the keys beside the refused one first; where none is close, list them."""
    parent = name.rpartition(".")[0]
    beside = [k for k in valid if parent and k.rpartition(".")[0] == parent]
    if hint := nearest(name, beside or valid).strip():
        return hint
    return f"Keys of {parent}: {', '.join(k.rpartition('.')[2] for k in beside)}" if beside else ""


def _valid_keys(config_name: str, arguments: list[str], refused: str) -> list[str]:
    """Every key and group of the config that the other arguments compose."""
    others = split(arguments)[1].without(refused).texts
    groups = [p.name for p in CONF.iterdir() if p.is_dir() and p.name != "hydra"]
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra.compose(config_name, [a for a in others if "," not in a])
    except (HydraException, OmegaConfBaseException):
        return groups
    return groups + _dotted(OmegaConf.to_container(cfg, resolve=False))


def _dotted(node: Any, prefix: str = "") -> list[str]:
    if not isinstance(node, dict):
        return []
    found = []
    for key, value in node.items():
        found += [f"{prefix}{key}", *_dotted(value, f"{prefix}{key}.")]
    return found
