"""What a training run is made of, built from its config: architecture, data, loss and optimizer, trainer."""

import logging
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from functools import partial
from inspect import signature
from itertools import pairwise
from pathlib import Path
from traceback import extract_tb
from typing import Any

import hydra
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR

from sr.compose import checks
from sr.compose.image_sets import build_set, found_benchmarks, refuse_missing
from sr.data.loaders import Loaders
from sr.data.module import SRDataModule
from sr.data.multiscale import MultiScale
from sr.errors import UserError, reason, some, user_error
from sr.layers.torch_file import refuse_lost
from sr.losses import Distillation
from sr.metrics.metric import get_metrics
from sr.metrics.protocols import get_protocol
from sr.models.base import SuperResolver, Training
from sr.models.hooks import needs_closure
from sr.models.module import Module
from sr.models.unsaved import refuse_unsaved
from sr.own_modules import left_as_it_is
from sr.runs import checkpoint
from sr.runs.config import LAST, plain
from sr.runs.construct import construct, limited
from sr.training.stage_configs import StageConfig, at_scale, scales

log = logging.getLogger(__name__)
TYPED = ("folder", "clips")  # sets whose images nothing tells but what is typed


def architecture(cfg: DictConfig) -> type[SuperResolver]:
    """The class that `model._target_` names.

    Raises:
        UserError: there is none, or it is something else.
    """
    name, target = cfg.choices.model, OmegaConf.select(cfg, "model._target_")
    if target is None:
        raise UserError(f"model={name}: conf/model/{name}.yaml has no _target_")
    try:
        found = hydra.utils.get_object(target)
    except (ImportError, ValueError, hydra.errors.HydraException) as error:
        raise UserError(f"model._target_={target}: there is no such class ({error})") from error
    if not (isinstance(found, type) and issubclass(found, SuperResolver)):
        raise UserError(f"model={name}: {target} is not a super-resolution model (sr.models.base.SuperResolver)")
    return found


def models(stages: Sequence[StageConfig], stranger: Path | None = None) -> list[SuperResolver]:
    """One per stage; the same object as long as the architecture and its scale stay the same.

    Args:
        stages: of a run.
        stranger: its folder, where somebody else says what is built: nothing far larger than a published network.
    """
    built: list[SuperResolver] = []
    with limited(stranger) if stranger else nullcontext():
        for n, stage in enumerate(stages):
            same = n > 0 and plain(stage.cfg.model) == plain(stages[n - 1].cfg.model)
            built.append(built[-1] if same else checks.built(stage.cfg.model, "model", _convert_="all"))
            if not same:
                with left_as_it_is():
                    refuse_unsaved(built[-1], partial(read_again, stage.cfg.model, built[-1].state_dict()))
    for stage, model in zip(stages, built, strict=True):
        if wrong := set(scales(stage.cfg)) - set(model.scales):
            served = ", ".join(map(str, model.scales))
            raise UserError(f"scale={stage.cfg.scale}: this model serves scale {served}, not {min(wrong)}")
        if empty := [name for name, p in model.named_parameters() if p.numel() == 0]:
            raise UserError(
                f"model={stage.cfg.choices.model}: with these settings {some(empty)} would be empty; numbers of "
                "channels and groups are 1 or more"
            )
    return built


def read_again(node: Any, state: dict[str, Tensor]) -> SuperResolver:
    """A network as it will be read from its checkpoints.

    Raises:
        UserError: it could not be.
    """
    try:
        model = construct(plain(node), LAST, state)
        checkpoint.load_weights(model, state, LAST)
    except UserError as error:
        raise UserError(f"what this run would save could not be read again: {error}") from error
    return model


def data_sets(stages: Sequence[StageConfig], typed: Collection[str]) -> list[Loaders]:
    """What each stage trains on; the same object for stages that train on the same patches."""
    built: dict[str, Loaders] = {}
    found = []
    for stage in stages:
        of_scales = {s: at_scale(stage.cfg, s, typed).data for s in scales(stage.cfg)}
        key = repr({s: plain(node) for s, node in of_scales.items()})
        if key not in built:
            modules = {s: checks.built(node, "data", SRDataModule) for s, node in of_scales.items()}
            built[key] = MultiScale(modules) if len(modules) > 1 else next(iter(modules.values()))
            built[key].accumulate = stage.cfg.accumulate
        found.append(built[key])
    return found


