"""How the NTIRE challenges on efficient super-resolution rank: one score from runtime, multiply-adds and parameters."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp

from sr.errors import UserError
from sr.measuring.cost_table import ModelCost
from sr.scores.text import markdown

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Challenge:
    """One year's score: the sum of ``weight * exp(2 * value / the baseline's value)``; the least wins.

    Attributes:
        title: of the challenge.
        baseline: its network, as in conf/model.
        runtime: weight of the mean milliseconds of an image.
        macs: of the multiply-adds at 256x256 LR pixels.
        parameters: of the parameters.
        source: of all this.
    """

    title: str
    baseline: str
    runtime: float
    macs: float
    parameters: float
    source: str


SHARPNESS = 2.0
NOT_HERE = "of 2022 the ranks themselves count (timing=ntire22), and of 2023 no source of a score was found"
CHALLENGES = {
    f"ntire{year}": Challenge(
        f"NTIRE 20{year}, efficient super-resolution x4", baseline, *weights, f"github Amazingren/NTIRE20{year}_ESR"
    )
    for year, baseline, weights in (
        (26, "span_ntire", (0.8, 0.1, 0.1)),
        (25, "efdn", (0.7, 0.15, 0.15)),
        (24, "rlfn_ntire", (0.7, 0.15, 0.15)),
    )
}
SCALE = 4


@dataclass(frozen=True)
class Ranked:
    """A row of the ranking."""

    rank: int
    model: str
    score: float
    latency_ms: float
    latency_ratio: float
    macs_256: int
    macs_ratio: float
    parameters: int
    parameters_ratio: float


def get_challenge(name: str, scale: int, rounds: int) -> Challenge:
    """By its name, for what is measured.

    Raises:
        UserError: there is none of that name, or it ranks another scale or what is not timed.
    """
    if name not in CHALLENGES:
        raise UserError(f"challenge={name}: there are {', '.join(CHALLENGES)}; {NOT_HERE}")
    if scale != SCALE or not rounds:
        raise UserError(f"challenge={name} ranks networks x{SCALE} by their runtime: type scale={SCALE} rounds=7")
    return CHALLENGES[name]


def ranking(challenge: Challenge, rows: Sequence[ModelCost], times: Mapping[str, float]) -> list[Ranked]:
    """The rows of a cost table by their score, the best first.

    Args:
        challenge: whose baseline is among the rows.
        rows: of merged forms; those whose multiply-adds are not all counted are left out, which is told.
        times: milliseconds of an image by model.
    """
    every: dict[str, tuple[float, int, int]] = {}
    for row in rows:
        if row.macs_256 is None or row.merged_parameters is None or row.uncounted:
            log.warning(f"note: {row.model} is not ranked: not all of its multiply-adds are counted")
        else:
            every[row.model] = times[row.model], row.macs_256, row.merged_parameters
    base = every[challenge.baseline]
    found = []
    for model, costs in every.items():
        ratios = tuple(own / other for own, other in zip(costs, base, strict=True))
        weights = (challenge.runtime, challenge.macs, challenge.parameters)
        score = sum(w * exp(SHARPNESS * ratio) for w, ratio in zip(weights, ratios, strict=True))
        found.append((score, model, costs, ratios))
    found.sort()
    return [
        Ranked(n, model, score, latency, latency_ratio, macs, macs_ratio, parameters, parameters_ratio)
        for n, (score, model, (latency, macs, parameters), (latency_ratio, macs_ratio, parameters_ratio)) in enumerate(
            found, 1
        )
    ]


def as_markdown(challenge: Challenge, ranked: Sequence[Ranked]) -> str:
    """The table and what it says."""
    lines = [["rank", "model", "score", "runtime, ms", "ratio", "MACs 256x256, G", "ratio", "parameters", "ratio"]]
    lines += [
        [
            str(r.rank), r.model, f"{r.score:.3f}", f"{r.latency_ms:.2f}", f"{r.latency_ratio:.3f}",
            f"{r.macs_256 / 1e9:.2f}", f"{r.macs_ratio:.3f}", f"{r.parameters:,}", f"{r.parameters_ratio:.3f}",
        ]
        for r in ranked
    ]  # fmt: skip
    c = challenge
    legend = (
        f"{c.title}: score = {c.runtime:g} exp({SHARPNESS:g} r) of the runtime's ratio r to {c.baseline}, "
        f"{c.macs:g} of the MACs', {c.parameters:g} of the parameters'; less is better ({c.source}). The runtime is "
        "this machine's. The challenge ranks only what keeps its baseline's PSNR (protocol ntire26): sr evaluate says "
        "whether it does."
    )
    return f"{markdown(lines)}\n\n{legend}"
