"""Words as people type them, made into those of Hydra's grammar."""

import os
import re
from collections.abc import Sequence

from sr.compose.known import valid_keys
from sr.compose.suggestions import options
from sr.compose.words import PLAIN, quoted

FORMER = {  # words that stand for others, as earlier versions had them
    "train": {
        "test_protocols": "protocols", "channels_last": "trainer.channels_last", "compile": "trainer.compile",
        "data.batch_size": "batch_size", "data.patch_size": "patch_size",
    },
    "evaluate": {"data": "benchmarks", "protocol": "protocols"},
    "compare": {"data": "benchmarks", "protocol": "protocols"},
    "study": {"data": "benchmarks"},
    "upscale": {"model": "weights", "checkpoint": "weights", "protocol": "protocols"},
    "export": {"model": "weights", "checkpoint": "weights", "format": "formats"},
}  # fmt: skip
NOTHING = ("experiment=null", "ablation=null")  # what is so anyway, and what Hydra does not take
OPEN = ("parameter_groups", "stages", "losses")  # what stands in them has names of the user's own
LISTS = ("benchmarks", "protocols")  # one name is a list too
PLACES = ("input", "output", "hr")  # of upscale: as the file system has them, patterns too
# Their words may hold what Hydra's grammar does not.
QUOTED = ("runs", "checkpoint", "weights", "filter", "sort", "study", "answers")


def spelled_out(command: str, arguments: Sequence[str]) -> list[str]:
    """What a command was given, for Hydra."""
    if (
        command == "figure"
        and {"-h", "--help"} & set(arguments)
        and not any(a.startswith("figure=") for a in arguments)
    ):
        return [*arguments, "figure=crop_grid"]  # its help composes a config, for which one must be chosen
    return _with_stages([_spelled(command, argument) for argument in arguments if argument not in NOTHING], command)


def _with_stages(arguments: list[str], command: str) -> list[str]:
    """`stages.third.steps=1000` as Hydra takes it, whether or not the recipe says a number of steps for that stage."""
    inner = [argument for argument in arguments if re.match(r"stages\.[^.=]+\.", argument)]
    known = valid_keys(command, arguments, *(argument.partition("=")[0] for argument in inner)) if inner else []
    # A stage that there is not is left to be refused.
    added = [argument for argument in inner if ".".join(argument.split(".")[:2]) in known]
    return [f"++{argument}" if argument in added else argument for argument in arguments]


def _spelled(command: str, argument: str) -> str:
    key, sign, value = argument.partition("=")
    value = re.sub(r"(^|[\[,] *)~(?=[/,\]]|$)", lambda home: home[1] + os.path.expanduser("~"), value)  # as shells do
    argument = key + sign + value
    former = FORMER.get(command, {})
    if key.startswith("-") or not sign:
        return argument  # a flag or what stands behind it, which Hydra takes as it is
    if not value.strip("'\" "):
        return argument  # is refused under the name that was typed
    key = former.get(key, key)
    if command == "measure" and key == "model":
        return models_listed(value)
    if key in OPEN or key.startswith("parameter_groups."):
        return f"++{argument}"
    if key in ("callbacks", "logger") and value == "null":
        return f"{key}=[]"
    if command == "upscale" and key in PLACES:
        return f"{key}={places(value)}"
    there = not PLAIN.fullmatch(value) and value[:1] not in "'\"" and os.path.exists(value)
    if key.startswith("data.") and "data" in former:  # of whichever sets are named: no schema knows their keys
        return f"++{key}={quoted(value) if there else value}"
    if there:
        return f"{key}={quoted(value)}"  # a file or folder, whatever signs its name has
    if key in LISTS and re.fullmatch(r"[^\[\]{},'\"]+", value) and value != "null":
        return f"{key}=[{value}]"
    if key == "metrics" or (command in ("compare", "study") and key in QUOTED):
        return f"{key}={quoted_words(value)}"
    return f"{key}{sign}{value}"


def places(value: str) -> str:
    """A place or a list of places in quotes, as it was typed; what has quotes of its own is left alone.

    A `$` before a brace, which is one of OmegaConf's signs, is marked as none.
    """
    there = os.path.exists(value)
    if value in ("", "null") or (not there and value[0] in "'\"" and value[-1] == value[0]):
        return value
    several = not there and value[0] == "[" and value[-1] == "]" and not set(value) & set("'\"")
    words = [word.strip() for word in value[1:-1].split(",")] if several else [value]
    found = ",".join(quoted(word) for word in words if word)
    return f"[{found}]" if several else found


def models_listed(value: str) -> str:
    """`model=all` becomes the list of every model, and one name a list: models are a multiple choice of measure."""
    if value == "null":
        return "model=[]"
    names = options("model") if value == "all" else [n.strip() for n in value.strip("[]'\" ").split(",")]
    return f"model=[{','.join(names)}]"


def quoted_words(value: str) -> str:
    """Words that Hydra would read as signs of its own, as the scale=4 of filter=scale=4, in quotes; always a list."""
    if value in ("", "null") or set(value) & set("'\"{$"):
        return value
    words = value.strip().removeprefix("[").removesuffix("]").split(",")
    return f"[{','.join(repr(word.strip()) for word in words if word.strip())}]"
