"""What kind of value a key takes, where one of another kind was typed."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from omegaconf import ListConfig, OmegaConf

from sr.compose.conf import CONF
from sr.compose.known import composed, single_groups
from sr.compose.schema import SCHEMAS
from sr.compose.words import Word
from sr.errors import some


def one_value(typed: str, command: str, arguments: Sequence[str]) -> str:
    """What to type instead of several values, key=a,b."""
    word, (key, _, value) = Word(typed), typed.partition("=")
    hint = _hint(word.key, command)
    if (CONF / word.key).is_dir():
        takes_list = word.key not in single_groups(command)
    elif hint is not None:
        takes_list = hint is Any or get_origin(hint) is list
    else:  # no schema types it: as the value that stands there now
        now = OmegaConf.select(OmegaConf.create(composed(command, arguments, word.key) or {}), word.key)
        takes_list = now is None or isinstance(now, str | ListConfig)
    if takes_list:
        return f"{typed}: several values are a list, {key}=[{value}], or with -m a sweep"
    return f"{typed}: one value is wanted here; with -m several are a sweep"


def kind_wanted(typed: str, command: str) -> str:
    """What kind of value a key takes that was given one of another kind; empty where it is a plain one."""
    key, _, value = typed.partition("=")
    hint = _hint(key, command)
    if hint is None:
        return ""
    if get_origin(hint) is list and value[:1] != "[":
        items = getattr(SCHEMAS[command](), key) or ([] if value == "null" else [value])
        return f"a list is wanted here, {key}=[{','.join(map(str, items))}]"
    if value == "null":
        return ""
    if is_dataclass(hint):
        return f"it is not set as a whole: type {some([f'{key}.{f.name}=...' for f in fields(hint)])}"
    return f"names with settings are wanted here, {key}={{name: ...}}" if get_origin(hint) is dict else ""


def _hint(key: str, command: str) -> Any:
    """The type that a command's schema gives a key, less None; None for a key that it does not type."""
    hint: Any = SCHEMAS[command]
    for part in key.split("."):
        hint = get_type_hints(hint).get(part) if is_dataclass(hint) else None
        hint = next((a for a in get_args(hint) if a is not type(None)), None) if isinstance(hint, UnionType) else hint
    return hint
