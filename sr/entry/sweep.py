"""Sweeps that survive: one command, one folder; finished rows are skipped, unfinished ones gone on with.

Here is what happens before and after Hydra's own sweep; what a row does is in sweep_row.py.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from sr.entry.names import CONF
from sr.entry.resume import quoted
from sr.entry.sweep_rows import with_rows
from sr.errors import UserError
from sr.report.ablation import Ablation

# What is typed with these does not change a row's result, and so not its folder.
PASSING = ("hydra", "logger", "cache_dir", "save_every_steps", "save_every_minutes", "trainer.enable_progress_bar")
EXTRAS = {  # what a launcher's or sweeper's name begins with -> its package, and the extra that brings it
    "joblib": ("hydra_joblib_launcher", "joblib"),
    "submitit": ("hydra_submitit_launcher", "submitit"),
    "ray": ("hydra_ray_launcher", "ray"),
    "optuna": ("hydra_optuna_sweeper", "optuna"),
    "search": ("hydra_optuna_sweeper", "optuna"),
}
GROWING = ("ablation", "seed")  # one row or seed today, more of them tomorrow in the same folder


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
        try:
            yield
        except BaseException:
            self._conclude(whole=False)
            raise
        if not self._conclude(whole=True):
            sys.exit(1)

    def _conclude(self, whole: bool) -> bool:
        """Print and write the table; tell what failed and how to go on. Whether every row is finished."""
        from sr.report import runs  # torch, for which nobody should wait who mistyped a name
        from sr.report.sweep import write

        assert self.folder is not None
        try:
            rows = runs.find_runs(self.folder)
        except UserError:
            return False  # nothing was begun, of which Hydra has told the reason
        again = f"python train.py {shlex.join(self.typed)}"
        print(f"\n{write(rows, self.folder, self.ablation, self.left_out, again)}")
        failed = [row for row in rows if row.status == "failed"]
        begun = [row for row in rows if row.status == "running"]
        for row in failed:
            print(f"failed: {row.folder.name}: {row.error}\n  {row.folder}", file=sys.stderr)
        for row in begun:
            print(f"not finished: {row.folder.name}, {row.steps:,} steps done\n  {row.folder}", file=sys.stderr)
        if failed or begun or not whole:
            print(f"Finished rows are kept; go on with: {again}", file=sys.stderr)
        return not failed and not begun


def prepared(arguments: Sequence[str]) -> Sweep:
    """Give a sweep its folder and its rows their names; expand an ablation.

    The folder follows from what is typed, less the values that are swept over: a value more, and the finished rows
    are still there.
    """
    sweeping = any(a in ("-m", "--multirun", "hydra.mode=MULTIRUN") for a in arguments)
    expanded, ablation, left_out = with_rows(arguments, sweeping)
    if not sweeping:
        return Sweep(list(arguments), expanded)
    overrides = [a for a in expanded if not a.startswith("-") and ("=" in a or a.startswith("~"))]
    _refuse_missing(overrides)
    swept = _swept(overrides)
    places = [a.partition("=")[2].strip("'\"") for a in overrides if a.startswith("hydra.sweep.dir=")]
    folder = Path(places[-1]) if places else Path("outputs/sweeps") / _name(overrides, swept, ablation)
    kept = [a for a in expanded if not a.startswith("hydra.sweep.dir=")]
    if any((CONF / key).is_dir() for key in swept):
        kept = [_left_to_the_rows(a, swept) for a in kept]
    kept.append(f"hydra.sweep.dir={quoted(folder.resolve())}")
    if not any(a.startswith("hydra.sweep.subdir=") for a in kept):
        kept.append(f"hydra.sweep.subdir=${{row_folder:{','.join(quoted(key) for key in swept)}}}")
    return Sweep(list(arguments), kept, folder.resolve(), ablation, left_out)


def _refuse_missing(overrides: Sequence[str]) -> None:
    for override in overrides:
        key, _, name = override.partition("=")
        for word, (package, extra) in EXTRAS.items():
            if key in ("hydra/launcher", "hydra/sweeper") and name.startswith(word) and not _installed(package):
                raise UserError(f'{override} needs a package that is not installed: pip install "sr[{extra}]"')


def _installed(package: str) -> bool:
    try:
        return find_spec(f"hydra_plugins.{package}") is not None
    except ModuleNotFoundError:
        return False  # no plugin of Hydra at all


def row_folder(*swept: str) -> str:
    """The name of the present row's folder: what was swept over, and a hash of all that was typed.

    A resolver, ${row_folder:<keys that are swept over>}; the same row has the same name in every sweep.
    """
    typed = [o for o in HydraConfig.get().overrides.task if not _passing(_key(o))]
    values = {_key(o): o.partition("=")[2] for o in typed}
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
    return f"{name}_{_hash(typed)}" if name else _hash(typed)


def _left_to_the_rows(argument: str, swept: Sequence[str]) -> str:
    """Hydra sets what is typed once in a config of its own, without what is swept over: there `model` may be one that
    has no such key. A choice of one value is left to the rows."""
    key, _, value = argument.partition("=")
    inside = "." in key and value != "" and not key.startswith(("-", "~", "hydra"))
    return f"{key}=choice({value})" if inside and _key(argument) not in swept else argument


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _passing(key: str) -> bool:
    return any(key == p or key.startswith((f"{p}.", f"{p}/")) for p in PASSING)


def _hash(words: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(words)).encode()).hexdigest()[:8]


def _swept(overrides: Sequence[str]) -> list[str]:
    """The keys that have several values or a range, or that may get more another time; a row's name goes first."""
    plain = [o for o in overrides if not _key(o).startswith("hydra")]
    try:
        parsed = OverridesParser.create().parse_overrides(plain)
    except HydraException:
        return []  # Hydra will say what is wrong with it
    keys = [(_key(p.get_key_element()), p.is_sweep_override()) for p in parsed]
    return sorted((key for key, several in keys if several or key in GROWING), key=lambda key: key != "ablation")


def _name(overrides: Sequence[str], swept: Sequence[str], ablation: Ablation | None) -> str:
    values = {_key(o): o.partition("=")[2] for o in overrides}
    fixed = [o for o in overrides if _key(o) not in swept and not _passing(_key(o))]
    named = [values[k] for k in ("model", "experiment") if k in values and k not in swept]
    name = ablation.name if ablation else (named or ["sweep"])[0]
    return f"{re.sub(r'[^-.+_a-zA-Z0-9]+', '-', name)}_{_hash([*fixed, *(f'{key}*' for key in swept)])}"
