"""What a training run ends with: its table, beside bicubic and the paper, with a row for each stage."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor

from sr.callbacks import Checkpoints
from sr.compose.words import path_typed
from sr.imaging.files import read_image
from sr.measuring.entries import paper_of, published_name, tell_trained_on
from sr.measuring.scoring import Entry, panel_file, score_all
from sr.metrics.metric import get_metrics
from sr.models.base import SuperResolver
from sr.models.bicubic import Bicubic
from sr.models.unsaved import as_measured, tell_lost
from sr.runs import checkpoint
from sr.runs.config import LAST
from sr.scores.score import BASELINE, Score, as_table
from sr.training.plan import Plan
from sr.training.stage_configs import StageConfig
from sr.whole import replacing

log = logging.getLogger(__name__)


def score_run(
    plan: Plan, trainer: L.Trainer, folder: Path, resumed: Mapping[str, Any] | None, facts: dict[str, Any]
) -> float | None:
    """Measure the result, and the earlier stages beside it, on every set; log and write the scores.

    Args:
        plan: of the run.
        trainer: that trained it.
        folder: of the run.
        resumed: the checkpoint that it went on from, perhaps of more steps than are asked for.
        facts: for its record, to which is added what of the images its weights `saw`.

    Returns:
        The result's mean by the first metric, on the first set under the first protocol; negative where less is better.
    """
    cfg, name, stages, sets = plan.cfg, plan.name, plan.stages, plan.test_sets
    done = max(stages[-1].end, resumed["global_step"] if resumed else 0)
    model = _as_saved(plan.model, folder / "checkpoints", done)
    if not any(sets.values()):
        if cfg.benchmarks is None:  # else it was typed that nothing is measured
            log.info(
                "no test set was found to measure the result on: type benchmarks=[set5] data_dir=<folder that holds it>"
            )
        return None
    metrics = get_metrics(cfg.metrics)
    results = [
        *_earlier(stages, name, folder),
        Entry(name, model, published_name(model.metadata["model"], name)),
    ]
    if cfg.self_ensemble:
        results.append(replace(results[-1], ensemble=True))  # beside the plain result, from which it is told by a +
    objective: float | None = None
    for scale, measured in sets.items():
        if not measured:
            continue
        for held_out in measured:
            held_out.trainer = None  # this process measures every image, not its share
            # What its first weights saw, too.
            facts.setdefault("saw", []).extend(tell_trained_on(replace(results[-1], run=folder), held_out))
        entries = [Entry(BASELINE, Bicubic(scale)), *(e for e in results if scale in e.model.scales)]
        subfolder = folder if len(sets) == 1 else folder / f"x{scale}"
        device, limits = trainer.strategy.root_device, {k: cfg.budget.get(f"test_{k}") for k in ("images", "middle")}
        means = score_all(entries, measured, subfolder, device, cfg.protocols, metrics, **limits)
        ours = {e.name: [s for s in means if s.model.rstrip("+") == e.name] for e in entries[1:]}
        if objective is None:
            lead = [s.value for s in ours.get(name, ()) if s.metric == metrics[0].name]
            objective = lead[0] * (metrics[0].better or 1) if lead else None
        scores: dict[str, float] = {}
        for label, rows in ours.items():
            prefix = "test" if label == name else f"test/{label[len(name) :].strip(' ()')}"
            at = "" if len(sets) == 1 else f"_x{scale}"
            for s in rows:
                averaged = "_ensemble" if s.model.endswith("+") else ""
                scores[f"{prefix}/{s.dataset}{at}{averaged}/{s.metric}_{s.protocol}"] = s.value
        for logger in trainer.loggers:
            logger.log_metrics(scores, step=done - 1)
        _show(trainer, at, means, [panel_file(data, subfolder) for data in measured], done)
    for logger in trainer.loggers:
        logger.save()
        logger.finalize("success")
    return objective


def _as_saved(model: SuperResolver, folder: Path, step: int) -> SuperResolver:
    """The network as last.ckpt holds it: whoever takes the run up has the weights that its figures are of.

    What a callback made of them when training had ended is kept, and told.
    """
    content, ended = checkpoint.read(folder / LAST, known_intact=True), model.state_dict()
    saved = checkpoint.build(content, folder / LAST)
    if _other(content["state_dict"], ended) and _other(as_measured(saved), as_measured(model)):
        with replacing(kept := folder / f"after_step_{step}.ckpt") as part:
            torch.save({"state_dict": ended, "sr": {**model.metadata, "batches_seen": model.batches_seen}}, part)
        log.warning(
            f"warning: a callback changed the weights when training had ended. The figures are of {LAST}, which is as "
            f"they were before; measure the changed ones by sr evaluate {path_typed('checkpoint', kept)}"
        )
    else:
        tell_lost(model.eval(), lambda _: saved)
    return saved


def _other(state: Mapping[str, Tensor], ended: Mapping[str, Tensor]) -> bool:
    return any(not torch.equal(value.to(ended[key]), ended[key]) for key, value in state.items())


def _show(trainer: L.Trainer, at: str, means: Sequence[Score], panels: Sequence[Path], step: int) -> None:
    """Put the table of all models and metrics, bicubic among them, and the sets' panels before who looks at loggers."""
    columns, rows = as_table(means)
    pictures = {file.stem: read_image(file)[0] for file in panels if file.is_file()}
    for logger in trainer.loggers:
        if hasattr(logger, "log_table"):  # (key, columns, rows, optimizer steps done)
            logger.log_table(f"test/scores{at}", columns, rows, step)
        if hasattr(logger, "log_pictures") and pictures:
            logger.log_pictures(f"test/panels{at}", list(pictures.values()), list(pictures), step)


def validated(trainer: L.Trainer, resumed: Mapping[str, Any] | None) -> float | None:
    """The best of the last stage's validations, as `score_run` returns it; of a complete run, its checkpoint's."""
    keeper = next(c for c in trainer.callbacks if isinstance(c, Checkpoints))  # type: ignore[attr-defined]
    stored = (resumed or {}).get("callbacks", {}).get(keeper.state_key, {})
    of_it = stored.get("monitor", keeper.monitor) == keeper.monitor  # else it is another metric's
    return keeper.best if keeper.best is not None or not of_it else stored.get("best")


def _earlier(stages: Sequence[StageConfig], name: str, folder: Path) -> list[Entry]:
    """The models as the stages before the last one left them, measured as it is."""
    found = []
    for stage in stages[:-1]:
        model = checkpoint.load(folder / "checkpoints" / f"{stage.file}.ckpt")
        paper = published_name(model.metadata["model"], name)
        found.append(Entry(f"{name} ({stage.name})", model, paper, stage=not paper_of(model.metadata)))
    return found
