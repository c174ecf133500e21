"""Which image sets a training run is measured on at its end."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig

from sr.compose.image_sets import build_set, found_benchmarks, refuse_missing
from sr.compose.words import Words, quoted
from sr.data.loaders import Loaders
from sr.data.module import SRDataModule
from sr.data.multiscale import MultiScale
from sr.training.stage_configs import StageConfig, scales


def find_test_sets(
    cfg: DictConfig, stages: Sequence[StageConfig], data: Sequence[Loaders], words: Words
) -> dict[int, list[SRDataModule]]:
    """What is measured at the end, by scale, all of it looked at before the first step."""
    about_sets = words.without("data_dir", "cache_dir", "scale").only(lambda key: not key.startswith("data.")).texts
    about_sets += [f"{key}={quoted(cfg[key])}" for key in ("data_dir", "cache_dir")]
    found: dict[int, list[SRDataModule]] = {}
    for stage, trained_on in reversed(list(zip(stages, data, strict=True))):  # the last stage's scales come first
        for scale in scales(stage.cfg):
            if scale in found:
                continue
            if cfg.benchmarks is not None:
                found[scale] = [build_set(name, scale, about_sets) for name in cfg.benchmarks]
                refuse_missing(found[scale])
                continue
            own = trained_on.modules[scale] if isinstance(trained_on, MultiScale) else trained_on
            assert isinstance(own, SRDataModule)
            held_out = [own] if own.has("test") else []
            refuse_missing(held_out)
            found[scale] = held_out + found_benchmarks(scale, about_sets)
    return found
