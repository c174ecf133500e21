"""A paper's ablation as data: its rows as overrides with names, its columns, and the figures that it published.

    title: what is compared
    source: where the published figures stand
    source_kind: page          # how sure they are, as in sr/scores/published.py: page, readme, code or memory
    note: what is a guess, what a reader must know
    columns: [{dataset: DIV2K, scale: 2, protocol: edsr_div2k}]   # the paper's layout
    scales: [2, 3, 4]         # each row once for each of them, unless it sets `scale` itself
    common: {data: div2k}     # settings of all rows
    rows:
      l1: {label: "SRResNet, L1", set: {model: srresnet, loss: l1}, paper: [34.44/.9665]}

Settings are written as one would type them: `model: srresnet` chooses, `+loss@losses.x: l1` chooses where nothing was
chosen before, `model.num_blocks: 8` sets. Step counts are best given as parts of ${steps}, so that they follow whatever
is typed. The protocols of the columns belong into `protocols`. A cell of `paper` is PSNR in dB, or PSNR/SSIM, or
null where no figure could be sourced; `published: edsr` takes them, and those under self-ensemble, from published.csv.
`needs: vgg` marks a row that needs VGG-19's weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sr.errors import UserError

KEYS = {"title", "source", "source_kind", "note", "columns", "scales", "common", "rows"}
ROW_KEYS = {"label", "set", "paper", "published", "needs"}


@dataclass(frozen=True)
class Column:
    """What a column of the paper's table measures."""

    dataset: str
    scale: int
    protocol: str


@dataclass(frozen=True)
class Cell:
    """A paper's figures."""

    values: Mapping[str, float]  # by metric
    citation: str
    kind: str = ""  # of the source (sr.scores.published); "" where an ablation's file does not say


@dataclass(frozen=True)
class AblationRow:
    """One line of the table, or the part of it at one scale.

    Attributes:
        name: what is typed: ablation=<ablation>/<name>.
        label: in the table; rows of one label share a line.
        settings: key -> value, as typed.
        paper: the published figures of the whole line.
        published: the model of published.csv whose figures complete them, or "".
        needs_vgg: it cannot run without VGG-19's weights.
    """

    name: str
    label: str
    settings: Mapping[str, Any]
    paper: Mapping[Column, Cell]
    published: str
    needs_vgg: bool


@dataclass(frozen=True)
class Ablation:
    """One table."""

    name: str
    title: str
    source: str
    note: str
    columns: tuple[Column, ...]
    rows: Mapping[str, AblationRow]


def read(file: Path) -> Ablation:
    """Read conf/ablation/<name>.yaml.

    Raises:
        UserError: it does not say what an ablation must, or says what it does not know.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        told = " ".join(str(error).split()).replace('"<unicode string>", ', "")
        raise UserError(f"{file} is no ablation, as it is no YAML in UTF-8: {told}. Mend it") from error
    try:
        _refuse_unknown(content, KEYS, file)
        columns = tuple(Column(**column) for column in content.get("columns") or [])
        rows: dict[str, AblationRow] = {}
        for name, node in content["rows"].items():
            _refuse_unknown(node or {}, ROW_KEYS, file)
            for row in _of_scales(str(name), node or {}, content, columns):
                rows[row.name] = row
        return Ablation(
            file.stem,
            str(content["title"]),
            content.get("source") or "",
            " ".join(str(content.get("note") or "").split()),
            columns,
            rows,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{file} is no ablation: {type(error).__name__}: {error}. See sr/sweeps/ablation.py") from error


def _refuse_unknown(node: Mapping[str, Any], known: set[str], file: Path) -> None:
    if unknown := sorted(set(node) - known):
        raise UserError(f"{file}: unknown key {', '.join(unknown)}; there are {', '.join(sorted(known))}")


def _of_scales(
    name: str, node: Mapping[str, Any], content: Mapping[str, Any], columns: tuple[Column, ...]
) -> list[AblationRow]:
    settings = dict(content.get("common") or {}) | dict(node.get("set") or {})
    scales = [] if "scale" in settings else content.get("scales") or []
    cells, source = node.get("paper") or [], (str(content.get("source") or ""), str(content.get("source_kind") or ""))
    if cells and len(cells) != len(columns):
        raise ValueError(f"row {name} has {len(cells)} published cells for {len(columns)} columns")
    paper = {c: _cell(cell, *source) for c, cell in zip(columns, cells, strict=False) if cell is not None}
    label, published, vgg = str(node.get("label") or name), node.get("published") or "", node.get("needs") == "vgg"
    if not scales:
        return [AblationRow(name, label, settings, paper, published, vgg)]
    return [AblationRow(f"{name}_x{s}", label, settings | {"scale": s}, paper, published, vgg) for s in scales]


def _cell(text: Any, source: str, kind: str) -> Cell:
    """``38.11/0.9601``, or PSNR alone."""
    return Cell(dict(zip(("psnr", "ssim"), map(float, str(text).split("/")), strict=False)), source, kind)
