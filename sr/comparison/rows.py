"""The rows of a comparison: one for each model and scale, from runs, checkpoints and authors' files."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sr.compose.keys import declared
from sr.compose.words import Word
from sr.errors import reason, told_once
from sr.layers.identity import identity
from sr.measuring.cost import Price, price
from sr.models.base import SuperResolver
from sr.runs.checkpoint import run_of
from sr.runs.differences import settings, word
from sr.runs.folder import Run
from sr.runs.record import recorded
from sr.runs.trained_scales import trained_scales
from sr.scores.same_images import told_apart
from sr.scores.score import BASELINE, Score
from sr.zoo.strangers import FILE

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A model that rows are about.

    Attributes:
        name: as typed for training, or the zoo's.
        path: the folder or file it comes from.
        node: the settings of its architecture, with `_target_`; None where they are not known.
        load: gives it with its weights; None where there are none.
        run: the run it was trained in; without figures and curve where it is not the run's last state.
        published: the name under which the paper's figures are listed; "" for none.
        label: unique among sources; "" until `labelled`.
        told: what its checkpoint tells of its code, where that is no run's last one.
    """

    name: str
    path: Path
    node: Mapping[str, Any] | None = None
    load: Callable[[], SuperResolver] | None = None
    run: Run | None = None
    published: str = ""
    label: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def code(self) -> Mapping[str, str]:
        """Of the network, by name, as its run's record or its checkpoint has it."""
        if self.run is not None and self.path.is_dir():
            return recorded(self.path).get("digests") or {}
        return (self.told.get("methods") or {}) | {"code": self.told.get("code", "")}

    @property
    def folder(self) -> Path | None:
        """Of the run that trained it."""
        return None if self.run is None else self.path if self.path.is_dir() else run_of(self.path)

    @property
    def scales(self) -> tuple[int, ...]:
        """Those of the architecture that were trained."""
        scale = (self.node or {}).get("scale") or []
        served = scale if isinstance(scale, list | tuple) else [scale]
        return trained_scales(served, {"config": self.run.config} if self.run else {})

    def weights(self, model: SuperResolver | None = None) -> str:
        """Which ones it has now, in which network; "" where there are none. Loaded unless they are given."""
        model = self.load() if model is None and self.load else model
        if model is None:
            return ""
        reads = {"reads": asdict(model.reads)} if model.reads else {}  # the same weights make other images so
        return identity(model.state_dict(), dict(self.node or {}) | reads)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        label: of the source, with the stage or the self-ensemble's "+".
        source: None for the baseline.
        final: the source's last state, which can be loaded and measured; false for an earlier stage.
        scores: averages over sets, at this scale only.
        settings: in which the sources differ.
        other_lr: names of the sets that were measured now on LR that is not the papers' plain bicubic.
        each: what was measured now, image by image.
        members: the rows of single runs that this one is the mean of (see `sr.comparison.seeds`).
    """

    label: str
    scale: int
    source: Source | None = None
    final: bool = True
    scores: tuple[Score, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    other_lr: frozenset[str] = frozenset()
    each: tuple[Score, ...] = ()
    members: tuple["Row", ...] = ()

    @property
    def baseline(self) -> bool:
        return self.source is None

    @property
    def runs(self) -> list[Run]:
        """Those that it is of."""
        return [row.source.run for row in self.members or (self,) if row.source and row.source.run]

    @property
    def loadable(self) -> bool:
        """Whether it can be measured now."""
        return self.final and self.source is not None and self.source.load is not None

    @property
    def ensemble(self) -> bool:
        """Whether the scores are under x8 self-ensemble."""
        return self.source is not None and self.label == f"{self.source.label}+"

    def _of_stage(self, source: Source) -> Mapping[str, Any]:
        """What an earlier stage changes in the network, as EDVR's first one, which is without TSA."""
        stages = source.run.config.get("stages") if source.run and not self.final else None
        return ((stages or {}).get(self.label.removeprefix(f"{source.label} ").strip("()")) or {}).get("model") or {}

    @property
    def price(self) -> Price | None:
        """None where the architecture is not known here, and for the baseline."""
        if self.source is None or not self.source.node:
            return None
        if FILE in self.source.node:
            told = f"note: what {self.source.label} costs is not known: of its file no layers are counted"
            told_once(log, logging.WARNING, told)  # it is asked for again with every table
            return None
        try:
            found = price({**self.source.node, **self._of_stage(self.source)}, self.scale)
            return found.eightfold() if self.ensemble else found
        except Exception as error:  # a run that failed for its settings, or cannot be counted, still has its row
            told = f"warning: what {self.source.label} x{self.scale} costs is not known: {reason(error)}"
            told_once(log, logging.WARNING, told)
            return None


