"""What Hydra knows of the present job beside its config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from sr.compose.words import Words


@dataclass(frozen=True)
class Job:
    """One run of an entry script, or one row of a sweep.

    Attributes:
        words: that were typed for it; of a row those of the row.
        folder: that it writes into; while a row's is being named, the sweep's.
        choices: the options chosen from config groups.
        sweep: folder of the sweep that it is a row of, or None.
        config_dirs: that were typed.
    """

    words: Words
    folder: Path
    choices: Mapping[str, Any]
    sweep: Path | None
    config_dirs: tuple[str, ...]

    @classmethod
    def current(cls) -> Job:
        """The one that Hydra runs now."""
        run = HydraConfig.get()
        return cls(
            words=Words(run.overrides.task),
            folder=Path(run.sweep.dir if OmegaConf.is_missing(run.runtime, "output_dir") else run.runtime.output_dir),
            choices=run.runtime.choices,
            sweep=Path(run.sweep.dir) if run.mode == RunMode.MULTIRUN else None,
            config_dirs=tuple(s.path for s in run.runtime.config_sources if s.provider == "command-line"),
        )
