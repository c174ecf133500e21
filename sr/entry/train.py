"""The training run: check everything, build it from the config, fit, and measure the result."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import hydra
import lightning.pytorch as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf

from sr import checkpoint
from sr.callbacks import Checkpoints, CsvLog, NanGuard, Progress
from sr.data.leaks import refuse_leaks
from sr.data.module import SRDataModule
from sr.entry import budget
from sr.entry.data_sets import build_set, found_benchmarks, refuse_missing
from sr.entry.resume import claim, refuse_another_recipe
from sr.entry.validate import check_targets
from sr.entry.weights import published_name
from sr.errors import UserError
from sr.evaluation import BASELINE, Entry, compare
from sr.models.base import SuperResolver, Training
from sr.models.bicubic import Bicubic

log = logging.getLogger(__name__)
GROUPS = ("model", "recipe", "data", "degradation", "loss", "optimizer", "scheduler", "budget", "experiment")


def train(cfg: DictConfig) -> float | None:
    """Run a composed conf/train.yaml.

    Returns:
        Mean PSNR on the first measured set under the first protocol (what a hyper-parameter search maximises).
    """
    run = HydraConfig.get()
    folder = Path(run.runtime.output_dir)
    if int(os.environ.get("LOCAL_RANK", 0)) > 0:
        logging.getLogger().setLevel(logging.WARNING)
    if run.mode == RunMode.MULTIRUN and (cfg.trainer.strategy != "auto" or cfg.trainer.devices != 1):
        raise UserError(
            "several processes inside a sweep (-m) would each run the whole sweep again. Type its runs one by one; "
            f"this one is: python train.py {' '.join(run.overrides.task)}"
        )
    typed = list(run.overrides.task)
    resumed = checkpoint.read(folder) if cfg.resume else None
    cfg.choices = {g: run.runtime.choices.get(g) for g in GROUPS}
    name = str(cfg.choices.model)

    architecture = _architecture(cfg, name)
    check_targets(_plain(cfg))
    keys = {a.split("=")[0].lstrip("+~") for a in typed}
    if (
        resumed is not None
        and cfg.budget.factor is None
        and (then := resumed["sr"]["config"]["budget"])["name"] == cfg.budget.name
    ):
        cfg.budget.factor = then["factor"]
    budget.shrink(cfg, architecture, keys)

    L.seed_everything(cfg.seed, workers=True, verbose=False)
    torch.set_float32_matmul_precision("high")
    model: SuperResolver = hydra.utils.instantiate(cfg.model)
    model.trained_parameters()
    if cfg.init_from and resumed is None:
        content = checkpoint.read(cfg.init_from)
        checkpoint.load_weights(model, content["state_dict"], cfg.init_from)
        log.info(f"weights from {cfg.init_from}")
    if resumed is not None:
        checkpoint.load_weights(model, resumed["state_dict"], folder)

    data: SRDataModule = hydra.utils.instantiate(cfg.data)
    data.check("fit")
    sets = _test_sets(cfg, data, typed)
    refuse_leaks(data, sets)

    _calibrate(cfg, model, data, keys)
    model.attach(_setup(cfg))
    if cfg.channels_last:
        model.to(memory_format=torch.channels_last)
    model.card = checkpoint.card(_plain(cfg.model), name, _plain(cfg))
    if cfg.compile:
        model.network = torch.compile(model.network)  # type: ignore[method-assign]

    if resumed is None:
        claim(folder)  # after everything that can be wrong, so that a mended command may be typed again
    else:
        refuse_another_recipe(_plain(cfg), resumed["sr"]["config"])
    trainer = _trainer(cfg, folder, name)
    data.trainer = trainer
    _ = data.micro_batch  # refuses a batch that the processes cannot share
    _introduce(cfg, name, model, data, folder)
    try:
        _fit(trainer, model, data, folder, resumed)
        return _measure(cfg, trainer, model, name, sets, folder) if trainer.global_rank == 0 else None
    finally:
        if wandb := sys.modules.get("wandb"):
            wandb.finish()  # else the next run of a sweep would go on in this one's


def _architecture(cfg: DictConfig, name: str) -> type[SuperResolver]:
    target = OmegaConf.select(cfg, "model._target_")
    if target is None:
        raise UserError(f"model={name}: conf/model/{name}.yaml has no _target_")
    try:
        found = hydra.utils.get_object(target)
    except (ImportError, ValueError, hydra.errors.HydraException) as error:
        raise UserError(f"model._target_={target}: there is no such class ({error})") from error
    if not (isinstance(found, type) and issubclass(found, SuperResolver)):
        raise UserError(f"model={name}: {target} is not a super-resolution model (sr.models.base.SuperResolver)")
    return found


def _plain(cfg: Any) -> Any:
    return OmegaConf.to_container(cfg, resolve=True)


def _setup(cfg: DictConfig) -> Training:
    return Training(
        loss=hydra.utils.instantiate(cfg.loss, _convert_="all"),
        optimizer=hydra.utils.instantiate(cfg.optimizer, _convert_="all"),
        scheduler=hydra.utils.instantiate(cfg.scheduler, _convert_="all"),
        protocol=hydra.utils.instantiate(cfg.protocol),
    )


def _test_sets(cfg: DictConfig, data: SRDataModule, typed: list[str]) -> list[SRDataModule]:
    """What is measured at the end, all of it looked at before the first step."""
    about_sets = [a for a in typed if not a.lstrip("+~").startswith(("data.", "data_dir=", "cache_dir="))]
    about_sets += [f"{key}='{cfg[key]}'" for key in ("data_dir", "cache_dir")]
    if cfg.benchmarks is None:
        own = [data] if data.has("test") else []
        for held_out in own:
            held_out.check("test")
        return own + found_benchmarks(cfg.scale, about_sets)
    sets = [build_set(name, cfg.scale, about_sets) for name in cfg.benchmarks]
    refuse_missing(sets)
    return sets


def _calibrate(cfg: DictConfig, model: SuperResolver, data: SRDataModule, typed: set[str]) -> None:
    """Find the factor of a budget in seconds; every process of a run must use the same one."""
    if cfg.budget.seconds is None or cfg.budget.factor is not None:
        return
    if int(os.environ.get("LOCAL_RANK", 0)) > 0 and (known := os.environ.get("SR_BUDGET_FACTOR")):
        cfg.budget.factor = float(known)  # found by the process that started this one
        budget.rescale(cfg, cfg.budget.factor, typed)
        return
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 or int(os.environ.get("SLURM_NTASKS", 1)) > 1:
        raise UserError(
            f"budget={cfg.budget.name} times the first steps, which several processes that were started apart "
            "would each do differently. Type the factor of the step counts instead: budget.factor=0.01"
        )
    probe: L.Trainer = hydra.utils.instantiate(cfg.trainer, logger=False, enable_checkpointing=False)
    device = probe.strategy.root_device
    share = cfg.batch_size // (cfg.accumulate * probe.world_size)
    batch = data.to_float(data.sample_batch(share), device)
    setup = _setup(cfg)
    with probe.precision_plugin.train_step_context():
        budget.calibrate(cfg, model, batch, setup.optimizer, setup.loss, device, typed)
    os.environ["SR_BUDGET_FACTOR"] = str(cfg.budget.factor)


def _trainer(cfg: DictConfig, folder: Path, name: str) -> L.Trainer:
    monitor = f"val/psnr_{cfg.protocol.name}"
    last = Checkpoints(folder / "checkpoints", monitor, cfg.save_every_minutes, cfg.save_every_steps)
    callbacks: list[L.Callback] = [NanGuard(folder)]
    if cfg.trainer.enable_progress_bar:
        callbacks.append(Progress(cfg.steps * cfg.accumulate))
    for key, node in cfg.callbacks.items():
        extra = {"folder": str(folder / "panels")} if key == "panels" else {}
        callbacks.append(hydra.utils.instantiate(node, **extra))
    callbacks.append(last)  # after the others: an average of weights must have taken the step that is saved
    loggers: list[Any] = [CsvLog(folder)]
    for key, node in cfg.logger.items():
        extra = (
            {"folder": str(folder), "run_id": _run_id(folder), "name": f"{name}_x{cfg.scale}"} if key == "wandb" else {}
        )
        loggers.append(hydra.utils.instantiate(node, **extra))
    try:
        return hydra.utils.instantiate(
            cfg.trainer,
            max_steps=cfg.steps,
            callbacks=callbacks,
            logger=loggers,
            accumulate_grad_batches=cfg.accumulate,
            val_check_interval=cfg.val_every_steps * cfg.accumulate,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=1,
            use_distributed_sampler=False,  # the data modules give each process its own images
            enable_checkpointing=False,  # sr.callbacks.Checkpoints does it
            enable_model_summary=False,
            default_root_dir=str(folder),
            _convert_="all",
        )
    except hydra.errors.InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, MisconfigurationException | ValueError | RuntimeError):
            raise UserError(f"trainer: {cause} (trainer=auto takes what this machine has)") from error
        raise


def _run_id(folder: Path) -> str:
    """The W&B run of this folder: the same after a resume."""
    file = folder / "wandb_id.txt"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(os.urandom(4).hex())
    return file.read_text().strip()


def _introduce(cfg: DictConfig, name: str, model: SuperResolver, data: SRDataModule, folder: Path) -> None:
    parameters = sum(p.numel() for p in model.trained_parameters())
    merged = sum(p.numel() for p in model.merged().parameters())
    form = f"{parameters:,} parameters" + (f" ({merged:,} merged)" if merged != parameters else "")
    if cfg.choices.recipe == "base":
        log.warning(f"note: there is no recipe for {name} yet; this is the base recipe (conf/recipe/base.yaml)")
    if len(model.serves) > 1:
        log.warning(f"note: of {name}'s scales {model.serves} only {cfg.scale} is trained in this run")
    log.info(
        f"{name} x{cfg.scale}: {form}; recipe {cfg.choices.recipe}, budget {cfg.budget.name}: {cfg.steps:,} steps of "
        f"{cfg.batch_size} LR patches of {cfg.patch_size}x{cfg.patch_size} from {data.describe()}\nrun folder: {folder}"
    )


def _fit(trainer: L.Trainer, model: SuperResolver, data: SRDataModule, folder: Path, resumed: Any) -> None:
    start = int(resumed["global_step"]) if resumed else 0
    for logger in trainer.loggers:
        if isinstance(logger, CsvLog) and resumed:
            logger.resume_at(start)
        elif not isinstance(logger, CsvLog):
            logger.log_hyperparams(model.card["config"])
    if start >= trainer.max_steps:
        log.info(f"this run is complete: {start:,} steps.")
        return
    if resumed:
        log.info(f"resuming at step {start:,} of {trainer.max_steps:,}")
    try:
        trainer.fit(
            model,
            datamodule=data,
            ckpt_path=checkpoint.locate(folder) if resumed else None,
            weights_only=True,
        )
    except SystemExit as stop:  # interrupted: Lightning has shut down in order, on SIGTERM with no exit status
        log.info(f"stopped at step {trainer.global_step:,}. Go on with: python train.py resume={folder}")
        raise SystemExit(stop.code or 128 + signal.SIGTERM) from stop


def _measure(
    cfg: DictConfig,
    trainer: L.Trainer,
    model: SuperResolver,
    name: str,
    sets: list[SRDataModule],
    folder: Path,
) -> float | None:
    for held_out in sets:
        held_out.trainer = None  # this process measures every image, not its share
    if not sets:
        log.info(
            "no test set was found to measure the result on: type benchmarks=[set5] data_dir=<folder that holds it>"
        )
        return None
    entries = [Entry(BASELINE, Bicubic(cfg.scale)), Entry(name, model, published_name(model.card["model"], name))]
    device = trainer.strategy.root_device
    means = compare(entries, sets, folder, device, ensemble=cfg.self_ensemble)
    ours = [f for f in means if f.model != BASELINE]
    for logger in trainer.loggers:
        logger.log_metrics(
            {f"test/{f.dataset}/{kind}_{f.protocol}": getattr(f, kind) for f in ours for kind in ("psnr", "ssim")},
            step=cfg.steps - 1,
        )
        logger.save()
        logger.finalize("success")
    return ours[0].psnr
