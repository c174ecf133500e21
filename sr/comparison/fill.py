"""What a comparison lacks: scores on the sets that were named, and crops of every model's output."""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig

from sr.comparison.crops import FRAMES, Group, add, crop_groups, within
from sr.comparison.rows import Row, Source, lr_settings, with_baseline
from sr.compose.image_sets import build_set, build_sets, refuse_idle_degradation, refuse_missing
from sr.compose.keys import declared
from sr.compose.spelling import spelled_out
from sr.compose.words import Words, quoted
from sr.data.module import SRDataModule
from sr.errors import UserError, reason
from sr.forms.running import AUTO, formed
from sr.measuring.entries import tell_trained_on
from sr.measuring.rehearsal import try_metrics
from sr.measuring.scoring import Entry, papers_protocols, pick_device, score_set
from sr.metrics.metric import Metric, get_metrics
from sr.metrics.protocols import get_protocol
from sr.models.base import SuperResolver
from sr.models.bicubic import Bicubic
from sr.runs.composed import STRANGERS
from sr.runs.folder import Run
from sr.runs.own import began
from sr.scores.published import comparable
from sr.scores.score import BASELINE, Score, averages

log = logging.getLogger(__name__)
# Of a run's words those that choose a config by its name, not by its place, or set a value that looks nothing up.
PLAIN = re.compile(r"[+]{0,2}(\w+=\w+|(data_dir|cache_dir|\w+(\.\w+)+)=[^${}\\]*)")
PLACES = ("data_dir", "cache_dir")
FALLBACK = "bundled"  # photos that are there without any download
MOST_SHOWN = 24  # models of whom crops are made, of each scale
SEEN = "y"  # the protocol whose score stands beside a crop


