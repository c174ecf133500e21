"""A measured number, and tables of them: averaging and printing."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from math import inf, isfinite, nan
from typing import Any

from sr.metrics.metric import declared
from sr.metrics.protocols import get_protocol
from sr.scores.published import Published, plain
from sr.scores.text import Values, aligned, legend, shown, shown_beside

log = logging.getLogger(__name__)
Key = tuple[str, str, int, str]
KEY = ("model", "dataset", "scale", "protocol")
FIRST = "psnr"  # of the baseline the same on every machine; where two runs do not both have it, others are looked at
BASELINE = "bicubic"  # the first row of every table: it depends on nothing but the images


@dataclass(frozen=True)
class Score:
    """One number: the mean over `images` images, or that of one image where `image` is set, perhaps a frame of `clip`.

    A mean over frames of clips is one over `clips` clips, each the mean over its frames.

    Of a mean `left_out` says over how many images it is not, as their value is infinite or no number: of PSNR those
    that came out identical to HR; `without` names them, many of them by a mark (see `_named`), "" where that is not
    known. `apart_from` is the set of which `dataset` is told apart by a number: one of the same
    name, with other images (see `sr.scores.same_images`). `lr` tells how LR was made (see `sr.scores.published.lr_of`),
    "" where that is not known; scores that differ in nothing else are of one column.
    """

    model: str
    dataset: str
    scale: int
    protocol: str
    metric: str
    value: float
    images: int
    image: str = ""
    left_out: int = 0
    without: str = ""
    apart_from: str = ""
    clip: str = ""
    clips: int = 0
    lr: str = field(default="", compare=False)

    @property
    def remark(self) -> str:
        """What stands beside a mean that leaves images out: `1 of 2 identical: b.png`."""
        said = declared(self.metric).remark(self.left_out, self.images)
        return f"{said}: {self.without}" if said and self.without else said

    @property
    def plain(self) -> bool:
        """Whether it is on the papers' plain bicubic LR, as far as is known."""
        return not self.lr or plain(self.lr) or get_protocol(self.protocol).defines_lr

    @property
    def text(self) -> str:
        """To stand below a picture: 28.42 dB (y)."""
        metric = declared(self.metric)
        if self.value == inf and metric.perfect is not None:
            return f"identical ({self.protocol})"
        return f"{metric.text(self.value)} {metric.unit or metric.title} ({self.protocol})"


def scores_of(
    model: str, dataset: str, scale: int, protocol: str, values: Mapping[str, Any], images: int, image: str = "",
    clip: str = "", lr: str = "",
) -> list[Score]:  # fmt: skip
    """One score for each metric."""
    own = partial(Score, model, dataset, scale, protocol, images=images, image=image, clip=clip, lr=lr)
    return [own(metric, float(value)) for metric, value in values.items()]


def averages(scores: Iterable[Score]) -> list[Score]:
    """The mean over images for each model, set, scale, protocol and metric, in order of appearance.

    Of clips it is the mean over clips, each the mean over its frames. A mean is over the images that have a finite
    value (see `Metric.mean`); where there is none, neither is a mean.
    """
    scores = list(scores)
    places = {place: n for n, place in enumerate(dict.fromkeys(map(_place, scores)))}
    means = _means([*(s for s in scores if not s.clip), *_clips(scores)], *KEY, "metric")
    lacking: dict[tuple[str, ...], list[str]] = {}
    for s in scores:
        if not isfinite(s.value):
            lacking.setdefault(_place(s), []).append(s.image)
    means = [replace(s, without=_named(lacking[_place(s)])) if s.left_out else s for s in means]
    return sorted(means, key=lambda s: places[_place(s)])


def _place(s: Score) -> tuple[str, ...]:
    return s.model, s.dataset, str(s.scale), s.protocol, s.metric


def of_clips(scores: Iterable[Score]) -> list[Score]:
    """The mean over the frames of each clip that has one; infinity for one that is HR itself throughout."""
    return [s for s in _clips(scores) if s.value == s.value]


def _clips(scores: Iterable[Score]) -> list[Score]:
    """The mean over the frames of each clip; no number where no frame has a value."""
    means = _means([s for s in scores if s.clip], *KEY, "metric", "clip")
    return [replace(s, value=inf) if s.images == s.left_out and isfinite(s.value) else s for s in means]


def _named(images: Sequence[str]) -> str:
    """Names of images that a mean leaves out; of more than two a mark, which is another one for other images."""
    if len(images) <= 2:
        return ", ".join(sorted(images))
    return f"set {sha256(chr(0).join(sorted(images)).encode(errors='surrogateescape')).hexdigest()[:6]}"


def _means(scores: Iterable[Score], *fields: str) -> list[Score]:
    groups: dict[tuple[Any, ...], list[Score]] = {}
    for s in scores:
        groups.setdefault(tuple(getattr(s, field) for field in fields), []).append(s)
    means = []
    for key, found in groups.items():
        own = dict(zip(fields, key, strict=True))
        values = [s.value for s in found]
        finite = [value for value in values if isfinite(value)]
        mean = declared(own["metric"]).mean(sum(finite), len(finite), values.count(inf), len(found))
        if mean is None and "clip" in own:  # it counts among the clips that the set's mean leaves out
            mean = nan
        if mean is None:
            told = f"{own['metric']} of {own['model']} on {own['dataset']}"
            log.warning(f"warning: {told} has no finite value, so no mean of it")
        else:
            left_out = sum(s.left_out if isfinite(s.value) else s.images for s in found)
            clips = len({s.clip for s in found if s.clip and "clip" not in own})
            images, lr = sum(s.images for s in found), found[0].lr
            means.append(Score(**own, value=mean, images=images, left_out=left_out, clips=clips, lr=lr))
    return means


