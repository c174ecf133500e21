"""Words as people type them, made into those of Hydra's grammar."""

from __future__ import annotations

from collections.abc import Sequence

from sr.compose.suggestions import options

QUOTED = ("runs", "checkpoint", "weights", "filter", "sort")  # their words may hold what Hydra's grammar does not


def spelled_out(command: str, arguments: Sequence[str]) -> list[str]:
    """What a command was given, for Hydra."""
    if (
        command == "figure"
        and {"-h", "--help"} & set(arguments)
        and not any(a.startswith("figure=") for a in arguments)
    ):
        return [*arguments, "figure=crop_grid"]  # its help composes a config, for which one must be chosen
    spell = {"measure": models_listed, "compare": conditions_quoted}.get(command, str)
    return [spell(argument) for argument in arguments]


def models_listed(argument: str) -> str:
    """`model=all` becomes the list of every model, and one name a list: models are a multiple choice of measure."""
    key, _, value = argument.partition("=")
    if key != "model":
        return argument
    names = options("model") if value == "all" else [n.strip() for n in value.strip("[]'\" ").split(",")]
    return f"model=[{','.join(names)}]"


def conditions_quoted(argument: str) -> str:
    """Words of compare that Hydra would read as signs of its own, as in filter=scale=4, in quotes."""
    key, sign, value = argument.partition("=")
    if key not in QUOTED or not sign or value in ("", "null") or set(value) & set("'\"{$"):
        return argument
    words = value.strip().removeprefix("[").removesuffix("]").split(",")
    return f"{key}=[{','.join(repr(word.strip()) for word in words if word.strip())}]"
