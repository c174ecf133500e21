"""What hooks into the training loop."""

from sr.callbacks.adjustable_clipping import AdjustableClipping
from sr.callbacks.checkpoints import Checkpoints
from sr.callbacks.csv_log import CsvLog
from sr.callbacks.nan_guard import NanGuard
from sr.callbacks.panels import Panels
from sr.callbacks.population_statistics import PopulationStatistics
from sr.callbacks.progress import Progress
from sr.callbacks.wandb_log import wandb_logger

__all__ = [
    "AdjustableClipping",
    "Checkpoints",
    "CsvLog",
    "NanGuard",
    "Panels",
    "PopulationStatistics",
    "Progress",
    "wandb_logger",
]
