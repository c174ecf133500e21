"""The training run: check everything, plan it, train its stages, and score the result."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from omegaconf import DictConfig

from sr.callbacks.clock import Clock
from sr.compose.checks import with_own_patch
from sr.compose.rules import scale_name
from sr.compose.words import Job
from sr.layers.identity import checksum, identity
from sr.loggers import CsvLog
from sr.losses import Distillation, VGG19Features
from sr.runs import checkpoint, composed, same_data
from sr.runs.code import continued, digests
from sr.runs.config import LAST
from sr.runs.latest import latest, put_back, saved, set_aside
from sr.runs.lock import claim, first_process
from sr.runs.record import record, recorded
from sr.scores.results import set_aside as set_aside_results
from sr.training import final_scores
from sr.training.fit import first_stage, fit, ready
from sr.training.introduction import introduction
from sr.training.plan import Plan, checked, planned
from sr.training.processes import shared_out, with_processes
from sr.training.resumed import refuse_edited, refuse_other_settings, refuse_other_stream, refuse_torn
from sr.training.trainer import trainer as build_trainer
from sr.zoo.load import file_of

log = logging.getLogger(__name__)


class _GoesOn(L.Callback):
    """Does what must not be done before a resume has taken its first step, which may be refused."""

    def __init__(self, step: int, tasks: Sequence[Callable[[], object]]) -> None:
        self.step, self.tasks = step, list(tasks)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        while self.tasks and trainer.global_step > self.step:
            self.tasks.pop(0)()


def train(cfg: DictConfig, job: Job, resume: Path | None = None) -> float | None:
    """Run a composed conf/train.yaml.

    Args:
        cfg: as composed.
        job: what was typed, and the folder that the run writes into.
        resume: the same folder, where a run is gone on with; what it was composed of then counts, not `cfg`.

    Returns:
        Mean PSNR on the first measured set under the first protocol, or where nothing is measured the best of the
        validations (what a hyper-parameter search maximises).
    """
    if not first_process():
        logging.getLogger().setLevel(logging.WARNING)
    stranger, later = None, job.words
    if resume is not None:
        run = composed.read(resume)
        stranger = None if run.own else resume
        cfg = run.changed(job.words, cfg)
        job = replace(job, words=run.words.then(job.words))
    else:
        cfg = with_own_patch(cfg, job.choices, job.words.keys)
    source, resumed = latest(resume) if resume is not None and saved(resume) else (None, None)
    if resumed is not None:  # before anything is imported or decoded
        refuse_torn(resumed, job.folder, job.words)
        refuse_other_stream(resumed, cfg, job.folder, job.words)

    plan = planned(checked(with_processes(cfg, job.words.keys), job), job, stranger, resume is None)
    images = same_data.contents(plan.data)
    if resumed is not None:
        others = same_data.refuse_others(job.folder, images, plan.words)
        stage = plan.stages[first_stage(plan.stages, resumed)]
        refuse_other_settings(stage, resumed, job.folder, plan.words, run.own)
        refuse_edited(run.config, stage.metadata["config"], resumed, job.folder, plan.words)
    ready(plan, resumed, job.folder)
    trainer, clock = _trainer(plan, job)
    aside = None
    if first_process():  # after everything that can be wrong, so that a mended command may be typed again
        if resumed is None:
            claim(job.folder, anew=resume is not None)
            aside = set_aside(job.folder)
            composed.keep(job.folder, plan.composed, plan.words, mine=stranger is None)
        elif source is not None and source.name != LAST:
            put_back(job.folder)
        before = _begun_from(plan) if resumed is None else [job.folder]
        same_data.keep(job.folder, images, before, same_data.thumbnails(plan.data))
        if resumed is not None and resumed["global_step"] < plan.stages[-1].end:
            folders = [job.folder, *job.folder.glob("x*/")]  # of results of the weights that it goes on from
            tasks = [partial(composed.keep_length, run, later), *(partial(set_aside_results, f) for f in folders)]
            tasks.append(partial(_forget_figures, trainer))
            if others:
                known = [*recorded(job.folder).get("images", ()), f"from step {resumed['global_step']} on {others}"]
                tasks.append(partial(record, job.folder, "running", images=known))
            trainer.callbacks.insert(0, _GoesOn(resumed["global_step"], tasks))  # type: ignore[attr-defined]
    if resume is not None:
        run.tell_foreign(later)
    log.info(introduction(plan, job.folder))
    if shares := shared_out(plan, trainer):
        log.info(shares)
    if resume is not None and resumed is None:
        log.info("this run was stopped before its first checkpoint: it begins anew")
    if aside is not None:
        log.info(f"the checkpoints that were there are kept in {aside}")
    try:
        made_of, settings = recorded(job.folder).get("digests", {}), None
        if resumed is None or resumed["global_step"] < plan.stages[-1].end:
            of_weights = {} if resumed is not None else _weights(plan)
            made_of = continued(made_of, of_weights | digests(plan.stages[-1].model, plan.stages[-1].metadata))
            settings = identity({}, plan.stages[-1].metadata["config"])
        with clock.recording(job.folder, trainer, resumed, made_of, settings) as facts:
            fit(plan, trainer, job.folder, resumed)
            if trainer.global_rank != 0:
                return None
            score = final_scores.score_run(plan, trainer, job.folder, resumed, facts)
            facts["objective"] = final_scores.validated(trainer, resumed) if score is None else score
            return facts["objective"]
    except BaseException:
        for logger in trainer.loggers:
            logger.finalize("failed")  # Lightning tells them only of what happens while it trains
        _finish_wandb(exit_code=1)
        raise
    finally:
        _finish_wandb()


def _forget_figures(trainer: L.Trainer) -> None:
    """Tell loggers that show the last value of each key that the figures at the end were of former weights."""
    rows = [row for logger in trainer.loggers if isinstance(logger, CsvLog) for row in logger.rows.values()]
    keys = dict.fromkeys(key for row in rows for key in row if key.startswith("test/"))
    for logger in trainer.loggers:
        if keys and hasattr(logger, "forget"):
            logger.forget([*keys], trainer.global_step)


def _weights(plan: Plan) -> dict[str, str]:
    """Digests of weights that a run begins from, or learns from: under one name others may lie by the next seed."""
    found = {}
    for stage in plan.stages:
        source = stage.cfg.init_from
        if source not in (None, "last", "best") and (file := file_of(source)):
            found[f"init_from={source}"] = f"sha256 {checksum(file)}"
        for module in stage.setup.loss.modules():
            if isinstance(module, Distillation):
                found[f"teacher={plan.cfg.teacher}"] = f"mark {int(module.mark)}"
            elif isinstance(module, VGG19Features):
                found["VGG-19"] = module.told
    return found


def _begun_from(plan: Plan) -> list[Path]:
    """The folders of the runs whose weights the run's stages begin from."""
    sources = [stage.cfg.init_from for stage in plan.stages if stage.cfg.init_from not in (None, "last", "best")]
    runs = [checkpoint.run_of(file) for source in sources if (file := file_of(source))]
    return [run for run in runs if run is not None]


def _trainer(plan: Plan, job: Job) -> tuple[L.Trainer, Clock]:
    name = f"{plan.name}_x{scale_name(plan.cfg.scale)}"
    ends = [stage.end for stage in plan.stages]
    trainer = build_trainer(plan.cfg, ends, job.folder, name, plan.partial_updates, job.sweep)
    clock = Clock()
    trainer.callbacks.append(clock)  # type: ignore[attr-defined]
    for module in plan.data:
        module.trainer = trainer
        _ = module.micro_batch  # refuses a batch that the processes cannot share
    return trainer, clock


def _finish_wandb(exit_code: int = 0) -> None:
    """Else the next run of a sweep would go on in this one's."""
    if wandb := sys.modules.get("wandb"):
        wandb.finish(exit_code=exit_code)
