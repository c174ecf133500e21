"""The cost run: one row per architecture and size, without weights that anybody trained."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from typing import Any

import hydra
import torch
from omegaconf import DictConfig, OmegaConf

from sr.compose.checks import built, check_targets
from sr.compose.words import Job, Words, listed
from sr.data.module import SRDataModule
from sr.errors import UserError
from sr.measuring import challenge, deployed_forms, reproduced
from sr.measuring.challenge import get_challenge
from sr.measuring.cost import cost, goes_through_clips, lr_size
from sr.measuring.cost_table import (
    COUNTED,
    SETS,
    ModelCost,
    as_markdown,
    published_cells,
    reproduced_cells,
    reproduced_note,
)
from sr.measuring.deployed_forms import FormCost, chosen, form_costs
from sr.measuring.entries import published_name
from sr.measuring.latency import Latency, latencies, ntire22
from sr.measuring.measured import measured_sets, trained_networks
from sr.measuring.receptive_field import receptive_field
from sr.measuring.scoring import Entry, pick_device
from sr.models.base import SuperResolver
from sr.scores.published import published_costs
from sr.scores.score import Score
from sr.scores.text import counted, write_csv
from sr.whole import write_whole
from sr.zoo.onnx_file import OnnxResolver

log = logging.getLogger(__name__)

TIMINGS = ("rounds", "ntire22")
IN_A_CLIP = "counted as a frame within a clip; latency and peak memory are those of one alone, without flow to others"
SMALL = (256, 256)  # LR pixels: the NTIRE challenges' input


def measure(cfg: DictConfig) -> None:
    """Run a composed conf/measure.yaml: print a Markdown table, write models.md and models.csv."""
    job = Job.current()
    names, forms = job.words.names("model") or [], chosen(listed(cfg.forms))
    if cfg.timing not in TIMINGS:
        raise UserError(f"timing={cfg.timing}: there are {', '.join(TIMINGS)}")
    contest = get_challenge(cfg.challenge, cfg.scale, cfg.rounds) if cfg.challenge else None
    typed, names = bool(names), list(names)
    if contest is not None:
        cfg = cfg.copy()
        cfg.reference = contest.baseline
        names += [contest.baseline] if contest.baseline not in names else []
    trained = trained_networks(cfg, names)
    if not typed and not trained:
        raise UserError("nothing to measure: type model=[bsrn,rlfn] or model=all, checkpoint=RUN or weights=rlfn_x4")
    models: dict[str, SuperResolver] = {name: entry.model for name, entry in trained.items()}
    nodes: dict[str, dict[str, Any]] = {}  # of architectures
    papers = {name: entry.published for name, entry in trained.items()}  # names of the papers' figures; "" for none
    for name in names:
        try:
            nodes[name] = node = _node(name, cfg.scale, job.words)
            (model := _build(node)).scale_of(cfg.scale)
            models[name], papers[name] = model, published_name(node, name)
        except UserError as error:
            if len(names) == 1 and not trained:
                raise
            log.info(f"{name} left out: {error}")
    if not models:
        raise UserError(f"none of {', '.join(names)} is defined for scale={cfg.scale}")
    results = reproduced.read(cfg.results)
    parameters = {name: _count(model) for name, model in models.items()}
    if len(cfg.size) != 2:
        raise UserError(f"size={list(cfg.size)}: give height and width, LR pixels: size=[96,96]")
    merged = {name: model.merged() for name, model in models.items()}
    device = pick_device(cfg.device)
    sets = measured_sets(cfg, bool(forms and trained))
    compared = dict(merged)
    if cfg.rounds and cfg.reference not in compared:
        compared[cfg.reference] = _build(_node(cfg.reference, cfg.scale, job.words)).merged()
    times = _timed(cfg, sets, device, compared, cfg.reference)
    in_forms: list[FormCost] = []
    for name, model in models.items() if forms else ():
        entry = trained.get(name) or Entry(name, model)
        timed = partial(_timed, cfg, sets, device)
        in_forms += form_costs(entry, name in trained, forms, cfg.scale, cfg.size, sets, timed, device)
        entry.model.cpu()
    rows = []
    runs = dict(zip(list(trained)[len(listed(cfg.weights)) :], listed(cfg.checkpoint), strict=True))
    for name, model in merged.items():
        log.info(f"counting {name}")
        model = model.cpu()
        own = reproduced.of_row(results, name, runs.get(name), nodes.get(name))
        rows.append(_row(name, model, parameters[name], cfg, times.get(name), own, papers[name]))
    if results and not any(row.reproduced_psnr for row in rows):
        whole, kinds = ", ".join(SETS), ", ".join(dict.fromkeys(row.protocol for row in rows))
        log.warning(
            f"note: results= holds no PSNR of these models at x{cfg.scale} on the whole of {whole} under {kinds}"
        )
    text = as_markdown(rows) + "\n\n" + _legend(cfg, device)
    log.info("\n" + text + "\n")
    write_whole(job.folder / "models.md", text + "\n")
    write_csv(job.folder / "models.csv", [f.name for f in fields(ModelCost)], map(asdict, rows))
    if contest is not None:
        ranked = challenge.ranking(contest, rows, {name: time.median for name, time in times.items()})
        told = challenge.as_markdown(contest, ranked)
        log.info(told + "\n")
        write_whole(job.folder / "challenge.md", told + "\n")
        write_csv(job.folder / "challenge.csv", [f.name for f in fields(challenge.Ranked)], map(asdict, ranked))
        log.info(f"{job.folder / 'challenge.md'}\n{job.folder / 'challenge.csv'}")
    if in_forms:
        told = deployed_forms.as_markdown(in_forms) + "\n\n" + deployed_forms.legend(cfg.size, device)
        log.info(told + "\n")
        write_whole(job.folder / "forms.md", told + "\n")
        write_csv(job.folder / "forms.csv", [f.name for f in fields(FormCost)], map(asdict, in_forms))
        log.info(f"{job.folder / 'forms.md'}\n{job.folder / 'forms.csv'}")
    log.info(f"{job.folder / 'models.md'}\n{job.folder / 'models.csv'}")


def _timed(
    cfg: DictConfig,
    sets: Sequence[SRDataModule],
    device: torch.device,
    models: Mapping[str, SuperResolver],
    reference: str,
) -> dict[str, Latency]:
    if not (models and cfg.rounds):
        return {}
    if cfg.timing == "rounds":
        return latencies(models, reference, cfg.size, cfg.scale, cfg.rounds, device)
    images = [data.to_float(data.whole("test")[n], device, measuring=True).lr for data in sets
              for n in range(len(data.pairs("test")))]  # fmt: skip
    return ntire22(models, reference, images, cfg.scale, device)


def _row(
    name: str,
    model: SuperResolver,
    parameters: int,
    cfg: DictConfig,
    time: Latency | None,
    results: Sequence[Score],
    paper: str,
) -> ModelCost:
    large, small = cost(model, lr_size(cfg.scale), cfg.scale), cost(model, SMALL, cfg.scale)
    known = published_costs().get((paper, cfg.scale), {})
    protocol, figures, kind = published_cells(paper, cfg.scale, model.protocols)
    row = ModelCost(
        model=name,
        scale=cfg.scale,
        parameters=parameters,
        merged_parameters=_count(model),
        macs_720p=large.macs,
        macs_256=small.macs,
        activations_720p=large.activations,
        activations_256=small.activations,
        convolutions=large.convolutions,
        receptive_field=_seen(model, cfg.scale) if cfg.receptive_field else None,
        peak_mib_720p=large.peak_bytes / 2**20,
        latency_ms=time.median if time else None,
        latency_spread_ms=time.spread if time else None,
        latency_ratio=time.ratio if time else None,
        protocol=protocol,
        published_psnr=figures,
        published_psnr_kind=kind,
        reproduced_psnr=reproduced_cells(results, name, cfg.scale, protocol),
        published_parameters=int(known["parameters"]) if known.get("parameters") else None,
        published_parameters_kind=known.get("parameters_kind", ""),
        published_macs_g=float(known["macs_g"]) if known.get("macs_g") else None,
        published_macs_kind=known.get("macs_kind", ""),
        note="; ".join(
            filter(
                None,
                [
                    IN_A_CLIP * goes_through_clips(model),
                    known.get("note", ""),
                    reproduced_note(results, name, cfg.scale, protocol),
                ],
            )
        ),
        uncounted=", ".join(large.unknown),
    )
    unknown: dict[str, Any] = dict.fromkeys(COUNTED) if isinstance(model, OnnxResolver) else {}
    return replace(row, **unknown)


def _seen(model: SuperResolver, scale: int) -> int | str | None:
    return None if isinstance(model, OnnxResolver) else receptive_field(model, scale) or "image"


def _legend(cfg: DictConfig, device: torch.device) -> str:
    height, width = lr_size(cfg.scale)
    lines = [
        f"720p: LR {width}x{height}, enlarged to 1280x720 or the next multiple; 256x256: LR. MACs: convolutions and",
        "linear layers of the merged form. Activations: elements that convolutions put out (linear layers' are not",
        "counted). Receptive field: LR pixels a side of one output pixel, measured by gradient. Peak: tensors alive",
        "at once, without weights. PSNR in dB on Set5 / Set14 / B100 / Urban100.",
    ]
    threads = f", {counted(torch.get_num_threads(), 'thread')}" if device.type == "cpu" else ""
    if cfg.rounds and cfg.timing == "ntire22":
        lines.append(
            f"Latency: merged form, {device.type}{threads}, as in NTIRE 2022: each LR image of "
            f"{', '.join(cfg.benchmarks)} once, in float32, mean ± half the distance of the quartiles; ratio: to "
            f"{cfg.reference} on the same image."
        )
    elif cfg.rounds:
        lines.append(
            f"Latency: merged form, {device.type}{threads}, float32, LR {cfg.size[1]}x{cfg.size[0]}, median of "
            f"{counted(cfg.rounds, 'round')} in which all models take turns ± half the distance of the quartiles; "
            f"ratio: to {cfg.reference} in the same round."
        )
    return "\n".join(lines)


def _node(name: str, scale: int, words: Words) -> dict[str, Any]:
    """The settings of an architecture, with what is typed of them."""
    own = words.only(lambda key: key.startswith("model."))
    cfg = hydra.compose("measure", overrides=[f"model=[{name}]", f"scale={scale}", *own.texts])
    node: dict[str, Any] = OmegaConf.to_container(cfg.model, resolve=True)  # type: ignore[assignment]
    check_targets({"model": node})
    return node


def _build(node: Mapping[str, Any]) -> SuperResolver:
    torch.manual_seed(0)
    return built(node, "model")


def _count(model: SuperResolver) -> int:
    return sum(p.numel() for p in model.parameters())
