"""What Hydra's launchers are refused, and what they are told beside what was typed."""

import atexit
import logging
import os
import secrets
import shlex
import shutil
import stat
import sys
import tempfile
from importlib.machinery import all_suffixes
from importlib.util import find_spec
from pathlib import Path

from sr.bounded import others_may_write
from sr.compose.conf import CONF
from sr.compose.words import Words, quoted
from sr.errors import UserError, installing, some
from sr.runs.occupied import OF_JOBS
from sr.sweeps.slurm import LAUNCHER

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


def submits(words: Words) -> bool:
    """Whether a sweep's rows are jobs of Slurm's, for which nobody waits; a sweeper waits for their figures."""
    return words.value("hydra/launcher") == LAUNCHER and "hydra/sweeper" not in words


def refuse_unusable(words: Words) -> None:
    """Look at the launcher and the sweeper that were typed.

    Raises:
        UserError: one is not installed, or would run what somebody else has put where one stands.
    """
    for word in words.only(lambda key: key in ("hydra/launcher", "hydra/sweeper")):
        for name, (package, extra) in EXTRAS.items():
            if word.value.startswith(name) and not _installed(package):
                raise UserError(f"{word.text} needs a package that is not installed: {installing(extra)}")
    if str(words.value("hydra/launcher")).startswith("ray"):
        _refuse_modules_here()


def _installed(package: str) -> bool:
    try:
        return find_spec(f"hydra_plugins.{package}") is not None
    except ModuleNotFoundError:
        return False  # no plugin of Hydra at all


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


def launching(words: Words, folder: Path) -> list[str]:
    """The words for the launcher of a sweep in a folder, beside those that were typed."""
    launcher = str(words.value("hydra/launcher"))
    if launcher == "ray":
        return _of_ray(words)
    if not launcher.startswith("submitit"):
        return []
    _tell_who_else_writes(folder)
    if submits(words) or JOBS in words:
        return []
    # A new one for each command: it unpickles what lies where a job was to put its result.
    return [f"{JOBS}={quoted(folder.resolve() / OF_JOBS / secrets.token_hex(8) / '%j')}"]


def _of_ray(words: Words) -> list[str]:
    """A Ray of one's own unless one is named: without, it is that which any user of the machine has begun before.

    Ray would write the token of one's own, with which anybody runs code there, into a file that others may read.
    """
    memory = f"{RAY}.object_store_memory"  # for which the launcher asks, and a Ray that is there has it
    if not words.value(f"{RAY}.address") and not os.environ.get("RAY_ADDRESS"):
        if not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & {*os.environ}:
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        own = {f"{RAY}.address": "local", f"+{RAY}.include_dashboard": "false"}
        if f"{RAY}._temp_dir" not in words:  # it prints what lies there, which in /tmp/ray anybody may write
            own[f"+{RAY}._temp_dir"] = quoted(place := Path(tempfile.mkdtemp(prefix="ray_")))
            atexit.register(shutil.rmtree, place, ignore_errors=True)
        return [f"{key}={value}" for key, value in own.items() if key.lstrip("+") not in words]
    return [] if memory in words else [f"+{memory}=null"]


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
