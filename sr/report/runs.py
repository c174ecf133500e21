"""Runs read back from their folders: configuration, figures, curve, time; and the one file that says how a run ended.

`run.json` holds status (running, finished, failed), seconds (of training over all resumes, validation left out),
steps (of the optimizer, done), device and error.
"""

from __future__ import annotations

import csv
import json
import os
import pickle
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sr.errors import UserError
from sr.report.figures import Figure

# Keys of a config that say where and how something is kept and shown, not what is trained.
BOOKKEEPING = (
    "choices", "resume", "data_dir", "cache_dir", "logger", "callbacks.panels", "budget.factor", "save_every_steps",
    "save_every_minutes", "vgg_weights", "trainer.enable_progress_bar", "trainer.default_root_dir", "ablation",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One run folder of train.py.

    Attributes:
        folder: where it is.
        name: the model's name as typed.
        config: the composed config in plain values, as it stood after the budget where there is a checkpoint.
        overrides: as typed, those of its sweep included.
        figures: the averages of all its results.csv.
        curve: the rows of metrics.csv; each holds `step` and the figures logged there.
        seconds: of training, over all resumes; None where it was not recorded.
        steps: optimizer steps done.
        status: finished, failed or running (begun, and neither of these: it may have been interrupted).
        seed: of the run.
        error: what a failed run said.
    """

    folder: Path
    name: str
    config: dict[str, Any]
    overrides: list[str]
    figures: list[Figure]
    curve: list[dict[str, float]]
    seconds: float | None
    steps: int
    status: str
    seed: int
    error: str | None = None


def record(folder: Path, status: str, **facts: Any) -> None:
    """Write `run.json`, replaced at once; what is not given keeps the value that it had."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"status": status, "seconds": None, "steps": 0, "device": None, "error": None}
    content |= {k: v for k, v in recorded(folder).items() if k in content and k != "error"}
    part = folder / "run.json.part"
    part.write_text(json.dumps(content | {"status": status} | facts, indent=2) + "\n")
    os.replace(part, folder / "run.json")


def recorded(folder: Path) -> dict[str, Any]:
    """The contents of `run.json`; empty where there is none that can be read."""
    try:
        content = json.loads((folder / "run.json").read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def is_run(folder: Path) -> bool:
    """Whether train.py has begun a run in this folder."""
    begun = (folder / "run.json").is_file() or (folder / "checkpoints").is_dir()
    return begun and (folder / ".hydra" / "config.yaml").is_file()


def read_run(folder: Path) -> Run:
    """Read one run folder.

    Raises:
        UserError: it is none.
    """
    folder = Path(folder)
    if not is_run(folder):
        found = "it holds no run of train.py" if folder.is_dir() else "it does not exist"
        raise UserError(f"{folder}: not a run folder: {found}. Give outputs/<model>_x<scale>/<time>, or a sweep's row")
    facts, config = recorded(folder), _config(folder)
    files = [folder / "results.csv", *sorted(folder.glob("x*/results.csv"))]
    figures = [figure for file in files if file.is_file() for figure in read_figures(file)]
    curve = _curve(folder / "metrics.csv")
    return Run(
        folder=folder,
        name=_name(folder, config),
        config=config,
        overrides=_overrides(folder),
        figures=figures,
        curve=curve,
        seconds=facts.get("seconds"),
        steps=int(facts.get("steps") or max((row["step"] for row in curve), default=0)),
        status=facts.get("status") or ("finished" if figures else "running"),
        seed=int(config.get("seed") or 0),
        error=facts.get("error"),
    )


def find_runs(folder: Path) -> list[Run]:
    """Every run in a folder: a run itself, a sweep, or any tree of them; in order of path, numbers as numbers.

    Raises:
        UserError: there is none.
    """
    folder = Path(folder)
    places = {p.parents[1] for p in folder.glob("**/.hydra/config.yaml")} if folder.is_dir() else set()
    found = sorted((p for p in places if is_run(p)), key=lambda p: _natural(str(p.relative_to(folder))))
    if not found:
        missing = "" if folder.is_dir() else " (there is no such folder)"
        raise UserError(f"{folder}: no run was found in it{missing}. Give a run folder or one that holds runs: outputs")
    return [read_run(p) for p in found]


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested config as dotted keys; lists stay whole."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def differing(runs: Sequence[Run]) -> list[str]:
    """Dotted config keys whose values are not the same in all runs, bookkeeping left out."""
    configs = [flat(run.config) for run in runs]
    missing = object()
    return [
        key
        for key in dict.fromkeys(k for config in configs for k in config)
        if not any(key == b or key.startswith(f"{b}.") for b in BOOKKEEPING)
        and any(config.get(key, missing) != configs[0].get(key, missing) for config in configs[1:])
    ]


def read_figures(file: Path) -> list[Figure]:
    """The averages in a results.csv."""
    with file.open(newline="") as f:
        return [
            Figure(
                row["model"],
                row["dataset"],
                int(row["scale"]),
                row["protocol"],
                float(row["psnr"]),
                float(row["ssim"]),
                int(row["images"]),
            )
            for row in csv.DictReader(f)
        ]


def _curve(file: Path) -> list[dict[str, float]]:
    if not file.is_file():
        return []
    with file.open(newline="") as f:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(f)]


def _config(folder: Path) -> dict[str, Any]:
    """Of the last checkpoint, else as composed, resolved as far as this process can."""
    last = folder / "checkpoints" / "last.ckpt"
    if last.is_file():
        import torch  # which a run without a checkpoint does not need

        with suppress(pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError):
            # Mapped, not read: of a large model's file only the few pages that hold the config.
            return torch.load(last, map_location="cpu", weights_only=True, mmap=True)["sr"]["config"]
    composed = OmegaConf.load(folder / ".hydra" / "config.yaml")
    assert isinstance(composed, DictConfig)
    return _resolved(composed)


def _resolved(node: Any) -> Any:
    """Plain values; an interpolation that cannot be resolved here stays as it is written."""
    if isinstance(node, DictConfig):
        return {str(key): _value(node, key) for key in node}
    return [_value(node, i) for i in range(len(node))]


def _value(node: DictConfig | ListConfig, key: Any) -> Any:
    try:
        value = node[key]
    except OmegaConfBaseException:
        value = OmegaConf.to_container(node, resolve=False)[key]  # type: ignore[index]
    return _resolved(value) if isinstance(value, DictConfig | ListConfig) else value


def _name(folder: Path, config: Mapping[str, Any]) -> str:
    if name := (config.get("choices") or {}).get("model"):
        return str(name)
    saved = folder / ".hydra" / "hydra.yaml"
    name = OmegaConf.select(OmegaConf.load(saved), "hydra.runtime.choices.model") if saved.is_file() else None
    return str(name or folder.name)


def _overrides(folder: Path) -> list[str]:
    saved = folder / ".hydra" / "overrides.yaml"
    found = OmegaConf.to_container(OmegaConf.load(saved), resolve=False) if saved.is_file() else []
    return [str(o) for o in found] if isinstance(found, list) else []


def _natural(path: str) -> list[Any]:
    """Sorts row 2 before row 10."""
    parts: list[Any] = []
    for word in path.replace("_", "/").split("/"):
        parts.append((0, int(word), "") if word.isdigit() else (1, 0, word))
    return parts
