"""The commands: `sr train ...`, or python train.py ..., runs one through Hydra, with errors that say what to type."""

import gc
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

if sys.excepthook is sys.__excepthook__:  # before the imports below, which take a second: Ctrl-C shows no traceback

    def _told(kind: type[BaseException], error: BaseException, where: Any) -> None:
        from sr.errors import interrupted

        if interrupted(error):
            print("\nstopped", file=sys.stderr)
        else:
            sys.__excepthook__(kind, error, where)

    sys.excepthook = _told
    # As torch does when its import ends; where that is cut short it would talk at the exit.
    logging.getLogger("torch").setLevel(logging.WARNING)
if "SLURM_JOB_ID" in os.environ:  # before those imports, too: a job may be taken away at any time
    from sr.runs.preempted import take_requests

    take_requests()
if "hydra/launcher=submitit_slurm" in sys.argv:  # what is typed is submitted, though its terminal is closed meanwhile
    from sr.runs.terminal import outlive

    outlive()
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray, where it is the launcher, reports home otherwise

import hydra
from hydra._internal import utils as hydras_own
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log
from hydra.errors import HydraException
from hydra.types import RunMode
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sr.compose import schema
from sr.compose.conf import CONF
from sr.compose.interpolations import limit
from sr.compose.keys import refuse_idle, refuse_out_of_range, refuse_unread
from sr.compose.refusals import refuse_flags, refuse_meaningless
from sr.compose.spelling import spelled_out
from sr.compose.suggestions import explained
from sr.compose.words import Job, split, sweeping
from sr.errors import UserError, interrupted, nearest, printable, reason, user_error
from sr.memory import keep_freed_memory
from sr.runs.lock import locked, refuse_alone
from sr.runs.occupied import refuse_name
from sr.runs.place import emptied
from sr.runs.preempted import requests_passed_on
from sr.runs.started import starting_alike
from sr.runs.terminal import unread
from sr.runs.trust import trust_what_was_typed
from sr.runs.yaml_file import refuse_endless
from sr.sweeps.command import Sweep, prepared
from sr.sweeps.names import row_folder
from sr.whole import in_place

TASKS = {  # what a command runs, imported when it runs: nobody waits for torch who asks for help or mistyped a name
    "train": "sr.training.train.train",
    "evaluate": "sr.measuring.evaluate.evaluate",
    "measure": "sr.measuring.measure.measure",
    "upscale": "sr.deploy.upscale.upscale",
    "export": "sr.deploy.export.export",
    "compare": "sr.comparison.compare.compare",
    "figure": "sr.figures.figure.figure",
    "study": "sr.study.study.study",
}
OF_A_SEARCH = {"hydra_optuna_sweeper", "optuna", "sqlalchemy", "alembic"}  # packages that fail by what is typed of one
_load_config = ConfigRepository.load_config
OF_HYDRA = re.compile("Config group override|Invalid defaults list|Invalid plugin")  # in errors of no kind of its own
USAGE = "Usage: sr <command> ...   Each command explains itself: sr <command> --help\n"
ZOO = "List the authors' weights; save one of them as a checkpoint."
logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # what it logs is raised, too, and told in our words
logging.getLogger("alembic").setLevel(logging.WARNING)  # Optuna's: eight lines on its plugins


def entry() -> None:
    """`sr <command> ...`, or python -m sr <command> ..."""
    command, *words = sys.argv[1:] or ["--help"]
    if command not in TASKS and "LOCAL_RANK" in os.environ:
        command, words = "train", sys.argv[1:]  # Lightning starts a run's other processes with Hydra's words alone
    sys.argv[1:] = words
    if command in TASKS:
        main(command)
    elif command == "zoo":
        from sr.zoo.__main__ import main as zoo

        zoo()
    elif command in ("-h", "--help"):
        headers = {name: OmegaConf.load(CONF / "hydra" / "help" / f"{name}.yaml").header for name in TASKS}
        print("\n".join([USAGE, *(f"  {name:10}{header}" for name, header in {**headers, "zoo": ZOO}.items())]))
    else:
        known = [*TASKS, "zoo"]
        sys.exit(f"error: sr {command}: no such command.{nearest(command, known)} There are {', '.join(known)}")


