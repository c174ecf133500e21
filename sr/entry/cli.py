"""What every entry script shares: Hydra's main, with errors that say what to type."""

from __future__ import annotations

import difflib
import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray, where it is the launcher, reports home otherwise

import hydra
from hydra.errors import CompactHydraException, HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sr.entry import config
from sr.entry.memory import keep_freed_memory
from sr.entry.resume import with_resumed_run
from sr.errors import UserError

if TYPE_CHECKING:
    from sr.entry.sweep import Sweep

CONF = Path(__file__).resolve().parents[2] / "conf"


def main(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Turn task(cfg) into the main function of an entry script that composes conf/<config_name>.yaml."""

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        def entry() -> None:
            arguments = sys.argv[1:]
            try:
                guarded = Guarded(task)
                sweep = _sweep(config_name, with_resumed_run(arguments))
                sys.argv[1:] = flags_first(sweep.arguments)
                with sweep.concluding():
                    hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(guarded)()
            except UserError as error:
                sys.exit(f"error: {error}")
            except SystemExit as stop:
                cause = stop.__context__
                if isinstance(cause, Exception) and (hint := suggestion(cause, config_name, arguments)):
                    print(hint, file=sys.stderr)
                raise

        return entry

    return decorate


class Guarded:
    """A task as Hydra calls it, in this process or in another one of a sweep: ready to compose, with short errors."""

    def __init__(self, task: Callable[[DictConfig], Any]) -> None:
        self.task = task
        _set_up()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        _set_up()

    def __call__(self, cfg: DictConfig) -> Any:
        try:
            return self.task(cfg)
        except Exception as error:
            if (wrong := user_error(error)) is None:
                raise
            # Hydra prints this kind without a traceback.
            raise CompactHydraException(f"error: {wrong}") from error


def _set_up() -> None:
    config.register()
    keep_freed_memory()
    # Lightning's own use of a torch function that is on its way out; nothing a user can act on.
    warnings.filterwarnings("ignore", module=r"lightning\.pytorch\.utilities\._pytree")
    # Loss networks and batch norms that stay as they are, on purpose.
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")


def _sweep(config_name: str, arguments: list[str]) -> Sweep:
    from sr.entry import sweep  # which needs names of this file

    return sweep.prepared(arguments) if config_name == "train" else sweep.Sweep(arguments, arguments)


def user_error(error: BaseException | None) -> UserError | None:
    """The UserError that `error` is or was caused by: Hydra wraps what a constructor raises."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__
    return error


def flags_first(arguments: list[str]) -> list[str]:
    """Hydra's parser wants all overrides in one run; people type flags between them."""
    overrides = [a for a in arguments if not a.startswith("-") and ("=" in a or a.startswith("~"))]
    return [a for a in arguments if a not in overrides] + overrides


# ---- nearest valid names ------------------------------------------------------------------------------------


def nearest(name: str, valid: list[str]) -> str:
    """' Did you mean ...?' or an empty string."""
    close = difflib.get_close_matches(name, list(dict.fromkeys(valid)), n=2, cutoff=0.6)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def suggestion(error: Exception, config_name: str, arguments: list[str]) -> str:
    """What to type instead of the key or option that composing refused."""
    text = f"{error}\n{error.__cause__ or ''}"
    if option := re.search(r"Could not find '([\w/]+)/([^'/]+)'", text):
        group, name = option.groups()
        folder = CONF / group
        options = sorted(p.stem for p in folder.glob("*.yaml")) if folder.is_dir() else []
        return nearest(name, options).strip()
    if key := re.search(r"(?:Could not override|Key) '([^']+)'", text):
        full = re.search(r"full_key: (\S+)", text)
        name = full.group(1) if full else key.group(1)
        return _nearest_key(name, _valid_keys(config_name, arguments, name))
    return ""


def _nearest_key(name: str, valid: list[str]) -> str:
    """Look among the keys beside the refused one first; where none is close, list them."""
    parent = name.rpartition(".")[0]
    beside = [k for k in valid if parent and k.rpartition(".")[0] == parent]
    if hint := nearest(name, beside or valid).strip():
        return hint
    return f"Keys of {parent}: {', '.join(k.rpartition('.')[2] for k in beside)}" if beside else ""


def _valid_keys(config_name: str, arguments: list[str], refused: str) -> list[str]:
    """Every key and group of the config that the other arguments compose."""
    kept = [a for a in arguments if not a.startswith("-") and "=" in a and a.split("=")[0].lstrip("+~") != refused]
    groups = [p.name for p in CONF.iterdir() if p.is_dir() and p.name != "hydra"]
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra.compose(config_name, [a for a in kept if "," not in a])
    except (HydraException, OmegaConfBaseException):
        return groups
    return groups + _dotted(OmegaConf.to_container(cfg, resolve=False))


def _dotted(node: Any, prefix: str = "") -> list[str]:
    if not isinstance(node, dict):
        return []
    found = []
    for key, value in node.items():
        found += [f"{prefix}{key}", *_dotted(value, f"{prefix}{key}.")]
    return found
