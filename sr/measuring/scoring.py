"""Measure models on image sets: the one loop behind evaluate.py and the table that ends a training run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from sr.data.module import SRDataModule
from sr.errors import UserError
from sr.imaging.color import to_uint8
from sr.imaging.ensemble import self_ensemble
from sr.imaging.files import write_image
from sr.imaging.panel import comparison, disagreement, draw_panel, pick_crop
from sr.metrics.protocol import Protocol, get_protocol
from sr.models.base import SuperResolver
from sr.precision import full_precision
from sr.scores.published import Published, comparable, published
from sr.scores.score import Figure, averages, beside, table, write

log = logging.getLogger(__name__)

BASELINE = "bicubic"  # the first row of every table


@dataclass(frozen=True)
class Entry:
    """A model to measure, under the name that its rows carry."""

    name: str
    model: SuperResolver
    published: str = ""  # the name of the paper's figures (sr.scores.published) that it is to be held against
    merge: bool = True  # measured in its merged form; false where that would be another function
    ensemble: bool = False  # under x8 self-ensemble, whatever the others are measured under


@dataclass(frozen=True)
class Sample:
    """One image kept for a panel: (H, W, 3) uint8 arrays."""

    name: str
    lr: np.ndarray
    sr: np.ndarray
    hr: np.ndarray
    psnr: str  # with its protocol


@torch.inference_mode()
def measure(
    entry: Entry,
    data: SRDataModule,
    protocols: Sequence[Protocol],
    device: torch.device,
    ensemble: bool = False,
    keep: int = 0,
) -> tuple[list[Figure], list[Sample]]:
    """Figures of one model on the test images of one set, image by image.

    Args:
        ensemble: average over the eight flips and rotations of LR (Lim et al., EDSR, section 3.4).
        keep: of how many images (the first ones) the output is returned, for panels.

    Returns:
        A figure per image and protocol, and the kept images with their PSNR under the first protocol.
    """
    model = entry.model.to(device).eval()
    label = entry.name + ("+" if ensemble else "")
    figures: list[Figure] = []
    kept: list[Sample] = []
    images = data.test_dataloader()
    for batch in tqdm(images, desc=f"{label} on {data.name}", unit="image", leave=False, dynamic_ncols=True):
        batch = data.to_float(batch, device)
        # Protocols that make LR in the same way share one pass through the network.
        for source in dict.fromkeys(_lr_source(p) for p in protocols):
            group = [p for p in protocols if _lr_source(p) == source]
            own = group[0].defines_lr
            lr = group[0].lr(_bytes(batch.hr), batch.scale, grey=batch.grey[0]).to(device) if own else batch.lr
            output = _upscale(model, lr, batch.scale, ensemble)
            for protocol in group:
                psnr, ssim = protocol.compare(output, batch.hr, batch.scale, batch.grey)
                figures.append(
                    Figure(label, data.name, batch.scale, protocol.name, float(psnr), float(ssim), 1, batch.name[0])
                )
            # Pictures are of the data's own LR where a protocol uses it: the others know no colour.
            shown = source == "data" or all(p.defines_lr for p in protocols)
            if shown and len(kept) < keep and batch.name[0] not in [s.name for s in kept]:
                small, large, true = _array(lr), _array(output), _array(batch.hr)
                first = figures[-len(group)]
                kept.append(Sample(batch.name[0], small, large, true, f"{first.psnr:.2f} dB ({first.protocol})"))
    if not figures:
        raise UserError(f"data={data.name}: there is no image to measure")
    return figures, kept


def _lr_source(protocol: Protocol) -> str:
    """The same for protocols that give a model the same LR."""
    return protocol.name if protocol.defines_lr else "data"


def _upscale(model: SuperResolver, lr: Tensor, scale: int, ensemble: bool) -> Tensor:
    def once(x: Tensor) -> Tensor:
        return model(x, scale)

    with full_precision(lr.device):
        return self_ensemble(once, lr) if ensemble else once(lr)


def _array(image: Tensor) -> np.ndarray:
    """(1, 3, H, W) in about [0, 1] -> (H, W, 3) uint8."""
    return to_uint8(image)[0].permute(1, 2, 0).cpu().numpy()


def _bytes(image: Tensor) -> Tensor:
    return (image * 255).round().to(torch.uint8)


def compare(
    entries: Sequence[Entry],
    sets: Sequence[SRDataModule],
    folder: Path,
    device: torch.device,
    protocols: Sequence[str] | None = None,
    ensemble: bool = False,
    panels: int = 4,
    size: int = 96,
    at: str = "detail",
) -> list[Figure]:
    """Measure every model on every set, print the table, write the CSV files and the panels.

    Args:
        protocols: names; None for those under which the papers measure each model, and for the baseline those
            of the models beside it.
        panels: images per set that are drawn, with crops of `size` HR pixels.
        at: where the crops lie: at the most "detail" of HR, or at the models' greatest "disagreement".

    Returns:
        The averages.
    """
    if at not in ("detail", "disagreement"):
        raise UserError(f"panel_at={at}: there are 'detail' and 'disagreement'")
    deployed = [replace(e, model=e.model.merged()) if e.merge else e for e in entries]
    figures: list[Figure] = []
    papers: dict[Figure, Published] = {}
    drawn: list[Path] = []
    for data in sets:
        if (ensemble or any(e.ensemble for e in entries)) and not data.symmetric:
            log.warning(
                f"warning: the LR of {data.name} was not made symmetrically (shifts, noise or directed blur), so the "
                "x8 self-ensemble averages answers to different questions"
            )
        samples: dict[str, list[Sample]] = {}
        for entry in deployed:
            under = _suited(_protocols(entry, entries, protocols), data, bool(protocols))
            averaged = (ensemble or entry.ensemble) and entry.name != BASELINE
            rows, kept = measure(entry, data, under, device, averaged, panels)
            figures += rows
            papers |= _papers(entry, averages(rows), data)
            samples[rows[0].model] = kept
        if panels:
            drawn.append(_draw(samples, data, folder / "panels", size, at))
    means = averages(figures)
    log.info("\n" + table(means) + "\n")
    if papers:
        log.info(beside(list(papers.items())) + "\n")
    for path in (*drawn, *write(figures, folder, papers)):
        log.info(str(path))
    return means


def _papers(entry: Entry, means: Sequence[Figure], data: SRDataModule) -> dict[Figure, Published]:
    """The papers' figures for one model's averages on one set, where LR is what the papers measure on."""
    name = entry.published or (BASELINE if entry.name == BASELINE else "")
    plus = "+" if name != BASELINE and means[0].model.endswith("+") else ""
    plain = comparable(data)
    found = {f: published(name + plus, f.scale, f.dataset, f.protocol, f.images) for f in means if name and plain}
    return {f: paper for f, paper in found.items() if paper is not None}


def _protocols(entry: Entry, entries: Sequence[Entry], asked: Sequence[str] | None) -> list[Protocol]:
    others = [e for e in entries if e.name != BASELINE]
    like = others if entry.name == BASELINE and others else [entry]
    return [get_protocol(name) for name in asked or dict.fromkeys(n for e in like for n in e.model.protocols)]


def _suited(protocols: list[Protocol], data: SRDataModule, typed: bool) -> list[Protocol]:
    """Protocols that make their own bicubic LR say nothing about a set whose LR is something else."""
    if comparable(data):
        return protocols
    own = [p.name for p in protocols if p.defines_lr]
    if own and typed:
        raise UserError(
            f"protocol={own[0]} makes bicubic LR from HR itself, but the LR of {data.name} is given or made in another "
            "way: leave it out, or type degradation=bicubic"
        )
    return [p for p in protocols if not p.defines_lr] or [get_protocol("y")]


def _draw(samples: dict[str, list[Sample]], data: SRDataModule, folder: Path, size: int, at: str) -> Path:
    """One picture of a set: a row per image with LR, every model and HR at the same crop."""
    rows = []
    for shown in zip(*samples.values(), strict=True):
        outputs = [(f"{label} {s.psnr}", s.sr) for label, s in zip(samples, shown, strict=True)]
        lr, hr = shown[0].lr, shown[0].hr
        scale = hr.shape[0] // lr.shape[0]
        models = [image for label, image in zip(samples, (s.sr for s in shown), strict=True) if label != BASELINE]
        window = pick_crop(disagreement(models), size, scale) if at == "disagreement" and len(models) > 1 else None
        rows.append((shown[0].name, comparison(lr, outputs, hr, scale, size, window)))
    path = folder / f"{data.name}_x{scale}.png"
    write_image(path, draw_panel(rows))
    return path


def pick_device(name: str) -> torch.device:
    """'auto' is a GPU if there is one; anything else is torch's name of a device."""
    if name != "auto":
        try:
            return torch.empty(0, device=name).device
        except (RuntimeError, AssertionError) as error:
            raise UserError(
                f"device={name} cannot be used here ({str(error).splitlines()[0]}). Try device=cpu"
            ) from error
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
