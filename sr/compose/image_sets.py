"""Image sets by name, each composed on its own."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import DictConfig, OmegaConf, open_dict

from sr.compose.checks import built, check_targets
from sr.compose.words import Word
from sr.data.module import SRDataModule
from sr.data.pairset import Pairs
from sr.errors import UserError, nearest

log = logging.getLogger(__name__)
BENCHMARKS = ("set5", "set14", "b100", "urban100")  # the papers' table columns, in their order


def build_set(name: str, scale: int, cfg: DictConfig, settings: Mapping[str, Any] | None = None) -> SRDataModule:
    """The data module conf/data/<name>.yaml at a scale.

    Args:
        name: of the set.
        scale: of its LR.
        cfg: whose data_dir, cache_dir, seed and degradation hold for it.
        settings: of data modules; those that this one has hold for it.
    """
    return _built(_composed(name, scale), cfg, settings or {})


def _built(own: DictConfig, cfg: DictConfig, settings: Mapping[str, Any]) -> SRDataModule:
    given: Any = OmegaConf.to_container(cfg, resolve=False)
    for key in ("data_dir", "cache_dir", "seed", "degradation"):
        own[key] = given[key]
    known = {key: value for key, value in settings.items() if key in own.data}
    with open_dict(own):
        own.data = OmegaConf.merge(own.data, known)
    node: Any = OmegaConf.to_container(own, resolve=True)
    check_targets({"data": node["data"]})
    return built(node["data"], "data")


def build_sets(scale: int, cfg: DictConfig) -> list[SRDataModule]:
    """Every set of `cfg.benchmarks`; a key of `cfg.data` reaches the sets that have it.

    Raises:
        UserError: none of the sets has one of these keys.
    """
    names = list(dict.fromkeys(cfg.benchmarks))  # each once
    composed = [_composed(name, scale) for name in names]
    keys = sorted({str(key) for own in composed for key in own.data})
    if names and (unknown := [str(key) for key in cfg.data if key not in keys]):
        raise UserError(
            f"data.{unknown[0]}: none of {', '.join(names)} has this key.{nearest(unknown[0], keys)} "
            f"There are {', '.join(keys)}"
        )
    return [_built(own, cfg, cfg.data) for own in composed]


def _composed(name: str, scale: int) -> DictConfig:
    known = GlobalHydra.instance().config_loader().get_group_options("data", results_filter=ObjectType.CONFIG)
    if not isinstance(name, str) or name not in known:
        raise UserError(f"benchmarks=[{name}]: no such set.{nearest(str(name), known)} There are {', '.join(known)}")
    return hydra.compose("evaluate", overrides=[f"+data={name}", f"scale={scale}"])


def found_benchmarks(scale: int, cfg: DictConfig) -> list[SRDataModule]:
    """Those of the papers' test sets that are on disk below data_dir; of one that cannot be used, why is logged."""
    found = []
    for name in BENCHMARKS:
        data = build_set(name, scale, cfg)
        try:
            if data.archives()[0]:  # not there
                continue
            data.check("test")
        except UserError as error:
            log.warning(f"warning: {data.name} is there but cannot be used, so it is not measured at the end: {error}")
            continue
        found.append(data)
    return found


def refuse_missing(sets: Iterable[SRDataModule]) -> None:
    """Look at every image of every set before the first one is measured."""
    for data in sets:
        data.check("test")


def refuse_idle_degradation(words: Iterable[Word], measured: Sequence[Pairs], trained: Sequence[Pairs] = ()) -> None:
    """Look whether a degradation that was typed makes any LR.

    Args:
        words: that were typed.
        measured: and validated on.
        trained: on.

    Raises:
        UserError: all LR is read from files.
    """
    typed = next((word.text.lstrip("+") for word in words if word.key.partition(".")[0] == "degradation"), None)
    if typed is None or any(pairs.makes_lr for pairs in trained):
        return
    if not any(pairs.makes_lr for pairs in measured):
        raise UserError(
            f"{typed}: all LR is read from files, and stays what it is there. Leave that out, or the folders of LR, "
            "so that LR is made from HR"
        )
    if trained:
        log.warning(f"warning: {typed} makes LR of what is measured alone: LR that is trained on is read from files")


def refuse_same_names(sets: Sequence[SRDataModule]) -> None:
    """Raises a UserError where two sets have one name: their figures would be averaged into one."""
    places: dict[str, Path] = {}
    for data in sets:
        place = data.pairs("test").paths[0].parent
        if data.test_name in places:
            raise UserError(
                f"two test sets are called {data.test_name}: that in {places[data.test_name]} and that in {place}. "
                "Rename a folder of your own, or name what is measured: benchmarks=[...]"
            )
        places[data.test_name] = place