@starting_alike()
def main(command: str) -> None:
    """Run one of TASKS with the words behind sys.argv[0]: compose conf/<command>.yaml and call the task with it.

    What the user can mend ends in one message and status 1. HYDRA_FULL_ERROR=1 in the environment shows where it was.
    """
    arguments = sys.argv[1:]
    unread(sys.stdout, sys.stderr)
    try:
        refuse_name(Path.cwd())
        refuse_alone()  # torch reads the numbers of processes while it is imported
        refuse_bytes(arguments)
        refuse_flags(command, arguments)
        task, arguments = Guarded(command), spelled_out(command, arguments)
        flags, words = split(arguments)
        refuse_meaningless(command, words)
        sweep = prepared(arguments) if command == "train" else Sweep(arguments, [*flags, *words.texts])
        sys.argv[1:] = sweep.arguments
        with sweep.concluding():
            hydra.main(version_base="1.3", config_path=str(CONF), config_name=command)(task)()
    except Exception as error:
        if interrupted(error):
            sys.exit("\nstopped")
        wrong = user_error(error) or _of_others(error)
        of_hydra = isinstance(error, HydraException | OmegaConfBaseException) or OF_HYDRA.search(str(error))
        if os.environ.get("HYDRA_FULL_ERROR") == "1" or not (wrong or of_hydra):
            traceback.print_exc()
            sys.exit(1)
        sys.exit(printable(f"error: {wrong or explained(error, command, arguments)}"))


