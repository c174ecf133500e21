"""What configs may name in ${...}: the recipe of a model, its paper's data, shares of steps."""

from fractions import Fraction
from math import ceil
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import DictConfig, ListConfig, OmegaConf

from sr.compose.words import PAPER_DATA


def recipe_of(model: str) -> str:
    """The recipe of a model: its own, else its family's (`rlfn_s` -> `rlfn`), else `base`."""
    loader = GlobalHydra.instance().config_loader()
    recipes = set(loader.get_group_options("recipe", results_filter=ObjectType.CONFIG))
    name = str(model)
    while name not in recipes and "_" in name:
        name = name.rpartition("_")[0]
    return name if name in recipes else "base"


def recipe_taken(model: str, _root_: DictConfig) -> str:
    """The model's recipe; with data=paper the one that it names for the paper's own run, if it names one.

    Args:
        model: its name.
        _root_: the options chosen so far, as Hydra's defaults list has them.
    """
    own = recipe_of(model)
    chosen: Any = OmegaConf.to_container(_root_.defaults, resolve=False)
    return (_paper_of(own).get("recipe") or own) if {"data": PAPER_DATA} in chosen else own


def paper_data(_root_: DictConfig) -> str:
    """The set that the chosen recipe's paper trained on; where it names none "paper", which no set is called."""
    recipe = _root_.get("recipe") or recipe_of(_root_.model)  # the former where it is typed
    return _paper_of(recipe).get("data") or "paper"


def _paper_of(recipe: str) -> Any:
    return compose(f"recipe/{recipe}").get("paper") or {}


def share(total: int, part: float) -> int:
    """A part of a number of steps, as ${share:${steps},0.9}; 1 at least, and a part below 1 ends before the last step.

    Up, so that a rate that is halved every third of a run is halved twice however short it is; 0.333334 is a third.
    """
    steps = ceil(total * Fraction(part).limit_denominator(1000))
    return max(1, min(steps, total - 1) if part < 1 else steps)


def scale_name(scale: Any) -> str:
    """How a folder's name tells the scale: 4 -> "4", [2, 3, 4] -> "2-3-4"."""
    return "-".join(map(str, scale)) if isinstance(scale, list | ListConfig) else str(scale)
