"""The processes of a run: those that torchrun or srun has started decide how many devices and nodes it has."""

import logging
import os
from collections.abc import Collection

import lightning.pytorch as L
from omegaconf import DictConfig, ListConfig, OmegaConf

from sr.errors import UserError
from sr.runs.started import TASKS, Started, started
from sr.training.plan import Plan

log = logging.getLogger(__name__)


def with_processes(cfg: DictConfig, typed: Collection[str]) -> DictConfig:
    """The config with a device for each process that torchrun or srun has started; as it is where they started none.

    A process that srun started alone, or that stands in a job's script, starts the run's other processes itself.

    Args:
        cfg: of the run.
        typed: keys that were typed.

    Raises:
        UserError: what was typed means other processes, or nodes have different numbers of them.
    """
    here = started()
    if here is None:
        _leave_tasks_out()
        return cfg
    if here.processes % here.nodes:
        raise UserError(
            f"{here.by} has started {here.processes} processes on {here.nodes} nodes: each node needs as many as the "
            "others (--ntasks-per-node)"
        )
    devices = here.processes // here.nodes
    for key, found in (("trainer.devices", devices), ("trainer.num_nodes", here.nodes)):
        value = OmegaConf.select(cfg, key)
        number = len(value) if isinstance(value, ListConfig) else value
        if key in typed and number not in (found, str(found), "auto", -1):
            raise UserError(
                f"{key}={value}, but {here.by} has started {_told(here)}: leave {key} out, or type {key}={found}"
            )
    cfg = cfg.copy()
    OmegaConf.set_struct(cfg, False)
    if not isinstance(cfg.trainer.devices, ListConfig):
        cfg.trainer.devices = devices
    cfg.trainer.num_nodes = here.nodes
    if cfg.trainer.strategy == "auto":
        cfg.trainer.strategy = "ddp"
    if here.by == "srun":
        os.environ["SLURM_NTASKS_PER_NODE"] = str(devices)  # Lightning wants it said; `srun --ntasks` says it not
    return cfg


def _leave_tasks_out() -> None:
    """With these Lightning would wait for processes that nobody starts."""
    if (tasks := os.environ.get("SLURM_NTASKS", "1")) != "1" and "SLURM_STEP_NUM_TASKS" not in os.environ:
        log.warning(f"note: this job has {tasks} tasks, of which this run is one; srun sr train ... takes them all")
    for name in TASKS:
        os.environ.pop(name, None)


def _told(here: Started) -> str:
    return f"{here.processes} processes on {here.nodes} node{'s' if here.nodes > 1 else ''}"


def shared_out(plan: Plan, trainer: L.Trainer) -> str | None:
    """How the batch is shared out among processes and micro-batches, and at which rate; None where it is not."""
    stages = [(stage, trainer.world_size * stage.cfg.accumulate) for stage in plan.stages]
    if all(parts == 1 for _, parts in stages):
        return None
    lines = []
    for stage, parts in stages:
        size, rate = stage.cfg.batch_size, stage.cfg.optimizer.get("lr")
        text = f"{stage.name}: " if len(stages) > 1 and stage.name else ""
        shares = [f"{trainer.world_size} processes"] if trainer.world_size > 1 else []
        shares += [f"{stage.cfg.accumulate} accumulated"] if stage.cfg.accumulate > 1 else []
        text += f"a batch of {size} over all, {' x '.join(shares)} x {size // parts}"
        lines.append(text + (f"; learning rate {rate:g}, however many processes there are" if rate else ""))
    return "\n".join(dict.fromkeys(lines))
