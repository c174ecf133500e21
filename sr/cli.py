"""What every entry script shares: Hydra's main, with errors that say what to type."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray, where it is the launcher, reports home otherwise

import hydra
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf

from sr.compose import schema
from sr.compose.suggestions import CONF, suggestion
from sr.errors import UserError, user_error
from sr.runs.resume import with_resumed_run
from sr.sweeps.command import Sweep, prepared, row_folder
from sr.training.allocator import keep_freed_memory


def main(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Turn task(cfg) into the main function of an entry script that composes conf/<config_name>.yaml."""

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        def entry() -> None:
            arguments = sys.argv[1:]
            try:
                guarded = Guarded(task)
                typed = with_resumed_run(arguments)
                sweep = prepared(typed) if config_name == "train" else Sweep(typed, typed)
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
    schema.register()
    OmegaConf.register_new_resolver("row_folder", row_folder, replace=True)
    keep_freed_memory()
    # Lightning's own use of a torch function that is on its way out; nothing a user can act on.
    warnings.filterwarnings("ignore", module=r"lightning\.pytorch\.utilities\._pytree")
    # Loss networks and batch norms that stay as they are, on purpose.
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")


def flags_first(arguments: list[str]) -> list[str]:
    """Hydra's parser wants all overrides in one run; people type flags between them."""
    overrides = [a for a in arguments if not a.startswith("-") and ("=" in a or a.startswith("~"))]
    return [a for a in arguments if a not in overrides] + overrides
