"""The page of a study: one file, without a server, a network or a name of a model."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sr.comparison.page import WEB as COMPARISON
from sr.scores.text import in_script
from sr.study.answers import FORMAT, Study

WEB = Path(__file__).with_name("web")


def page(study: Study, uris: Sequence[Sequence[str]], equal: bool, seed: int = 0) -> str:
    """The page as HTML.

    Args:
        study: of which only the id, the mode and the crops' numbers stand in it.
        uris: of each trial's pictures.
        equal: whether "equal" is an answer.
        seed: of the pictures' order in the file, by which no two of one model stand together.
    """
    each = list(dict.fromkeys(uri for of in uris for uri in of))
    order = np.random.default_rng(seed).permutation(len(each)).tolist()
    numbers = {each[n]: place for place, n in enumerate(order)}
    data: dict[str, Any] = {
        "format": FORMAT,
        "study": study.id,
        "mode": study.mode,
        "equal": equal and study.mode == "pairs",
        "pictures": [each[n] for n in order],
        "trials": [
            {"crop": trial.crop, "shown": [numbers[uri] for uri in of]}
            for trial, of in zip(study.trials, uris, strict=True)
        ],
    }
    parts = {
        "style": (COMPARISON / "page.css").read_text() + (WEB / "study.css").read_text(),
        "script": (WEB / "study.js").read_text(),
        "data": in_script(data),
    }
    # In one pass, so that nothing that is put in is looked through again.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], (WEB / "study.html").read_text())
