"""The papers' figures as data, each with its source, and how a measured row is held against them.

A row of `published.csv` names the protocol that the source states (`stated_protocol`) and ours that corresponds to it
(`protocol`; empty where none does). Rows are compared under one protocol only. `source_kind`: page (the paper's text or
tables), readme (a repository's page or picture, or another paper's table), code, memory (recalled, not checked). Of
costs (`published_cost.csv`) each cell has a kind of its own, and there is one more: counted (on the published graph).
"""

import csv
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sr.data.module import SRDataModule
from sr.degradation import MatlabBicubic
from sr.errors import some
from sr.metrics.protocol import Protocol, luma8
from sr.metrics.protocols import get_protocol
from sr.scores.text import Values, legend, shown

MOS_NOTE = (
    "MOS: mean opinion score, 1 (bad) to 5 (excellent), of 26 raters, published for the authors' networks (Ledig et "
    "al., SRGAN, arXiv:1609.04802; the originals of B100 scored 4.46). Nobody has rated the pictures of the rows here."
)
PLAIN, READ = "bicubic", "read from"  # how LR was made, as `lr_of` tells it
OF_OTHERS = "of other images"
NOT_ITS_PIXELS = "which is not HR as MATLAB shrinks it"
MORE = re.compile("blur|nois|jpe?g|webp|compress|degrad|motion|sigma|q[0-9]", re.IGNORECASE)  # in a folder's name
METRICS = ("psnr", "ssim")  # that the table has columns of; dB, and at most 1
IMAGES = {"Set5": 5, "Set14": 14, "B100": 100, "Urban100": 100, "DIV2K": 100}  # that the papers average over
IMAGES |= {"Vid4": 171, "REDS4": 400, "Vimeo90K": 7824}  # frames
IMAGES |= {"DIV2K_LSDIR_valid": 200, "DIV2K_LSDIR_test": 200}  # NTIRE's since 2023, half of each


@dataclass(frozen=True)
class Published:
    """A paper's figures for one model on one set."""

    model: str  # as in conf/model; with + under x8 self-ensemble
    scale: int
    dataset: str
    protocol: str
    values: Values  # some papers print no SSIM
    source: str
    source_kind: str
    mirrored: bool = False  # of clips that are each followed by themselves, run backward

    @property
    def citation(self) -> str:
        """Where it stands, as printed below or beside it."""
        return self.source + (" (not checked against the paper)" if self.source_kind == "memory" else "")


