"""What hooks into the training loop."""

from sr.callbacks.adjustable_clipping import AdjustableClipping
from sr.callbacks.checkpoints import Checkpoints
from sr.callbacks.csv_log import CsvLog
from sr.callbacks.mlflow_log import mlflow_logger
from sr.callbacks.nan_guard import NanGuard
from sr.callbacks.panels import Panels
from sr.callbacks.population_statistics import PopulationStatistics
from sr.callbacks.progress import Progress
from sr.callbacks.tensorboard_log import tensorboard_logger
from sr.callbacks.wandb_log import wandb_logger

__all__ = [
    "AdjustableClipping",
    "Checkpoints",
    "CsvLog",
    "NanGuard",
    "Panels",
    "PopulationStatistics",
    "Progress",
    "mlflow_logger",
    "tensorboard_logger",
    "wandb_logger",
]
