"""The figure run: gathers what a figure is made of, draws it, and writes the picture with its numbers."""

import inspect
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sr.compose.checks import built, check_targets
from sr.compose.words import Job, listed
from sr.errors import UserError
from sr.figures.drawing import Drawing
from sr.figures.inputs import Photo, Shown, bundled_photos, read_photos
from sr.measuring.entries import checkpoint_entry, tell_seen, weights_entries
from sr.measuring.scoring import Entry, pick_device
from sr.runs.folder import Run, find_runs, tell_unfinished
from sr.runs.together import doubts, once, twins_told

log = logging.getLogger(__name__)


def figure(cfg: DictConfig) -> None:
    """Run a composed conf/figure.yaml: a picture and a CSV of its numbers in the run folder."""
    job = Job.current()
    name = str(job.choices["figure"])
    if not str(cfg.format).isalnum():
        raise UserError(f"format={cfg.format}: the ending of a file is wanted, for example format=png")
    node = OmegaConf.to_container(cfg.figure, resolve=True)
    check_targets({"figure": node})
    draw: Callable[..., Drawing] = built(node, "figure", _convert_="all")
    drawing = draw(**gathered(draw, name, cfg))
    for note in drawing.notes:
        log.info(f"note: {note}")
    for path in drawing.save(job.folder / f"{name}.{cfg.format}"):
        log.info(str(path))


def gathered(draw: Callable[..., Any], name: str, cfg: DictConfig) -> dict[str, Any]:
    """What a figure takes is told by the names of its arguments: `models`, `runs`, `images`.

    Raises:
        UserError: one that it needs was not given, or one was given that it does not take.
    """
    takes = inspect.signature(draw).parameters
    typed = {argument: [k for k in keys if cfg[k] is not None] for argument, (keys, _, _) in SOURCES.items()}
    for argument, given in typed.items():
        if given and argument not in takes:
            raise UserError(f"{given[0]}={cfg[given[0]]}: figure={name} takes no {argument}; leave {given[0]}= out")
    found: dict[str, Any] = {}
    for argument, (_, make, hint) in SOURCES.items():
        if argument not in takes:
            continue
        if typed[argument] or argument == "images":
            found[argument] = make(cfg)
        elif takes[argument].default is inspect.Parameter.empty:
            raise UserError(f"figure={name} is drawn from {argument}, and none was given: {hint}")
    for entry in found.get("models", ()) if found.get("images") else ():
        tell_seen(entry, [Shown(found["images"])], "images=")
    return found


def _models(cfg: DictConfig) -> list[Entry]:
    entries = weights_entries(cfg, None)
    for path in listed(cfg.checkpoint):
        entry, folder = checkpoint_entry(path), Path(path).resolve()
        folder = entry.run or folder if folder.is_file() else folder
        entries.append(replace(entry, name=f"{entry.name}:{folder.name}"))
    # A run's folder stands behind its model's name only where two have the same.
    short = [entry.name.split(":")[0] for entry in entries]
    named = [s if short.count(s) == 1 else e.name for e, s in zip(entries, short, strict=True)]
    if doubled := [n for n in named if named.count(n) > 1]:
        raise UserError(f"{doubled[0]} was given twice; give each model once")
    device = pick_device(cfg.device)
    return [replace(e, name=n, model=e.model.to(device)) for e, n in zip(entries, named, strict=True)]


def _runs(cfg: DictConfig) -> list[Run]:
    found = [run for folder in listed(cfg.runs) for run in find_runs(Path(folder))]
    for run in (run for run in found if run.status == "damaged"):
        log.warning(f"warning: not drawn: {run.error}")
    if not (whole := [run for run in found if run.status != "damaged"]):
        raise UserError(f"runs={','.join(listed(cfg.runs))}: every run there is damaged")
    whole, twins = once(whole)
    for run in whole:
        tell_unfinished(run.folder)
    for note in [*twins_told(twins), *doubts(whole)]:
        log.warning(note)
    return whole


def _images(cfg: DictConfig) -> list[Photo]:
    return read_photos(listed(cfg.images)) if cfg.images is not None else bundled_photos()


# Argument of a figure -> the keys that it is typed with, what makes it, what to type where it is missing.
SOURCES: dict[str, tuple[tuple[str, ...], Callable[[DictConfig], Any], str]] = {
    "models": (
        ("weights", "checkpoint"),
        _models,
        "type weights=<name in the zoo or file> (sr zoo list) or checkpoint=<run folder>, or lists of them",
    ),
    "runs": (("runs",), _runs, "type runs=<run folder or a folder that holds several>, or a list of them"),
    "images": (("images",), _images, "type images=<file or folder>"),
}
