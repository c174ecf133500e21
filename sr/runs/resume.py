"""One run, one folder: going on in it, and never writing over another's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from sr.errors import UserError


def with_resumed_run(arguments: list[str]) -> list[str]:
    """`resume=last` or `resume=<run folder>` becomes the run's own arguments, in its own folder.

    What is typed beside it wins over what was typed then (train.py refuses what cannot change within a run).
    """
    asked = [a for a in arguments if a.lstrip("+").startswith("resume=")]
    if not asked or any(a.startswith("hydra.run.dir=") for a in arguments):
        return arguments
    value = asked[-1].partition("=")[2].strip("'\"")
    if value in ("", "null"):
        return arguments
    run = last_run(Path("outputs")) if value == "last" else run_folder(Path(value))
    saved = run / ".hydra" / "overrides.yaml"
    then: Any = OmegaConf.to_container(OmegaConf.load(saved), resolve=False) if saved.is_file() else []
    typed = [a for a in arguments if a not in asked]
    replaced = {a.split("=")[0].lstrip("+~") for a in typed}
    kept = [a for a in then if a.split("=")[0].lstrip("+~") not in {*replaced, "resume"}]
    place = quoted(run.resolve())
    return [*_config_dir(run, typed), *kept, *typed, f"resume={place}", f"hydra.run.dir={place}"]


def quoted(value: str | Path) -> str:
    """For Hydra's grammar: a folder may hold spaces, commas or a drive's colon."""
    return "'{}'".format(str(value).replace("'", "\\'"))


def _config_dir(run: Path, typed: list[str]) -> list[str]:
    """The --config-dir that the run was begun with, unless another one is typed."""
    saved = run / ".hydra" / "hydra.yaml"
    if any(a.startswith(("--config-dir", "-cd")) for a in typed) or not saved.is_file():
        return []
    sources = OmegaConf.select(OmegaConf.load(saved), "hydra.runtime.config_sources") or []
    return [f"--config-dir={s.path}" for s in sources if s.provider == "command-line"]


def run_folder(path: Path) -> Path:
    """The run folder that `path` is or lies in, which must hold a checkpoint to go on from."""
    for folder in (path, *path.parents[:2]):
        if (folder / "checkpoints" / "last.ckpt").is_file():
            return folder
    found = "it does not exist" if not path.exists() else "there is no checkpoints/last.ckpt in it"
    raise UserError(
        f"resume={path}: not a run that can be continued: {found}. Give a run folder "
        "(outputs/<model>_x<scale>/<time>), or resume=last for the newest one"
    )


def last_run(outputs: Path) -> Path:
    """The run below `outputs` whose last checkpoint is the newest."""
    found = list(outputs.glob("**/checkpoints/last.ckpt"))
    if not found:
        raise UserError(
            f"resume=last: no run with a checkpoint below {outputs.resolve()}. Runs started from another "
            "folder are found with resume=<run folder>"
        )
    return max(found, key=lambda p: p.stat().st_mtime).parents[1]


def claim(folder: Path) -> None:
    """A new run gets a folder of its own; what another one wrote is never overwritten."""
    if int(os.environ.get("LOCAL_RANK", 0)) > 0:
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / ".run").touch(exist_ok=False)
    except FileExistsError as error:
        raise UserError(
            f"{folder} holds a run already. Go on with it: resume={folder}. Or give the new one another folder: "
            "hydra.run.dir=PATH"
        ) from error


FIXED = (
    "model", "scale", "seed", "batch_size", "accumulate", "patch_size", "hr_patch_size", "loss", "losses", "optimizer",
    "scheduler", "parameter_groups", "frozen", "trained", "optimizer_state", "stages",
)  # fmt: skip


def refuse_another_recipe(now: dict[str, Any], then: dict[str, Any]) -> None:
    """What the saved optimizer, schedule and data order were made with cannot change in the middle of a run."""
    if changed := [key for key in FIXED if now[key] != then.get(key)]:
        told = "; ".join(f"{key} was {then.get(key)}, is {now[key]}" for key in changed)
        raise UserError(
            f"a run goes on with what it was begun with, but {told}. Leave that out, or begin a new run from its "
            "weights: init_from=<its folder>"
        )
