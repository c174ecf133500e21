"""The table of models: what they cost beside what they reach, as Markdown and CSV."""

from collections.abc import Sequence
from dataclasses import dataclass

from sr.scores.published import IMAGES, published, published_protocols
from sr.scores.score import Score
from sr.scores.text import markdown
from sr.zoo.entries import ZOO

COUNTED = (  # what is not known of a file whose operations are not ours to count
    "parameters", "merged_parameters", "macs_720p", "macs_256", "activations_720p", "activations_256", "convolutions",
    "peak_mib_720p",
)  # fmt: skip
SETS = ("Set5", "Set14", "B100", "Urban100")


@dataclass(frozen=True)
class ModelCost:
    """One model at one scale; empty cells are None."""

    model: str
    scale: int
    parameters: int | None  # while training
    merged_parameters: int | None
    macs_720p: int | None
    macs_256: int | None
    activations_720p: int | None
    activations_256: int | None
    convolutions: int | None
    receptive_field: int | str | None  # LR pixels a side, or "image"
    peak_mib_720p: float | None
    latency_ms: float | None
    latency_spread_ms: float | None
    latency_ratio: float | None
    protocol: str
    published_psnr: str  # dB on Set5 / Set14 / B100 / Urban100
    published_psnr_kind: str  # of its sources (sr.scores.published)
    reproduced_psnr: str
    published_parameters: int | None
    published_parameters_kind: str
    published_macs_g: float | None
    published_macs_kind: str
    note: str
    uncounted: str = ""  # operations that the counter does not know, which the multiply-adds are without


def published_cells(model: str, scale: int, protocols: Sequence[str]) -> tuple[str, str, str]:
    """The paper's own protocol, its PSNR on the four sets, and the kinds of their sources.

    Args:
        model: the name in conf/model.
        scale: enlargement factor.
        protocols: of the network's kind, which say which one is meant where several have figures of as many sets.
    """
    known = [*protocols, *(p for name in SETS for p in published_protocols(model, scale, name))]
    found = {p: [published(model, scale, name, p) for name in SETS] for p in dict.fromkeys(known)}
    protocol = max(found, key=lambda p: sum(figure is not None for figure in found[p]))  # the first of the fullest
    figures = found[protocol]
    if not any(figures):
        return protocol, "", ""
    cells = " / ".join(f"{p.values['psnr']:.2f}" if p else "-" for p in figures)
    return protocol, cells, ", ".join(dict.fromkeys(p.source_kind for p in figures if p))


def reproduced_cells(results: Sequence[Score], model: str, scale: int, protocol: str) -> str:
    """Our PSNR on the whole of the four sets from averages in results.csv; "" where nothing was measured."""
    measured = _reproduced(results, model, scale, protocol)
    cells = [f"{measured[name][0]:.2f}" if name in measured else "-" for name in SETS]
    return " / ".join(cells) if measured else ""


def reproduced_note(results: Sequence[Score], model: str, scale: int, protocol: str) -> str:
    """Of which of several figures, as of seeds or of other recipes, `reproduced_cells` are; "" where all are shown."""
    others = [
        f"{len(values)} on {name}, {min(values):.2f} to {max(values):.2f} dB"
        for name, values in _reproduced(results, model, scale, protocol).items()
        if len({f"{value:.2f}" for value in values}) > 1
    ]
    return f"reproduced PSNR: the first of {'; '.join(others)}: type one run as results=" if others else ""


def _reproduced(results: Sequence[Score], model: str, scale: int, protocol: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for s in results:
        same = (s.scale, s.protocol, s.metric, s.images) == (scale, protocol, "psnr", IMAGES.get(s.dataset))
        if same and s.dataset in SETS and model in (s.model, _architecture(s.model)):
            found.setdefault(s.dataset, []).append(s.value)
    return found


def _architecture(label: str) -> str:
    """The name in conf/model behind a row's label: a zoo entry with the paper's weights, or a trained model."""
    if label in ZOO:
        return ZOO[label].model if ZOO[label].published else ""
    return label.split(":")[0]


def _cell(value: float | None, form: str, unit: float | None = None) -> str:
    """A number, or `?` where it cannot be counted."""
    return "?" if value is None else form.format(value / unit if unit else value)


def as_markdown(rows: Sequence[ModelCost]) -> str:
    """The table to read, with remarks below it."""
    head = ["model", "scale", "parameters (merged)", "MACs 720p, G", "MACs 256x256, G", "activations 720p, M"]
    head += ["convs", "receptive field", "peak 720p, MiB", "latency, ms", "ratio"]
    head += ["protocol", "published PSNR", "kind of source", "reproduced PSNR"]
    lines, remarks = [head], []
    for r in rows:
        merged = f" ({r.merged_parameters:,})" if r.merged_parameters not in (r.parameters, None) else ""
        latency = "" if r.latency_ms is None else f"{r.latency_ms:.1f} ± {r.latency_spread_ms:.1f}"
        more = " + ?" if r.uncounted else ""
        line = [r.model, f"x{r.scale}", _cell(r.parameters, "{:,}") + merged]
        line += [_cell(macs, "{:.2f}", 1e9) + (more if macs else "") for macs in (r.macs_720p, r.macs_256)]
        line += [_cell(r.activations_720p, "{:.1f}", 1e6), _cell(r.convolutions, "{}")]
        line += [str(r.receptive_field or ""), _cell(r.peak_mib_720p, "{:.0f}"), latency]
        line += ["" if r.latency_ratio is None else f"{r.latency_ratio:.2f}"]
        lines.append([*line, r.protocol, r.published_psnr, r.published_psnr_kind, r.reproduced_psnr])
        known = r.published_macs_g is not None and r.macs_720p is not None
        differ = known and abs((r.macs_720p or 0) / 1e9 / (r.published_macs_g or 1) - 1) > 0.005
        if r.note or differ or r.uncounted:
            published = f" {r.published_macs_g:g} G are known ({r.published_macs_kind});" if differ else ""
            without = f" not counted, as the counter does not know it: {r.uncounted};" if r.uncounted else ""
            remarks.append(f"- {r.model} x{r.scale}:{without}{published} {r.note}".rstrip(" ;"))
    return markdown(lines) + ("\n\n" + "\n".join(remarks) if remarks else "")
