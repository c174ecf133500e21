"""What lies beside weights that are given to others: what they are, how they were trained, what they reach.

A folder as hubs of models take it: `model.safetensors`, `config.json` with the constructor's arguments, and a model
card, `README.md`. It tells what the run knows and nothing else, and no place on the disk of who trained it.
"""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from sr.bounded import text_of
from sr.compose.words import quoted
from sr.errors import UserError
from sr.forms.deployed import Exported
from sr.layers.identity import checksum
from sr.metrics.metric import declared
from sr.metrics.protocols import get_protocol
from sr.runs import checkpoint
from sr.runs.config import RECORD, typed_words
from sr.runs.differences import patch_of
from sr.runs.differences import told as told_value
from sr.runs.folder import is_run, read_run
from sr.runs.together import doubts
from sr.runs.trust import trusts_run
from sr.scores.published import READ, kind_of_lr, told_lr
from sr.scores.results import RESULTS, read, stored
from sr.scores.score import Score, identical_notes, metrics_of, pivot, remarks, what_means_are_over
from sr.scores.text import legend, shown
from sr.whole import write_whole
from sr.zoo.entries import UNSTATED, ZOO
from sr.zoo.load import is_ours
from sr.zoo.locate import entry_of

log = logging.getLogger(__name__)
CONFIG, CARD = "config.json", "README.md"
CHOICES = ("data", "degradation", "recipe")  # of a run's config groups
NUMBERS = {"batch_size": "batch size", "patch_size": "LR pixels a side of a crop", "seed": "seed"}


@dataclass(frozen=True)
class Known:
    """What there is to tell of weights beside the network.

    Attributes:
        origin: whose they are, of files of the zoo.
        licence: theirs; "" where none is stated.
        training: what of it is known, as it is shown.
        scores: of the run, where the weights are those that it ended with.
    """

    origin: str = ""
    licence: str = ""
    training: Mapping[str, str] = field(default_factory=dict)
    scores: Sequence[Score] = ()


def known(source: str | Path | None, scale: int) -> Known:
    """Of a network as it was typed.

    Raises:
        UserError: it is no file that can be read.
    """
    path = None if source is None else Path(source).expanduser()
    entry = ZOO.get(str(source))
    if entry is None and path is not None and path.is_file() and not is_ours(path):
        entry = entry_of(path, scale)
        if entry is None:
            return Known()
    if entry is not None:
        return Known(entry.origin.name, "" if entry.origin.licence == UNSTATED else entry.origin.licence)
    if path is None:
        return Known()
    file = checkpoint.locate(path)
    content = checkpoint.read(file)
    config, told = content["sr"]["config"], {}
    choices = config.get("choices")
    for name in CHOICES:
        if isinstance(choices, Mapping) and choices.get(name):
            told[name] = str(choices[name])
    if given := _given(config.get("data")):
        told["degradation"] = given
    if steps := content.get("global_step"):
        told["steps"] = f"{steps:,}"
    told |= _numbers(file, config, (content["sr"].get("stage") or {}).get("number"))
    if config.get("init_from"):
        told["began from"] = Path(str(config["init_from"])).name  # no more of the path
    return Known(training=told, scores=_scores(file, scale))


def _numbers(file: Path, config: Mapping[str, Any], last: int | None = None) -> dict[str, str]:
    """What a run, or each stage where they differ, was trained with, up to the last one that these weights saw."""
    given = config.get("stages")
    given = {str(name): overlay or {} for name, overlay in given.items()} if isinstance(given, Mapping) else {}
    every, given = ", ".join(given), dict(islice(given.items(), last))
    stages: list[Mapping[str, Any]] = [
        {**config, **overlay} for overlay in given.values() if isinstance(overlay, Mapping)
    ] or [config]
    seen = ", ".join(given)
    found = {"stages": seen if seen == every else f"{seen} (of {every})"} if given else {}
    for key, told_as in NUMBERS.items():
        values = [_patch(file, stage) if key == "patch_size" else stage.get(key) for stage in stages]
        of_stages = ["not known" if value is None else told_value(value) for value in values]
        if any(value is not None for value in values):
            found[told_as] = of_stages[0] if len(set(of_stages)) == 1 else "; ".join(of_stages)
    return found


def _given(data: Any) -> str:
    """What LR was trained on where a degradation did not make it; "" where it did."""
    data = data if isinstance(data, Mapping) else {}
    track = data.get("track") or "bicubic"
    return "none: LR was read from files" if data.get("train_lr") else "" if track == "bicubic" else f"track {track}"


def _patch(file: Path, config: Mapping[str, Any]) -> Any:
    """Side of a crop, LR pixels; where HR pixels are set, only if the run's folder tells what else was typed."""
    run = checkpoint.run_of(file)
    if config.get("hr_patch_size") and not (run and (run / RECORD).is_file()):
        return None
    return patch_of(config, typed_words(run).keys if run else ())


