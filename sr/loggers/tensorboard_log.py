"""TensorBoard: curves, config and pictures as event files in the run folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from sr.errors import UserError, installing
from sr.loggers.run_facts import RunFacts, as_text, at_step, completed
from sr.runs.version import code_version
from sr.scores.text import markdown


def tensorboard_logger(facts: dict[str, Any] | None = None) -> TensorBoardRun:
    """Event files in `<run folder>/tensorboard`; a resume adds one.

    Args:
        facts: see `sr.loggers.run_facts`; filled in by train.py.

    Raises:
        UserError: TensorBoard is not installed.
    """
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise UserError(f"logger=tensorboard: {error}. Type: {installing('tensorboard')}") from error
    return TensorBoardRun(completed(facts))


class TensorBoardRun(TensorBoardLogger):
    """Steps are optimizer steps done."""

    def __init__(self, facts: RunFacts) -> None:
        super().__init__(Path(facts["folder"]) / "tensorboard", name="", version="")
        self.facts = facts

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The composed config and the code's version as text."""
        for key, value in {"config": params, "code": code_version(), "tags": self.facts["tags"]}.items():
            self.experiment.add_text(key, f"```json\n{json.dumps(value, indent=2, default=str)}\n```")

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        done, values = at_step(metrics, step)
        for key, value in values.items():
            self.experiment.add_scalar(key, value, done)

    @rank_zero_only
    def log_pictures(self, key: str, pictures: Sequence[np.ndarray], captions: Sequence[str], step: int) -> None:
        for picture, caption in zip(pictures, captions, strict=True):
            self.experiment.add_image(f"{key}/{caption}", picture, step, dataformats="HWC")

    @rank_zero_only
    def log_table(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        self.experiment.add_text(key, markdown([list(columns), *as_text(columns, rows)]), step)

    @rank_zero_only
    def save(self) -> None:
        self.experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.experiment.flush()  # stages and the measurement at the end go on in the same file
