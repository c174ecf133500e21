"""A run's stages and checkpoints in W&B: what the run left, and what it and each stage began from."""

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from sr.callbacks.checkpoints import Checkpoints
from sr.layers.identity import checksum
from sr.loggers.csv_log import CsvLog
from sr.loggers.run_ids import id_of
from sr.measuring.cost import price
from sr.runs.checkpoint import run_of
from sr.zoo.load import file_of

log = logging.getLogger(__name__)
FILE = "model.ckpt"  # within an artifact, so that the same checkpoint is the same artifact wherever it is logged


class WandbStages(L.Callback):
    """Tells the stage and what the model costs, and keeps checkpoints as versions of the artifact `model-<run id>`.

    They are each stage's, the last and the best. Lineage: a run uses the checkpoint that it was initialised from, and
    each stage the one that it began with; the metadata of every version names what it was trained from too. W&B takes
    all this offline as well.

    Args:
        run: the logger.
        folder: the run folder.
        largest: MB of a checkpoint that is uploaded; a larger one is referred to by its path and checksum. None: no
            artifacts; where the run and its stages began is written all the same.
    """

    def __init__(self, run: WandbLogger, folder: Path, largest: float | None) -> None:
        self.run, self.folder, self.largest = run, folder, largest
        self._begun_from: str | None = None

    @rank_zero_only
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        metadata: dict[str, Any] = pl_module.metadata  # type: ignore[assignment]
        stage = metadata.get("stage")
        self.run.experiment.summary.update({"stage_name": stage["name"]} if stage else {})
        self.run.experiment.summary.update(_costs(metadata["model"], pl_module.scales))  # type: ignore[arg-type]
        source, aliases = _source(self.folder, metadata)
        self._begun_from = None
        if source is None or not source.is_file():
            return
        own = source.parent == self.folder / "checkpoints"
        place = run_of(source)  # of the run whose artifact the checkpoint is
        name = f"model-{(place and id_of(place / 'wandb_id.txt')) or checksum(source)[:12]}"
        self._begun_from = f"{name}:{aliases[0]}" if own else f"{name} ({source})"
        if trainer.ckpt_path is None:  # a resumed stage wrote it when it began
            if self.largest is not None:
                self._log(source, name, aliases if own else [], {"stage": source.stem} if own else {}, used=True)
            key = f"began_from/{stage['name']}" if stage else "began_from"
            self.run.experiment.config.update({key: self._begun_from}, allow_val_change=True)

    @rank_zero_only
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Repeat what was logged up to the checkpoint that is gone on from: a killed process may not have sent it.

        Online that is the checkpoint's own step; what came before, W&B takes only once. Offline it is all of it: each
        process has a file of its own, and the last one shall be whole. What an end measured is of former weights.
        """
        for logger in trainer.loggers if trainer.ckpt_path else ():
            for step, row in sorted(logger.rows.items()) if isinstance(logger, CsvLog) else ():
                if step == trainer.global_step or self.run.experiment.offline:
                    known = {k: float(v) for k, v in row.items() if k != "step" and not k.startswith("test/")}
                    self.run.log_metrics(known, step - 1)

    @rank_zero_only
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        metadata: dict[str, Any] = pl_module.metadata  # type: ignore[assignment]
        stage = metadata.get("stage")
        if self.largest is None or (stage and stage["number"] < stage["of"]):
            return  # the next stage logs what it begins from
        writer = next(c for c in trainer.callbacks if isinstance(c, Checkpoints))  # type: ignore[attr-defined]
        facts: dict[str, Any] = {"step": trainer.global_step, "began_from": self._begun_from, "monitor": writer.monitor}
        if stage:
            facts["stage"] = stage
        name = f"model-{self.run.experiment.id}"
        for file, alias in ((writer.last, "last"), (writer.folder / "best.ckpt", "best")):
            if file.is_file():
                figure = {"figure": None if writer.best is None else writer.better * writer.best}  # as it was logged
                figure = figure if alias == "best" else {}
                self._log(self._linked(file, trainer.global_step), name, [alias], facts | figure)

    def _linked(self, file: Path, step: int) -> Path:
        """The file under a name of its own, which a resume that goes on does not replace; no second copy on disk."""
        own = self.folder / "wandb" / "checkpoints" / f"{file.stem}_{step}.ckpt"
        own.parent.mkdir(parents=True, exist_ok=True)
        own.unlink(missing_ok=True)
        try:
            os.link(file, own)
        except OSError:  # a file system without links
            shutil.copy2(file, own)
        return own

    def _log(self, file: Path, name: str, aliases: list[str], metadata: dict[str, Any], used: bool = False) -> None:
        import wandb

        artifact = wandb.Artifact(name, type="model", metadata=metadata | {"file": file.name})
        file = file.resolve()
        if self.largest is not None and file.stat().st_size <= self.largest * 1e6:
            artifact.add_file(str(file), name=FILE, policy="immutable", skip_cache=True)
        else:
            artifact.add_reference(file.as_uri(), name=FILE)
        run = self.run.experiment
        try:
            if used and hasattr(run, "_log_artifact"):
                # What run.use_artifact does, without its wait for the server, and offline too, which it refuses.
                run._log_artifact(artifact, aliases=aliases, is_user_created=True, use_after_commit=True)
            else:
                run.log_artifact(artifact, aliases=aliases)
        except (wandb.Error, ValueError, TypeError, OSError) as error:  # the checkpoint itself is safe on disk
            log.warning(f"W&B: {file} is not kept as an artifact ({error})")


def _costs(node: dict[str, Any], scales: Sequence[int]) -> dict[str, int]:
    """`cost/...` as in the tables: deployed, for an output of 1280x720."""
    costs: dict[str, int] = {}
    try:
        with torch.random.fork_rng(devices=[]):  # what is logged must not change what is trained
            for scale in scales:
                found = price(node, scale)
                at = f"_x{scale}" if len(scales) > 1 else ""
                costs |= {"cost/parameters": found.parameters, f"cost/macs{at}": found.counts.macs}
    except Exception as error:  # of an architecture that cannot be counted; it can be trained all the same
        log.warning(f"W&B: what the model costs is not logged ({error})")
    return costs


def _source(folder: Path, metadata: dict[str, Any]) -> tuple[Path | None, list[str]]:
    """The checkpoint that a run or stage begins from, and the aliases that tell it among its run's."""
    stage, config = metadata.get("stage"), metadata["config"]
    overlay = (config.get("stages") or {}).get(stage["name"]) if stage else None
    given = (overlay or {}).get("init_from")
    if stage and stage["number"] > 1 and given in (None, "last", "best"):
        number = stage["number"] - 1
        name = f"stage{number}_{[*config['stages']][number - 1]}{'_best' if given == 'best' else ''}"
        file = folder / "checkpoints" / f"{name}.ckpt"
        return (file, [name]) if file.is_file() else (None, [])
    given = given or config.get("init_from")
    if not given:
        return None, []
    return file_of(given), [Path(given).stem]
