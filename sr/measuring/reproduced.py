"""Figures that were measured before, `results=`: which of them may stand in the row of a network."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sr.errors import UserError, reason
from sr.measuring.entries import same_network
from sr.runs import checkpoint
from sr.runs.config import read_config
from sr.runs.folder import find_runs, is_run
from sr.runs.together import doubts
from sr.scores import results
from sr.scores.same_images import unlike_papers
from sr.scores.score import Score

log = logging.getLogger(__name__)
SCALE = re.compile(r"x\d+")  # name of the folder of one of several scales


def read(paths: object) -> dict[Path, list[Score]]:
    """The averages in results.csv files, or in those of run folders, by file.

    Raises:
        UserError: there is none, or it is not ours.
    """
    given = [paths] if isinstance(paths, str) else list(paths or ())  # type: ignore[call-overload]
    found: dict[Path, list[Score]] = {}
    for path in map(Path, given):
        files = sorted(path.rglob("results.csv")) if path.is_dir() else [path]
        if not files or not files[0].is_file():
            raise UserError(f"results={path}: no results.csv there. Make one: sr evaluate weights=[...]")
        for file in files:
            try:
                found[file] = _of_the_papers_lr(results.read(file), file)
            except (ValueError, LookupError, TypeError) as error:
                raise UserError(f"results={file} is no results.csv of this project ({reason(error)})") from error
    runs = dict.fromkeys(filter(None, map(_begun_in, found)))
    for note in doubts(run for folder in runs for run in find_runs(folder)):  # a damaged one has no doubts
        log.warning(note)
    return found


def _of_the_papers_lr(scores: Sequence[Score], file: Path) -> list[Score]:
    """Without the sets whose LR is told to be another than the papers', or on which bicubic has another figure."""
    others = {place: f"bicubic has {told}" for place, told in unlike_papers(scores).items()}
    others |= {(s.dataset, s.scale): f"its LR is {s.lr}" for s in scores if not s.plain}
    for (dataset, scale), told in others.items():
        log.warning(f"note: {dataset} x{scale} of {file} is left out, it is of other images or other LR: {told}")
    return [s for s in scores if (s.dataset, s.scale) not in others]


def of_row(
    known: Mapping[Path, Sequence[Score]], name: str, run: str | None, node: Mapping[str, Any] | None = None
) -> list[Score]:
    """What may be of a network's row: of a trained one's, in a run folder, its own alone; others are other weights'.

    Of an architecture it is what runs of these settings reached, not those of another size under its name.
    """
    if run is None:
        return [s for file, scores in known.items() if not _of_another(file, node) for s in scores]
    place, typed = checkpoint.locate(run), name.partition(":")[0].removesuffix(" (trained)")
    trained_in = checkpoint.ended_with(place)
    found = []
    for file, scores in known.items():
        if (of := _run_of(file)) not in (None, trained_in):
            continue
        if of is None and any(s.model.partition(":")[0] == typed for s in scores):
            log.warning(f"note: {file} knows networks by their names: its figures of {typed} stand in the row of {run}")
        found += [replace(s, model=name) if s.model == typed else s for s in scores]
    return found


def _run_of(file: Path) -> Path | None:
    """The run that a results.csv is of, perhaps at one of several scales; None for those of sr evaluate."""
    folder = file.resolve().parent
    folder = folder.parent if SCALE.fullmatch(folder.name) else folder
    return folder if (folder / "checkpoints").is_dir() else None


def _begun_in(file: Path) -> Path | None:
    """The run that a results.csv lies in, whether or not it has weights."""
    return next(filter(is_run, file.resolve().parents[:2]), None)


def _of_another(file: Path, node: Mapping[str, Any] | None) -> bool:
    """Whether a results.csv is of a run whose network has other settings than an architecture's."""
    run = _begun_in(file)
    if node is None or run is None:
        return False
    try:
        return not same_network(node, read_config(run).get("model"))
    except Exception:  # whatever is wrong with a record: its results.csv tells a name
        return False
