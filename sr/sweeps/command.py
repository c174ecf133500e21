"""Sweeps that survive: one command, one folder; finished rows are skipped, unfinished ones gone on with.

Here is what happens before and after Hydra's own sweep; what a row does is in sweep_row.py.
"""

import hashlib
import logging
import os
import re
import secrets
import shlex
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.machinery import all_suffixes
from importlib.util import find_spec
from pathlib import Path

from hydra.errors import HydraException

from sr.bounded import others_may_write
from sr.compose.conf import CONF
from sr.compose.keys import declared
from sr.compose.spelling import FORMER
from sr.compose.words import Job, Word, Words, config_dirs, pasted, quoted, spelled, split, sweeping
from sr.errors import UserError, printable, some, user_error
from sr.runs.composed import with_resumed_run
from sr.runs.occupied import OF_JOBS, refuse_foreign, refuse_links
from sr.runs.place import forget, missing
from sr.runs.record import SWEEP, record_sweep
from sr.sweeps.ablation import Ablation
from sr.sweeps.ablation_rows import with_rows
from sr.sweeps.slurm import LAUNCHER, left_with_slurm, queued

log = logging.getLogger(__name__)
JOBS = "hydra.launcher.submitit_folder"
RAY = "hydra.launcher.ray.init"
EXTRAS = {  # what a launcher's or sweeper's name begins with -> its package, and the extra that brings it
    "joblib": ("hydra_joblib_launcher", "joblib"),
    "submitit": ("hydra_submitit_launcher", "submitit"),
    "ray": ("hydra_ray_launcher", "ray"),
    "optuna": ("hydra_optuna_sweeper", "optuna"),
    "search": ("hydra_optuna_sweeper", "optuna"),
}
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
        submitted: its rows are jobs of Slurm's, for which nobody waits.
    """

    typed: list[str]
    arguments: list[str]
    folder: Path | None = None
    ablation: Ablation | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    submitted: bool = False

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
        made = missing(self.folder)
        if new := not (self.folder / SWEEP).exists():  # by it a row knows its sweep, wherever it runs
            record_sweep(self.folder, self._again, self.ablation.name if self.ablation else None, [], self.left_out)
        try:
            with left_with_slurm(self.folder) if self.submitted else nullcontext():
                yield
        except BaseException:
            self._conclude(new, made, whole=False)
            raise
        if not self._conclude(new, made, whole=True):
            sys.exit(1)

    @property
    def _again(self) -> str:
        return pasted("train", self.typed)

    def _conclude(self, new: bool, made: Path | None, whole: bool) -> bool:
        """Print and write the table; tell what failed and how to go on. Whether every row is finished.

        Args:
            new: the sweep's folder was none before.
            made: the outermost folder that was not there before.
            whole: nothing interrupted the sweep.
        """
        from sr.runs.folder import find_runs  # torch, for which nobody should wait who mistyped a name
        from sr.sweeps.table import write

        assert self.folder is not None
        rows, told, waiting = [], True, dict[str, str]()
        try:
            waiting = queued(self.folder)
        except UserError as error:  # which must not hide what ended the sweep, nor its table
            print(printable(f"error: {error}"), file=sys.stderr)
            told = False
        try:
            rows = find_runs(self.folder)
            print(printable(f"\n{write(rows, self.folder, self.ablation, self.left_out, self._again)}"))
        except Exception as error:  # which must not hide what ended the sweep, nor how it goes on
            if not rows and isinstance(error, UserError) and not waiting:
                self._forget(new, made)  # nothing was begun, of which Hydra has told the reason
                return False
            if rows or not waiting:
                wrong = user_error(error)
                what = f"{self.folder}: the sweep's table could not be written{f': {wrong}' if wrong else ''}"
                log.error(what, exc_info=None if wrong else error)
                told = False
        others = [row for row in rows if row.folder.name not in waiting]
        failed = [row for row in others if row.status in ("failed", "damaged")]
        begun = [row for row in others if row.status in ("running", "interrupted")]
        for row in failed:
            print(printable(f"{row.status}: {row.folder.name}: {row.error}\n  {row.folder}"), file=sys.stderr)
        for row in begun:
            print(
                printable(f"not finished: {row.folder.name}, {row.steps:,} steps done\n  {row.folder}"), file=sys.stderr
            )
        for name, job in waiting.items():
            print(printable(f"job {job}: {name}"))
        if waiting:
            count = f"{len(waiting)} row{'s are' if len(waiting) > 1 else ' is'}"
            print(f"{count} with Slurm, and need no shell. How far they are: {self._again}")
        if failed or begun or not whole or not told:
            print(f"Finished rows are kept; go on with: {self._again}", file=sys.stderr)
        return told and not failed and not begun

    def _forget(self, new: bool, made: Path | None) -> None:
        """Leave no trace of a sweep that was refused."""
        if new and self.folder is not None:
            (self.folder / SWEEP).unlink(missing_ok=True)
            forget([p for p in (self.folder, *self.folder.parents) if made and (p == made or made in p.parents)])


def prepared(arguments: Sequence[str]) -> Sweep:
    """Give a sweep its folder and its rows their names; expand an ablation.

    The folder follows from what is typed, less the values that are swept over, the seeds and an ablation's rows: more
    of those, and the finished rows are still there. Another folder begins with any other change: a key more or less,
    another value of a key that has one, and a key that had one value and gets several.

    Raises:
        UserError: a run that is resumed is no row of a sweep; or what was typed names something that is not there.
    """
    flags, typed = split(arguments)
    several = sweeping(flags, typed)
    if several and (run := typed.value("resume")):
        raise UserError(
            f"resume={run} goes on with one run, which is no row of a sweep: leave -m out and give each key one value. "
            "A sweep goes on when its own command is typed again"
        )
    words, ablation, left_out = with_rows(with_resumed_run(typed), config_dirs(flags), several)
    if not several:
        return Sweep(list(arguments), [*flags, *map(spelled, words.texts)])
    _refuse_missing(words)
    _refuse_odd_backend()
    launcher = str(words.value("hydra/launcher"))
    if launcher.startswith("ray"):
        _refuse_modules_here()
    _refuse_places(words)
    swept = _swept(words)
    place = words.value("hydra.sweep.dir")
    folder = Path(place) if place else Path("outputs/sweeps") / _name(words, swept, ablation)
    refuse_links(folder, rows=True)
    if place:
        refuse_foreign(folder, "train", "sweep")  # before the sweep's record is written there
    texts = words.without("hydra.sweep.dir").texts
    if any((CONF / key).is_dir() for key in swept):
        texts = [_left_to_the_rows(Word(text), swept) for text in texts]
    texts.append(f"hydra.sweep.dir={quoted(folder.resolve())}")
    texts.append(f"hydra.sweep.subdir=${{row_folder:{','.join(quoted(key) for key in swept)}}}")
    if launcher.startswith("submitit"):
        _tell_who_else_writes(folder)
    submitted = launcher == LAUNCHER and "hydra/sweeper" not in words  # which waits for figures
    if launcher == "ray":
        texts += _of_ray(words)
    if launcher.startswith("submitit") and not submitted and JOBS not in words:
        # A new one for each command: it unpickles what lies where a job was to put its result.
        texts.append(f"{JOBS}={quoted(folder.resolve() / OF_JOBS / secrets.token_hex(8) / '%j')}")
    return Sweep(list(arguments), [*flags, *map(spelled, texts)], folder.resolve(), ablation, left_out, submitted)


def _tell_who_else_writes(folder: Path) -> None:
    """Jobs unpickle what lies in the sweep's folder: whoever may write there, or around it, runs code as the user."""
    umask = os.umask(0)
    os.umask(umask)
    for place in (folder.resolve(), *folder.resolve().parents):
        there = place.stat() if place.exists() else None
        mode, group = (there.st_mode, there.st_gid) if there else (0o777 & ~umask, os.getgid())
        if not mode & stat.S_ISVTX and others_may_write(mode, group):
            log.warning(
                f"warning: others may write in {place}, where Slurm's jobs find what they run: they could run code as "
                f"you. If you do not trust them all: chmod go-w {shlex.quote(str(place))} and umask 022"
            )
            return


