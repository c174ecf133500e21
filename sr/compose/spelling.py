"""Words as people type them, made into those of Hydra's grammar."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sr.compose.conf import CONF
from sr.compose.suggestions import nearest
from sr.errors import UserError

QUOTED = ("runs", "checkpoint", "weights", "filter", "sort")  # their words may hold what Hydra's grammar does not


def models_listed(arguments: Sequence[str]) -> list[str]:
    """`model=all` becomes the list of every model, and one name a list: models are a multiple choice of measure."""
    known = sorted(p.stem for p in (CONF / "model").glob("*.yaml"))
    spelt = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key == "model":
            names = known if value == "all" else [n.strip() for n in value.strip("[]'\" ").split(",")]
            if unknown := [n for n in names if n not in known]:
                raise UserError(
                    f"model={unknown[0]}: no such model.{nearest(unknown[0], known)} There are {', '.join(known)}"
                )
            argument = f"model=[{','.join(names)}]"
        spelt.append(argument)
    return spelt


def conditions_quoted(arguments: Sequence[str]) -> list[str]:
    """Words of compare that Hydra would read as signs of its own, as in filter=scale=4, in quotes."""
    spelt = []
    for argument in arguments:
        key, sign, value = argument.partition("=")
        if key in QUOTED and sign and value not in ("", "null") and not set(value) & set("'\"{$"):
            words = value.strip().removeprefix("[").removesuffix("]").split(",")
            argument = f"{key}=[{','.join(repr(word.strip()) for word in words if word.strip())}]"
        spelt.append(argument)
    return spelt


def figure_of_help(arguments: Sequence[str]) -> list[str]:
    """`figure --help` composes a config, for which a figure must be chosen."""
    asked = {"-h", "--help"} & set(arguments) and not any(a.startswith("figure=") for a in arguments)
    return [*arguments, "figure=crop_grid"] if asked else list(arguments)


SPELLING: dict[str, Callable[[Sequence[str]], list[str]]] = {
    "measure": models_listed,
    "compare": conditions_quoted,
    "figure": figure_of_help,
}
