"""What stands below a sweep's table."""

from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from hydra.errors import HydraException

from sr.compose.keys import declared as declared_key
from sr.compose.words import Word, Words
from sr.errors import UserError, some
from sr.metrics.metric import declared
from sr.metrics.protocols import get_protocol
from sr.runs import yaml_file
from sr.runs.code import changed_between
from sr.runs.config import RECORD, flat
from sr.runs.folder import Run, differing
from sr.runs.same_data import begun_with
from sr.runs.trust import trusts_run
from sr.scores import same_images
from sr.scores.score import BASELINE, identical_notes
from sr.scores.text import legend
from sr.sweeps.ablation import Ablation, Column
from sr.sweeps.lines import PLUS, Line, table_metrics, training

NAMED = 3  # settings of one line that are named; of more there is only the number


def notes(
    lines: Sequence[Line], columns: Sequence[Column], ablation: Ablation | None, left_out: Mapping[str, str]
) -> list[str]:
    """Metrics, protocols and sources, and what a reader must know who holds the scores against each other.

    Rows of the ablation that could not run here are in `left_out`, with the reason.
    """
    several = any(len(found) > 1 for line in lines if line.label != BASELINE for found in line.results.values())
    metrics = table_metrics(lines)
    spread = f": mean over seeds, ± sample standard deviation of {declared(metrics[0]).title}" if several else ""
    words = [legend(metrics) + spread, *(note for m in metrics if (note := declared(m).note))]
    words += [f"{name}: {get_protocol(name).description}" for name in dict.fromkeys(c.protocol for c in columns)]
    scores = [s for line in lines for run in line.runs for s in run.scores]
    words += identical_notes(scores) + same_images.notes(scores, BASELINE)
    sources = dict.fromkeys((p.citation, p.kind) for line in lines for p in line.paper.values())
    words += [f"paper: {source}" + (f" ({kind})" if kind else "") for source, kind in sources]
    if ablation and not sources:
        words.append("paper: no published figure could be sourced")
    if ablation and ablation.note:
        words.append(f"note: {ablation.note}")
    for reason in dict.fromkeys(left_out.values()):
        words.append(f"not run: {', '.join(row for row, why in left_out.items() if why == reason)}: {reason}")
    trained = ((line.label, line.runs) for line in lines if line.label != BASELINE and not line.label.endswith(PLUS))
    words += not_alike(trained)
    runs = [run for line in lines for run in line.runs]
    words += _changed_between(runs, ablation, words) + _edited(runs, ablation) + of_others(runs)
    return words + of_changed([run for run in runs if run.status == "finished"]) + _alike(lines)


def not_alike(lines: Iterable[tuple[str, Sequence[Run]]]) -> list[str]:
    """The lines that average runs of different recipes or images: a finished row keeps what it was trained with."""
    words = []
    for label, of_line in lines:
        found: dict[str, str] = {}
        finished = [run for run in of_line if run.status == "finished"]
        for scale in dict.fromkeys(str(run.config.get("scale")) for run in finished):
            runs = [run for run in finished if str(run.config.get("scale")) == scale]
            configs = [flat(run.config) for run in runs]
            for key in differing(runs):
                follows = key.endswith("seed") and all(config.get(key) == config.get("seed") for config in configs)
                if not follows:
                    found[key] = " or ".join(dict.fromkeys(str(config.get(key)) for config in configs))
        if found:
            keys = [f"{key} is {values}" for key, values in found.items()]
            words.append(
                f"note: the finished runs of {label} were not trained alike: {some(keys, NAMED, '; ')}. They keep "
                "what they were trained with: delete the folders of those that are out of date, and type the command "
                "again"
            )
    return words


def of_changed(runs: Iterable[Run]) -> list[str]:
    """What to say of runs that name the same code, weights or images, which were changed between their trainings."""
    of_folder = {run.folder: run for run in runs}
    names = changed_between(of_folder)
    images: dict[str, dict[tuple[str, ...], str]] = {}  # by what is typed of them: all digests, and what they are of
    for folder, run in of_folder.items():
        if trained := begun_with(folder).get("train"):  # a run of before there was sets.json tells nothing
            data = {f"data.{key}": value for key, value in flat(run.config.get("data") or {}).items()}
            place = {k: v for k, v in data.items() if (known := declared_key(k)).result and not known.training}
            of, count = next(iter(trained)).partition(":")[0], len(trained)
            found = images.setdefault(repr(place), {})
            found[tuple(sorted(trained.values()))] = f"{of} ({count} training images)"
    names += [" or ".join(dict.fromkeys(found.values())) for found in images.values() if len(found) > 1]
    if not names:
        return []
    return [
        f"note: {some(names)} was changed between the trainings of these runs, each of which keeps what it was trained "
        "with: delete the folders of those that are out of date, and type their command again"
    ]


