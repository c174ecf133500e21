"""Sweeps that survive: one command, one folder; finished rows are skipped, unfinished ones gone on with.

Here is what happens before and after Hydra's own sweep; what a row does is in row.py.
"""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from sr.compose.conf import CONF
from sr.compose.words import Word, Words, config_dirs, pasted, quoted, spelled, split, sweeping
from sr.errors import UserError, printable, user_error
from sr.runs.composed import with_resumed_run
from sr.runs.occupied import refuse_foreign, refuse_links
from sr.runs.place import forget, missing
from sr.runs.record import SWEEP, record_sweep
from sr.sweeps.ablation import Ablation
from sr.sweeps.ablation_rows import with_rows
from sr.sweeps.launchers import launching, refuse_unusable, submits
from sr.sweeps.names import sweep_name, swept_over
from sr.sweeps.slurm import left_with_slurm, queued

log = logging.getLogger(__name__)


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
            if made is not None:
                forget(self.folder, made)


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
    refuse_unusable(words)
    _refuse_odd_backend()
    _refuse_places(words)
    swept = swept_over(words)
    place = words.value("hydra.sweep.dir")
    folder = Path(place) if place else Path("outputs/sweeps") / sweep_name(words, swept, ablation)
    refuse_links(folder, rows=True)
    if place:
        refuse_foreign(folder, "train", "sweep")  # before the sweep's record is written there
    texts = words.without("hydra.sweep.dir").texts
    if any((CONF / key).is_dir() for key in swept):
        texts = [_left_to_the_rows(Word(text), swept) for text in texts]
    texts.append(f"hydra.sweep.dir={quoted(folder.resolve())}")
    texts.append(f"hydra.sweep.subdir=${{row_folder:{','.join(quoted(key) for key in swept)}}}")
    texts += launching(words, folder)
    return Sweep(list(arguments), [*flags, *map(spelled, texts)], folder.resolve(), ablation, left_out, submits(words))


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


def _left_to_the_rows(word: Word, swept: Sequence[str]) -> str:
    """A choice of one value, which is left to the rows.

    Hydra sets what is typed once in a config of its own, without what is swept over: there `model` may lack the key.
    """
    key, _, value = word.text.partition("=")
    inside = "." in key and value != "" and not key.startswith(("~", "hydra"))
    if inside and value == "null":  # of which Hydra makes no choice
        return f"++{key.lstrip('+')}=null"
    return f"{key}=choice({value})" if inside and word.key not in swept else word.text


def _refuse_odd_backend() -> None:
    """Raises a UserError where matplotlib, which draws a sweep's curves, does not know what the environment names."""
    if "MPLBACKEND" in os.environ and find_spec("matplotlib"):
        try:
            import matplotlib  # noqa: F401
        except ValueError as error:
            raise UserError(f"MPLBACKEND in the environment: {error}. Type: unset MPLBACKEND") from error