def remarks(scores: Iterable[Score], *fields: str) -> dict[tuple[Any, ...], str]:
    """What the means of each combination of some fields leave out: `1 of 2 identical`."""
    found: dict[tuple[Any, ...], dict[str, None]] = {}
    for s in scores:
        if s.remark:
            found.setdefault(tuple(getattr(s, field) for field in fields), {})[s.remark] = None
    return {key: ", ".join(said) for key, said in found.items()}


def pivot(scores: Iterable[Score], *fields: str) -> dict[tuple[Any, ...], dict[str, float]]:
    """The values of all metrics for each combination of some fields, in order of appearance."""
    found: dict[tuple[Any, ...], dict[str, float]] = {}
    for s in scores:
        found.setdefault(tuple(getattr(s, field) for field in fields), {})[s.metric] = s.value
    return found


def as_table(means: Sequence[Score]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of averages: a row for each model, set and protocol, a column for each metric.

    And one that tells of LR where some is not the papers' plain bicubic.
    """
    places, metrics = (*KEY, "images", *(["lr"] if not all(s.plain for s in means) else [])), metrics_of(means)
    rows = [[*place, *(of.get(metric) for metric in metrics)] for place, of in pivot(means, *places).items()]
    return [*places, *metrics], rows


def metrics_of(scores: Iterable[Score]) -> list[str]:
    """The names of the metrics, in order of appearance."""
    return list(dict.fromkeys(s.metric for s in scores))


def table(means: Sequence[Score]) -> str:
    """The averages as text: one row per set and protocol, one column per model; gains over the first model."""
    metrics, models = metrics_of(means), list(dict.fromkeys(s.model for s in means))
    place = "dataset", "scale", "protocol", "images", "model"
    cells, said = pivot(means, *place), remarks(means, *place)
    lines = [["set", "scale", "images", "protocol", *models]]
    for dataset, scale, protocol, images in dict.fromkeys(key[:-1] for key in cells):
        lines.append([dataset, f"x{scale}", str(images), protocol])
        of_models = [cells.get((dataset, scale, protocol, images, model), {}) for model in models]
        beside_them = [said.get((dataset, scale, protocol, images, model), "") for model in models]
        for n, (values, remark) in enumerate(zip(of_models, beside_them, strict=True)):
            lead = next(iter(values), "")
            gain = ""
            if n and lead in of_models[0] and remark == beside_them[0]:  # means over other images have no difference
                gain = f" ({declared(lead).text(values[lead] - of_models[0][lead], '+')})"
            cell = shown(values, metrics) + gain if values else "-"
            lines[-1].append(f"{cell} ({remark})" if remark else cell)
    over = what_means_are_over(means)
    notes = [f"  {p}: {get_protocol(p).description}, {over}" for p in dict.fromkeys(s.protocol for s in means)]
    told = [note for metric in metrics if (note := declared(metric).note)]  # as that less is better
    if models[1:] and models[0] != BASELINE:
        told.append(f"In brackets: the difference from {models[0]}")
    return "\n".join([aligned(lines), *identical_notes(means), *told, f"{legend(metrics)}. Protocols:", *notes])


def what_means_are_over(means: Iterable[Score]) -> str:
    """For a legend."""
    return "mean over images" + (", of clips over frames, then over clips" if any(s.clips for s in means) else "")


def identical_notes(means: Iterable[Score]) -> list[str]:
    """What `1 of 2 identical` means, where it stands beside one of the means."""
    means = list(means)
    marked = ['"set" and a mark: of more than two images; the same mark, the same images'] * any(
        s.without.startswith("set ") for s in means
    )
    known = [(m, m.perfect) for m in map(declared, metrics_of(s for s in means if s.left_out)) if m.perfect is not None]
    stand_in = ", ".join(f"{m.title} {perfect:g} {m.unit}" for m, perfect in known)
    titles = " and ".join(m.title for m, _ in known)
    note = f"identical: the output is HR itself, so that the mean of {titles} is over the other images"
    return [f"{note} ({stand_in} where there is none)", *marked] if known else marked


def beside(means: Iterable[Score], papers: Mapping[Key, Published]) -> str:
    """A text table of averages, the papers' figures for them and the differences; "" where there are none."""
    means = list(means)
    lines, ours = [["model", "set", "protocol", "ours", "paper", "difference", "source"]], pivot(means, *KEY)
    metrics = metrics_of(means)  # in one order, that of the table above
    for key, paper in papers.items():
        if found := gaps(ours[key], paper):
            model, dataset, scale, protocol = key
            both = {metric: paper.values[metric] for metric in found}
            cells = [shown(ours[key], metrics), shown_beside(both, metrics), shown_beside(found, metrics, "+")]
            lines.append([model, f"{dataset} x{scale}", protocol, *cells, paper.citation])
    return "Beside the published figures:\n" + aligned(lines) if len(lines) > 1 else ""


def gaps(ours: Values, paper: Published) -> dict[str, float]:
    """How far averages are above the paper's, by metric."""
    return {metric: ours[metric] - theirs for metric, theirs in paper.values.items() if metric in ours}


def alike(value: float, other: float, metric: str) -> bool:
    """Whether two figures of the baseline are of the same images; other processors round a little otherwise."""
    return value == other or abs(value - other) < (0.5 if metric == FIRST else 1) / 10 ** declared(metric).digits