def test_sets(cfg: DictConfig, stages: Sequence[StageConfig], data: Sequence[Loaders]) -> dict[int, list[SRDataModule]]:
    """What is measured at the end, by scale, all of it looked at before the first step."""
    found: dict[int, list[SRDataModule]] = {}
    for stage, trained_on in reversed(list(zip(stages, data, strict=True))):  # the last stage's scales come first
        for scale in scales(stage.cfg):
            if scale in found:
                continue
            own = trained_on.modules[scale] if isinstance(trained_on, MultiScale) else trained_on
            assert isinstance(own, SRDataModule)
            if cfg.benchmarks is not None:
                found[scale] = [_benchmark(name, scale, cfg, own) for name in dict.fromkeys(cfg.benchmarks)]
                refuse_missing(found[scale])
                continue
            held_out = [own] if own.has("test") else []
            refuse_missing(held_out)
            found[scale] = held_out + found_benchmarks(scale, cfg)
    return found


def _benchmark(name: str, scale: int, cfg: DictConfig, own: SRDataModule) -> SRDataModule:
    """A set that is named; the one that is trained on as it was typed, with what it offers to measure on."""
    if name == cfg.choices.data and own.has("test"):
        return own
    if name in TYPED:
        raise UserError(
            f"benchmarks=[{name}]: data.* are the keys of data={cfg.choices.data} here, so none says where its images "
            "are. Leave it out and measure them afterwards, sr evaluate checkpoint=RUN "
            f"benchmarks=[{name}] data.root=PATH, or write a set of your own (docs/adding.md, A benchmark)"
        )
    return build_set(name, scale, cfg)


def training(cfg: DictConfig) -> Training:
    """What a stage trains with."""
    return Training(
        loss=checks.built(cfg.loss, "loss", _convert_="all"),
        optimizer=checks.built(cfg.optimizer, "optimizer", _convert_="all"),
        scheduler=checks.built(cfg.scheduler, "scheduler", _convert_="all"),
        protocol=get_protocol(cfg.protocol),
        groups=plain(cfg.parameter_groups),
        frozen=plain(cfg.frozen),
        trained=plain(cfg.trained) if cfg.trained is not None else None,
        accumulate=cfg.accumulate,
        clip=cfg.trainer.gradient_clip_val,
        metrics=get_metrics(cfg.metrics),
    )


def setups(
    cfg: DictConfig, stages: Sequence[StageConfig], models: Sequence[SuperResolver], stranger: Path | None = None
) -> list[Training]:
    """What each stage trains with, all of it built now: a missing file of a late stage is told at once.

    Args:
        cfg: of the run.
        stages: of it.
        models: of them.
        stranger: see `models`.
    """
    torch.manual_seed(cfg.seed)  # a discriminator starts the same whatever was timed before
    with limited(stranger) if stranger else nullcontext():
        built = [training(stage.cfg) for stage in stages]
    if cfg.teacher and not any(isinstance(m, Distillation) for b in built for m in b.loss.modules()):
        raise UserError(f"teacher={cfg.teacher}: no loss of this run looks at it. Type loss=distillation too")
    for setup, model, stage in zip(built, models, stages, strict=True):
        setup.learning(model.learnable())
        _try(setup, model, stage.end - stage.begin)
    return built


