"""Runs whose figures stand beside each other: each training once, and what to say of them."""

from collections.abc import Iterable, Sequence

from sr.compose.keys import declared
from sr.errors import some
from sr.runs.code import changed_between
from sr.runs.config import flat
from sr.runs.folder import Run
from sr.runs.own import began
from sr.runs.record import recorded
from sr.runs.same_data import begun_with
from sr.runs.trust import trusts_run

ANEW = "delete the folders of those that are out of date, and type their command again"
KEEP = f"keep what they were trained with: {ANEW}"
Twin = tuple[Run, Run]  # a copy that is not counted, and what it is a copy of


def training(run: Run) -> str:
    """What tells trainings apart: settings that a result depends on, seed, code, first weights, images; no places."""
    config = {key: value for key, value in flat(run.config).items() if declared(key).result}
    made_of = sorted(recorded(run.folder).get("digests", {}).items())
    return repr((run.seed, sorted(config.items()), begun_with(run.folder), made_of))


def once(runs: Sequence[Run]) -> tuple[list[Run], list[Twin]]:
    """Each training once, as a copied folder is no other seed; of copies what is finished counts."""
    kept: dict[str, Run] = {}
    keys = [str(run.folder) if run.status == "damaged" else training(run) for run in runs]
    for key, run in zip(keys, runs, strict=True):
        former = kept.get(key)
        worth = (run.status == "finished", began(run.folder))
        if former is None or worth > (former.status == "finished", began(former.folder)):
            kept[key] = run
    return [*kept.values()], [(run, kept[key]) for key, run in zip(keys, runs, strict=True) if run is not kept[key]]


def twins_told(twins: Iterable[Twin]) -> list[str]:
    """What to say of copies."""
    names = [(run.folder.name, kept.folder.name) for run, kept in twins]
    return [f"note: {copy} is the same training as {kept}, seed and all: it counts once" for copy, kept in names]


def doubts(runs: Iterable[Run]) -> list[str]:
    """What to say of runs whose figures are taken as they were stored, whatever they tell of their end."""
    stored = {run.folder: run for run in runs if run.status != "damaged"}
    names = [folder.name for folder in stored if not trusts_run(folder)]
    told = "on this machine: their figures are taken as they stand there. Move away what is not yours"
    # Anybody knows what a sweep's folder will be called.
    words = [f"warning: nothing shows that you began {some(names)} {told}"] if names else []
    saw: dict[str, list[str]] = {}
    for folder in stored:
        facts = recorded(folder)
        for text in (*facts.get("images", ()), *facts.get("saw", ())):
            saw.setdefault(" ".join(str(text).split()), []).append(folder.name)
    words += [f"warning: {some(names)}: {text}" for text, names in saw.items()]
    changed = changed_between(stored) + _other_images([*stored.values()])
    if changed:
        words.append(f"note: {some(changed)} was changed between the trainings of these runs. They {KEEP}")
    return words


def _other_images(runs: Sequence[Run]) -> list[str]:
    """The places that runs name alike, and whose training images were changed between them."""
    images: dict[tuple[str, str], dict[tuple[str, ...], str]] = {}  # by what is typed, and by set and scale: digests
    for run in runs:
        data = {f"data.{key}": value for key, value in flat(run.config.get("data") or {}).items()}
        place = {k: v for k, v in data.items() if (known := declared(k)).result and not known.training}
        sets: dict[str, list[str]] = {}  # those of all stages
        for name, digest in begun_with(run.folder).get("train", {}).items():
            sets.setdefault(name.partition(":")[0], []).append(digest)
        for of, digests in sets.items():
            found = images.setdefault((repr(place), of), {})
            found[tuple(sorted(digests))] = f"{of} ({len(digests)} training images)"
    return [" or ".join(dict.fromkeys(found.values())) for found in images.values() if len(found) > 1]