def _of_ray(words: Words) -> list[str]:
    """A Ray of one's own unless one is named: without, it is that which any user of the machine has begun before."""
    memory = f"{RAY}.object_store_memory"  # for which the launcher asks, and a Ray that is there has it
    if not words.value(f"{RAY}.address") and not os.environ.get("RAY_ADDRESS"):
        return [*([] if f"{RAY}.address" in words else [f"{RAY}.address=local"])]
    return [] if memory in words else [f"+{memory}=null"]


def _refuse_modules_here() -> None:
    """Ray's workers look for modules first in the folder where one stands, which may hold some of somebody else's.

    Raises:
        UserError: there are modules, and this process does not import from there.
    """
    here = Path.cwd()
    if here in (CONF.parent, *(Path(place).resolve() for place in sys.path if place)):
        return
    found: set[str] = set()
    for folder, inside, files in os.walk(here):
        inside[:] = [name for name in inside if name.isidentifier()]  # others cannot be imported from
        if any(file.endswith(tuple(all_suffixes())) for file in files):
            place = Path(folder).relative_to(here)
            found |= {place.parts[0]} if place.parts else {f for f in files if f.endswith(tuple(all_suffixes()))}
            inside[:] = inside if not place.parts else []
    if found:
        raise UserError(
            f"hydra/launcher=ray: its processes would take modules from the folder where you stand first, and here lie "
            f"{some(sorted(found))}. Type the command in another folder; or, if you trust what lies "
            "here: export PYTHONPATH=."
        )


