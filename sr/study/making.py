"""A study made: crops of every model, which of them are shown together, the page that asks, and its key."""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from sr.comparison.compare import sources
from sr.comparison.rows import Source, labelled
from sr.compose.image_sets import build_sets, refuse_idle_degradation, refuse_missing, refuse_same_names
from sr.compose.words import Job
from sr.errors import UserError
from sr.measuring.scoring import pick_device
from sr.scores.rated import ZOO, place_of
from sr.scores.score import BASELINE
from sr.study.answers import KEY, MODES, MOST_TRIALS, Model, Study
from sr.study.design import Trial, catches, paired, single
from sr.study.page import page
from sr.study.pictures import Pictures, of_models, spoilable
from sr.whole import write_whole

log = logging.getLogger(__name__)
PAGE = "study.html"
LARGEST = 24_000_000  # bytes of the page: what phones open
LONG = 150  # trials, after which people no longer look


def made(cfg: DictConfig, folder: Path) -> None:
    """Write the page and its key.

    Raises:
        UserError: too few models, several scales, a set that is not there, a page that would be too large.
    """
    if cfg.mode not in MODES:
        raise UserError(f"mode={cfg.mode}: there are {' and '.join(MODES)}")
    named = labelled(_loadable(sources(cfg, "show")))
    scale = _scale(cfg, named)
    if cfg.baseline:
        named.append(Source(BASELINE, ZOO, label=BASELINE))
    if len(named) < 2 and cfg.mode == "pairs":
        raise UserError("one model has nothing to be compared with: name another, or type baseline=true for bicubic")
    sets = build_sets(scale, cfg)
    if not sets:
        raise UserError("benchmarks=[]: name the sets whose images are shown")
    refuse_missing(sets)
    refuse_idle_degradation(Job.current().words, [data.pairs("test") for data in sets])
    refuse_same_names(sets)
    pictures = of_models(named, sets, int(cfg.images), int(cfg.crops), int(cfg.crop_size), pick_device(cfg.device))
    trials = _trials(cfg, len(named), pictures)
    if len(trials) > MOST_TRIALS:
        less = "a smaller pairs=" if cfg.mode == "pairs" else "fewer images="
        raise UserError(f"the study would have {len(trials):,} trials, {MOST_TRIALS:,} at most: type {less}")
    models = tuple(Model(s.label, s.name, place_of(s.path), w) for s, w in zip(named, pictures.weights, strict=True))
    uris = [[pictures.uri(trial.crop, shown) for shown in trial.shown] for trial in trials]
    shown = hashlib.sha256(json.dumps(uris).encode()).hexdigest()
    found = Study("", str(cfg.mode), scale, models, tuple(pictures.crops), tuple(trials), shown).identified()
    html = page(found, uris, bool(cfg.equal), int(cfg.seed))
    if len(html) > LARGEST:
        raise UserError(
            f"the page would have {len(html) / 1e6:.0f} MB, {LARGEST / 1e6:.0f} at most: type images= below "
            f"{cfg.images} (of each set), crops=1, a smaller crop_size, or fewer models"
        )
    if len(trials) > LONG:
        log.warning(f"warning: {len(trials)} trials are more than people look at with care; {_fewer(found)}")
    found.write(folder / KEY)
    (folder / KEY).chmod(0o600)  # raters may sit at this machine
    write_whole(folder / PAGE, html)
    for name in (KEY, PAGE):
        log.info(str(folder / name))
    catch = sum(trial.catch for trial in trials)
    log.info(
        f"{len(trials)} trials, {catch} of them to catch who does not look, of {len(pictures.crops)} crops. "
        f"Send {PAGE} to raters and keep {KEY} to yourself: it tells which model is which. Then: "
        "sr study answers=[FILES]"
    )


def _fewer(study: Study) -> str:
    return "type a smaller pairs=" if study.mode == "pairs" else "type fewer images="


def _loadable(found: Sequence[Source]) -> list[Source]:
    for source in found:
        if source.run and source.run.status == "damaged":
            raise UserError(f"{source.run.error}. Leave it out")
        if source.load is None:
            raise UserError(
                f"{source.path}: has no weights (checkpoints/last.ckpt), so it has no pictures. Leave it out"
            )
    return list(found)


def _scale(cfg: DictConfig, named: Sequence[Source]) -> int:
    """The one that is typed, or that all models were trained for."""
    scales = {scale for source in named for scale in source.scales}
    if cfg.scale is not None:
        return int(cfg.scale)
    if len(scales) != 1:
        raise UserError(f"the models are of the scales {', '.join(map(str, sorted(scales)))}: type one, scale=...")
    return scales.pop()


def _trials(cfg: DictConfig, models: int, pictures: Pictures) -> list[Trial]:
    crops, seed, in_pairs = len(pictures.crops), int(cfg.seed), cfg.mode == "pairs"
    chosen = spoilable(pictures, int(cfg.catch))
    plain = paired(models, crops, int(cfg.pairs), seed) if in_pairs else single(models, crops, seed)
    trials = [*plain, *catches(chosen, in_pairs)]
    return [trials[n] for n in np.random.default_rng(seed).permutation(len(trials))]  # its source shows none to be one
