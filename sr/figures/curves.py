"""Curves of runs from their metrics.csv, and the names under which runs are drawn."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sr.errors import UserError
from sr.metrics.metric import known_metrics
from sr.metrics.protocols import is_of
from sr.runs.curves import by_name, losses, scale_title, validations
from sr.runs.differences import choices, settings, word
from sr.runs.folder import Run

MOST = 3  # differing keys in a label; where more differ, classes alone are named


def curve(run: Run, key: str | None = None) -> tuple[str, np.ndarray, np.ndarray]:
    """One logged value over the optimizer steps; a validation's only where the run's last scale was trained.

    Args:
        run: with a metrics.csv.
        key: a column of metrics.csv; None: the first of the validation's PSNRs, over all scales.

    Returns:
        The column, steps (n,) and values (n,).

    Raises:
        UserError: the run did not log it, or not of its last scale.
    """
    logged = list(dict.fromkeys(k for row in run.curve for k in row if k != "step"))
    found = key or next((k for k in sorted(logged) if k.startswith("val/psnr") and is_of(k, "psnr")), None)
    if found not in logged:
        wanted = f"no {key}" if key else "no validation PSNR"
        raise UserError(f"{run.folder}/metrics.csv holds {wanted}, only {', '.join(sorted(logged)) or 'nothing'}")
    last, points = run.config.get("scale"), dict[float, float]()
    for name, values in by_name(run).items():  # stages of another scale validate on other images
        if name == found or (name.startswith(f"{found}, ") and not found.startswith("val/")):
            points |= values
    if not points:
        raise UserError(f"{run.folder}/metrics.csv holds no {found} of the run's last scale, {scale_title(last)}")
    steps, values = np.asarray(sorted(points.items()), np.float64).T
    return found, steps, values


def meaning(column: str) -> tuple[str, int]:
    """The unit of a column, as it follows its name, and whether more (1) or less (-1) is better; 0: nobody knows."""
    own = [m for m in known_metrics().values() if is_of(column, m.name)]
    if not own:
        return "", -(column.rpartition("/")[2] == "loss")
    metric = max(own, key=lambda m: len(m.name))
    return f", {metric.unit}" if metric.unit else "", metric.better


def common(kind: str, columns: Sequence[str], runs: Sequence[Run]) -> str:
    """The column of all runs, for the axis of a figure of this kind.

    Raises:
        UserError: their figures belong on no common axis.
    """
    kinds = {"val/": validations, "train/": losses}.get(columns[0][: columns[0].find("/") + 1])
    ends = kinds(runs) if kinds else [""] * len(runs)
    found = {f"{column}{end}": run.folder for column, end, run in zip(columns, ends, runs, strict=True)}
    if len(found) > 1:
        told = "".join(f"\n  {title}: {folder}" for title, folder in found.items())
        raise UserError(
            f"figure={kind}: these runs' figures are of what cannot be compared:{told}\nDraw a picture of each "
            "kind: type runs=[...] with the runs of one"
        )
    return columns[0]


def labels(runs: Sequence[Run], given: Sequence[str] | None = None) -> list[str]:
    """A name for each run; runs that differ in their seed alone share one.

    Args:
        runs: to be told apart.
        given: names in the order of the runs, which are then used as they are; the same name for several runs means
            that they belong together.

    Raises:
        UserError: not as many names as runs.
    """
    if given is not None:
        if len(given) != len(runs):
            raise UserError(f"labels: {len(given)} names for {len(runs)} runs; there must be as many")
        return [str(name) for name in given]
    named = [""] * len(runs)
    for name in dict.fromkeys(run.name for run in runs):
        indices = [i for i, run in enumerate(runs) if run.name == name]
        differing = _differing([runs[i] for i in indices])
        keys = list(differing[0])
        if len(keys) > MOST:
            keys = [key for key in keys if key.endswith("._target_")][:MOST]
        words = [[word(key, own[key]) for key in keys] for own in differing]
        ablated = [str(choices(runs[i]).get("ablation") or "").rpartition("/")[2] for i in indices]
        if all(ablated) and len(set(ablated)) == len({str(own) for own in differing}) > 1:
            words = [[row] for row in ablated]  # a row's name tells all that its settings are
        one_network = len(indices) == len(runs)
        for n, i in enumerate(indices):
            named[i] = ", ".join(words[n] if one_network and words[n] else [name, *words[n]])
            if any(other == words[n] and own != differing[n] for other, own in zip(words, differing, strict=True)):
                named[i] += f" ({runs[i].folder.name})"
    return named


def _differing(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """For each run its values of the settings that differ among the runs, the seed left out."""
    scales = [run.config.get("scale") for run in runs]
    several = any(scale != scales[0] for scale in scales)
    return [
        ({"scale": scale} if several else {}) | {key: value for key, value in own.items() if key != "seed"}
        for scale, own in zip(scales, settings(runs), strict=True)
    ]


def groups(runs: Sequence[Run], given: Sequence[str] | None = None) -> dict[str, list[Run]]:
    """The runs under their names, in order of appearance."""
    found: dict[str, list[Run]] = {}
    for name, run in zip(labels(runs, given), runs, strict=True):
        found.setdefault(name, []).append(run)
    return found