def _scores(file: Path, scale: int) -> list[Score]:
    """The run's averages, where the file is what it ended with."""
    run = checkpoint.ended_with(file)
    if run is None:
        return []
    name = f"{RESULTS[0]}.csv"
    found = next((place for place in (run / name, run / f"x{scale}" / name) if place.is_file()), None)
    try:
        if found is None:
            return []
        if not trusts_run(run):
            log.warning(
                f"warning: the figures of {run} are left out of the card: nothing shows that you began that run here. "
                f"If it is your own: trust=[{quoted(run)}]"
            )
            return []
        scores, odd = read(found), list[Score]()
        for note in doubts([read_run(run)] if is_run(run) else []):
            log.warning(note)

        def doubt(score: Score, told: str) -> None:
            odd.append(score)
            log.warning(f"warning: left out of the card: {told}")

        list(stored(run, scores, doubt))
        return [s for s in scores if s not in odd]
    except (OSError, ValueError, LookupError, TypeError) as error:
        log.warning(f"note: {found} is left out of the card, as it cannot be read: {error}")
        return []


def write(folder: Path, what: Exported, about: Known) -> None:
    """Put `config.json` and the card beside the weights. A card that is there is somebody's: it stays as it is."""
    node = dict((what.model.metadata or {}).get("model") or {})
    write_whole(folder / CONFIG, node)
    if os.path.lexists(folder / CARD):
        try:
            told = text_of(folder / CARD, errors="replace")
        except (OSError, UserError):  # a link to nothing, or no card
            told = ""
        stale = checksum(folder / checkpoint.EXPORTED) not in told
        log.warning(
            f"{'warning: ' * stale}{folder / CARD} is there and left as it is"
            f"{', but does not tell of these weights (another sha256, or none)' * stale}: remove it to have a new one "
            "written"
        )
        return
    write_whole(folder / CARD, text(folder, what, about))
    if not about.licence:
        log.info(f"{folder / CARD}: no licence of these weights is stated; state it there if they are yours")


def text(folder: Path, what: Exported, about: Known) -> str:
    """The card."""
    kind, s = type(what.model), what.scale
    clip, parameters = "T, " if kind.clips else "", sum(p.numel() for p in what.model.parameters())
    reads = ", ".join(f"{k} {v}" for k, v in ((what.model.metadata or {}).get("reads") or {}).items())
    summary = (kind.__doc__ or kind.__name__).strip().splitlines()[0]
    rows = {
        "network": f"{kind.__name__}: {summary}",
        "enlarges by": str(s),
        "parameters": f"{parameters:,}, as trained",
        "in and out": f"RGB in [0, 1], (B, {clip}3, h, w) to (B, {clip}3, {s}h, {s}w)",
        "weights": f"{checkpoint.EXPORTED}, sha256 {checksum(folder / checkpoint.EXPORTED)}",
        "arguments of the constructor": CONFIG,
        **({"reads": f"another range or order, {reads}: sr.load takes it from the weights' metadata"} if reads else {}),
    }
    licence = about.licence or (f"None is stated by {about.origin}." if about.origin else "Not stated.")
    parts = [
        f"---\nlicense: {about.licence.lower() or 'unknown'}\npipeline_tag: image-to-image\ntags:\n"
        f"- super-resolution\n- {kind.__name__.lower()}\n---\n",
        f"# {_cell(what.name)} x{s}\n",
        _table(rows),
        "## Licence of the weights\n",
        licence + "\n",
        "## Training\n",
        _table(about.training) if about.training else _untold(about),
        "## Figures\n",
        _figures(about.scores, what.name, s) or "None are known of these weights.\n",
        "## Use\n",
        "```python\nimport sr\n\nmodel = sr.load(FOLDER)  # this one\n"
        "enlarged = model(IMAGE)  # a path, a Pillow image, an array or a tensor\n```\n",
    ]
    return "\n".join(parts)


def _untold(about: Known) -> str:
    return f"By {about.origin}.\n" if about.origin else "Nothing is told of it.\n"


def _figures(scores: Sequence[Score], name: str, scale: int) -> str:
    """A table of averages, with what they are of; bicubic's beside."""
    own = [s for s in scores if s.model in (name, "bicubic") and s.scale == scale]
    if all(s.model == "bicubic" for s in own):
        return ""
    metrics = metrics_of(own)
    cells = pivot(own, "dataset", "protocol", "images", "model")
    lines = ["| set | images | protocol | bicubic | this network |", "|---|---:|---|---:|---:|"]
    said = remarks(own, "dataset", "protocol", "images", "model")
    for at in dict.fromkeys(key[:-1] for key in cells):
        dataset, protocol, images = at
        both = []
        for one in ("bicubic", name):
            remark = f" ({said[*at, one]})" if (*at, one) in said else ""
            both.append(shown(cells.get((*at, one), {}), metrics) + remark)
        lines.append(f"| {_cell(dataset)} | {images} | `{protocol}` | {' | '.join(both)} |")
    notes = [f"- {note}" for note in (*identical_notes(own), *(declared(m).note for m in metrics)) if note]
    notes += [f"- `{p}`: {get_protocol(p).description}" for p in dict.fromkeys(s.protocol for s in own)]
    lr = {s.dataset: s.lr for s in own if not s.plain}
    # Of folders of LR no name.
    notes += [f"- {_cell(told_lr(d, f'{READ} files' if kind_of_lr(own) == READ else own))}" for d, own in lr.items()]
    return "\n".join([*lines, "", f"{legend(metrics)}, {what_means_are_over(own)}.", "", *notes, ""])


def _table(rows: Mapping[str, Any]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {_cell(k)} | {_cell(v)} |" for k, v in rows.items()), ""])


def _cell(value: object) -> str:
    """One line of a table, whatever is in it: a stranger's name makes no links, pictures or cells."""
    return " ".join(re.sub(r"([\\`\[\]|])", r"\\\1", str(value)).replace("<", "&lt;").split())