def read_table(name: str) -> list[dict[str, str]]:
    """The rows of a table in this folder."""
    with Path(__file__).with_name(name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@cache
def _table() -> dict[tuple[str, int, str, str], Published]:
    found = {}
    for r in read_table("published.csv"):
        if r["protocol"]:
            key = r["model"], int(r["scale"]), r["dataset"], get_protocol(r["protocol"]).name
            values = {metric: float(r[metric]) for metric in METRICS if r[metric]}
            mirrored = "mirrored" in r["stated_protocol"]
            found[key] = Published(*key, values, r["source"], r["source_kind"], mirrored)
    return found


@cache
def published_costs() -> dict[tuple[str, int], dict[str, str]]:
    """`parameters` and `macs_g` (multiply-adds in G at 720p), with their kinds, and `note`, by model and scale.

    A cell is "" where nothing is known.
    """
    return {(r["model"], int(r["scale"])): r for r in read_table("published_cost.csv")}


@cache
def opinions() -> dict[tuple[str, int], dict[str, float]]:
    """Mean opinion scores by name of the set, for each model (as in conf/model) and scale that has them."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    for row in read_table("published_mos.csv"):
        found.setdefault((row["model"], int(row["scale"])), {})[row["dataset"]] = float(row["mos"])
    return found


def published(model: str, scale: int, dataset: str, protocol: str, images: int | None = None) -> Published | None:
    """The paper's figures; None where there are none under this protocol, or for a part of the set.

    Args:
        model: the name in conf/model, with "+" for x8 self-ensemble; "" has no figures.
        scale: enlargement factor.
        dataset: the set's name in tables (Set5, DIV2K).
        protocol: the name of ours.
        images: how many were measured; None for all.
    """
    if images is not None and images != IMAGES.get(dataset):
        return None
    return _table().get((model, scale, dataset, protocol))


def published_protocols(model: str, scale: int, dataset: str) -> list[str]:
    """The protocols under which a model's figures on a set are published, in the table's order."""
    return [row.protocol for row in _table().values() if (row.model, row.scale, row.dataset) == (model, scale, dataset)]


def goals(model: str, scales: Collection[int], protocols: Collection[str] | None) -> str:
    """What a training run has to reach: the papers' figures of its model, a line for each protocol and source.

    Args:
        model: the name in conf/model; "" has no figures.
        scales: that are trained.
        protocols: that were chosen for the measuring at the run's end; figures under others are said to need their own.
            None: those of the figures are among them.

    Returns:
        Lines; empty where no figure is known.
    """
    lines: dict[tuple[int, str, str], list[str]] = {}
    for row in _table().values():
        if row.model == model and row.scale in scales:
            cell = f"{row.dataset} {shown(row.values, list(row.values))}"
            lines.setdefault((row.scale, row.protocol, row.citation), []).append(cell)
    if not lines:
        return ""
    chosen = protocols or ()
    others = ",".join(dict.fromkeys(p for _, p, _ in lines if protocols is not None and p not in protocols))
    text = [
        f"  x{scale} {protocol}: {', '.join(cells)} ({source})" for (scale, protocol, source), cells in lines.items()
    ]
    if others:
        text.append(f"  to be measured under {others} too, type protocols=[{','.join([*chosen, others])}]")
    return "\n".join([f"published, {legend(METRICS)}:", *text])


def comparable(data: SRDataModule) -> bool:
    """Whether a set's LR is the papers' plain bicubic: made so here, or read from a folder that says so."""
    return plain(lr_of(data))


def lr_of(data: SRDataModule, protocol: Protocol | None = None) -> str:
    """How a set's LR was made (`_lr_of`), and of which images, where they are not those of the set as it is known.

    Args:
        data: the set.
        protocol: under which it is measured: one may make its own LR, the papers' plain bicubic, or take the Y of what
            is stored in grey as it is.
    """
    found = PLAIN if protocol is not None and protocol.defines_lr else _lr_of(data)
    odd = data.strange(stored=protocol is not None and protocol.channel is luma8)
    return f"{found}, {OF_OTHERS} ({some(odd)})" if odd else found


def _lr_of(data: SRDataModule) -> str:
    """How a set's LR was made: `bicubic` is the papers' plain one, made here; `bicubic, read from ...` is given.

    What is given is plain where its pixels are, once they are opened; until then the names of its folders tell.
    """
    lr, track = getattr(data, "lr", None), getattr(data, "track", "bicubic")
    if folders := getattr(data, "measured_lr", [lr] if lr else []):
        pairs = data.opened("test")
        return lr_given(folders, None if pairs is None else pairs.plain_lr)
    if track not in ("bicubic", "x8"):
        return f"of the track {track}"
    if (pairs := data.opened("test")) is not None and not pairs.makes_lr and not pairs.plain_lr:
        return f"{READ} the track {track}, {NOT_ITS_PIXELS}"
    return lr_made(data)


def lr_made(data: SRDataModule) -> str:
    """`lr_of` where LR is made from HR."""
    steps = [type(step) for step in data.degradation.steps]
    return PLAIN if steps == [MatlabBicubic] else f"made by {', '.join(step.__name__ for step in steps)}"


def lr_given(folders: Sequence[str | Path], seen: bool | None = None) -> str:
    """`lr_of` of LR that is read from folders.

    Args:
        folders: with LR.
        seen: whether its pixels are plain bicubic's; None before they are looked at: it is taken for that where all
            names say so, and no more.
    """
    names = ["/".join(Path(folder).parts[-2:]) for folder in folders]  # its own, and that of LR_bicubic/X4
    said = [part for name in names for part in name.split("/") if "bicubic" in part.lower()] or names
    named = all("bicubic" in name.lower() or name.startswith(("image_SRF", "BI")) for name in names)
    named = named and not any(map(MORE.search, said))
    if seen or (seen is None and named):
        return f"{PLAIN}, {READ} {some(names)}"
    return f"{READ} {some(names)}{f', {NOT_ITS_PIXELS}' if named else ''}"


def plain(lr: str) -> bool:
    """Whether what `lr_of` tells is the papers' plain bicubic."""
    return lr == PLAIN or lr.startswith(f"{PLAIN}, ")


def told_lr(dataset: str, lr: str) -> str:
    """What to say of a set whose LR is not the papers'."""
    return f"LR of {dataset}: {lr}, not plain bicubic as the papers'"


def kind_of_lr(lr: str) -> str:
    """What must be alike for figures to stand in one column; of LR that was read nobody knows more."""
    kind = PLAIN if plain(lr) else READ if lr.startswith(READ) else lr.partition(f", {OF_OTHERS}")[0]
    return f"{kind}, {OF_OTHERS}" if OF_OTHERS in lr else kind


def told_of_others(dataset: str, lr: str) -> str:
    """What to say of a set whose images are not those of that name, pixel for pixel."""
    names = lr.partition(OF_OTHERS)[2].strip(" ()")
    return (
        f"warning: {dataset}: {names}: pixel for pixel none of the papers' as it is known here, or one of them twice. "
        "If these files were made from others, figures on them are no figures on that set"
    )