def refuse_kept(stages: Sequence[StageConfig], models: Sequence[SuperResolver], setups: Sequence[Training]) -> None:
    """Raises a UserError for a stage that is to go on with the state of an optimizer that is none of its own."""
    parts = list(zip(stages, models, setups, strict=True))
    for (before, former, last), (stage, model, setup) in pairwise(parts):
        if stage.cfg.optimizer_state != "kept":
            continue
        weights = [[(name, p.shape) for name, p in each.learnable().items()] for each in (former, model)]
        if weights[0] != weights[1]:
            why = "has a network of other sizes"
        elif before.cfg.optimizer._target_ != stage.cfg.optimizer._target_:
            why = f"is trained by {before.cfg.optimizer._target_}"
        elif (last.adversary is None) != (setup.adversary is None):
            why = "has no discriminator" if last.adversary is None else "has a discriminator"
        else:
            continue
        key = f"stages.{stage.name}.optimizer_state"
        raise UserError(f"{key}=kept: the stage before it {why}, whose state does not fit. Type {key}=fresh")


def _try(setup: Training, model: SuperResolver, steps: int) -> None:
    """Build once what is built again when its stage, of so many steps, begins, perhaps after hours.

    Raises:
        UserError: an optimizer or a schedule refuses its settings, or a discriminator or a teacher the network.
    """
    if (adversary := setup.adversary) is not None:
        own = type(adversary.discriminator).__module__.startswith("sr.")  # of others nobody knows what reads the image
        convs = [m for m in adversary.discriminator.modules() if own and isinstance(m, torch.nn.Conv2d)]
        if convs and (seen := convs[0].in_channels) != model.colors:
            node = "loss.terms.adversarial.loss.discriminator.colors"
            raise UserError(
                f"the discriminator of the loss sees images of {seen} colours, {type(model).__name__} works on "
                f"{model.colors}{' (Y)' if model.colors == 1 else ''}: type +{node}={model.colors}, or another model"
            )
    if isinstance(model, Module):  # which nobody here knows
        model.tried()
    played = {id(p) for p in adversary.discriminator.parameters()} if adversary is not None else set()
    if idle := [n for n, p in setup.loss.named_parameters() if p.requires_grad and id(p) not in played]:
        log.warning(
            f"warning: the loss holds parameters that nothing trains, they stay as they are: {some(idle)}. If they are "
            "meant to learn, let the network hold them; if not, requires_grad_(False) tells so"
        )
    for module in setup.loss.modules():
        if (refuse := getattr(module, "refuse_for", None)) is not None:
            refuse(model)
    try:
        optimizers = setup.build_optimizers(model.learnable())
    except Exception as error:
        settings = getattr(setup.optimizer, "keywords", "")
        raise user_error(error) or UserError(f"optimizer {settings}: {reason(error)}") from error
    for optimizer in optimizers:
        try:
            if not needs_closure(optimizer):
                optimizer.step()  # without gradients, so that it does nothing
        except Exception as error:
            where = extract_tb(error.__traceback__)[-1].line or ""  # as of an assert without words
            if "closure" in f"{type(error).__name__} {error} {where}".lower():
                raise UserError(
                    f"optimizer: {type(optimizer).__name__} takes no step without a closure ({reason(error)}). Name a "
                    "class of yours, derived from it, whose step(self, closure) has no default for it: then it gets one"
                ) from error
    schedules = [setup.scheduler] + ([adversary.scheduler] if adversary else [])
    for schedule, optimizer in zip(schedules, optimizers, strict=True):
        try:
            made = schedule(optimizer)
        except Exception as error:
            raise user_error(error) or UserError(f"scheduler: {reason(error)}") from error
        wanted = [p for p in signature(made.step).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        if any(p.default is p.empty for p in wanted):
            raise UserError(
                f"scheduler: {type(made).__name__} changes the rate by a figure, and a schedule is stepped without one "
                "here, after each optimizer step. Type another one, as scheduler=multistep"
            )
        if isinstance(made, OneCycleLR) and (most := made.total_steps) < steps:
            raise UserError(
                f"scheduler: OneCycleLR ends after total_steps={most:,}, and is asked for {steps:,} steps. "
                f"Type scheduler.total_steps={steps}, or in a config of yours total_steps: ${{steps}}"
            )
        refuse_lost(optimizer.state_dict(), "optimizer")
        refuse_lost(made.state_dict(), "scheduler")