def _changed_between(runs: Sequence[Run], ablation: Ablation | None, said: Sequence[str]) -> list[str]:
    """What differs among rows of the same options though nobody typed it: a config was changed between them.

    But for what is `said` of one line's seeds.
    """
    typed = {key.rpartition("@")[2] for run in runs for key in Words(run.overrides).keys} | {"seed"}
    typed |= {key.rpartition("@")[2] for row in ablation.rows.values() for key in row.settings} if ablation else set()
    alike: dict[str, list[dict[str, Any]]] = {}
    for folder in dict.fromkeys(run.folder for run in runs):
        with suppress(UserError, LookupError, TypeError, AttributeError):  # without a record, or a damaged one
            config = yaml_file.read(folder / RECORD)["config"]
            options = {group: option for group, option in config["choices"].items() if group != "ablation"}
            alike.setdefault(repr(sorted(options.items())), []).append(flat(config))
            typed -= {*options}  # of which all have the same
    found: dict[str, dict[str, None]] = {}
    for configs in alike.values():
        for key in dict.fromkeys(key for config in configs for key in config):
            values = dict.fromkeys(str(config[key]) for config in configs if key in config)
            of_typed = any(key == t or key.startswith(f"{t}.") or t.startswith(f"{key}.") for t in typed)
            known = of_typed or any(f" {key} is " in note for note in said)
            if len(values) > 1 and declared_key(key).result and not known:
                found.setdefault(key, {}).update(values)
    if not found:
        return []
    told = some([f"{key} is {' or '.join(values)}" for key, values in found.items()], NAMED, "; ")
    return [
        f"note: rows differ in what nobody typed, as a config was changed between them: {told}. Finished ones keep "
        "what they were trained with: delete the folders of those that are out of date, and type the command again"
    ]


def edited(
    config: Mapping[str, Any], settings: Mapping[str, Any], typed: Container[str] = ()
) -> dict[str, tuple[Any, Any]]:
    """The settings of an ablation's row that the config of a run, as its record has it, does not have: (old, new).

    But for what was `typed`, which wins over those that all rows have.
    """
    then = flat(config) | {key: name for key, name in config["choices"].items() if key != "data"}
    found = {}
    for key, new in settings.items():
        word = Word(f"{key}={new}")
        old = then.get(word.key)
        odd = any(value is None or isinstance(value, dict | list) or "$" in str(value) for value in (old, new))
        if odd or word.key in typed:
            continue
        new = word.parsed if isinstance(new, str) else new  # as it is typed: YAML takes 1e-3 for a text
        if old != new and str(old) != str(new):
            found[word.key] = old, new
    return found


def of_others(runs: Sequence[Run]) -> list[str]:
    """Finished rows that nothing shows to be this user's: anybody knows what a sweep's folder will be called."""
    finished = {run.folder: run for run in runs if run.status == "finished"}
    names = [f.name for f in finished if not trusts_run(f)]
    told = "on this machine: their figures are taken as they stand there. Move away what is not yours"
    return [f"warning: nothing shows that you began {some(names)} {told}"] if names else []


def _edited(runs: Sequence[Run], ablation: Ablation | None) -> list[str]:
    """Rows whose settings in the ablation's file are not, or not any more, those that they were trained with."""
    told: dict[str, None] = {}
    rows = ablation.rows if ablation else {}
    for run in {run.folder: run for run in runs}.values():
        with suppress(UserError, LookupError, TypeError, AttributeError, HydraException):  # see `_changed_between`
            config = yaml_file.read(run.folder / RECORD)["config"]
            row = rows[str(config["choices"]["ablation"]).partition("/")[2]]
            for key, (old, new) in edited(config, row.settings, Words(run.overrides).keys).items():
                told[f"{row.label}: {key} is {old}, and {new} in the ablation"] = None
    if not told:
        return []
    return [
        f"warning: rows were not trained with what their ablation says now: {some([*told], NAMED, '; ')}. Delete their "
        "folders, and type the command again"
    ]


def _alike(lines: Sequence[Line]) -> list[str]:
    """The labels under which one and the same run stands, seed by seed: what tells them apart was not trained.

    And the copies of runs that are not counted.
    """
    found: dict[str, dict[str, None]] = {}
    for line in lines:
        for run in line.runs if line.label != BASELINE and not line.label.endswith(PLUS) else ():
            if run.status == "damaged":
                continue
            found.setdefault(training(run), {})[line.label] = None
    groups = dict.fromkeys(" and ".join(labels) for labels in found.values() if len(labels) > 1)
    words = [f"note: {labels} are one and the same training: their configs are equal" for labels in groups]
    twins = [(run.folder.name, kept.folder.name) for line in lines for run, kept in line.twins]
    return words + [
        f"note: {copy} is the same training as {kept}, seed and all: it counts once" for copy, kept in twins
    ]
