"""MLflow: curves, parameters and pictures of all runs in one store."""

from __future__ import annotations

import csv
import io
import logging
import math
import os
import re
import sqlite3
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from filelock import FileLock
from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from sr.errors import UserError, installing, printable, reason, some
from sr.loggers import run_ids
from sr.loggers.run_facts import RunFacts, at_step, completed
from sr.runs.config import flat
from sr.runs.version import code_version
from sr.scores.text import no_formula

log = logging.getLogger(__name__)
LOCAL = "sqlite:///"
STORE = "outputs/mlflow.db"  # where no other one is told
LOGGED = ("experiments", "runs", "metrics", "latest_metrics", "params", "tags", "experiment_tags")  # tables of a store
# Words of SQL that change what is stored, of which MLflow's own tables of these names have none.
CHANGING = {"ON", "AS", "COLLATE", "VIRTUAL"}
NO_WORDS = re.compile(r"--[^\n]*|/\*.*?\*/|'[^']*'|\"[^\"]*\"|`[^`]*`|\[[^]]*\]", re.S)  # comments and names in quotes
JOURNAL = bytes.fromhex("d9d505f920a163d7")  # how a journal of SQLite begins, and ends where it names another one
AT_ONCE = 100  # parameters that MLflow takes in one request
LONGEST = 500  # characters of a parameter
NOT_IN_NAMES = re.compile(r"[^\w/. -]")  # characters that MLflow refuses in names


def _refuse_journal(store: Path) -> None:
    """SQLite takes up what it finds beside a store: of an interrupted write, it deletes the file that is named there.

    Raises:
        UserError: a journal names one, which none of a single store does, or what lies there is no file of its own.
    """
    for suffix in ("-journal", "-wal", "-shm"):
        file = store.with_name(store.name + suffix)
        if not os.path.lexists(file):
            continue
        found = file.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            why = "is, or leads to, something else"
        elif suffix == "-journal" and _ending(file, len(JOURNAL)) == JOURNAL:
            why = "names a file that would be deleted"
        else:
            continue
        raise UserError(
            f"logger=mlflow: {file}, which SQLite reads before the store itself, {why}. MLflow does not make such a "
            "one: if the folder is somebody else's, rename both, or type logger=csv"
        )


def _ending(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - size))
        return file.read()


def _words(sql: str) -> set[str]:
    return set(re.findall(r"[A-Z]+", NO_WORDS.sub(" ", sql).upper()))


