"""metrics.csv: every logged value, one row a step, kept across resumes."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, TextIO

from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from sr.bounded import TABLE, Rows, text_of
from sr.errors import UserError, reason
from sr.loggers.run_facts import at_step
from sr.whole import refuse_replaced, replacing, unlinked


class CsvLog(Logger):
    """Rows by optimizer steps done in `<folder>/metrics.csv`; new columns may appear at any time.

    A resumed run keeps its rows up to the step it goes on from and drops later ones, which it measures again.
    Lightning's own CSV logger would delete the file.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.file = Path(folder) / "metrics.csv"
        self.rows: dict[int, dict[str, Any]] = {}
        self._columns: list[str] = []  # as they stand in the file
        self._unwritten: set[int] = set()  # steps
        self._keys: set[str] = set()  # of all rows
        self._newest = -1  # step of the newest row in the file
        self._newest_at = 0  # byte at which it begins

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @property
    @rank_zero_experiment
    def experiment(self) -> CsvLog:
        return self

    @rank_zero_only
    def resume_at(self, step: int) -> None:
        """Read the rows of the run so far, up to `step`.

        Raises:
            UserError: the file is not what a run writes.
        """
        if not self.file.is_file():
            return
        try:
            text = text_of(self.file, TABLE)
            whole = text[: text.rfind("\n") + 1]  # of a process that was killed the last line may be cut
            read = [{k: v for k, v in row.items() if v != ""} for row in Rows(io.StringIO(whole), self.file)]
            steps = {int(row["step"]): row for row in read}
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise UserError(
                f"{self.file} is not what a run writes there ({reason(error)}), and is not written over: move it away "
                "to go on without its rows"
            ) from error
        self.rows = {done: row for done, row in steps.items() if done <= step}
        self._keys = {key for row in self.rows.values() for key in row}

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The composed config stands in the run folder already."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        done, values = at_step(metrics, step)
        self.rows.setdefault(done, {"step": done}).update(values)
        self._unwritten.add(done)
        self._keys |= values.keys()

    @rank_zero_only
    def save(self) -> None:
        """Append; only a new column or a change of an older row writes the whole file again."""
        if not self._unwritten:
            return
        columns = ["step", *sorted(self._keys - {"step"})]
        refuse_replaced(self.file)
        if columns != self._columns or min(self._unwritten) < self._newest or not self.file.is_file():
            self._rewrite(columns)
        else:
            with open(self.file, "r+", newline="", opener=unlinked) as f:
                f.seek(self._newest_at)
                self._write(f, sorted({*self._unwritten, self._newest}))
                f.truncate()  # only now: a process that is killed in between has not taken the newest row away
        self._unwritten.clear()

    def _rewrite(self, columns: list[str]) -> None:
        self._columns = columns
        with replacing(self.file) as part, part.open("w", newline="") as f:
            csv.DictWriter(f, columns).writeheader()
            self._write(f, sorted(self.rows))

    def _write(self, f: TextIO, steps: list[int]) -> None:
        writer = csv.DictWriter(f, self._columns, restval="")
        for step in steps:
            self._newest, self._newest_at = step, f.tell()
            writer.writerow(self.rows[step])

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()
