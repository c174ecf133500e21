"""What `sr measure` is given beside names of architectures: trained networks, and images to measure them on."""

from collections.abc import Sequence
from dataclasses import replace

import hydra
from omegaconf import DictConfig, open_dict

from sr.compose.image_sets import build_sets, found_benchmarks, refuse_missing
from sr.compose.words import listed, quoted
from sr.data.module import SRDataModule
from sr.errors import UserError, some
from sr.measuring.entries import checkpoint_entry, weights_entries
from sr.measuring.papers import Entry
from sr.runs.trained_scales import tell_untrained


def trained_networks(cfg: DictConfig, names: Sequence[str]) -> dict[str, Entry]:
    """Those of `weights=` and `checkpoint=`, by a name that is none of `names`.

    Raises:
        UserError: a file that cannot be read, or of another scale.
    """
    found: dict[str, Entry] = {}

    def add(entry: Entry, typed: str) -> None:
        if cfg.scale not in entry.model.scales:
            one = entry.model.scales[0]
            raise UserError(
                f"{typed} enlarges by {some(entry.model.scales)}, and what is measured is scale={cfg.scale}, one for "
                f"all: type scale={one}"
            )
        tell_untrained(entry.model, entry.name, cfg.scale)
        label = entry.name if entry.name not in (*names, *found) else f"{entry.name} (trained)"
        label = label if label not in found else f"{label}:{len(found) + 1}"
        found[label] = replace(entry, name=label)

    for spec, entry in zip(listed(cfg.weights), weights_entries(cfg, cfg.scale, strict=False), strict=True):
        add(entry, f"weights={spec}")
    for path in listed(cfg.checkpoint):
        add(checkpoint_entry(path), f"checkpoint={path}")
    return found


def measured_sets(cfg: DictConfig, figures: bool) -> list[SRDataModule]:
    """Those of `benchmarks=`; where none is named and figures are wanted, Set5 if it is there.

    Raises:
        UserError: a set is not there; or NTIRE's images are wanted, and none are named.
    """
    if cfg.timing != "rounds" and not cfg.benchmarks:
        raise UserError(f"timing={cfg.timing} times the images of a set: type benchmarks=[div2k] data_dir=PATH")
    if not cfg.benchmarks and (cfg.benchmarks is not None or not figures):
        return []
    own = hydra.compose("evaluate", overrides=[f"data_dir={quoted(str(cfg.data_dir))}"])
    if cfg.benchmarks is None:
        return [data for data in found_benchmarks(cfg.scale, own) if data.test_name == "Set5"]
    with open_dict(own):
        own.benchmarks = cfg.benchmarks
    sets = build_sets(cfg.scale, own)
    refuse_missing(sets)
    return sets
