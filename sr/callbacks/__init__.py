"""What hooks into the training loop."""

from sr.callbacks.checkpoints import Checkpoints
from sr.callbacks.csv_log import CsvLog
from sr.callbacks.nan_guard import NanGuard
from sr.callbacks.panels import Panels
from sr.callbacks.progress import Progress
from sr.callbacks.wandb_log import wandb_logger

__all__ = ["Checkpoints", "CsvLog", "NanGuard", "Panels", "Progress", "wandb_logger"]
