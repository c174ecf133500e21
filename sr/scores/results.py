"""The files of results in a folder, results.csv and those beside it: written, kept when others come, and read."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isclose, isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

from sr.bounded import MOST_OF_MEANS, Rows, opened
from sr.errors import reason, some, told_once
from sr.metrics.metric import declared
from sr.metrics.protocols import get_protocol
from sr.scores.published import METRICS, Published
from sr.scores.score import (
    BASELINE,
    KEY,
    Key,
    Score,
    alike,
    averages,
    gaps,
    metrics_of,
    of_clips,
    pivot,
    scores_of,
)
from sr.scores.text import from_csv, write_csv

log = logging.getLogger(__name__)
RESULTS = ("results", "results_per_image", "results_per_clip")  # .csv
Place = tuple[str, int, str, str]  # set, scale, protocol, metric
Values = Mapping[str, float]  # of one run, by the names of images or clips
MOST_TIMES = 64  # that an image is enlarged
NO_METRICS = ("model", "dataset", "image", "clip", "scale", "protocol", "images")  # columns of these files


def write(scores: Sequence[Score], folder: Path, papers: Mapping[Key, Published] | None = None) -> tuple[Path, ...]:
    """`results.csv` (averages, beside the papers' figures), `results_per_image.csv`, of clips `results_per_clip.csv`.

    Where the former ones hold figures of other sets, protocols or metrics, they are kept (see `set_aside`).
    """
    means, each, clips = (folder / f"{name}.csv" for name in RESULTS)
    metrics = metrics_of(scores)
    rows = []
    averaged = averages(scores)
    if means.is_file() and not _covered(means, averaged):
        set_aside(folder)
    extra: dict[tuple[Any, ...], int | str]
    extra = {(s.model, s.dataset, s.scale, s.protocol, f"{s.metric}_left_out"): s.left_out for s in averaged}
    extra |= {(s.model, s.dataset, s.scale, s.protocol, f"{s.metric}_left_out_are"): s.without for s in averaged}
    extra |= {(s.model, s.dataset, s.scale, s.protocol, "clips"): s.clips for s in averaged}
    extra |= {(s.model, s.dataset, s.scale, s.protocol, "lr"): s.lr for s in averaged}
    for (*key, images), values in pivot(averaged, *KEY, "images").items():
        row: dict[str, Any] = dict(zip(KEY, key, strict=True)) | values | {"images": images}
        row |= {at[-1]: number for at, number in extra.items() if at[:-1] == tuple(key) and number}
        if paper := (papers or {}).get(tuple(key)):
            row |= {f"paper_{metric}": value for metric, value in paper.values.items()}
            above = gaps(values, paper).items()
            row |= {f"{metric}_difference": round(gap, declared(metric).digits + 2) for metric, gap in above}
            row |= {"paper_source": paper.source, "paper_source_kind": paper.source_kind}
        rows.append(row)
    of_papers = [name.format(metric) for name in ("paper_{}", "{}_difference") for metric in METRICS]
    some = list(dict.fromkeys(at[-1] for at, number in extra.items() if number))
    write_csv(means, [*KEY, *metrics, "images", *some, *of_papers, "paper_source", "paper_source_kind"], rows)
    names = ("model", "dataset", "image", "scale", "protocol")
    images = [dict(zip(names, key, strict=True)) | values for key, values in pivot(scores, *names).items()]
    write_csv(each, [*names, *metrics], images)
    if found := of_clips(scores):
        own = "model", "dataset", "clip", "scale", "protocol"
        rows = [dict(zip((*own, "images"), key, strict=True)) | v for key, v in pivot(found, *own, "images").items()]
        write_csv(clips, [*own, *metrics, "images"], rows)
    return (means, each, clips) if found else (means, each)


def set_aside(folder: Path, names: Sequence[str] = RESULTS, kinds: Sequence[str] = ("csv",)) -> None:
    """Rename figures that are not the folder's state any more to `results_2.csv`, or the next number that is free."""
    files, number = [(name, kind) for name in names for kind in kinds], 2
    while any((folder / f"{name}_{number}.{kind}").exists() for name, kind in files):
        number += 1
    for name, kind in files:
        if (former := folder / f"{name}.{kind}").is_file():
            former.rename(folder / f"{name}_{number}.{kind}")
            log.info(f"what was in {name}.{kind} is kept in {name}_{number}.{kind}")


def _covered(file: Path, new: Sequence[Score]) -> bool:
    """Whether new averages are of all that the former ones in a file are of."""
    try:
        former = read(file)
    except (OSError, ValueError, LookupError):  # nobody knows what it is
        return False
    if others := [s for s in former if s.model == BASELINE and any(_elsewhere(s, n) for n in new)]:
        sets = ", ".join(dict.fromkeys(s.dataset for s in others))
        log.warning(f"warning: {file} holds figures on other images, or other LR, of {sets}: {BASELINE}'s are others")
        return False
    # Of older files it is not known how LR was made.
    return {_what(s) for s in former} <= {_what(s) for s in new} | {_what(replace(s, lr="")) for s in new}


def _elsewhere(former: Score, new: Score) -> bool:
    return _what(former)[:-1] == _what(new)[:-1] and not alike(former.value, new.value, former.metric)


def _what(score: Score) -> tuple[str, str, int, str, str, str]:
    return score.model, score.dataset, score.scale, score.protocol, score.metric, score.lr


def read(file: Path) -> list[Score]:
    """The averages in a results.csv; the columns between `protocol` and `images` are the metrics.

    What is not finite, as it stood in older files where an image came out identical, is left out. Where files were
    merged, so that two figures are of the same, the last one counts, and that is told.

    Raises:
        UserError: a protocol is not known.
    """
    with opened(file) as f:
        rows = Rows(f, file, MOST_OF_MEANS)
        names = list(rows.fieldnames or ())
        metrics = names[names.index("protocol") + 1 : names.index("images")] if rows.fieldnames else []
        found: list[Score] = []
        for row in rows:
            values = {metric: float(row[metric]) for metric in metrics if row[metric]}
            key = from_csv(row["model"]), from_csv(row["dataset"]), int(row["scale"]), row["protocol"]
            if not 1 <= key[2] <= MOST_TIMES or int(row["images"]) < 1:
                raise ValueError(f"scale {key[2]}, images {row['images']}")
            get_protocol(row["protocol"])  # who reads this describes it
            for s in scores_of(*key, values, int(row["images"])):
                left_out = int(row.get(f"{s.metric}_left_out") or 0)
                without, lr = (from_csv(row.get(name) or "") for name in (f"{s.metric}_left_out_are", "lr"))
                mean = replace(s, left_out=left_out, without=without, clips=int(row.get("clips") or 0), lr=lr)
                found += [mean] if isfinite(s.value) else []
    last = {_what(s): s for s in found}
    if twice := [s for s in found if s.value != last[_what(s)].value]:
        several = some([f"{s.model} on {s.dataset} x{s.scale} ({s.protocol}, {s.metric})" for s in twice])
        told_once(log, logging.WARNING, f"warning: {file} has several figures of {several}: the last one counts")
    return [*last.values()]


def stored(
    folder: Path, means: Sequence[Score], doubt: Callable[[Score, str], object] = lambda *_: None
) -> Iterator[tuple[str, Place, Values]]:
    """What the files beside a results.csv hold of each image, or clip, as far as its means are of them.

    Args:
        folder: of a run.
        means: its averages, perhaps under other names of sets (`Score.apart_from`).
        doubt: is told each mean that is another one than that of its images, and that in words.

    Yields:
        Model, place (with the name of the set in `means`), values.
    """
    each: dict[tuple[str, Place], dict[str, float]] = {}
    for within in [folder, *sorted(folder.glob("x*"))]:
        try:
            clips = _read(within / f"{RESULTS[2]}.csv", "clip")
            images = _read(within / f"{RESULTS[1]}.csv", "image")
        except Exception as error:  # whatever is wrong with a file that a table can do without
            log.warning(f"warning: {within}: figures by image are not read: {reason(error)}")
            continue
        each |= images | clips
    for s in means:
        place = s.dataset, s.scale, s.protocol, s.metric
        values = each.get((s.model, (s.apart_from or s.dataset, *place[1:])), {})
        finite = [value for value in values.values() if isfinite(value)]
        if not finite:
            continue
        if isclose(mean := fmean(finite), s.value, abs_tol=1e-3):
            yield s.model, place, values
        else:
            text, where = declared(s.metric).text, f"{s.dataset} x{s.scale} ({s.protocol})"
            told = f"{text(s.value)} of {s.model} on {where}, but its images have {text(mean)} in the file beside it"
            doubt(s, f"{folder / RESULTS[0]}.csv says {told}: one of the two was changed")


def measured(scores: Sequence[Score]) -> Iterator[tuple[str, Place, Values]]:
    """The same of the scores of single images, and of frames, which count as their clips."""
    found: dict[tuple[str, Place], dict[str, float]] = {}
    for s in [*(s for s in scores if not s.clip), *of_clips(scores)]:
        place = s.dataset, s.scale, s.protocol, s.metric
        found.setdefault((s.model, place), {})[s.clip or s.image] = s.value
    yield from ((model, place, values) for (model, place), values in found.items())


def _read(file: Path, unit: str) -> dict[tuple[str, Place], dict[str, float]]:
    found: dict[tuple[str, Place], dict[str, float]] = {}
    if file.is_file():
        with opened(file) as f:
            for row in Rows(f, file):
                metrics = [name for name in row if name not in NO_METRICS]
                for metric in (m for m in metrics if row[m]):
                    place = from_csv(row["dataset"]), int(row["scale"]), row["protocol"], metric
                    found.setdefault((from_csv(row["model"]), place), {})[from_csv(row[unit])] = float(row[metric])
    return found
