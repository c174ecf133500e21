"""Published mean opinion scores: what people said of pictures that PSNR alone misjudges."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("published_mos.csv")
NOTE = (
    "MOS: mean opinion score, 1 (bad) to 5 (excellent), of 26 raters, published for the authors' networks (Ledig et "
    "al., SRGAN, arXiv:1609.04802; the originals of B100 scored 4.46). Nobody has rated the pictures of the rows here."
)


@cache
def opinions() -> dict[tuple[str, int], dict[str, float]]:
    """Scores by name of the set, for each model (as in conf/model) and scale that has them."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    with TABLE.open(newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["model"], int(row["scale"])), {})[row["dataset"]] = float(row["mos"])
    return found