class Filler:
    """Fills rows with what they lack, with one model in memory at a time.

    A model that cannot be loaded or run is named and left out: what was measured before it is not lost.

    Attributes:
        cfg: the composed conf/compare.yaml.
        words: of the command line.
        metrics: what is measured.
        lr: those of the words that say how LR is made, or which LR is read.
    """

    def __init__(self, cfg: DictConfig, words: Words, metrics: Sequence[Metric]) -> None:
        self.cfg, self.words, self.metrics = cfg, words, metrics
        self.lr = lr_settings(words.texts)
        self.device = pick_device(cfg.device)
        try_metrics([get_protocol(SEEN)], 4, metrics)
        self._held: tuple[tuple[str, str], SuperResolver] | None = None
        self._left_out: set[tuple[str, str]] = set()
        self._sets: dict[int, list[SRDataModule]] = {}

    def named_sets(self, scale: int) -> list[SRDataModule]:
        """Those of benchmarks=[...] at a scale, built once; every image is looked at before the first one is measured.

        Raises:
            UserError: a set is not there, or cannot be used.
        """
        if scale not in self._sets:
            sets = build_sets(scale, self.cfg)
            refuse_missing(sets)
            refuse_idle_degradation(self.words, [data.pairs("test") for data in sets])
            self._sets[scale] = sets
        return self._sets[scale]

    def baselines(self, sources: Sequence[Source]) -> list[Score]:
        """The baseline on the named sets, under the protocols of what the sources have stored of them.

        By it their scores are told from those of other images, or other LR, under the same name. Where LR is typed,
        nothing that is stored counts.
        """
        stored = [s for source in sources if source.run and not self.lr for s in source.run.scores]
        found: list[Score] = []
        for scale in dict.fromkeys(s.scale for s in stored):
            for data in self.named_sets(scale):
                names = dict.fromkeys(s.protocol for s in stored if (s.dataset, s.scale) == (data.test_name, scale))
                asked = [p for p in map(get_protocol, names) if comparable(data) or not p.defines_lr]
                if asked:
                    entry = Entry(BASELINE, Bicubic(scale).merged())
                    scores, _ = score_set(entry, data, asked, self.device, metrics=get_metrics(["psnr"]))
                    found += averages(scores)
        return found

    def missing(self, rows: Sequence[Row]) -> list[Row]:
        """The rows with scores on all the named sets.

        Where LR was typed, nobody knows whether stored scores are of the same: they are replaced.
        """
        sets = {scale: self.named_sets(scale) for scale in dict.fromkeys(row.scale for row in rows)}
        if self.lr:
            rows = [_without(row, [data.test_name for data in sets[row.scale]]) for row in rows]
        reference = [row for row in rows if row.baseline and row.scores]
        found = []
        for row in (row for row in rows if not row.baseline):
            for data in sets[row.scale] if row.loadable else ():
                row = self._filled(row, data)
            found.append(row)
        for scale, of_scale in sets.items():
            for data in of_scale:
                reference = self._reference(reference, scale, data, found)
        return reference + found

    def _filled(self, row: Row, data: SRDataModule, protocols: Sequence[str] = ()) -> Row:
        """The row with what it lacks on a set; as it is where its model cannot be loaded or run."""
        if (entry := self._entry(row)) is None:
            return row
        asked = [get_protocol(name) for name in protocols or self.cfg.protocols or papers_protocols(entry, data)]
        if not comparable(data):  # whose LR is another than that which a protocol makes itself
            asked = [p for p in asked if not p.defines_lr] or [get_protocol(SEEN)]
        of_set, lengths = [s for s in row.scores if s.dataset == data.test_name], [*map(len, data.runs("test"))]
        counted = {
            name: sum(map(len, map(get_protocol(name).scored, lengths))) for name in {s.protocol for s in of_set}
        }
        known = {
            (s.protocol, s.metric) for s in of_set if s.images == counted[s.protocol]
        }  # of clips some frames count
        wanted = [p for p in asked if any(p.gives(m) and (p.name, m.name) not in known for m in self.metrics)]
        if not wanted:
            return row
        tell_trained_on(entry, data)
        try:
            scores, _ = score_set(entry, data, wanted, self.device, metrics=self.metrics)
        except RuntimeError as error:  # as where memory runs out
            _warn(f"{row.label} is not measured on {data.test_name}", error)
            return row
        new = tuple(s for s in averages(scores) if (s.protocol, s.metric) not in known)
        other_lr = row.other_lr if comparable(data) else row.other_lr | {data.test_name}
        return replace(row, scores=row.scores + new, each=(*row.each, *scores), other_lr=other_lr)

    def _reference(self, reference: list[Row], scale: int, data: SRDataModule, rows: Sequence[Row]) -> list[Row]:
        """The baseline under every protocol under which the others were measured on a set."""
        beside = [s.protocol for r in rows if r.scale == scale for s in r.scores if s.dataset == data.test_name]
        if not beside:
            return reference
        row = next((r for r in reference if r.scale == scale), Row(BASELINE, scale))
        done = self._filled(row, data, list(dict.fromkeys(beside)))
        return with_baseline(reference, scale, [s for s in done.scores if s not in row.scores])

    def _entry(self, row: Row) -> Entry | None:
        """What the row is measured as; None where its model cannot be loaded."""
        model = self._model(row.source) if row.source else Bicubic(row.scale).merged()
        if model is None:
            return None
        known, run = (row.source.published, row.source.folder) if row.source else ("", None)
        return Entry(row.label.removesuffix("+"), model, known, run=run, ensemble=row.ensemble)

    def _model(self, source: Source) -> SuperResolver | None:
        """A source's model in the form that it is measured in, in place of the one that was held."""
        place = source.label, str(source.path)  # rows of one label may be runs of several scales
        if place in self._left_out:
            return None
        if self._held is None or self._held[0] != place:
            self._held = None  # before the next one takes memory
            assert source.load is not None
            try:
                model = source.load()
                self._held = place, formed(model, AUTO, model.scales[0], self.device).model
            except Exception as error:  # a torn file, a class that was renamed: whatever its code raises
                self._left_out.add(place)
                _warn(f"{source.label} is left out of what is measured and shown", error)
                return None
        return self._held[1]

    # ---- crops ----------------------------------------------------------------------------------------------

    def crops(self, rows: Sequence[Row]) -> list[Group]:
        """The same crops of every model that has weights, beside the baseline.

        They are of the named sets, or else of those on which the runs were measured, as far as they are here. Of many
        models the first ones are shown.
        """
        groups: list[Group] = []
        for scale in dict.fromkeys(row.scale for row in rows):
            if not (models := [row for row in rows if row.scale == scale and row.loadable]):
                continue
            if len(models) > MOST_SHOWN:
                log.info(
                    f"the crops are of the first {MOST_SHOWN} of {len(models)} models: sort= and filter= choose them"
                )
                models = models[:MOST_SHOWN]
            sets = self.named_sets(scale) or self._own_sets(models, scale)
            of_sets = [self._crops(Row(BASELINE, scale), data) for data in sets]
            for row in models:  # all sets with one model, so that it is loaded once
                for of_set, data in zip(of_sets, sets, strict=True):
                    add(of_set, self._crops(row, data))
            groups += [group for of_set in of_sets for group in of_set]
        if len(fitting := within(groups)) < len(groups):
            log.warning(
                f"the page shows {len(fitting)} of {len(groups)} crops, more would make it too large: "
                "type crops=1, a smaller crop_size, or compare fewer models"
            )
        return fitting

    def _crops(self, row: Row, data: SRDataModule) -> list[Group]:
        """Of one model alone; none where it cannot be loaded or run."""
        if (entry := self._entry(row)) is None:
            return []
        seen, played = [get_protocol(SEEN)], [run[:FRAMES] for run in data.runs("test")[: int(self.cfg.crops)]]
        try:
            _, kept = score_set(entry, data, seen, self.device, metrics=self.metrics[:1], played=played)
        except RuntimeError as error:  # as where memory runs out
            _warn(f"there are no crops of {row.label} on {data.test_name}", error)
            return []
        lengths = [len(run) for run in played]
        size, references = int(self.cfg.crop_size), row.source is None  # HR and LR come with the baseline
        run = row.source.run if row.source and len(row.members) > 1 else None
        label = f"{row.label}, seed {run.seed}" if run else row.label  # pictures of one run have no mean
        return crop_groups(data.test_name, row.scale, {label: kept}, size, lengths, references)

    def _own_sets(self, rows: Sequence[Row], scale: int) -> list[SRDataModule]:
        """The sets of the first run that was measured on one that is still here; else the bundled photos."""
        tried = set[tuple[str, ...]]()
        for row in rows:
            run = row.source.run if row.source else None
            if run and (sets := self._present(run, row.scores, scale, tried)):
                return sets
        return [build_set(FALLBACK, scale, self.cfg)]

    def _present(
        self, run: Run, scores: Sequence[Score], scale: int, tried: set[tuple[str, ...]]
    ) -> list[SRDataModule]:
        """The sets on which a run was measured, where they are still here; each choice of them is tried once."""
        names = list(dict.fromkeys(s.dataset.lower() for s in scores))
        try:
            words = set_words(run, self.words)
            if (choice := (*words, *names)) in tried:
                return []
            tried.add(choice)
            cfg, found = hydra.compose("compare", overrides=words), []
        except HydraException:  # a run of another version, or of somebody else: its words need not be ours
            return []
        for name in names:
            try:
                data = build_set(name, scale, cfg, cfg.data)
                data.check("test")
            except UserError:
                continue  # moved, or a folder whose place the run alone knows
            found.append(data)
        return found


def _without(row: Row, sets: Sequence[str]) -> Row:
    """The row without its scores on sets whose LR is another now; protocols that make LR themselves see no change."""
    kept = tuple(s for s in row.scores if s.dataset not in sets or get_protocol(s.protocol).defines_lr)
    return replace(row, scores=kept)


def _warn(what: str, error: Exception) -> None:
    log.warning(f"warning: {what}: {reason(error)}")


def set_words(run: Run, words: Words) -> list[str]:
    """What was typed about image sets for a run, less what would build, look up or download, and what is typed now."""
    own = began(run.folder)
    known = {key: str(run.config.get(key, "$")) for key in PLACES if own}
    places = [f"{key}={quoted(place)}" for key, place in known.items() if "$" not in place]
    allowed = PLAIN if own else STRANGERS
    plain = Words(text for text in run.overrides if allowed.fullmatch(text) and "_target_" not in text)
    theirs = plain.only(lambda key: key.rpartition(".")[2] != "download" and (own or key not in PLACES)).texts
    about_sets = Words([*theirs, *places, *words.texts]).only(
        lambda key: declared(key).sets and key not in ("scale", "data")
    )
    return spelled_out("compare", about_sets.texts)
