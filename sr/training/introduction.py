"""What a training run says of itself before its first step."""

import logging
from pathlib import Path

from sr.compose.schema import scale_name
from sr.measuring.entries import published_name
from sr.metrics.protocols import get_protocol
from sr.scores.published import goals
from sr.training.build import plain
from sr.training.plan import Plan
from sr.training.stage_configs import patches, scales

log = logging.getLogger(__name__)


def introduction(plan: Plan, folder: Path) -> str:
    """The network, the recipe and the steps of each stage; what a reader should know besides is logged."""
    cfg, model, typed = plan.cfg, plan.model, plan.words.keys
    parameters = sum(p.numel() for p in model.learnable().values())
    merged = sum(p.numel() for p in model.merged().parameters())
    form = f"{parameters:,} parameters" + (f" ({merged:,} merged)" if merged != parameters else "")
    if cfg.choices.recipe == "base":
        log.warning(f"note: there is no recipe for {plan.name} yet; this is the base recipe (conf/recipe/base.yaml)")
    if untrained := sorted(set(model.scales) - set(scales(plan.stages[-1].cfg))):
        among = ", ".join(map(str, untrained))
        log.warning(f"note: {plan.name} also serves scale {among}, which this run does not train")
    text = f"{plan.name} x{scale_name(cfg.scale)}: {form}; recipe {cfg.choices.recipe}, budget {cfg.budget.name}: "
    for stage in plan.stages:
        label = f"\n  stage {stage.number} {stage.name}: " if len(plan.stages) > 1 else ""
        patch = " or ".join(f"{p}x{p}" for p in dict.fromkeys(patches(stage.cfg, typed).values()))
        text += f"{label}{stage.end - stage.begin:,} steps of {stage.cfg.batch_size} LR patches of {patch}"
    text += f" from {plan.stages[-1].data.describe()}\nrun folder: {folder}"
    paper = published_name(plain(plan.stages[-1].cfg.model), plan.name)
    measured = [get_protocol(protocol).name for protocol in cfg.protocols or model.protocols]
    reach = goals(paper, scales(plan.stages[-1].cfg), measured)
    return f"{text}\n{reach}" if reach else text
