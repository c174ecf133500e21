"""Which lines of a comparison are wanted, and in which order: `filter=` and `sort=`."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from sr.comparison.columns import Line, Table
from sr.errors import UserError, nearest

ALIASES = {"name": "entry", "label": "entry", "multiply-adds": "macs", "time": "seconds", "training_time": "seconds"}
CONDITION = re.compile(r"^(?P<key>[^<>=!~]+?)\s*(?P<sign>>=|<=|!=|==|=|>|<|~)\s*(?P<value>.*)$")
SIZE = re.compile(r" \(\d+ images\)(?=/)")  # in a key, where a set was measured in several sizes
SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "~": lambda a, b: fnmatch(str(a).lower(), f"*{str(b).lower()}*"),
}


@dataclass(frozen=True)
class Condition:
    """`key sign value`, as typed."""

    key: str
    sign: str
    value: str

    def holds(self, value: Any) -> bool:
        """Numbers are compared as numbers, everything else as text; what is not known fulfils only `!=`."""
        if value is None:
            return self.sign == "!="
        if self.sign != "~" and not isinstance(value, bool) and isinstance(value, int | float):
            if (wanted := _number(self.value)) is None:
                if self.sign in ("=", "!="):
                    return self.sign == "!="
                raise UserError(f"filter={self.key}{self.sign}{self.value}: {self.key} is a number, this is none")
            return SIGNS[self.sign](value, wanted)
        if self.sign in ("<", ">", "<=", ">="):
            raise UserError(f"filter={self.key}{self.sign}{self.value}: {self.key} is no number; there are =, != and ~")
        return SIGNS[self.sign](str(value).lower(), self.value.lower())


def conditions(typed: Sequence[str]) -> list[Condition]:
    """`["scale=4", "psnr>30"]`.

    Raises:
        UserError: one has another form.
    """
    found = []
    for text in typed:
        if not (match := CONDITION.match(text.strip())):
            raise UserError(
                f"filter={text}: type a column, one of {' '.join(SIGNS)} and a value, as in 'scale=4' or "
                "'entry~ecbsr'; several in a list, ['scale=4','psnr>30'], must all hold"
            )
        found.append(Condition(match["key"].strip(), match["sign"].replace("==", "="), match["value"].strip()))
    return found


def select(table: Table, wanted: Sequence[Condition]) -> list[Line]:
    """The lines that fulfil all conditions; the baseline stays beside them, as far as it has the columns.

    Raises:
        UserError: a column that does not exist, or no model is left.
    """
    keys = [(find_key(table, c.key, "filter"), c) for c in wanted]
    fitting = [line for line in table.lines if all(_holds(c, line, key) for key, c in keys)]
    models = [line for line in fitting if not line.row.baseline]
    if wanted and not models:
        typed = ", ".join(f"{c.key}{c.sign}{c.value}" for c in wanted)
        raise UserError(f"filter={typed}: none of the {len(table.lines)} rows is like that. {_there_is(table, keys)}")
    scales = {line.row.scale for line in models}
    return [line for line in fitting if line.row.scale in scales]


def _holds(condition: Condition, line: Line, key: str) -> bool:
    value = line.values.get(key)
    beside = value is None or (key == "entry" and condition.sign in ("=", "~"))
    return (line.row.baseline and beside) or condition.holds(value)


def _there_is(table: Table, keys: Sequence[tuple[str, Condition]]) -> str:
    texts = []
    for key, _ in keys:
        values = list(dict.fromkeys(str(v) for line in table.lines if (v := line.values.get(key)) is not None))
        texts.append(f"{key} is {', '.join(values[:8])}{', ...' if len(values) > 8 else ''}")
    return "; ".join(texts)


def order(table: Table, by: Sequence[str]) -> list[Line]:
    """The lines in order of one or more columns: the best first, text by the alphabet; `-` before a name turns it.

    Raises:
        UserError: a column that does not exist.
    """
    lines = list(table.lines)
    better = {key: column.better for column in table.columns for key in column.keys}
    for name in reversed(by):  # sorting is stable: the first name is sorted by last
        key = find_key(table, name.lstrip("-"), "sort")
        down = (better.get(key, 0) > 0) != name.startswith("-")
        known = [line for line in lines if line.values.get(key) is not None]
        numbers = all(isinstance(line.values[key], int | float) for line in known)
        known.sort(key=_by_number(key) if numbers else _by_text(key), reverse=down)
        lines = known + [line for line in lines if line.values.get(key) is None]
    return lines


def _by_number(key: str) -> Callable[[Line], Any]:
    return lambda line: line.values[key]


def _by_text(key: str) -> Callable[[Line], Any]:
    return lambda line: str(line.values[key]).lower()


def find_key(table: Table, typed: str, argument: str) -> str:
    """The key of the column that was meant.

    `set5/psnr`, `set5` and `lr` are short for a key; `psnr` is the PSNR that most rows have. Where a set has several
    sizes, its name alone means the one that most rows have.

    Raises:
        UserError: there is none; names the nearest.
    """
    shown = [key for column in table.columns for key in column.keys]
    keys = list(dict.fromkeys([*shown, *(key for line in table.lines for key in line.values)]))
    name = ALIASES.get(typed.lower(), typed).lower()
    rules: tuple[Callable[[str], bool], ...] = (
        lambda key: key == name,
        lambda key: "/" in key and (key.startswith((f"{name}/", f"{name}_")) or key.endswith(f"/{name}")),
        lambda key: "/" in key and key.rpartition("/")[2].startswith(f"{name}_"),
        lambda key: key.endswith(f".{name}"),
    )
    for rule in rules:
        if found := [key for key in keys if rule(key.lower()) or rule(SIZE.sub("", key.lower()))]:
            return max(found, key=lambda key: sum(line.values.get(key) is not None for line in table.lines))
    names = list(dict.fromkeys([*shown, "psnr", "ssim"]))
    hint = nearest(name, [*names, *keys])
    raise UserError(f"{argument}={typed}: there is no such column.{hint} There are {', '.join(names)}")


def _number(text: str) -> float | None:
    try:
        return float(text.lower().removeprefix("x"))
    except ValueError:
        return None
