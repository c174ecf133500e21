"""Weights & Biases: a logger that never prompts, never hangs and never loses a run."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from sr.errors import reason
from sr.loggers.run_facts import at_step, completed
from sr.loggers.run_ids import keep, known
from sr.loggers.wandb_connection import asked_mode, connection, no_defaults
from sr.loggers.wandb_stages import WandbStages
from sr.runs.version import code_version

log = logging.getLogger(__name__)
INIT_SECONDS = 20.0  # until a server that does not answer is given up
LOST_SECONDS = 2.0  # of records, at most, when the process is killed; W&B's own figure is 15
STEP = "trainer/global_step"  # the axis of every curve: optimizer steps done


def wandb_logger(
    project: str = "sr",
    tags: list[str] | None = None,
    notes: str | None = None,
    entity: str | None = None,
    group: str | None = None,
    name: str | None = None,
    artifacts: bool = True,
    artifact_mb: float = 200.0,
    upload_minutes: float = 10.0,
    facts: dict[str, Any] | None = None,
) -> WandbRun:
    """One W&B run for a run folder, resumes included; what is not given follows from the run.

    Args:
        project: W&B's.
        tags: beside those of model, scale and recipe.
        notes: about the run.
        entity: user or team; None: the one that is logged in.
        group: instead of the sweep's name.
        name: instead of <model>_x<scale>.
        artifacts: whether checkpoints are kept in W&B; their lineage with them.
        artifact_mb: a checkpoint larger than this many MB is only referred to.
        upload_minutes: the wait at the end of a run, at most; the rest stays on disk for `wandb sync`.
        facts: see `sr.loggers.run_facts`; filled in by train.py.
    """
    run = completed(facts)
    settings = {
        "project": project, "entity": entity, "name": name or run["name"], "notes": notes,
        "group": group or run["group"], "tags": list(dict.fromkeys([*run["tags"], *(tags or [])])),
    }  # fmt: skip
    return WandbRun(Path(run["folder"]), settings, artifact_mb if artifacts else None, 60 * upload_minutes)


class WandbRun(WandbLogger):
    """Online where that works without asking, otherwise in `<folder>/wandb` for `wandb sync`.

    `wandb_id.txt` in the run folder makes every resume the same W&B run. The arguments are `wandb_logger`'s, those of
    `wandb.init` in `settings`; without `artifact_mb` no checkpoint is kept in W&B.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], artifact_mb: float | None, upload_seconds: float
    ) -> None:
        asked_mode()  # refused now, not when the run begins
        super().__init__(save_dir=folder, log_model=False, **settings)
        self.folder, self.settings, self.upload_seconds = folder, settings, upload_seconds
        self.tables = artifact_mb is not None  # W&B keeps a table as an artifact
        self.callbacks: list[L.Callback] = [WandbStages(self, folder, artifact_mb)]

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None:
            self._experiment = self._begin()
            self._experiment.define_metric(STEP)
            self._experiment.define_metric("*", step_metric=STEP, step_sync=True)
        return self._experiment

    def _begin(self) -> Any:
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        given = {**self.settings, "id": run_id(self.folder), "dir": str(self.folder), "resume": "allow"}
        given |= {"reinit": "finish_previous", "settings": self._wandb_settings()}
        mode, why = connection(self.settings.get("entity"))
        if mode != "offline":
            try:
                with no_defaults():
                    run = wandb.init(**given, mode=mode)  # type: ignore[arg-type]
                if mode == "online":
                    log.info(f"W&B: {re.sub(r'//[^/]*@', '//', str(run.url))}")  # without a password
                return run
            except (wandb.Error, ValueError, OSError) as error:
                why = f"the server did not take the run ({reason(error)})"
                wandb.teardown()  # else the id of the run that did not begin stays in use
        # Those of this id alone: others in there may be somebody else's, and would be sent as the user's.
        parts = f"{shlex.quote(str(self.folder / 'wandb'))}/offline-run-*-{given['id']}*"
        log.info(f"W&B: offline, {why}; later: wandb sync {parts}")
        with no_defaults():
            return wandb.init(**given, mode="offline")

    def _wandb_settings(self) -> Any:
        import wandb

        quiet = os.environ.get("WANDB_SILENT", "true").lower() != "false"
        settings = wandb.Settings(silent=quiet, init_timeout=INIT_SECONDS, finish_timeout=max(self.upload_seconds, 1.0))
        if hasattr(settings, "x_transaction_log_flush_interval"):  # not a promised one
            settings.x_transaction_log_flush_interval = LOST_SECONDS
        # Saving code asks git what was changed, which runs programs that the repository names: anybody's, where one
        # stands in a folder of somebody else. The commit of this project is told in the config.
        if not os.environ.get("WANDB_SAVE_CODE"):
            settings.save_code = False
        return settings

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The composed config, the code's version and the names of the stages."""
        extra = {"code": code_version(), "stage_names": list(params.get("stages") or {})}
        super().log_hyperparams({**params, **extra})

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        done, values = at_step(metrics, step)
        self._log(values, done)

    def _log(self, values: Mapping[str, Any], done: int) -> None:
        # W&B's own step too is the run's: pictures of runs stand beside each other, and a resume does not count anew.
        self.experiment.log({**values, STEP: done}, step=done)

    @rank_zero_only
    def forget(self, keys: Sequence[str], step: int) -> None:
        """Take figures of former weights from the table of runs, which shows the last one of each key."""
        self.experiment.summary.update(dict.fromkeys(keys))

    @rank_zero_only
    def log_pictures(self, key: str, pictures: Sequence[np.ndarray], captions: Sequence[str], step: int) -> None:
        import wandb

        shown = [wandb.Image(p, caption=c) for p, c in zip(pictures, captions, strict=True)]
        self._log({key: shown}, step)

    @rank_zero_only
    def log_table(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:  # type: ignore[override]
        if not self.tables:
            return
        import wandb

        self._log({key: wandb.Table(columns=list(columns), data=[list(row) for row in rows])}, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if status != "success" and self._experiment is not None:
            self._experiment.finish(exit_code=1)  # a finished run would hide that it failed


def run_id(folder: Path) -> str:
    """The id of a run folder's W&B run, made up at its first use."""
    file = folder / "wandb_id.txt"
    if (found := known(file)) is None:
        keep(file, found := secrets.token_hex(4))
    return found
