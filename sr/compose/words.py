"""What was typed: the words of a command line, parsed here and nowhere else, and the job that Hydra runs for them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import ListConfig, OmegaConf

PLAIN = re.compile(r"[\w./+@-]+", re.ASCII)  # what needs no quotes in Hydra's grammar
PAPER_DATA = "${paper_data:}"  # rules.paper_data, which knows the recipe


@dataclass(frozen=True)
class Word:
    """One override as Hydra takes it: `+model.channels=8`, `model=bsrn,rlfn`, `~callbacks.ema`."""

    text: str

    @property
    def key(self) -> str:
        """`+model.channels=8` -> `model.channels`."""
        return self.text.partition("=")[0].lstrip("+~")

    @property
    def value(self) -> str:
        """As typed, less quotes around it and the signs that they need within."""
        value = self.text.partition("=")[2]
        if value[:1] in ("'", '"'):
            with suppress(HydraException):
                if isinstance(parsed := self.parsed, str):
                    return re.sub(r"((\\\\)*)\\\$\{", lambda found: found[1][::2] + "${", parsed)  # see `quoted`
        return value.strip("'\"")

    @property
    def several(self) -> bool:
        """Whether it names several values, or a range of them, to sweep over."""
        return bool(OverridesParser.create().parse_override(self.text).is_sweep_override())

    @property
    def parsed(self) -> Any:
        """The value as Hydra reads it: a number, a list, a dict, a word."""
        return OverridesParser.create().parse_override(self.text).value()


class Words:
    """The overrides of one command line, in order; `config_dirs` are the folders of its --config-dir."""

    def __init__(self, texts: Iterable[str] = (), config_dirs: Iterable[str] = ()) -> None:
        self._words = tuple(Word(as_typed(str(text))) for text in texts)
        self.config_dirs = tuple(dict.fromkeys(map(str, config_dirs)))

    def __iter__(self) -> Iterator[Word]:
        return iter(self._words)

    def __contains__(self, key: object) -> bool:
        return any(word.key == key for word in self._words)

    @property
    def texts(self) -> list[str]:
        """As typed."""
        return [word.text for word in self._words]

    @property
    def keys(self) -> set[str]:
        """What was typed: names of groups and dotted keys."""
        return {word.key for word in self._words}

    def last(self, key: str) -> Word | None:
        """The word that counts of those with a key."""
        return next((word for word in reversed(self._words) if word.key == key), None)

    def value(self, key: str) -> str | None:
        """What was typed for a key, without quotes; None where it was not typed, or typed as null or nothing."""
        word = self.last(key)
        return None if word is None or word.value in ("", "null") else word.value

    def only(self, wanted: Callable[[str], bool]) -> Words:
        """The words whose key is wanted."""
        return Words((word.text for word in self._words if wanted(word.key)), self.config_dirs)

    def without(self, *keys: str) -> Words:
        """The words with other keys."""
        return self.only(lambda key: key not in keys)

    def then(self, later: Words) -> Words:
        """These words and later ones, each key once: the last word of it."""
        texts = {word.key: word.text for word in (*self, *later)}.values()
        return Words(texts, (*self.config_dirs, *later.config_dirs))

    def names(self, group: str) -> list[str] | None:
        """The names in `model=[...]`, which Hydra keeps nowhere else; None where it was not typed."""
        word = self.last(group)
        return None if word is None else listed(word.parsed)


def spelled(text: str) -> str:
    """`data=paper` as Hydra composes it: as the set that the recipe names, in a sweep that each row's does."""
    key, equals, value = text.partition("=")
    if key.lstrip("+") != "data":
        return text
    return key + equals + re.sub(r"(?<![\w-])paper(?![\w-])", PAPER_DATA, value)


def as_typed(text: str) -> str:
    """What `spelled` was given, of what Hydra has kept."""
    return re.sub(r"\$\\?\{paper_data\\?:\\?\}", "paper", text)


def split(arguments: Sequence[str]) -> tuple[list[str], Words]:
    """A command line as (flags and what stands behind them, overrides); people type flags between overrides."""
    overrides = [a for a in arguments if not a.startswith("-") and ("=" in a or a.startswith("~"))]
    return [a for a in arguments if a not in overrides], Words(overrides)


def sweeping(flags: Sequence[str], words: Words) -> bool:
    """Whether a command line is a sweep."""
    return bool({"-m", "--multirun"} & set(flags)) or words.value("hydra.mode") == "MULTIRUN"


def config_dirs(flags: Sequence[str]) -> list[Path]:
    """The folders of --config-dir."""
    names = ("--config-dir", "-cd")
    found = [f.partition("=")[2] for f in flags if f.startswith(tuple(f"{name}=" for name in names))]
    return [Path(f) for f in (*found, *(after for flag, after in pairwise(flags) if flag in names))]


def listed(value: object) -> list[str]:
    """A key that takes one thing or several: null -> [], a -> ["a"], [a, b] -> ["a", "b"]."""
    if value is None:
        return []
    return [str(v) for v in value] if isinstance(value, ListConfig | list) else [str(value)]


def quoted(value: str | Path) -> str:
    """For Hydra's grammar: a folder may hold spaces, commas, quotes or a drive's colon."""
    # Backslashes are signs only where they stand before a quote, a ${ or at the end.
    value = re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + "\\${", str(value))
    return "'{}'".format(re.sub(r"(\\*)('|$)", lambda end: 2 * end[1] + "\\'" * len(end[2]), value))


def path_word(key: str, path: str | Path) -> str:
    """`resume=outputs/run`, its path in quotes only where Hydra needs them."""
    return f"{key}={path if PLAIN.fullmatch(str(path)) else quoted(path)}"


def path_typed(key: str, path: str | Path) -> str:
    """A `path_word` as it is pasted into a shell, within a command that the reader has typed already."""
    return shlex.quote(path_word(key, path))


def pasted(command: str, words: Iterable[str]) -> str:
    """`sr train ...` as it is pasted into a shell."""
    return shlex.join(["sr", command, *words])


@dataclass(frozen=True)
class Job:
    """One run of an entry script, or one row of a sweep.

    Attributes:
        words: that were typed for it; of a row those of the row.
        folder: that it writes into; while a row's is being named, the sweep's.
        choices: the options chosen from config groups.
        sweep: folder of the sweep that it is a row of, or None.
    """

    words: Words
    folder: Path
    choices: Mapping[str, Any]
    sweep: Path | None

    @classmethod
    def current(cls) -> Job:
        """The one that Hydra runs now."""
        run = HydraConfig.get()
        return cls(
            words=Words(
                run.overrides.task,
                (s.path for s in run.runtime.config_sources if s.provider == "command-line"),
            ),
            folder=Path(run.sweep.dir if OmegaConf.is_missing(run.runtime, "output_dir") else run.runtime.output_dir),
            choices=run.runtime.choices,
            sweep=Path(run.sweep.dir) if run.mode == RunMode.MULTIRUN else None,
        )
