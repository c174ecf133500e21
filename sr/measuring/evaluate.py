"""The measuring run: models and checkpoints side by side on image sets."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from sr.compose.checks import built, check_targets
from sr.compose.image_sets import build_sets, refuse_idle_degradation, refuse_missing
from sr.compose.words import Job, listed
from sr.data.module import SRDataModule
from sr.errors import UserError
from sr.forms.running import known
from sr.layers.statistics import batch_norms, with_own_statistics
from sr.measuring.entries import checkpoint_entry, tell_trained_on, weights_entries
from sr.measuring.rehearsal import rehearse
from sr.measuring.scoring import Entry, pick_device, score_all
from sr.metrics.metric import get_metrics
from sr.models.base import SuperResolver
from sr.models.bicubic import Bicubic
from sr.runs.trained_scales import tell_untrained, trained_scales
from sr.scores.score import BASELINE

log = logging.getLogger(__name__)
UNTRAINED_SCALE = 4  # at which model=bicubic is measured unless a scale is typed


def evaluate(cfg: DictConfig) -> None:
    """Run a composed conf/evaluate.yaml: one table per scale over all models and sets."""
    if not cfg.benchmarks:
        raise UserError("benchmarks=[]: name at least one set to measure on, as benchmarks=[set5], or leave it out")
    device, metrics = pick_device(cfg.device), get_metrics(cfg.metrics)
    known(cfg.form)
    by_scale: dict[int, list[Entry]] = {}
    for entry in with_statistics(_entries(cfg), listed(cfg.statistics)):
        entry = replace(entry, ensemble=cfg.self_ensemble and entry.pictures is None)
        for scale in [cfg.scale] if cfg.scale else trained_scales(entry.model.scales, entry.model.metadata):
            tell_untrained(entry.model, entry.name, scale)
            by_scale.setdefault(scale, []).append(entry)
    folder = Path(HydraConfig.get().runtime.output_dir)
    planned: list[tuple[Path, list[Entry], list[SRDataModule]]] = []
    for scale, entries in by_scale.items():
        sets = build_sets(scale, cfg)
        refuse_missing(sets)
        for data in sets:
            for entry in entries:
                tell_trained_on(entry, data)
        if cfg.baseline and all(e.name != BASELINE for e in entries):
            entries = [Entry(BASELINE, Bicubic(scale)), *entries]
        planned.append((folder / f"x{scale}" if len(by_scale) > 1 else folder, entries, sets))
    refuse_idle_degradation(Job.current().words, [data.pairs("test") for _, _, sets in planned for data in sets])
    for _, entries, sets in planned:
        rehearse(entries, {sets[0].scale: sets}, cfg.protocols, metrics)
    for subfolder, entries, sets in planned:
        drawn = cfg.panels, cfg.panel_size, cfg.panel_at
        score_all(entries, sets, subfolder, device, cfg.protocols, metrics, *drawn, form=cfg.form)


def _entries(cfg: DictConfig) -> list[Entry]:
    paths, weights, pictures = listed(cfg.checkpoint), listed(cfg.weights), listed(cfg.pictures)
    if pictures and cfg.scale is None:
        raise UserError(f"pictures={pictures[0]}: type the scale at which they were made, too: scale=4")
    if not paths and not weights and not pictures:
        if cfg.model is None:
            raise UserError(
                "nothing to measure: type checkpoint=<file or run folder>, weights=<name in the zoo or file> (or lists "
                "of them), pictures=<folder of outputs>, or model=bicubic. The zoo: sr zoo list"
            )
        own = OmegaConf.merge(cfg, {"scale": cfg.scale or UNTRAINED_SCALE})
        check_targets({"model": OmegaConf.to_container(own.model, resolve=True)})
        model: SuperResolver = built(own.model, "model")
        if any(True for _ in model.parameters()):
            raise UserError(
                f"model={_chosen()} has weights that nobody trained: type checkpoint=<file or run folder> instead"
            )
        return [Entry(_chosen(), model)]
    if (weights or pictures) and cfg.model is not None:
        beside = "weights=, the files tell their architecture" if weights else "pictures=, of which nothing is computed"
        raise UserError(f"model={_chosen()}: leave model= out beside {beside}")
    if pictures and cfg.self_ensemble:
        log.warning("warning: self_ensemble says nothing of pictures=, which are measured as they are")
    if words := [word.text for word in Job.current().words if word.key.startswith("model.")]:
        raise UserError(f"{words[0]}: a checkpoint knows its architecture, and the file's is measured. Leave it out")
    entries = weights_entries(cfg, cfg.scale)
    trained = [checkpoint_entry(path) for path in paths]
    names = [entry.name for entry in trained]
    for path, entry in zip(paths, trained, strict=True):
        told = entry.model.metadata
        if cfg.scale and cfg.scale not in entry.model.scales:
            scales = ", ".join(map(str, entry.model.scales))
            raise UserError(f"scale={cfg.scale}: checkpoint {path} is of scale {scales}; leave scale= out")
        if cfg.model is not None and cfg.model._target_ != told["model"]["_target_"]:
            raise UserError(
                f"model={_chosen()}: checkpoint {path} is of {told['name']}; leave model= out, a checkpoint knows its "
                "architecture"
            )
        name = _unique(entry.name, path, [e.name for e in entries], names.count(entry.name) > 1)
        entries.append(replace(entry, name=name))
    for folder in map(Path, pictures):
        taken = [BASELINE, *(e.name for e in entries)]
        name = _unique(folder.resolve().name, str(folder), taken, False)
        entries.append(Entry(name, Bicubic(cfg.scale), pictures=folder))
    return entries


def with_statistics(entries: Sequence[Entry], kinds: Sequence[str]) -> list[Entry]:
    """Each entry once for each kind of batch-norm statistics, `population` or `image`; the latter under its own name.

    Raises:
        UserError: none or another kind, or an entry without batch norm under its images' own statistics.
    """
    if not kinds or set(kinds) - {"population", "image"}:
        raise UserError(f"statistics=[{','.join(kinds)}]: type population, image, or [population,image] for both")
    return [_own_statistics(e) if kind == "image" else e for e in entries for kind in dict.fromkeys(kinds)]


def _own_statistics(entry: Entry) -> Entry:
    if not batch_norms(entry.model):
        raise UserError(
            f"statistics=image: {entry.name} ({type(entry.model).__name__}) has no batch norm, so there are no "
            "statistics to choose. Leave statistics= out, or measure this model in a run of its own"
        )
    # No paper's figure is of this form, and merging would bring the population's statistics back.
    own = with_own_statistics(entry.model)
    return replace(entry, name=f"{entry.name} (own statistics)", model=own, published="", merge=False)


def _chosen() -> str:
    return str(HydraConfig.get().runtime.choices["model"])


def _unique(name: str, path: str, taken: list[str], shared: bool) -> str:
    """The model's name; where several checkpoints share it, with the run's folder, or the file in it that is typed."""
    place = Path(path).resolve()
    own = f"{place.parent.parent.name}:{place.stem}" if place.is_file() else place.name
    label = f"{name}:{own}" if shared or name in taken else name
    return label if label not in taken else f"{label}:{len(taken) + 1}"
