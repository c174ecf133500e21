"""Sweeps that survive: one command, one folder; finished rows are skipped, unfinished ones gone on with.

Here is what happens before and after Hydra's own sweep; what a row does is in sweep_row.py.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from sr.compose.conf import CONF
from sr.compose.keys import declared
from sr.compose.words import as_typed, key_of, spelled
from sr.errors import UserError
from sr.runs.resume import quoted
from sr.runs.sweep_record import RECORD, record
from sr.sweeps.ablation import Ablation
from sr.sweeps.ablation_rows import with_rows
from sr.sweeps.launchers import refuse_missing

log = logging.getLogger(__name__)
SEED = "seed=0"  # where none is typed


@dataclass
class Sweep:
    """What was typed, ready for Hydra.

    Attributes:
        typed: the command's arguments as they were typed.
        arguments: for Hydra.
        folder: of the sweep; None for a single run.
        ablation: that was typed, if any.
        left_out: rows that cannot run here, and why.
    """

    typed: list[str]
    arguments: list[str]
    folder: Path | None = None
    ablation: Ablation | None = None
    left_out: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def concluding(self) -> Iterator[None]:
        """Report the sweep when it ends, however it ends.

        Raises:
            SystemExit: with status 1 where a row failed or is not finished.
        """
        if self.folder is None:
            yield
            return
        for row in self.left_out:
            print(f"not run: {row}, see the end")
        if new := not (self.folder / RECORD).exists():  # by it a row knows its sweep, wherever it runs
            record(self.folder, self._again, self.ablation.name if self.ablation else None, [], self.left_out)
        try:
            yield
        except BaseException:
            self._conclude(new, whole=False)
            raise
        if not self._conclude(new, whole=True):
            sys.exit(1)

    @property
    def _again(self) -> str:
        return f"sr train {shlex.join(self.typed)}"

    def _conclude(self, new: bool, whole: bool) -> bool:
        """Print and write the table; tell what failed and how to go on. Whether every row is finished.

        Args:
            new: the sweep's folder was none before.
            whole: nothing interrupted the sweep.
        """
        from sr.runs.folder import find_runs  # torch, for which nobody should wait who mistyped a name
        from sr.sweeps.table import write

        assert self.folder is not None
        rows, told = [], True
        try:
            rows = find_runs(self.folder)
            print(f"\n{write(rows, self.folder, self.ablation, self.left_out, self._again)}")
        except Exception as error:  # which must not hide what ended the sweep, nor how it goes on
            if not rows and isinstance(error, UserError):
                self._forget(new)  # nothing was begun, of which Hydra has told the reason
                return False
            log.error(f"{self.folder}: the sweep's table could not be written", exc_info=error)
            told = False
        failed = [row for row in rows if row.status == "failed"]
        begun = [row for row in rows if row.status == "running"]
        for row in failed:
            print(f"failed: {row.folder.name}: {row.error}\n  {row.folder}", file=sys.stderr)
        for row in begun:
            print(f"not finished: {row.folder.name}, {row.steps:,} steps done\n  {row.folder}", file=sys.stderr)
        if failed or begun or not whole or not told:
            print(f"Finished rows are kept; go on with: {self._again}", file=sys.stderr)
        return told and not failed and not begun

    def _forget(self, new: bool) -> None:
        """Leave no trace of a sweep that was refused."""
        if new and self.folder is not None:
            (self.folder / RECORD).unlink(missing_ok=True)
            with suppress(OSError):  # it holds something else
                self.folder.rmdir()


def prepared(arguments: Sequence[str]) -> Sweep:
    """Give a sweep its folder and its rows their names; expand an ablation.

    The folder follows from what is typed, less the values that are swept over, the seeds and an ablation's rows: more
    of those, and the finished rows are still there. Another folder begins with any other change: a key more or less,
    another value of a key that has one, and a key that had one value and gets several.
    """
    sweeping = any(a in ("-m", "--multirun", "hydra.mode=MULTIRUN") for a in arguments)
    expanded, ablation, left_out = with_rows(arguments, sweeping)
    if not sweeping:
        return Sweep(list(arguments), [spelled(a) for a in expanded])
    overrides = [a for a in expanded if not a.startswith("-") and ("=" in a or a.startswith("~"))]
    refuse_missing(overrides)
    swept = _swept(overrides)
    places = [a.partition("=")[2].strip("'\"") for a in overrides if a.startswith("hydra.sweep.dir=")]
    folder = Path(places[-1]) if places else Path("outputs/sweeps") / _name(overrides, swept, ablation)
    kept = [a for a in expanded if not a.startswith("hydra.sweep.dir=")]
    if any((CONF / key).is_dir() for key in swept):
        kept = [_left_to_the_rows(a, swept) for a in kept]
    kept.append(f"hydra.sweep.dir={quoted(folder.resolve())}")
    if not any(a.startswith("hydra.sweep.subdir=") for a in kept):
        kept.append(f"hydra.sweep.subdir=${{row_folder:{','.join(quoted(key) for key in swept)}}}")
    return Sweep(list(arguments), [spelled(a) for a in kept], folder.resolve(), ablation, left_out)


def row_folder(*swept: str) -> str:
    """The name of the present row's folder: what was swept over, and a hash of all that was typed, and the seed.

    A resolver, ${row_folder:<keys that are swept over>}; the same row has the same name in every sweep. In a sweep's
    folder it keeps the one that it has, whichever keys were swept over then.
    """
    run = HydraConfig.get()
    typed = [as_typed(o) for o in run.overrides.task if declared(key_of(o)).named]
    values = {key_of(o): o.partition("=")[2] for o in typed}
    words = []
    for key in swept:
        value = values.get(key, "").strip("'\"")
        if key == "ablation":
            words.append(value.rpartition("/")[2])
        elif (CONF / key).is_dir():
            words.append(value)
        else:
            words.append(key.rpartition(".")[2] + value)
    name = re.sub(r"[^\w.+-]+", "-", "_".join(words)).strip("-")[:80]
    known = _hash(typed if "seed" in values else [*typed, SEED])
    if found := sorted(Path(run.sweep.dir).glob(f"*{known}")):
        return found[0].name
    return f"{name}_{known}" if name else known


def _left_to_the_rows(argument: str, swept: Sequence[str]) -> str:
    """Hydra sets what is typed once in a config of its own, without what is swept over: there `model` may be one that
    has no such key. A choice of one value is left to the rows."""
    key, _, value = argument.partition("=")
    inside = "." in key and value != "" and not key.startswith(("-", "~", "hydra"))
    return f"{key}=choice({value})" if inside and key_of(argument) not in swept else argument


def _hash(words: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(words)).encode()).hexdigest()[:8]


def _swept(overrides: Sequence[str]) -> list[str]:
    """The keys that have several values or a range, or that may get more another time; a row's name goes first."""
    plain = [o for o in overrides if not key_of(o).startswith("hydra")]
    try:
        parsed = OverridesParser.create().parse_overrides(plain)
    except HydraException:
        return []  # Hydra will say what is wrong with it
    keys = [(key_of(p.get_key_element()), p.is_sweep_override()) for p in parsed]
    return sorted((key for key, several in keys if several or declared(key).grows), key=lambda key: key != "ablation")


def _name(overrides: Sequence[str], swept: Sequence[str], ablation: Ablation | None) -> str:
    values = {key_of(o): o.partition("=")[2] for o in overrides}
    growing = {*swept, "seed"}
    fixed = [o for o in overrides if key_of(o) not in growing and declared(key_of(o)).named]
    named = [values[k] for k in ("model", "experiment") if k in values and k not in swept]
    name = ablation.name if ablation else (named or ["sweep"])[0]
    return f"{re.sub(r'[^-.+_a-zA-Z0-9]+', '-', name)}_{_hash([*fixed, *(f'{key}*' for key in growing)])}"
