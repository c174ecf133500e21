"""Which image sets a training run is measured on at its end."""

from collections.abc import Sequence

from omegaconf import DictConfig

from sr.compose.image_sets import build_set, found_benchmarks, refuse_missing
from sr.data.loaders import Loaders
from sr.data.module import SRDataModule
from sr.data.multiscale import MultiScale
from sr.training.stage_configs import StageConfig, scales


def find_test_sets(
    cfg: DictConfig, stages: Sequence[StageConfig], data: Sequence[Loaders]
) -> dict[int, list[SRDataModule]]:
    """What is measured at the end, by scale, all of it looked at before the first step."""
    found: dict[int, list[SRDataModule]] = {}
    for stage, trained_on in reversed(list(zip(stages, data, strict=True))):  # the last stage's scales come first
        for scale in scales(stage.cfg):
            if scale in found:
                continue
            if cfg.benchmarks is not None:
                found[scale] = [build_set(name, scale, cfg) for name in cfg.benchmarks]
                refuse_missing(found[scale])
                continue
            own = trained_on.modules[scale] if isinstance(trained_on, MultiScale) else trained_on
            assert isinstance(own, SRDataModule)
            held_out = [own] if own.has("test") else []
            refuse_missing(held_out)
            found[scale] = held_out + found_benchmarks(scale, cfg)
    return found