def mlflow_logger(
    tracking_uri: str | None = None,
    project: str = "sr",
    tags: dict[str, str] | None = None,
    facts: dict[str, Any] | None = None,
) -> MlflowRun:
    """One MLflow run for a run folder, resumes included.

    Args:
        tracking_uri: of the store: a file (sqlite:///...) or a server. None: $MLFLOW_TRACKING_URI, read here so that a
            password in it gets into no config, else `outputs/mlflow.db`.
        project: MLflow's experiment.
        tags: beside those of model, scale, recipe, sweep and commit.
        facts: see `sr.loggers.run_facts`; filled in by train.py.

    Raises:
        UserError: MLflow is not installed.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it reports home otherwise
    try:
        import alembic  # noqa: F401 - a store in a file needs these two
        import mlflow  # noqa: F401
        import sqlalchemy  # noqa: F401
    except ImportError as error:
        raise UserError(f"logger=mlflow: {error}. Type: {installing('mlflow')}") from error
    tracking_uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    for own in (Path(STORE), Path(STORE).with_suffix("")) if tracking_uri is None else ():
        if own.is_symlink():  # of the store, or of the folder of its pictures
            raise UserError(
                f"logger=mlflow: {own} is a link to {own.resolve()}, where MLflow would write. If that is your store, "
                f"type logger.tracking_uri={LOCAL}{own.resolve().with_suffix('.db')}; else remove the link"
            )
    tracking_uri = tracking_uri or LOCAL + STORE
    address = urlsplit(tracking_uri)
    if address.password:  # MLflow tells its address in errors and at the end
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(address.username or "")
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(address.password)
        tracking_uri = address._replace(netloc=address.netloc.rpartition("@")[2]).geturl()
    if tracking_uri.startswith(LOCAL):  # MLflow knows a store by its address, wherever the process stands by then
        tracking_uri = LOCAL + str(Path(tracking_uri.removeprefix(LOCAL)).resolve())
    return MlflowRun(completed(facts), tracking_uri, project, tags or {})


class MlflowRun(Logger):
    """Steps are optimizer steps done. `mlflow_id.txt` in the run folder makes every resume the same MLflow run."""

    def __init__(self, facts: RunFacts, uri: str, project: str, tags: Mapping[str, str]) -> None:
        super().__init__()
        self.facts, self.uri, self.project, self.tags = facts, uri, project, tags
        # Pictures lie beside a store in a file; a server knows its own place.
        self._place = str(Path(uri.removeprefix(LOCAL)).parent / "mlflow") if uri.startswith(LOCAL) else None
        self._client: Any = None
        self._id = ""
        self._running = False

    @property
    def name(self) -> str:
        return self.project

    @property
    def version(self) -> str:
        return self._id

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The MlflowClient, with the run begun or gone on with."""
        if not self._id:
            from mlflow import MlflowClient

            for library in ("mlflow", "alembic"):
                logging.getLogger(library).setLevel(logging.WARNING)
            local = self.uri.startswith(LOCAL)  # there several processes must not lay out the same new store
            with FileLock(f"{self.uri.removeprefix(LOCAL)}.lock") if local else nullcontext():
                if local:
                    self._refuse_triggers()
                self._client = MlflowClient(self.uri)
                self._id = self._begin()
        return self._client

    def _begin(self) -> str:
        file = Path(self.facts["folder"]) / "mlflow_id.txt"
        if (found := run_ids.known(file)) and (run := self._known(found)):
            self._refuse_elsewhere(run.info.artifact_uri)
            return run.info.run_id
        known = self._client.get_experiment_by_name(self.project)
        if known:
            self._refuse_elsewhere(known.artifact_location)
        parent = known.experiment_id if known else self._client.create_experiment(self.project, self._place)
        tags = dict(tag.split(":", 1) for tag in self.facts["tags"]) | dict(self.tags)
        tags |= {"sweep": self.facts["group"]} if self.facts["group"] else {}
        tags |= {f"code.{key}": str(value) for key, value in code_version().items()}
        run = self._client.create_run(parent, tags=tags, run_name=self.facts["name"])
        run_ids.keep(file, run.info.run_id)
        return run.info.run_id

    def _known(self, found: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_run(found)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            log.warning(
                f"note: {self.uri} holds no run {found}, as which this one was logged before: a new one begins there"
            )
            return None

    def _refuse_triggers(self) -> None:
        """MLflow makes none, nor rules that leave some of what is logged out: somebody else's store may have both."""
        file = Path(self.uri.removeprefix(LOCAL))
        if not file.is_file():
            return
        _refuse_journal(file)
        try:
            with closing(sqlite3.connect(file)) as store:
                made = store.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        except sqlite3.Error as error:
            raise UserError(f"logger=mlflow: {file} is no store that can be read ({reason(error)})") from error
        changing = [name for kind, name, table, sql in made if str(table).lower() in LOGGED
                    and (kind == "trigger" or (kind == "table" and CHANGING & _words(str(sql))))]  # fmt: skip
        if changing:
            raise UserError(
                f"logger=mlflow: the store {file} holds triggers or rules ({printable(some(changing))}), which change "
                "what is logged, and which MLflow does not make. If it is somebody else's, rename it, or type "
                "logger=csv"
            )

    def _refuse_elsewhere(self, told: str) -> None:
        """A store that came with a folder of somebody else could have files written anywhere, or sent to a server."""
        from mlflow.utils.file_utils import local_file_uri_to_path

        if self._place is None:
            return
        there, here = (local_file_uri_to_path(uri) for uri in (told, self._place))  # type: ignore[no-untyped-call]
        address = urlsplit(told)  # http://host/../outputs/mlflow is no folder, though a path can be made of it
        here_alone = address.scheme in ("", "file") or (os.name == "nt" and len(address.scheme) == 1)
        if not here_alone or address.netloc or not Path(there).resolve().is_relative_to(Path(here).resolve()):
            raise UserError(
                f"logger=mlflow: the store {self.uri} says that pictures and tables go to {printable(told)}, and those "
                f"of this project go to {self._place}. If the store was moved, or is somebody else's, rename it; or "
                "type logger=csv"
            )

    def _for_files(self) -> Any:
        """The client; a store can hold triggers, by which it says another place once a run has begun."""
        client = self.experiment
        self._refuse_elsewhere(client.get_run(self._id).info.artifact_uri)
        return client

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """MLflow never changes a parameter; what a resume changed is a tag `resumed.<key>`."""
        from mlflow.entities import Param

        client = self.experiment
        known = client.get_run(self._id).data.params
        values = {_named(key): str(value)[:LONGEST] for key, value in flat(params).items()}
        fresh = [Param(key, value) for key, value in values.items() if key not in known]
        for begin in range(0, len(fresh), AT_ONCE):
            client.log_batch(self._id, params=fresh[begin : begin + AT_ONCE])
        for key, value in values.items():
            if known.get(key, value) != value:
                client.set_tag(self._id, f"resumed.{key}", value)

    @rank_zero_only
    def forget(self, keys: Sequence[str], step: int) -> None:
        """As `WandbRun.forget`; MLflow takes nothing away, but NaN as a last one."""
        self.log_metrics(dict.fromkeys(keys, math.nan), step - 1)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        from mlflow.entities import Metric

        client, now = self.experiment, int(1000 * time.time())
        done, values = at_step(metrics, step)
        if not self._running:
            client.update_run(self._id, status="RUNNING")
            self._running = True
        client.log_batch(self._id, metrics=[Metric(_named(key), float(v), now, done) for key, v in values.items()])

    @rank_zero_only
    def log_pictures(self, key: str, pictures: Sequence[np.ndarray], captions: Sequence[str], step: int) -> None:
        client = self._for_files()
        for picture, caption in zip(pictures, captions, strict=True):
            client.log_image(self._id, picture, f"{key}/{caption}_{step:07d}.png")

    @rank_zero_only
    def log_table(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        """As a CSV file, which MLflow shows as a table; its own kind of table grows with every resume."""
        text = io.StringIO()
        csv.writer(text).writerows([[no_formula(cell) for cell in row] for row in (columns, *rows)])
        self._for_files().log_text(self._id, text.getvalue(), f"{key}.csv")

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if self._id:
            self._client.set_terminated(self._id, "FINISHED" if status == "success" else "FAILED")
            self._running = False


def _named(key: str) -> str:
    """`parameter_groups.*.bias` -> `parameter_groups._.bias`."""
    return NOT_IN_NAMES.sub("_", key)
