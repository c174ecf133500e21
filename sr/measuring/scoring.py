"""Measure models on image sets: the one loop behind evaluate.py and the table that ends a training run."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from sr.compose.image_sets import refuse_same_names
from sr.data.batch import Batch
from sr.data.clips import clip_of
from sr.data.module import SRDataModule
from sr.errors import UserError, printable, reason
from sr.forms.running import AUTO, formed
from sr.imaging.color import to_array
from sr.imaging.files import write_image
from sr.imaging.panel import disagreement, draw_panel, panel_cells, pick_crop
from sr.measuring.frames import measured_runs, middle_of, outputs_of, told_short
from sr.measuring.papers import Entry, chosen_protocols, other_lr, papers_figures, papers_protocols
from sr.measuring.pictures import Pictures
from sr.metrics.metric import Metric
from sr.metrics.protocol import DEFAULT, Channel, Protocol
from sr.models.clips import Made
from sr.precision import full_precision
from sr.scores.published import OF_OTHERS, Published, lr_of, plain, told_of_others
from sr.scores.results import write
from sr.scores.same_images import MIDDLE, parts, told_unlike, unlike_papers
from sr.scores.score import BASELINE, Key, Score, averages, beside, scores_of, table

__all__ = ["BASELINE", "Entry", "chosen_protocols", "papers_protocols", "score_all", "score_set"]
log = logging.getLogger(__name__)

MANY = 3  # models of one command, from which on Y of HR is kept
DATA = "data"  # whose LR a protocol measures on that does not make its own
ASYMMETRIC = "(shifts, noise or directed blur), so the x8 self-ensemble averages answers to different questions"


@dataclass(frozen=True)
class Sample:
    """One image kept for a panel: (H, W, 3) uint8 arrays."""

    name: str
    lr: np.ndarray
    sr: np.ndarray
    hr: np.ndarray
    score: str  # by the first metric, with its protocol: "28.42 dB (y)"


class KeptReferences:
    """What of each HR is compared, Y for example, made once for all models that are measured on a set.

    It is kept in memory, as far as the room goes, where there are `MANY` models. Files would hold eight bytes a pixel
    for the few milliseconds that Y of a 2K image takes (`benchmarks/evaluate.md`).
    """

    def __init__(self, room: int = 2**30) -> None:
        self.room = room  # bytes
        self._kept: dict[tuple[str, int], Tensor] = {}

    def of(self, protocol: Protocol, number: int) -> Channel:
        """`protocol.reference` of the image of a number."""

        def reference(hr: Tensor, grey: bool) -> Tensor:
            if (found := self._kept.get((protocol.name, number))) is None:
                found = protocol.reference(hr, grey)
                if found.is_cpu and found.dtype != torch.uint8 and found.nbytes <= self.room:  # bytes are HR's own
                    self.room -= found.nbytes
                    self._kept[protocol.name, number] = found
            return found

        return reference


@torch.inference_mode()
def score_set(
    entry: Entry,
    data: SRDataModule,
    protocols: Sequence[Protocol],
    device: torch.device,
    keep: int = 0,
    metrics: Sequence[Metric] = DEFAULT,
    images: int | None = None,
    middle: int | None = None,
    played: Sequence[range] | None = None,
    references: KeptReferences | None = None,
) -> tuple[list[Score], list[Sample]]:
    """Scores of one model on the test images of one set, image by image.

    Args:
        entry: the model.
        data: the set, checked.
        protocols: under which it is measured.
        device: where the model runs.
        keep: of how many images (the first ones) the output is returned, for panels.
        metrics: what is measured.
        images: how many are measured, the first ones; None for all.
        middle: HR pixels a side, at most, of what is measured of each image; the set's name says so. None for all.
        played: clips of which all frames are kept; nothing else is measured.
        references: of the models that were measured on the same images, and for those that follow.

    Returns:
        A score per image, protocol and metric, and the kept images with their score under the first protocol.
    """
    model = entry.model.to(device).eval()
    ensemble = entry.ensemble and entry.name != BASELINE
    label = entry.name + ("+" if ensemble else "")
    # Protocols that make LR in the same way share one pass through the network.
    groups: dict[str, list[Protocol]] = {}
    for protocol in protocols:
        groups.setdefault(protocol.name if protocol.defines_lr else DATA, []).append(protocol)
    pictured = DATA if DATA in groups else next(iter(groups))  # the others know no colour
    scores: list[Score] = []
    samples: list[Sample] = []
    frames, name = data.whole("test"), data.test_name
    runs = measured_runs(data, images) if played is None else list(played)
    made_elsewhere = None if entry.pictures is None else Pictures(entry.pictures, data)
    if middle is not None and any(max(grid) * data.scale > middle for grid in data.pairs("test").grids[:images]):
        name += f"{MIDDLE}{middle}"

    @lru_cache(maxsize=2)  # a network on clips asks for a frame and its neighbour
    def loaded(number: int) -> Batch:
        batch = frames[number]
        return data.to_float(batch if middle is None else middle_of(batch, middle), device, measuring=True)

    def given(number: int, own: Protocol | None) -> Tensor:
        batch = loaded(number)
        return batch.lr if own is None else own.lr(batch.hr, batch.scale, grey=batch.grey[0]).to(device)

    bar = {"desc": printable(f"{label} on {name}"), "unit": "image", "total": sum(map(len, runs)), "leave": False}
    with tqdm(dynamic_ncols=True, disable=None, **bar) as progress:
        for run, (source, group) in ((run, each) for run in runs for each in groups.items()):
            lr = Made(run, partial(given, own=group[0] if source != DATA else None))
            wanted = sorted({n for protocol in group for n in protocol.scored(len(run))})
            if made_elsewhere is None:
                outputs = outputs_of(model, lr, data.scale, ensemble, data.mirror, wanted)
            else:
                outputs = (made_elsewhere.output(run[n], loaded(run[n]).hr) for n in wanted)
            for n in wanted:
                with full_precision(device):
                    output = next(outputs)
                batch = loaded(run[n])
                for protocol in group:
                    if n not in protocol.scored(len(run)):
                        continue
                    kept_y = None if references is None else references.of(protocol, run[n])
                    values = protocol.compare(output, batch.hr, batch.scale, batch.grey, metrics, batch.lr, kept_y)
                    made = lr_of(data, protocol)
                    clip = clip_of(batch.name[0]) if data.of_clips else ""
                    found = scores_of(label, name, batch.scale, protocol.name, values, 1, batch.name[0], clip, made)
                    scores += found
                    kept = played is not None or (len(samples) < keep and n == len(run) // 2)
                    if kept and source == pictured and protocol is group[0]:
                        pictures = to_array(lr[n]), to_array(output), to_array(batch.hr)
                        samples.append(Sample(batch.name[0], *pictures, found[0].text if found else ""))
                progress.update(source == pictured)
            progress.update((len(run) - len(wanted)) * (source == pictured))
    if not scores:
        told = ", ".join(protocol.name for protocol in protocols)
        raise UserError(f"{data.test_name}: there is no image to measure, or no metric for protocol {told}")
    return scores, samples


def score_all(
    entries: Sequence[Entry],
    sets: Sequence[SRDataModule],
    folder: Path,
    device: torch.device,
    protocols: Sequence[str] | None = None,
    metrics: Sequence[Metric] = DEFAULT,
    panels: int = 4,
    size: int = 96,
    at: str = "detail",
    images: int | None = None,
    middle: int | None = None,
    form: str = AUTO,
) -> list[Score]:
    """Measure every model on every set, print the table, write the CSV files and the panels.

    Args:
        entries: the models; the table's gains are over the first one.
        sets: checked.
        folder: where the files go.
        device: where the models run.
        protocols: names; None for those under which the papers measure each model, and for the baseline those
            of the models beside it.
        metrics: what is measured; gains and captions are of the first one.
        panels: images per set that are drawn.
        size: of a crop, HR pixels.
        at: where the crops lie: at the most "detail" of HR, or at the models' greatest "disagreement".
        images: see `score_set`.
        middle: see `score_set`.
        form: in which the models run, see `sr.forms.running`.

    Returns:
        The averages.
    """
    if at not in ("detail", "disagreement"):
        raise UserError(f"panel_at={at}: there are 'detail' and 'disagreement'")
    refuse_same_names(sets)
    deployed = [_deployed(entry, form, sets[0].scale, device) for entry in entries]
    scores: list[Score] = []
    papers: dict[Key, Published] = {}
    drawn: list[Path] = []
    short: list[str] = []
    undrawn: OSError | None = None
    for data in sets:
        if any(e.ensemble for e in entries) and not data.symmetric:
            log.warning(f"warning: the LR of {data.test_name} was not made symmetrically {ASYMMETRIC}")
        samples: dict[str, list[Sample]] = {}
        references = KeptReferences() if len(deployed) >= MANY else None
        for entry in deployed:
            under = chosen_protocols(entry, entries, data, protocols)
            short += told_short(data, measured_runs(data, images), under)
            found, outputs = score_set(
                entry, data, under, device, panels, metrics, images, middle, references=references
            )
            scores += found
            papers |= papers_figures(entry, averages(found), data)
            samples[found[0].model] = outputs
        if panels:
            try:
                drawn.append(_draw(samples, data, folder, size, at))
            except OSError as error:  # on a full disk, of which is told once the figures are
                undrawn = undrawn or error
    means = averages(scores)
    others = unlike_papers(s for s in means if plain(s.lr))
    papers = {key: paper for key, paper in papers.items() if key[1:3] not in others}
    log.info("\n" + table(means) + "\n")
    for told in filter(None, map(other_lr, sets)):
        log.info(told + "\n")
    strange = {s.dataset: s.lr for s in means if OF_OTHERS in s.lr}
    of_others = [told_of_others(name, lr) for name, lr in strange.items()]
    for told in (*dict.fromkeys(short), *told_unlike(others), *parts(means), *of_others):
        log.warning(told + "\n")
    if gaps := beside(means, papers):
        log.info(gaps + "\n")
        if not any(s.model == BASELINE for s in means):
            log.warning(
                "note: without bicubic nothing tells whether images and LR are the papers': leave baseline=false out\n"
            )
    for path in (*drawn, *write(scores, folder, papers)):
        log.info(str(path))
    if undrawn is not None:
        raise undrawn
    return means


def _deployed(entry: Entry, form: str, scale: int, device: torch.device) -> Entry:
    """An entry as it is measured."""
    found = formed(entry.model, form, scale, device, entry.merge)
    if found.form != "merged":
        log.info(f"{entry.name} runs in the form {found}")
    return replace(entry, model=found.model)


def panel_file(data: SRDataModule, folder: Path) -> Path:
    """Where the picture of a set lies in a folder of results."""
    name = re.sub(r"[/\\\0]", "_", data.test_name)  # data.name= of a run that somebody else began leads nowhere else
    return folder / "panels" / f"{name}_x{data.scale}.png"


def _draw(samples: dict[str, list[Sample]], data: SRDataModule, folder: Path, size: int, at: str) -> Path:
    """One picture of a set: a row per image with LR, every model and HR at the same crop."""
    rows = []
    for shown in zip(*samples.values(), strict=True):
        outputs = [(f"{label} {s.score}", s.sr) for label, s in zip(samples, shown, strict=True)]
        models = [s.sr for label, s in zip(samples, shown, strict=True) if label != BASELINE]
        window = pick_crop(disagreement(models), size, data.scale) if at == "disagreement" and models[1:] else None
        rows.append((shown[0].name, panel_cells(shown[0].lr, outputs, shown[0].hr, data.scale, size, window)))
    path = panel_file(data, folder)
    write_image(path, draw_panel(rows))
    return path


def pick_device(name: str) -> torch.device:
    """'auto' is a GPU if there is one; anything else is torch's name of a device."""
    if name == "auto":
        gpu = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else None
        return torch.device(gpu or "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device={name} cannot be used here ({reason(error)}). Try device=cpu") from error