def _refuse_places(words: Words) -> None:
    """Refuse folders of rows that are typed: two rows in one were one training, and a finished one another's.

    Raises:
        UserError: one is.
    """
    for key in ("hydra.sweep.subdir", "hydra.run.dir"):
        if key in words:
            raise UserError(
                f"{key}={words.value(key)}: the rows of a sweep have folders named by what is typed for each, by which "
                "those that are finished are known. Leave it out, or name the sweep's own folder: hydra.sweep.dir=PATH"
            )


def row_folder(*swept: str) -> str:
    """The name of the present row's folder: what was swept over, and a hash of all that was typed, and the seed.

    A resolver, ${row_folder:<keys that are swept over>}; the same row has the same name in every sweep. In a sweep's
    folder it keeps the one that it has, whichever keys were swept over then.
    """
    job = Job.current()
    typed = job.words.only(lambda key: declared(key).named)
    parts = []
    for key in swept:
        word = typed.last(key)
        value = word.value if word else ""
        if key == "ablation":
            parts.append(value.rpartition("/")[2])
        elif (CONF / key).is_dir():
            parts.append(value)
        else:
            parts.append(key.rpartition(".")[2] + value)
    name = re.sub(r"[^\w.+-]+", "-", "_".join(parts)).strip("-")[:80]
    known = _hash(typed.texts if "seed" in typed else [*typed.texts, SEED])
    if job.sweep is not None and (found := sorted(job.sweep.glob(f"*{known}"))):
        return found[0].name
    return f"{name}_{known}" if name else known


def _left_to_the_rows(word: Word, swept: Sequence[str]) -> str:
    """A choice of one value, which is left to the rows.

    Hydra sets what is typed once in a config of its own, without what is swept over: there `model` may lack the key.
    """
    key, _, value = word.text.partition("=")
    inside = "." in key and value != "" and not key.startswith(("~", "hydra"))
    if inside and value == "null":  # of which Hydra makes no choice
        return f"++{key.lstrip('+')}=null"
    return f"{key}=choice({value})" if inside and word.key not in swept else word.text


def _hash(texts: Sequence[str]) -> str:
    for former, now in FORMER["train"].items():  # so that a former sweep is gone on with
        texts = [re.sub(f"^{re.escape(now)}=", f"{former}=", text) for text in texts]
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:8]


def _swept(words: Words) -> list[str]:
    """The keys that have several values or a range, or that may get more another time; a row's name goes first."""
    plain = words.only(lambda key: not key.startswith("hydra"))
    try:
        keys = [(word.key, word.several) for word in plain]
    except HydraException:
        return []  # Hydra will say what is wrong with it
    return sorted((key for key, several in keys if several or declared(key).grows), key=lambda key: key != "ablation")


def _name(words: Words, swept: Sequence[str], ablation: Ablation | None) -> str:
    growing = {*swept, "seed"}
    fixed = words.only(lambda key: key not in growing and declared(key).named)
    named = [word.value for k in ("model", "experiment") if k not in swept and (word := words.last(k))]
    name = ablation.name if ablation else (named or ["sweep"])[0]
    return f"{re.sub(r'[^-.+_a-zA-Z0-9]+', '-', name)}_{_hash([*fixed.texts, *(f'{key}*' for key in growing)])}"


def _refuse_odd_backend() -> None:
    """Raises a UserError where matplotlib, which draws a sweep's curves, does not know what the environment names."""
    if "MPLBACKEND" in os.environ and find_spec("matplotlib"):
        try:
            import matplotlib  # noqa: F401
        except ValueError as error:
            raise UserError(f"MPLBACKEND in the environment: {error}. Type: unset MPLBACKEND") from error


def _refuse_missing(words: Words) -> None:
    """Raises a UserError where a launcher or sweeper was typed that is not installed."""
    for word in words.only(lambda key: key in ("hydra/launcher", "hydra/sweeper")):
        for name, (package, extra) in EXTRAS.items():
            if word.value.startswith(name) and not _installed(package):
                raise UserError(f'{word.text} needs a package that is not installed: pip install "sr-lab[{extra}]"')


def _installed(package: str) -> bool:
    try:
        return find_spec(f"hydra_plugins.{package}") is not None
    except ModuleNotFoundError:
        return False  # no plugin of Hydra at all
