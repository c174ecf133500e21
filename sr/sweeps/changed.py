"""What was changed since a row was trained: its record beside its configs, its ablation and the rows around it."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from sr.compose.keys import declared
from sr.compose.words import Word, Words
from sr.errors import UserError, some
from sr.runs import yaml_file
from sr.runs.config import RECORD, flat
from sr.runs.folder import Run, differing
from sr.runs.together import KEEP
from sr.sweeps.ablation import Ablation

NAMED = 3  # settings that are named; of more there is only the number
SETTLED = ("budget", "choices", "metrics", "trainer")  # as a run begins, which its record holds
CHOSEN = "choices."  # begins the keys of the options that were chosen from config groups


def recorded_settings(folder: Path) -> dict[str, Any]:
    """What a run was composed of, as its record has it, by dotted key; empty without a record, or of a damaged one."""
    with suppress(UserError, LookupError, TypeError, AttributeError):
        return flat(yaml_file.read(folder / RECORD)["config"])
    return {}


def otherwise(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The values of then and now that are not the same, where both are plain ones."""
    both = {key: (then[key], now[key]) for key in now if key in then}
    odd = {k for k, values in both.items() if any(v is None or isinstance(v, dict) or "$" in str(v) for v in values)}
    return {k: (old, new) for k, (old, new) in both.items() if k not in odd and old != new and str(old) != str(new)}


def since(cfg: DictConfig, folder: Path) -> list[str]:
    """What differs between a row as it is composed now and as its record has it, of what a result depends on."""
    composed: Any = OmegaConf.to_container(cfg, resolve=False)
    now = {k: v for k, v in flat(composed).items() if declared(k).result and k.partition(".")[0] not in SETTLED}
    return [f"{k} was {old}, is {new}" for k, (old, new) in otherwise(recorded_settings(folder), now).items()]


def edited(run: Run, ablation: Ablation) -> list[str]:
    """The settings of a run's row in its ablation's file that are not, or not any more, those that it was trained with.

    But for what was typed, which wins over those that all rows have.
    """
    then, typed = recorded_settings(run.folder), Words(run.overrides).keys
    row = ablation.rows.get(str(then.get(f"{CHOSEN}ablation")).partition("/")[2])
    if row is None:
        return []
    try:
        now = {k: v for k, v in as_recorded(row.settings, then).items() if k.removeprefix(CHOSEN) not in typed}
    except HydraException:  # a value that cannot be typed
        return []
    found = otherwise(then, now).items()
    return [f"{row.label}: {k.removeprefix(CHOSEN)} is {old}, and {new} in the ablation" for k, (old, new) in found]


def as_recorded(settings: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an ablation's row by the keys that a record has for them, their values as if they were typed."""
    found = {}
    for key, value in settings.items():
        word = Word(f"{key}={value}")
        if word.key != "data" and "$" not in str(value):  # data=paper is what a recipe chooses
            key = f"{CHOSEN}{word.key}" if f"{CHOSEN}{word.key}" in then else word.key
            found[key] = word.parsed if isinstance(value, str) else value  # YAML takes 1e-3 for a text
    return found


def between(runs: Sequence[Run], ablation: Ablation | None, said: Sequence[str]) -> list[str]:
    """What differs among rows of the same options though nobody typed it: a config was changed between them.

    But for what is `said` of one line's seeds.
    """
    typed = {key.rpartition("@")[2] for run in runs for key in Words(run.overrides).keys} | {"seed"}
    typed |= {key.rpartition("@")[2] for row in ablation.rows.values() for key in row.settings} if ablation else set()
    alike: dict[str, list[dict[str, Any]]] = {}
    for settings in (recorded_settings(run.folder) for run in runs):
        options = {k.removeprefix(CHOSEN): str(option) for k, option in settings.items() if k.startswith(CHOSEN)}
        options.pop("ablation", None)
        alike.setdefault(repr(sorted(options.items())), []).append(settings)
        typed -= {*options}  # of which all have the same
    found: dict[str, dict[str, None]] = {}
    for configs in alike.values():
        for key in dict.fromkeys(key for config in configs for key in config):
            values = dict.fromkeys(str(config[key]) for config in configs if key in config)
            of_typed = any(f"{key}.".startswith(f"{t}.") or t.startswith(f"{key}.") for t in typed)
            known = of_typed or any(f" {key} is " in note for note in said)
            if len(values) > 1 and declared(key).result and not known:
                found.setdefault(key, {}).update(values)
    if not found:
        return []
    told = some([f"{key} is {' or '.join(values)}" for key, values in found.items()], NAMED, "; ")
    return [
        f"note: rows differ in what nobody typed, as a config was changed between them: {told}. Finished ones {KEEP}"
    ]


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
            told = some([f"{key} is {values}" for key, values in found.items()], NAMED, "; ")
            words.append(f"note: the finished runs of {label} were not trained alike: {told}. They {KEEP}")
    return words
