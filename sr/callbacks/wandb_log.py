"""Weights & Biases, online where that works without asking, offline otherwise."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch.loggers import WandbLogger

log = logging.getLogger(__name__)


def wandb_logger(
    project: str = "sr",
    tags: list[str] | None = None,
    notes: str | None = None,
    entity: str | None = None,
    group: str | None = None,
    name: str | None = None,
    folder: str = ".",
    run_id: str | None = None,
) -> WandbLogger:
    """A W&B logger that never prompts and never hangs.

    Online only when WANDB_MODE says so, or when this machine is logged in and reaches the server; otherwise the
    run is kept in `<folder>/wandb` for `wandb sync`.

    Args:
        folder: the run folder.
        run_id: of the W&B run; the same id after a resume continues the same W&B run.
    """
    mode = os.environ.get("WANDB_MODE") or ("online" if _reachable() else "offline")
    os.environ.setdefault("WANDB_SILENT", "true")
    Path(folder).mkdir(parents=True, exist_ok=True)
    if mode == "offline":
        log.info(f"W&B: offline; later: wandb sync {Path(folder) / 'wandb'}/offline-run-*")
    return WandbLogger(
        project=project, entity=entity, name=name, tags=tags or [], notes=notes, group=group, save_dir=folder,
        id=run_id, resume="allow", offline=mode == "offline", mode=mode, log_model=False,
    )  # fmt: skip


def _reachable(timeout: float = 3.0) -> bool:
    """Logged in, and the server accepts a connection within `timeout` seconds."""
    import wandb

    address = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))
    if not (os.environ.get("WANDB_API_KEY") or wandb.Settings().api_key or _netrc_knows(address.hostname)):
        return False
    try:
        port = address.port or (443 if address.scheme == "https" else 80)
        socket.create_connection((address.hostname or "", port), timeout).close()
    except OSError:
        log.info(f"W&B: logged in, but {address.hostname} does not answer")
        return False
    return True


def _netrc_knows(host: str | None) -> bool:
    import netrc

    for file in (Path.home() / ".netrc", Path.home() / "_netrc"):
        if file.is_file():
            try:
                return netrc.netrc(file).authenticators(host or "") is not None
            except netrc.NetrcParseError:
                return False
    return False


def log_images(loggers: list[Any], key: str, images: list[Any], captions: list[str], step: int) -> None:
    """The same pictures under the same key in every logger that takes pictures."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(key=key, images=images, caption=captions, step=step)
