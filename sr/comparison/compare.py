"""The comparing run: rows from everything that was named, measured where something is missing, and written down."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from sr.comparison.columns import Table, tabulate
from sr.comparison.fill import Filler
from sr.comparison.formats import as_latex, as_markdown
from sr.comparison.page import page
from sr.comparison.rows import Row, Source, labelled, rows
from sr.comparison.seeds import averaged
from sr.comparison.select import conditions, order, select
from sr.comparison.wandb_report import build, compared
from sr.compose.words import Job, listed
from sr.errors import UserError, reason, some
from sr.layers.pretrained import ALEXNET
from sr.measuring.entries import paper_of, published_name, weights_entries
from sr.metrics.lpips import find_weights, lpips_of
from sr.metrics.metric import OTHER, Metric, get_metrics
from sr.runs import checkpoint
from sr.runs.config import flat, last
from sr.runs.folder import Run, find_runs, is_run, read_run
from sr.runs.together import doubts, once, twins_told
from sr.scores import rated
from sr.scores.paired import Paired
from sr.scores.results import Place, Values, measured, stored
from sr.scores.score import BASELINE, Score
from sr.scores.text import aligned, write_csv
from sr.whole import write_whole
from sr.zoo.entries import name_of

log = logging.getLogger(__name__)
UNMEASURED = "No LPIPS: it is measured on the sets of benchmarks=[...], and none was named."
NO_LPIPS = (
    f"No LPIPS: it needs {ALEXNET.file} ({ALEXNET.address}), as lpips=PATH or where torchvision keeps it, and "
    "benchmarks=[...]."
)


def compare(cfg: DictConfig) -> None:
    """Run a composed conf/compare.yaml: print the table, write table.md, .csv, .tex, then index.html with crops."""
    job, sets = Job.current(), list(cfg.benchmarks)
    if cfg.wandb:
        _place(cfg.wandb)
    at_scale = [] if cfg.scale is None else [f"scale={cfg.scale}"]
    wanted, by = conditions([*at_scale, *listed(cfg.filter)]), listed(cfg.sort)
    metrics = _metrics(cfg)
    named, damaged = _readable(sources(cfg))
    named, copies = _once(named)
    study, replaced = _still(rated.read(listed(cfg.study)), named)
    tabulated = partial(tabulate, study=study)
    table = tabulated(averaged(rows(labelled(named))))

    # What can be refused or left out before anything is measured.
    order(table, [name for name in by if not _measured_later(name, sets, metrics)])
    now = [c for c in wanted if not _measured_later(c.key, sets, metrics)]
    found = _single(line.row for line in select(table, now))
    filler = Filler(cfg, job.words, metrics)
    if sets:
        known = tabulated(averaged(rows(labelled(named), filler.baselines(named))))
        found = filler.missing(_single(line.row for line in select(known, now)))

    notes = [*damaged, *copies, *_leaky(named), *_mirrored(named, filler.lr), *replaced, *_unseen(study, table)]
    runs_named = [s.run for s in named if s.run and s.run.folder.is_dir()]  # a checkpoint has no stored figures
    notes += doubts(runs_named)
    if not any(s.metric == "lpips" for row in found for s in row.scores):
        notes.append(UNMEASURED if any(m.name == "lpips" for m in metrics) else NO_LPIPS)
    if sets and filler.lr:
        lr = f"LR of {', '.join(sets)} as typed ({', '.join(word.lstrip('+') for word in filler.lr)})"
        notes.append(f"{lr}: measured now, not taken from what is stored.")
    chosen = [line.row for line in select(tabulated(averaged(found)), wanted)]
    table = tabulated(chosen, notes)  # again: columns that only a row left out had are gone
    table = replace(table, lines=order(table, by))
    shown, folder = [line.row for line in table.lines], job.folder
    differences, sure = _paired(shown).write(folder)
    table = replace(table, differences=differences, notes=[*table.notes, *sure])
    log.info("\n" + "\n\n".join(map(aligned, filter(None, [table.cells(), differences]))))
    log.info("\n".join(table.notes) + "\n")
    # Each at once: what follows may take long, or fail.
    _write(folder / "table.md", as_markdown(table))
    write_csv(folder / "table.csv", table.keys, (line.values for line in table.lines))
    _write(folder / "table.tex", as_latex(table))
    crops = filler.crops(shown) if cfg.crops else []
    runs = {id(run): (row.source.label, run) for row in shown if row.source for run in row.runs}
    _write(folder / "index.html", page(table, list(runs.values()), crops))
    if cfg.wandb:
        log.info(str(build(compared(table), *_place(cfg.wandb), folder, as_markdown(table))))


def _paired(shown: Sequence[Row]) -> Paired:
    """The rows, image by image: as measured now, else as their runs have stored it."""
    paired = Paired()
    baseline = {place: values for row in shown if row.source is None for _, place, values in measured(row.each)}
    for row in shown:
        for one in (row.members or (row,)) if row.source is not None else ():
            run = one.source.run if one.source else None
            old, beside = dict[Place, Values](), dict[Place, Values]()
            now = {place: values for _, place, values in measured(one.each)}
            means = [*one.scores, *_baseline(run.scores, one.scores)] if run else []
            means = [s for s in means if (s.dataset, s.scale, s.protocol, s.metric) not in now]  # its file's alone
            found = stored(run.folder, means, lambda _, told: paired.doubts.append(told)) if run else ()
            for model, place, values in found:
                (beside if model == BASELINE else old)[place] = values
            for place, values in (old | now).items():
                paired.add(row.label, place, values, (baseline if place in now else beside).get(place))
    return paired


def _baseline(scores: Iterable[Score], shown: Iterable[Score]) -> list[Score]:
    """What a run has of the baseline, its sets called as they are shown."""
    names = {s.apart_from: s.dataset for s in shown if s.apart_from}
    return [
        replace(s, dataset=names.get(s.dataset, s.dataset), apart_from=s.dataset if s.dataset in names else "")
        for s in scores
        if s.model == BASELINE
    ]


def _single(rows: Iterable[Row]) -> list[Row]:
    """The rows of single runs that some were averaged from."""
    return [one for row in rows for one in row.members or (row,)]


def _place(wandb: str) -> tuple[str, str]:
    entity, _, project = wandb.partition("/")
    if not entity or not project or "/" in project:
        raise UserError(f"wandb={wandb}: type wandb=<entity>/<project>")
    return entity, project


def _metrics(cfg: DictConfig) -> tuple[Metric, ...]:
    """Those that were named, and LPIPS where its weights are."""
    if (alexnet := find_weights(ALEXNET, "lpips", cfg.lpips)) is None:
        return get_metrics(cfg.metrics)
    others = [word for word in cfg.metrics if word != "lpips"]
    return (*(get_metrics(others) if others else ()), lpips_of(alexnet))


def _measured_later(name: str, data: Sequence[str], metrics: Sequence[Metric]) -> bool:
    """Whether a column may yet come from measuring on the sets that were named."""
    first = name.lstrip("-").lower().split("/")[0]
    plain = [m.name.partition(OTHER)[0] for m in metrics]  # which stands for those with other weights, too
    return bool(data) and (first in data or "/" in name or any(f"{first}_".startswith(f"{m}_") for m in plain))


def sources(cfg: DictConfig, purpose: str = "compare") -> list[Source]:
    """Everything that was named: runs, then checkpoints, then authors' files.

    Args:
        cfg: with `runs`, `checkpoint`, `weights`, `zoo` and `scale`.
        purpose: what the command does with them, for the message.

    Raises:
        UserError: nothing was named, or something that is not there.
    """
    found = [_of_run(run) for folder in listed(cfg.runs) for run in find_runs(Path(folder))]
    found += [_of_checkpoint(Path(path)) for path in listed(cfg.checkpoint)]
    for entry in weights_entries(cfg, cfg.scale):
        node, load = entry.model.metadata["model"], partial(getattr, entry, "model")
        found.append(Source(entry.name, rated.ZOO, node, load, None, entry.published))
    if not found:
        raise UserError(
            f"nothing to {purpose}: type runs=[<run folder or sweep>,...], checkpoint=[...], weights=[<in the zoo>], "
            "or several of them. What is there: ls outputs outputs/sweeps; sr zoo list"
        )
    return found


def _still(study: Sequence[rated.Rated], named: Sequence[Source]) -> tuple[list[rated.Rated], list[str]]:
    """The ratings of weights that the models still have, and a note on each of the others."""
    rows = {(source.name, rated.place_of(source.path)): source for source in named}
    kept, notes = list[rated.Rated](), dict[str, None]()
    for one in study:
        source = rows.get((one.name, one.place))
        try:
            same = source is None or source.weights() == one.weights
            told = f"the weights that people saw are no longer those of {one.place or one.name}"
        except Exception as error:  # as in `Row.price`
            same, told = False, f"which weights it has now is not known: {reason(error)}"
        if same:
            kept.append(one)
        else:
            notes[f"{one.entry} is without the study's figure: {told}"] = None
    return kept, list(notes)


def _unseen(study: Sequence[rated.Rated], table: Table) -> list[str]:
    """What to say of models that people saw and that are none of the rows."""
    shown = {(metric, line.values.get(f"study/{metric}")) for metric in rated.TITLES for line in table.lines}
    others = {r.entry for r in study if r.name != "HR" and (r.metric, r.value) not in shown}
    told = "rated in the study and no row here, where models are known by name and place"
    return [f"{told}: {some(sorted(others))}"] if others else []


def _once(named: Sequence[Source]) -> tuple[list[Source], list[str]]:
    """Without copies of runs, which would count as seeds, and what to say of them; one with other figures stays."""
    twins = once([s.run for s in named if s.run and s.run.folder.is_dir()])[1]
    twins = [(run, kept) for run, kept in twins if run.scores == kept.scores]
    return [s for s in named if not any(s.run is run for run, _ in twins)], twins_told(twins)


def _leaky(named: Sequence[Source]) -> list[str]:
    """What to say of runs that were allowed to validate on what they train on."""
    runs = dict.fromkeys(s.run.folder for s in named if s.run and _unchecked(s.run))
    return [f"{run}: trained with check_leaks=false, its figures may be of images that it trained on" for run in runs]


def _mirrored(named: Sequence[Source], lr: Sequence[str]) -> list[str]:
    """What to say of runs whose stored figures are of mirrored clips, unless all is measured now, as `lr` is typed."""
    mirrored = [s.run for s in named if s.run and (s.run.config.get("data") or {}).get("mirror") is True]
    runs = dict.fromkeys(run.folder for run in mirrored if not lr and any(s.clips for s in run.scores))
    told = "its figures on the clips of its own data are of each clip followed by itself, run backward"
    return [f"{run}: trained with data.mirror=true: {told}, of a network on clips" for run in runs]


def _unchecked(run: Run) -> bool:
    return any(key.endswith("check_leaks") and value is False for key, value in flat(run.config).items())


def _readable(found: Sequence[Source]) -> tuple[list[Source], list[str]]:
    """Those that can be compared, and a note on each run that is damaged.

    Raises:
        UserError: all of them are.
    """
    damaged = [s.run for s in found if s.run and s.run.status == "damaged"]
    notes = [f"damaged and not compared: {run.error}" for run in damaged]
    for note in notes:
        log.warning(f"warning: {note}")
    if len(damaged) == len(found):
        raise UserError("\n".join(notes))
    return [s for s in found if not s.run or s.run.status != "damaged"], notes


def _of_run(run: Run) -> Source:
    load = partial(checkpoint.load, run.folder) if last(run.folder).is_file() else None
    node = run.config.get("model")
    return Source(run.name, run.folder, node, load, run, published_name(node, run.name) if node else "")


def _of_checkpoint(path: Path) -> Source:
    """A run's last checkpoint is the run, with its figures; any other one has none yet."""
    file = checkpoint.locate(path)
    folder = checkpoint.ended_with(file)
    if folder is not None and is_run(folder):
        return _of_run(read_run(folder))
    metadata = checkpoint.read(file)["sr"]
    config, name = metadata["config"], name_of(metadata)
    run = Run(file, name, config, [], [], [], None, 0, "finished", int(config.get("seed") or 0))
    return Source(name, file, metadata["model"], partial(checkpoint.load, file), run, paper_of(metadata), "", metadata)


def _write(file: Path, text: str) -> None:
    write_whole(file, text)
    log.info(str(file))
