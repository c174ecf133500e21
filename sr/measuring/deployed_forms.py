"""A network in every form that a user deploys: what each takes, and what it gives."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from sr.data.module import SRDataModule
from sr.errors import UserError, nearest, reason, user_error
from sr.forms.running import FORMS, Formed, tried
from sr.measuring.latency import Latency, peak_memory
from sr.measuring.papers import papers_protocols
from sr.measuring.scoring import Entry, score_set
from sr.metrics.metric import get_metrics
from sr.metrics.protocols import get_protocol
from sr.models.base import SuperResolver
from sr.scores.score import averages
from sr.scores.text import counted, markdown

log = logging.getLogger(__name__)
Timed = Callable[[Mapping[str, SuperResolver], str], Mapping[str, Latency]]  # models by name, and the reference


@dataclass(frozen=True)
class FormCost:
    """One network in one form; empty cells are None."""

    model: str
    scale: int
    form: str
    latency_ms: float | None = None
    latency_spread_ms: float | None = None
    latency_ratio: float | None = None  # to the first form, in the same round
    peak_mib: float | None = None
    apart: float | None = None  # the largest difference from the merged form's result, in parts of the largest value
    sets: str = ""
    protocol: str = ""
    psnr: str = ""  # dB on each of the sets
    note: str = ""  # why it cannot be had


def chosen(forms: Sequence[str]) -> list[str]:
    """Those of FORMS that are asked for; `all` is every one.

    Raises:
        UserError: there is no such form.
    """
    wanted = [one for given in forms for one in (FORMS if given == "all" else [given])]
    for one in wanted:
        if one not in FORMS:
            hint = nearest(one, FORMS)
            raise UserError(f"forms={one}: name what is measured, of {', '.join(FORMS)}, or all.{hint}")
    return list(dict.fromkeys(wanted))


def form_costs(
    entry: Entry,
    trained: bool,
    forms: Sequence[str],
    scale: int,
    size: Sequence[int],
    sets: Sequence[SRDataModule],
    timed: Timed,
    device: torch.device,
) -> list[FormCost]:
    """Measure a network in forms, which take turns; one that cannot be had says why.

    Args:
        entry: the network, as it was trained.
        trained: whether figures of it say anything.
        forms: names.
        scale: to enlarge by.
        size: (h, w) of the LR whose memory is told.
        sets: on which it is scored, checked.
        timed: how the forms' latencies are taken.
        device: where it runs.
    """
    plain = entry.model.merged().to(device)
    found: dict[str, Formed] = {}
    notes: dict[str, str] = {}
    for form in forms:
        log.info(f"making {entry.name} {form}")
        try:
            found[form] = tried(entry.model, plain, form, scale)
        except Exception as error:  # compilers and exporters have many
            notes[form] = str(user_error(error) or f"{type(error).__name__}: {reason(error)}")
    peaks = {}
    for form, each in found.items():
        if form == "compiled":  # which compiles once more for the first image of a size
            peak_memory(each.model, size, scale, device)
        peaks[form] = peak_memory(each.model, size, scale, device)
    times = timed({form: each.model for form, each in found.items()}, next(iter(found), ""))
    rows = []
    for form in forms:
        if form in notes:
            rows.append(FormCost(entry.name, scale, form, note=notes[form]))
            continue
        time, peak = times.get(form), peaks[form]
        protocol, figures = _figures(entry, found[form].model, sets, device) if trained else ("", {})
        median, spread, ratio = (time.median, time.spread, time.ratio) if time else (None, None, None)
        rows.append(
            FormCost(
                model=entry.name,
                scale=scale,
                form=form,
                latency_ms=median,
                latency_spread_ms=spread,
                latency_ratio=ratio,
                peak_mib=None if peak is None else peak / 2**20,
                apart=found[form].apart,
                sets=" / ".join(figures),
                protocol=protocol,
                psnr=" / ".join(f"{value:.3f}" for value in figures.values()),
            )
        )
    return rows


def _figures(
    entry: Entry, model: SuperResolver, sets: Sequence[SRDataModule], device: torch.device
) -> tuple[str, dict[str, float]]:
    """PSNR by set, under the first of the network's protocols that takes a set's own LR."""
    figures, protocol = {}, ""
    for data in sets:
        names = [p for p in papers_protocols(entry, data) if not get_protocol(p).defines_lr] or ["y"]
        protocol = protocol or names[0]
        one = Entry(entry.name, model)
        scores, _ = score_set(one, data, [get_protocol(protocol)], device, metrics=get_metrics(["psnr"]))
        figures[data.test_name] = averages(scores)[0].value
    return protocol, figures


def as_markdown(rows: Sequence[FormCost]) -> str:
    """The table to read, with what cannot be had below it."""
    head = ["model", "scale", "form", "latency, ms", "ratio", "peak, MiB", "apart", "sets", "protocol", "PSNR"]
    lines = [head]
    for r in rows:
        if r.note:
            continue
        latency = "" if r.latency_ms is None else f"{r.latency_ms:.1f} ± {r.latency_spread_ms:.1f}"
        line = [r.model, f"x{r.scale}", r.form, latency, "" if r.latency_ratio is None else f"{r.latency_ratio:.2f}"]
        line += ["" if r.peak_mib is None else f"{r.peak_mib:.0f}", "" if r.apart is None else f"{r.apart:.0e}"]
        lines.append([*line, r.sets, r.protocol, r.psnr])
    remarks = [f"- {r.model} x{r.scale} {r.form}: {r.note}" for r in rows if r.note]
    return markdown(lines) + ("\n\n" + "\n".join(remarks) if remarks else "")


def legend(size: Sequence[int], device: torch.device) -> str:
    """What the table's columns and forms are."""
    processor = device.type == "cpu"
    threads = f", {counted(torch.get_num_threads(), 'thread')}" if processor else ""
    peak = "by how much the process grows" if processor else "what torch has allocated, weights included"
    lines = [
        f"{device.type}{threads}, LR {size[1]}x{size[0]}. Ratio: to the first form in the same round, where",
        f"all take turns. Peak: {peak}, in one pass. Apart: the largest difference from the merged form,",
        "in parts of the largest value, at least 1. eager: as trained; merged: blocks re-parameterised; channels_last:",
        "merged, as (B, H, W, C) in memory; compiled: so, by torch.compile; bf16: so, convolutions in bfloat16; onnx:",
        "merged, by ONNX Runtime.",
    ]
    return "\n".join(lines)
