"""Only the configuration that differs: what tells runs apart, in as few columns as say it all."""

import re
from collections.abc import Container, Mapping, Sequence
from typing import Any

from sr.compose.keys import declared
from sr.compose.words import Words
from sr.runs.config import flat
from sr.runs.folder import Run, differing


def settings(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """For each run the settings in which the runs differ, by dotted key; all have the same keys.

    Where the option chosen from a config group tells all that differs within it, the option's name stands for its keys
    (`loss: l1`), and so does the name of an ablation's row, or of a recipe, for several keys that follow from it and
    that nobody typed. Keys that only repeat another one are left out (`data.patch_size` beside `patch_size`).
    """
    configs = [as_trained(run) for run in runs]
    keys = differing(runs)
    # A node without keys says nothing that the missing of its keys does not say.
    values = {key: [None if (v := config.get(key)) == {} else v for config in configs] for key in keys}
    named: dict[str, list[Any]] = {}
    for group in dict.fromkeys(group for run in runs for group in choices(run)):
        own = [key for key in keys if key.split(".")[0] == group]
        chosen = [choices(run).get(group) for run in runs]
        if own and _varies(chosen) and not declared(group).own_column:
            # Where the option's name alone does not tell them apart, what was typed about it may.
            with_typed = [_with_typed(run, group) for run in runs]
            if not all(_follows_from(chosen, values[key]) for key in own):
                chosen = with_typed
        if own and all(_follows_from(chosen, values[key]) for key in own):
            keys = [key for key in keys if key not in own]
            named[group] = chosen
    typed = {key for run in runs for key in Words(run.overrides).keys}
    for whole in ("ablation", "recipe"):  # the row of an ablation tells more than the recipe that it chose
        chosen = [choices(run).get(whole) for run in runs]
        implied = [key for key in keys if key not in typed and _follows_from(chosen, values[key])]
        if len(implied) > 1 and _varies(chosen):
            keys = [key for key in keys if key not in implied]
            named = {whole: chosen, **named}
    plain = {key: values[key] for key in keys if not _repeats(key, configs)}
    columns = {
        key: column for key, column in (named | plain).items() if not declared(key).own_column and _varies(column)
    }
    return [
        {key: _but_for_stages(run, key, column[i]) if key in named else column[i] for key, column in columns.items()}
        for i, run in enumerate(runs)
    ]


def _but_for_stages(run: Run, group: str, option: Any) -> Any:
    """An option of a run, with the stages that had another: SRGAN stood there with its first stage's loss."""
    stages = run.config.get("stages") or {}
    others = [name for name, own in stages.items() if isinstance(own, Mapping) and group in own]
    return f"{option} (another in stage {', '.join(others)})" if others else option


def as_trained(run: Run) -> dict[str, Any]:
    """The run's config as dotted keys, with the patch that it was trained on where `hr_patch_size` says it."""
    config = flat(run.config)
    given, side = config.get("patch_size"), patch_of(config, Words(run.overrides).keys)
    if side == given:
        return config
    return config | {key: side for key in ("patch_size", "data.patch_size") if key in config and config[key] == given}


def patch_of(config: Mapping[str, Any], typed: Container[str]) -> Any:
    """Side of a training crop, LR pixels, or one for each of several scales; `hr_patch_size` but for a typed patch."""
    hr, scale = config.get("hr_patch_size"), config.get("scale")
    if not hr or not scale or "patch_size" in typed:
        return config.get("patch_size")
    sides = [max(1, int(hr) // s) for s in (scale if isinstance(scale, list) else [scale])]
    return sides if isinstance(scale, list) else sides[0]


def choices(run: Run) -> Mapping[str, Any]:
    """The options chosen from the config groups, by group."""
    return run.config.get("choices") or {}


def _with_typed(run: Run, group: str) -> str | None:
    """An option with what was typed about it: `bicubic_noise(sigma=25)`."""
    if (option := choices(run).get(group)) is None:
        return None
    typed = [word for word in Words(run.overrides) if word.key.startswith(f"{group}.")]
    words = ", ".join(f"{word.key.rpartition('.')[2]}={word.value}" for word in typed)
    return f"{option}({words})" if words else str(option)


def word(key: str, value: Any) -> str:
    """A setting in a label: optimizer._target_: torch.optim.Adam -> Adam, optimizer.lr: 0.1 -> lr=0.1."""
    return told(value) if key.endswith("._target_") else f"{key.rpartition('.')[2]}={value}"


def titled(key: str) -> str:
    """A setting's name as people read it: what chooses a class is named by what the class is for."""
    return key.removesuffix("._target_")


def told(value: Any) -> str:
    """A setting as people write it: `0.9, 0.99`; a node by its class: `Adam(lr=0.1)`."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}={told(v)}" for key, v in value.items() if key != "_target_")
        name = told(value.get("_target_", ""))
        return f"{name}({inner})" if name and inner else name or inner or "none"
    if isinstance(value, list | tuple):
        return ", ".join(f"({told(v)})" if isinstance(v, list | tuple) else told(v) for v in value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str) and re.fullmatch(r"[a-z_]\w*(\.\w+)+", value):
        return value.rpartition(".")[2]  # a class or function by its own name
    return str(value)


def _follows_from(chosen: Sequence[Any], values: Sequence[Any]) -> bool:
    """Whether a value follows from the option that was chosen."""
    if any(option is None for option in chosen):
        return False
    known: dict[Any, Any] = {}
    return all(known.setdefault(str(option), value) == value for option, value in zip(chosen, values, strict=True))


def _repeats(key: str, configs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the key without its first parts is a key too, with the same value everywhere."""
    _, dot, tail = key.partition(".")
    while dot:
        if all(tail in config and config[tail] == config.get(key) for config in configs if key in config):
            return True
        _, dot, tail = tail.partition(".")
    return False


def _varies(column: Sequence[Any]) -> bool:
    return any(value != column[0] for value in column)
