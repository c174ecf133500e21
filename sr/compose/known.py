"""What there is to be typed: the keys and groups of the config that a command's words compose."""

from collections.abc import Sequence
from typing import Any

import hydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sr.compose.conf import CONF
from sr.compose.words import config_dirs, quoted, split


def valid_keys(command: str, arguments: Sequence[str], *left_out: str) -> list[str]:
    """Every key and group of the config that the other arguments compose; of a sweep's values the first counts."""
    groups = [p.name for p in CONF.iterdir() if p.is_dir() and p.name != "hydra"]
    return groups + dotted(composed(command, arguments, *left_out))


def composed(command: str, arguments: Sequence[str], *left_out: str) -> Any:
    """The config in plain values; None where the other arguments cannot be composed either."""
    flags, words = split(arguments)
    places = [quoted(path.resolve()) for path in config_dirs(flags)]
    others = [*words.without(*left_out).texts, *([f"hydra.searchpath=[{','.join(places)}]"] if places else [])]
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra.compose(
                command, [text if set(text) & set("[{(") else text.partition(",")[0] for text in others]
            )
    except (HydraException, OmegaConfBaseException):
        return None
    return OmegaConf.to_container(cfg, resolve=False)


def dotted(node: Any, prefix: str = "") -> list[str]:
    """Every key of a config by its path."""
    if not isinstance(node, dict):
        return []
    found = []
    for key, value in node.items():
        found += [f"{prefix}{key}", *dotted(value, f"{prefix}{key}.")]
    return found


def single_groups(command: str) -> set[str]:
    """Groups of which one option is needed: all but those that a command's defaults leave empty or have a list of."""
    defaults = OmegaConf.to_container(OmegaConf.load(CONF / f"{command}.yaml").defaults)
    assert isinstance(defaults, list)
    others = {g for entry in defaults if isinstance(entry, dict) for g, v in entry.items() if not isinstance(v, str)}
    return {place.name for place in CONF.iterdir() if place.is_dir()} - others - {"hydra"}
