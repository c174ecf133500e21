"""Which lines of a comparison are wanted, and in which order: `filter=` and `sort=`."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from sr.comparison.columns import Line, Table
from sr.errors import UserError, nearest
from sr.metrics.protocols import is_of

ALIASES = {"name": "entry", "label": "entry", "multiply-adds": "macs", "time": "seconds", "training_time": "seconds"}
CONDITION = re.compile(r"^(?P<key>[^<>=!~]+?)\s*(?P<sign>>=|<=|!=|==|=|>|<|~)\s*(?P<value>.*)$")
SIZE = re.compile(r" \(\d+ images\)(?=/)")  # in a key, where a set was measured in several sizes
SIGNS: dict[str, Callable[[Any, Any], bool]] = {"=": eq, "!=": ne, ">": gt, "<": lt, ">=": ge, "<=": le}
SIGNS["~"] = lambda a, b: fnmatch(str(a).lower(), f"*{str(b).lower()}*")
EQUAL = ("=", "!=")


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
            wanted = _number(self.value)
            if wanted is None and self.sign not in EQUAL:
                raise UserError(f"filter={self}: {self.key} is a number, this is none")
            return SIGNS[self.sign](value, wanted)
        if self.sign not in (*EQUAL, "~"):
            raise UserError(f"filter={self}: {self.key} is no number; there are =, != and ~")
        return SIGNS[self.sign](str(value).lower(), self.value.lower())

    def __str__(self) -> str:
        return self.key + self.sign + self.value


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
    kept = [line for line in table.lines if all(_holds(c, line, key) for key, c in keys)]
    scales = {line.row.scale for line in kept if not line.row.baseline}
    if wanted and not scales:
        baselines = sum(line.row.baseline for line in table.lines)
        rows = f"{len(table.lines) - baselines} rows" + " but the baseline's" * bool(baselines)
        told = f"filter={', '.join(map(str, wanted))}: none of the {rows} is like that"
        raise UserError(f"{told}. {'; '.join(_there_is(table, key) for key, _ in keys)}")
    return [line for line in kept if line.row.scale in scales]


def _there_is(table: Table, key: str) -> str:
    values = list(
        dict.fromkeys(
            f"{v:.6g}" if isinstance(v, float) else str(v)
            for line in table.lines
            if (v := line.values.get(key)) is not None
        )
    )
    return f"{key} is {', '.join(values[:8])}{', ...' if len(values) > 8 else ''}"


def _holds(condition: Condition, line: Line, key: str) -> bool:
    value = line.values.get(key)
    beside = value is None or (key == "entry" and condition.sign in ("=", "~"))
    return (line.row.baseline and beside) or condition.holds(value)


def order(table: Table, by: Sequence[str]) -> list[Line]:
    """The lines in order of one or more columns: the best first, text by the alphabet; `-` before a name turns it.

    Raises:
        UserError: a column that does not exist.
    """
    lines = list(table.lines)
    better = {key: column.better for column in table.columns for key in column.keys}
    for name in reversed(by):  # sorting is stable: the first name is sorted by last
        key = find_key(table, name.lstrip("-"), "sort")
        lines = _sorted(lines, key, down=(better.get(key, 0) > 0) != name.startswith("-"))
    return lines


def _sorted(lines: Sequence[Line], key: str, down: bool) -> list[Line]:
    known = [line for line in lines if _known(line.values.get(key))]
    numbers = all(isinstance(line.values[key], int | float) for line in known)
    known.sort(key=lambda line: line.values[key] if numbers else str(line.values[key]).lower(), reverse=down)
    return known + [line for line in lines if not _known(line.values.get(key))]


def _known(value: Any) -> bool:
    """NaN is no value: it would stand anywhere, the first place included."""
    return value is not None and value == value


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
        lambda key: "/" in key and is_of(key, name),
        lambda key: key.endswith(f".{name}"),
    )
    for rule in rules:
        if found := [key for key in keys if rule(key.lower()) or rule(SIZE.sub("", key.lower()))]:
            return max(found, key=lambda key: sum(line.values.get(key) is not None for line in table.lines))
    measured = {key.rpartition("/")[2].partition("_")[0].lower() for key in keys if "/" in key}
    names = list(dict.fromkeys([*shown, *(metric for metric in ("psnr", "ssim") if metric in measured)]))
    hint = nearest(name, [*names, *keys]) + " None of these rows has figures." * (not measured)
    raise UserError(f"{argument}={typed}: there is no such column.{hint} There are {', '.join(names)}")


def _number(text: str) -> float | None:
    try:
        return float(text.lower().removeprefix("x"))
    except ValueError:
        return None
