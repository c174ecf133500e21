"""What a run of minutes trains with: a short schedule of its own, where a paper's would only be squeezed."""

import logging
from collections.abc import Collection, Mapping
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from sr.errors import UserError

log = logging.getLogger(__name__)
REPLACED = ("optimizer", "scheduler", "parameter_groups")  # the last are shares of the former's rate
CLIPS = "sr.callbacks.AdjustableClipping"
SIZES = ("max_batch", "max_patch")


def decided(cfg: DictConfig, typed: Collection[str]) -> DictConfig:
    """The config with `budget.short.taken` true or false, as the run is begun and as each resume of it goes on.

    `auto` is true where a processor trains, which is where it was measured (a GPU holds far more of a recipe in the
    same time, its steps hardly get shorter with a batch, and those of Muon are no CUDA graphs), and where no recipe was
    typed, whose schedule it would not be.
    """
    short = cfg.budget.get("short")
    if short and short.taken not in (True, False, "auto"):
        raise UserError(f"budget.short.taken={short.taken}: true, false or auto is wanted")
    if not short or short.taken != "auto":
        return cfg
    cfg = cfg.copy()
    gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    asked = cfg.trainer.get("accelerator", "auto")
    cfg.budget.short.taken = "recipe" not in typed and (asked == "cpu" or (asked == "auto" and not gpu))
    return cfg


def shortened(cfg: DictConfig, typed: Collection[str]) -> DictConfig:
    """The config with the optimizer, schedule and sizes that its budget has for short runs (`budget.short`).

    Only of a run from scratch that is about none of them: not of an ablation, an experiment, stages, a GAN or weights
    that are there already, nor where something of `REPLACED` was typed. Nor where a recipe clips its steps: what such a
    network, deep without normalisation or recursive, does not bear is a large step, and clipping bounds none whose
    size is not the gradient's (DRCN's loss grew a thousandfold in 20 steps of Muon, VDSR's a hundredfold in 10). The
    log says which, and what is changed.

    Args:
        cfg: with `decided`; nothing else decides, so a run that was begun without goes on without.
        typed: what the user typed: names of groups and dotted keys.
    """
    short = cfg.budget.get("short")
    if not short or short.taken is not True:
        return cfg
    told = f"budget={cfg.budget.name}"
    if why := _subject(cfg, typed):
        log.info(f"{told}: {why}, so the recipe keeps its own schedule, shortened")
        return cfg
    cfg = cfg.copy()
    for key in ("optimizer", "scheduler"):
        log.info(f"{told}: {key} {_described(cfg[key])} -> {_described(short[key])}")
        cfg[key] = OmegaConf.to_container(short[key], resolve=False)
        cfg.choices[key] = None
    if cfg.parameter_groups:
        log.info(f"{told}: parameter_groups {', '.join(cfg.parameter_groups)} -> none")
        cfg.parameter_groups = {}
    for size in SIZES:
        cfg.budget[size] = short[size]
    log.info(f"{told}: the recipe with its own ones, shortened: budget.short=null")
    return cfg


def _subject(cfg: DictConfig, typed: Collection[str]) -> str:
    """Why a run keeps its schedule; empty where it need not."""
    for group in ("ablation", "experiment"):
        if chosen := cfg.choices.get(group):
            return f"{group}={chosen} may be about it"
    if cfg.stages:
        return "the recipe has stages"
    if found := [key for key in sorted(typed) if key.split(".")[0].split("@")[0] in REPLACED]:
        return f"{found[0]} was typed"
    if found := [name for name, node in cfg.callbacks.items() if node and node.get("_target_") == CLIPS]:
        return f"callbacks.{found[0]} bounds its steps, but not those of {_described(cfg.budget.short.optimizer)}"
    if cfg.init_from is not None:
        return "it begins from weights that are there"
    if _trains(OmegaConf.to_container(cfg.loss, resolve=False)):
        return "its loss trains a network of its own"
    return ""


def _trains(node: Any) -> bool:
    """Whether something in a loss has an optimizer, as a discriminator does."""
    if isinstance(node, Mapping):
        return "optimizer" in node or any(_trains(value) for value in node.values())
    return isinstance(node, list) and any(_trains(value) for value in node)


def _described(node: DictConfig) -> str:
    rate = "" if node.get("lr") is None else f" {node.lr:g}"
    return str(node._target_).rpartition(".")[2] + rate