def _of_others(error: Exception) -> UserError | None:
    """What the user can mend where Hydra or Optuna stumbled over what they were given, by where that was."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [Path(frame.filename) for frame in frames]
    if any(frame.name == configure_log.__name__ for frame in frames):
        causes = ": ".join(dict.fromkeys(reason(e) for e in (error, error.__cause__) if e is not None))
        return UserError(
            f"no log can be set up as hydra/job_logging or hydra/hydra_logging says: {causes}. Leave them out, or mend "
            "that config: wanted is what Python's logging.config.dictConfig takes, with version: 1 and a root"
        )
    if isinstance(error, RecursionError) and any(place.name == "defaults_list.py" for place in places):
        return UserError("configs name each other in their defaults without end. Take one out of the other's list")
    if any("hydra_optuna_sweeper" in place.parts for place in places) and OF_A_SEARCH & {*places[-1].parts}:
        return UserError(
            f"Optuna cannot search so: {reason(error)} Type ranges as 'optimizer.lr=interval(1e-5,1e-2)', "
            "hydra.sweeper.n_trials=20 and n_jobs=1 or more, and no hydra.sweeper.storage: the same command, typed "
            "again, goes on with the runs that are there"
        )
    return None


def refuse_bytes(typed: Sequence[str]) -> None:
    """Raises a UserError for a word that is no text: it could be written into no log and no table."""
    for word in typed:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"{word!r} holds bytes that are not UTF-8. Rename the file or folder") from error


class Guarded:
    """A command as Hydra calls it, in this process or in another one of a sweep: set up, with short errors."""

    def __init__(self, command: str) -> None:
        self.command = command
        _set_up()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        _set_up()

    def __call__(self, cfg: DictConfig) -> Any:
        try:
            with requests_passed_on(), emptied(), in_place(Path(HydraConfig.get().runtime.output_dir)):
                task = _task(self.command)
                trust_what_was_typed(cfg)
                refuse_unread(cfg)
                refuse_idle(cfg, Job.current().words, self.command)
                if self.command != "train":
                    refuse_out_of_range(cfg)
                    run: Any = HydraConfig.get()
                    mine = OmegaConf.select(run, "callbacks.folder.held")
                    with nullcontext() if mine else locked(Path(run.runtime.output_dir)):
                        return task(cfg)
                from sr.sweeps.row import run_row

                return run_row(cfg, task)
        except Exception as error:
            if (wrong := user_error(error)) is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
                raise
            raise UserError(str(wrong)) from None  # as it comes out of another process, which leaves causes behind


def _task(command: str) -> Any:
    """What a command runs, imported with all that it needs.

    Nothing of that is ever garbage. The collector would look through all of it time and again while it comes, and once
    more when the process ends: a third of the time of importing torch and Lightning.
    """
    name = TASKS[command]
    if name.rpartition(".")[0] in sys.modules or not gc.isenabled():
        return get_method(name)
    gc.disable()
    try:
        _import_torchmetrics()
        return get_method(name)
    finally:
        gc.freeze()
        gc.enable()


def _import_torchmetrics() -> None:
    """Import torchmetrics, as Lightning does, as if matplotlib and SciPy were not there.

    It takes the one for plots of its metrics and the other for a name that was once there: a fifth of a run's start.
    """
    from lightning_utilities.core import imports

    spared, cache, there = ("matplotlib", "scipy"), imports.RequirementCache, imports.package_available
    check = cache._check_available

    def sparing(self: Any) -> None:
        if self.requirement in spared:
            self.available, self.message = False, "torchmetrics does without it here"
        check(self)

    imports.package_available = lambda name: name not in spared and there(name)  # type: ignore[assignment]
    cache._check_available = sparing  # type: ignore[method-assign]
    try:
        import torchmetrics  # noqa: F401
    finally:
        imports.package_available, cache._check_available = there, check  # type: ignore[method-assign]


def _set_up() -> None:
    hydras_own.run_and_report = lambda func: func()  # main tells of errors, in words that say what to type
    Hydra.get_mode = _mode  # type: ignore[method-assign]
    ConfigRepository.load_config = _looked_at  # type: ignore[method-assign]
    JobReturn.return_value = JobReturn.return_value.getter(_returned)  # type: ignore[attr-defined, method-assign]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name that is no text, or a terminal that has not all letters
            stream.reconfigure(errors="backslashreplace")
    limit()
    schema.register()
    OmegaConf.register_new_resolver("row_folder", row_folder, replace=True)
    keep_freed_memory()
    # Of a matplotlibrc where one stands it tells each line that is none of its own: by a link those of any file.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    # Lightning's own use of a torch function that is on its way out; nothing a user can act on.
    warnings.filterwarnings("ignore", module=r"lightning\.pytorch\.utilities\._pytree")
    warnings.filterwarnings("ignore", message=r"The `srun` command is available")  # nor that: a run is no job's task
    # Loss networks and batch norms that stay as they are, on purpose.
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")


def _looked_at(self: ConfigRepository, config_path: str) -> Any:
    """Hydra's reading of a config, with a look at the files first: they may lie in any folder that was typed.

    Raises:
        UserError: one cannot be read, or has the name of another one, which Hydra would take in its place.
    """
    places = [source for source in self.sources if source.scheme() == "file" and source.is_config(config_path)]
    files = [Path(source.path, source._normalize_file_name(config_path)).resolve() for source in places]
    for file in files:
        if CONF not in file.parents:
            refuse_endless(file)
        if file != files[0] and file.read_bytes() != files[0].read_bytes():
            group, _, name = config_path.removesuffix(".yaml").rpartition("/")
            instead = f"{group}=my_{name}" if group else f"--config-name=my_{name}"
            raise UserError(f"{file} would not be read: {files[0]} has its name. Give it another one, as {instead}")
    return _load_config(self, config_path)


def _mode(self: Hydra, config_name: str | None, overrides: list[str]) -> RunMode | None:
    """What a command line is, a run or a sweep. Hydra composes the config to know it, and once more for the run.

    Here a run takes what the first composition gave, as each is a tenth of a second.
    """
    flags, words = split(sys.argv[1:])
    if sweeping(flags, words):
        return RunMode.MULTIRUN if words.value("hydra.mode") == "MULTIRUN" else None
    cfg = self.compose_config(config_name, overrides, RunMode.RUN)
    if cfg.hydra.mode is not None:  # as typed, or as a config file says
        return cast(RunMode, cfg.hydra.mode)
    cfg.hydra.mode = RunMode.RUN
    cfg.hydra.overrides.hydra.append(f"hydra.mode={RunMode.RUN.name}")

    def composed(*_: Any, with_log_configuration: bool = False, **__: Any) -> DictConfig:
        del self.__dict__["compose_config"]  # it serves once
        if with_log_configuration:
            configure_log(cfg.hydra.hydra_logging, cfg.hydra.verbose)
        return cfg

    self.__dict__["compose_config"] = composed
    return None


def _returned(job: JobReturn) -> Any:
    """What a job returned or raised, without Hydra's word about it."""
    if job.status == JobStatus.FAILED:
        raise job._return_value
    return job._return_value
