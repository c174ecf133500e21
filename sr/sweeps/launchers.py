"""What Hydra's launchers and sweepers need beside this project."""

from importlib.util import find_spec

from sr.compose.words import Words
from sr.errors import UserError

EXTRAS = {  # what a launcher's or sweeper's name begins with -> its package, and the extra that brings it
    "joblib": ("hydra_joblib_launcher", "joblib"),
    "submitit": ("hydra_submitit_launcher", "submitit"),
    "ray": ("hydra_ray_launcher", "ray"),
    "optuna": ("hydra_optuna_sweeper", "optuna"),
    "search": ("hydra_optuna_sweeper", "optuna"),
}


def refuse_missing(words: Words) -> None:
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
