"""Image sets by name, each composed on its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from omegaconf import OmegaConf

from sr.compose.checks import check_targets
from sr.compose.keys import declared
from sr.compose.suggestions import nearest
from sr.compose.words import Words
from sr.data.module import SRDataModule
from sr.errors import UserError

BENCHMARKS = ("set5", "set14", "b100", "urban100")  # the papers' table columns, in their order


def build_set(name: str, scale: int, typed: Sequence[str]) -> SRDataModule:
    """The data module conf/data/<name>.yaml at a scale, with those of the typed overrides that are about data."""
    known = GlobalHydra.instance().config_loader().get_group_options("data", results_filter=ObjectType.CONFIG)
    if name not in known:
        raise UserError(f"data={name}: no such set.{nearest(name, known)} There are {', '.join(known)}")
    own = hydra.compose("evaluate", overrides=[f"data=[{name}]"]).data

    def meant(key: str) -> bool:
        inside = not key.startswith("data.") or key.split(".")[1] in own
        return declared(key).sets and key not in ("data", "scale") and inside

    about_data = Words(typed).only(meant)
    cfg = hydra.compose("evaluate", overrides=[f"data=[{name}]", f"scale={scale}", *about_data.texts])
    node: Any = OmegaConf.to_container(cfg, resolve=True)
    check_targets({"data": node["data"]})
    return hydra.utils.instantiate(node["data"])


def build_sets(names: Sequence[str], scale: int, typed: Sequence[str]) -> list[SRDataModule]:
    """Every named set; a typed data.<key> reaches the sets that have it.

    Raises:
        UserError: none of the sets has a key that was typed.
    """
    sets = [build_set(name, scale, typed) for name in names]
    keys = {key for name in names for key in hydra.compose("evaluate", overrides=[f"data=[{name}]"]).data}
    for word in Words(typed):
        if word.key.startswith("data.") and (key := word.key.split(".")[1]) not in keys:
            raise UserError(
                f"data.{key}: none of {', '.join(names)} has this key.{nearest(key, sorted(keys))} "
                f"There are {', '.join(sorted(keys))}"
            )
    return sets


def found_benchmarks(scale: int, typed: Sequence[str]) -> list[SRDataModule]:
    """Those of the papers' test sets that are on disk below data_dir."""
    found = []
    for name in BENCHMARKS:
        data = build_set(name, scale, typed)
        try:
            data.check("test")
        except UserError:
            continue
        found.append(data)
    return found


def refuse_missing(sets: Iterable[SRDataModule]) -> None:
    """Look at every image of every set before the first one is measured."""
    for data in sets:
        data.check("test")
