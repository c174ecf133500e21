"""An ablation on the command line: its rows become options of the group `ablation`, which Hydra sweeps over."""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from textwrap import shorten
from typing import Any

from hydra.core.config_store import ConfigStore

from sr.compose.conf import CONF
from sr.compose.words import PAPER_DATA, Words
from sr.errors import UserError, nearest
from sr.sweeps.ablation import Ablation, AblationRow, read


def with_rows(words: Words, folders: Sequence[Path], sweeping: bool) -> tuple[Words, Ablation | None, dict[str, str]]:
    """`+ablation=<name>` becomes all of its rows, `ablation=<name>/<pattern>` those that are meant.

    A row behaves like an experiment: its choices and settings win over a model's recipe, what is typed beside it wins
    over them, unless it is what the rows vary, and a budget scales its step counts.

    Args:
        words: as typed.
        folders: of --config-dir.
        sweeping: -m was typed.

    Returns:
        The words; the ablation, if one was typed; and why rows of it are left out, by name.
    """
    if (value := words.value("ablation")) is None:
        return words, None, {}
    patterns = [part.strip() for part in value.split(",")]
    names = {p.partition("/")[0] for p in patterns}
    if len(names) > 1:
        raise UserError(f"ablation={value}: one ablation at a time, for each has a table of its own")
    ablation = find(names.pop(), folders)
    for row in ablation.rows.values():
        store(ablation, row)
    chosen = _meant(ablation, patterns)
    others = words.without("ablation")
    if not sweeping and len(chosen) > 1:
        raise UserError(
            f"ablation={value} is {len(chosen)} runs: type -m for all of them, or choose one: "
            f"ablation={ablation.name}/{chosen[0].name}. There are {', '.join(r.name for r in chosen)}"
        )
    if "scale" in words and len({str(r.settings.get("scale")) for r in chosen}) > 1:
        some = next(r.name for r in chosen if isinstance(r.settings.get("scale"), int))
        raise UserError(
            f"ablation={ablation.name} has rows of several scales, which scale=... would all make the same. Choose "
            f"rows instead, for example -m ablation='{ablation.name}/*_x{ablation.rows[some].settings['scale']}'"
        )
    if "resume" not in words:  # whose words were taken when it began
        _refuse_varied(ablation, others)
    absent = _without_vgg(words.value("vgg_weights")) if sweeping and any(r.needs_vgg for r in chosen) else ""
    left_out = {r.name: absent for r in chosen if r.needs_vgg and absent}
    runnable = [f"{ablation.name}/{r.name}" for r in chosen if r.name not in left_out]
    if not runnable:
        raise UserError(f"ablation={value}: none of these rows can run here: {absent}")
    return Words([*others.texts, f"ablation={','.join(runnable)}"]), ablation, left_out


def find(name: str, folders: Sequence[Path] = ()) -> Ablation:
    """The ablation of this name in conf/ablation, or in the folders of --config-dir.

    Raises:
        UserError: there is none; names the nearest.
    """
    files = {p.stem: p for folder in (CONF, *reversed(folders)) for p in sorted((folder / "ablation").glob("*.yaml"))}
    if name not in files:
        raise UserError(
            f"ablation={name}: there is no conf/ablation/{name}.yaml.{nearest(name, list(files))} "
            f"There are {', '.join(files)}"
        )
    return read(files[name])


def store(ablation: Ablation, row: AblationRow) -> None:
    """Make a row known to Hydra as the option `<ablation>/<row>` of the group `ablation`."""
    body: dict[str, Any] = {}
    added: list[Any] = []
    chosen: list[Any] = []
    for key, value in row.settings.items():
        name = key.lstrip("+")
        if (CONF / name.partition("@")[0]).is_dir() and not isinstance(value, dict):
            if key.startswith("+"):
                added.append({f"/{name}": value})
            else:
                chosen.append({f"override /{name}": PAPER_DATA if (name, value) == ("data", "paper") else value})
            continue
        *parents, last = key.split(".")
        node = body
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    ConfigStore.instance().store(
        group=f"ablation/{ablation.name}",
        name=row.name,
        node={"defaults": [*added, "_self_", *chosen], **body},
        package="_global_",
    )


def _meant(ablation: Ablation, patterns: Sequence[str]) -> list[AblationRow]:
    chosen: dict[str, AblationRow] = {}
    for pattern in patterns:
        wanted = pattern.partition("/")[2] or "*"
        hits = {name: row for name, row in ablation.rows.items() if fnmatchcase(name, wanted)}
        if not hits:
            raise UserError(
                f"ablation={pattern}: {ablation.name} has no row {wanted!r}.{nearest(wanted, list(ablation.rows))} "
                f"There are {', '.join(ablation.rows)}"
            )
        chosen |= hits
    return list(chosen.values())


def _refuse_varied(ablation: Ablation, typed: Words) -> None:
    """Raises a UserError where a typed key would make rows alike that bear different labels.

    What is typed wins over a row, so this is every key that the rows vary, what lies above it and what lies within it;
    and what they vary in one stage, where it is typed for all of them.
    """
    settings = {name: dict(_by_stage(row.settings)) for name, row in ablation.rows.items()}
    varied: dict[str, str] = {}
    for key in dict.fromkeys(key for own in settings.values() for key in own):
        values = {name: f"{key.lstrip('+')}={own[key]}" for name, own in settings.items() if key in own}
        if len({*values.values()}) > 1 or len(values) < len(settings):
            told = varied[_path(key)] = "; ".join(f"{name}: {value}" for name, value in values.items())
            _, _, in_all = _path(key).removeprefix("stages.").partition(".")
            if _path(key).startswith("stages.") and in_all:
                varied.setdefault(in_all, told)
    for word in typed:
        # Of a group of which several are chosen, as callbacks=[ema], what is not named stays as it is.
        own = [f"{word.key}.{name}" for name in typed.names(word.key) or ()] if "[" in word.value else [_path(word.key)]
        for path, told in varied.items():
            if any(f"{mine}.".startswith(f"{path}.") or f"{path}.".startswith(f"{mine}.") for mine in own):
                raise UserError(
                    f"{word.text}: this is what the rows of ablation={ablation.name} differ in ({shorten(told, 160)}); "
                    "typed, it would hold for all of them, whatever their labels say. Leave it out, choose rows "
                    f"(ablation={ablation.name}/<row>), or train it for itself, without ablation="
                )


def _by_stage(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """`stages: {second: {steps: 1}}` as `stages.second.steps`; all else as it is."""
    for key, value in settings.items():
        if _path(key).split(".")[0] == "stages" and isinstance(value, dict) and value:
            yield from _by_stage({f"{key}.{name}": inner for name, inner in value.items()})
        else:
            yield key, value


def _path(key: str) -> str:
    """Where in a config a key stands: `+loss@losses.first` -> `losses.first`."""
    name = key.lstrip("+")
    return name.partition("@")[2] or name


def _without_vgg(weights: str | None) -> str:
    """Why VGG-19's weights cannot be used; empty where they are there."""
    from sr.losses.vgg import find_vgg19  # torch, for which nobody should wait who mistyped a name

    try:
        find_vgg19(weights)
    except UserError as error:
        return str(error)
    return ""