def labelled(sources: Sequence[Source]) -> list[Source]:
    """Each source under a label of its own: its name, with the settings that tell it from those of the same name."""
    return [replace(source, label=label) for source, label in zip(sources, _labels(sources), strict=True)]


def _labels(sources: Sequence[Source]) -> list[str]:
    labels = [source.name for source in sources]
    ends = [f":{s.path.stem if s.path.is_file() else s.path.resolve().name}" for s in sources]
    for name in {label for label in labels if labels.count(label) > 1}:
        alike = [i for i, source in enumerate(sources) if source.name == name]
        runs = [run for i in alike if (run := sources[i].run)]
        for i, own in zip(alike, settings(runs) if len(runs) == len(alike) else [{} for _ in alike], strict=True):
            words = [word(key, value) for key, value in own.items()]
            labels[i] = " ".join([name, *words]) if 0 < len(words) <= 3 else name + ends[i]
    # The same run given twice, or repeated with nothing changed: by its path, and by number where that is alike too.
    twice = [labels.count(label) > 1 and not label.endswith(end) for label, end in zip(labels, ends, strict=True)]
    placed = [label + end if more else label for label, end, more in zip(labels, ends, twice, strict=True)]
    return [f"{label}:{n}" if (n := placed[:i].count(label) + 1) > 1 else label for i, label in enumerate(placed)]


def rows(sources: Sequence[Source], known: Sequence[Score] = ()) -> list[Row]:
    """Rows of all labelled sources and, before them, those of the baseline; scores as they are stored.

    Args:
        sources: labelled.
        known: of the baseline, measured now: what a run has stored of other images or LR gets another name.
    """
    runs = [source.run for source in sources if source.run]
    differing = iter(settings(runs))
    found: list[Row] = []
    reference: list[Row] = []
    for scale in dict.fromkeys(s.scale for s in known):
        reference = with_baseline(reference, scale, [s for s in known if s.scale == scale])
    measured = told_apart([known, *(source.run.scores if source.run else [] for source in sources)], BASELINE)[1:]
    for source, stored in zip(sources, measured, strict=True):
        own = next(differing) if source.run else {}
        if not (scales := list(dict.fromkeys([s.scale for s in stored] or source.scales))):
            log.warning(f"warning: {source.label} has no row: neither its settings nor its figures tell a scale")
        for scale in scales:
            here = [s for s in stored if s.scale == scale]
            labels = dict.fromkeys([s.model for s in here if s.model.rstrip("+") != BASELINE] or [source.name])
            for label in labels:
                suffix = label.removeprefix(source.name)
                scores = tuple(s for s in here if s.model == label)
                found.append(Row(source.label + suffix, scale, source, suffix in ("", "+"), scores, own))
            reference = with_baseline(reference, scale, [s for s in here if s.model == BASELINE])
    return reference + found


def with_baseline(reference: Sequence[Row], scale: int, scores: Sequence[Score]) -> list[Row]:
    """The baseline's rows, one for each scale, with more of its scores; other images have another set's name."""
    if not scores:
        return list(reference)
    row = next((row for row in reference if row.scale == scale), Row(BASELINE, scale))
    known = {replace(s, value=0.0) for s in row.scores}  # all that tells a column
    filled = replace(row, scores=row.scores + tuple(s for s in scores if replace(s, value=0.0) not in known))
    return [*(filled if other is row else other for other in reference), *([] if row in reference else [filled])]


def lr_settings(overrides: Sequence[str]) -> list[str]:
    """Those of a command line's overrides that say how LR is made, or which LR is read."""
    return [override for override in overrides if declared(Word(override).key).makes_lr]
