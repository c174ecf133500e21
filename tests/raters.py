"""Studies that nobody was asked, and raters whom nobody met."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sr.study.answers import Model, Study
from sr.study.design import Trial, catches, paired, single

STEP = float(np.log(65 / 35))  # of neighbours' strengths: the better one is preferred 65 to 35


def a_study(mode: str = "pairs", models: int = 5, pairs: int = 30, catch: int = 2) -> Study:
    """Of models whose strength grows with their number, ten crops of two sets, and as many catch trials."""
    trials: list[Trial] = paired(models, 10, pairs) if mode == "pairs" else single(models, 10)
    trials += catches(range(catch), mode == "pairs")
    named = tuple(Model(f"net{n}", f"net{n}", f"/runs/{n}", "") for n in range(models))
    crops = tuple({"dataset": "Set5" if n < 5 else "Set14", "image": str(n), "window": [0, 0, 8, 8]} for n in range(10))
    return Study("", mode, 4, named, crops, tuple(trials)).identified()


def answered(study: Study, seed: int) -> list[dict[str, Any]]:
    """What a rater answers who looks: neighbours are told apart 65 to 35."""
    generator = np.random.default_rng(seed)
    found = []
    for n, trial in enumerate(study.trials):
        strength = [{"HR": 99.0, "spoiled": -99.0}.get(s, s) if isinstance(s, str) else s * STEP for s in trial.shown]
        if study.mode == "mos":
            seen = round(2 + 0.8 * strength[0] + generator.normal(0, 0.5))
            choice: Any = int(np.clip(seen, 1, 5))
        else:
            share = 1 / (1 + np.exp(strength[1] - strength[0]))
            choice = "first" if generator.random() < share else "second"
        found.append({"trial": n, "choice": choice, "seconds": 1.0})
    return found


def saved(file: Path, of: Study, answers: Sequence[dict[str, Any]], rater: str, **more: Any) -> Path:
    """A file as the page saves it."""
    content = {"format": 1, "study": of.id, "mode": of.mode, "rater": rater, "name": "", "mirrored": False}
    file.write_text(json.dumps(content | {"answers": list(answers)} | more))
    return file
